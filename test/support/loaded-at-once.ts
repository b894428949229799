import { join, relative } from "node:path";
import type { Metafile } from "esbuild";

const root = join(import.meta.dirname, "../..");

/** The code that is read when a module is loaded. */
interface LoadedAtOnce {
  readonly bytes: number;
  /** The packages that contribute code. */
  readonly packages: ReadonlySet<string>;
  /** The source files that contribute code, as esbuild names them. */
  readonly sources: ReadonlySet<string>;
}

/** The code that is read when a bundled file is loaded, without its dynamic imports. */
export function loadedAtOnce({ outputs }: Metafile, bundle: string): LoadedAtOnce {
  const files = [relative(root, bundle)];
  const packages = new Set<string>();
  const sources = new Set<string>();
  let bytes = 0;
  for (const file of files) {
    const { imports = [], inputs = {}, bytes: own = 0 } = outputs[file] ?? {};
    bytes += own;
    for (const input of Object.keys(inputs)) {
      sources.add(input);
      const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input) ?? [];
      if (name !== undefined) packages.add(name);
    }
    for (const { path, kind, external } of imports) {
      if (kind === "import-statement" && external !== true && !files.includes(path)) files.push(path);
    }
  }
  return { bytes, packages, sources };
}
