import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findPython } from "./choice.ts";
import { localDir, makeOnce, run, type Say } from "./process.ts";

/**
 * A virtual environment of Python with what a file of requirements pins, made once. Returns its `python`. The folder's name has
 * the version, so that another version gets another folder.
 *
 * @throws if there is no Python that can make one
 */
export async function makeVenv(name: string, requirements: string, say: Say): Promise<string> {
  const folder = join(localDir, name);
  await makeOnce(folder, async (venv) => {
    const python = findPython();
    if (python === undefined) throw new Error(`${name} needs Python 3.10 or newer with its venv module`);
    say(`Installing ${name} from PyPI (once)…`);
    const log = join(localDir, `install-${name}.log`);
    // An interrupted pip leaves its temporary files: here they go with the folder.
    const temporary = join(venv, "tmp");
    mkdirSync(temporary, { recursive: true });
    const env = { ...process.env, TMPDIR: temporary };
    await run({ command: python, args: ["-m", "venv", venv], env }, log, 120_000, say);
    const pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "-r", requirements];
    await run({ command: join(venv, "bin", "python"), args: pip, env }, log, 600_000, say);
    rmSync(temporary, { recursive: true, force: true });
  });
  return join(folder, "bin", "python");
}
