// Builds the command line after `npm ci` (script `dependencies`) and for `npm pack` (`prepack`): one bundle without
// dependencies, for Node 20 and newer. Not `prepare`: of a tarball with that script, npm warns when it is installed.
import { rmSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));
const link = `${root}/node_modules/.bin/offset-rollback`;

rmSync(`${root}/dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: ["functions/cli/main.ts"],
  outdir: "dist",
  bundle: true,
  // What only some commands need is a file of its own: the AWS clients, the question, the reports.
  splitting: true,
  minify: true,
  platform: "node",
  target: "node20",
  format: "esm",
  mainFields: ["module", "main"],
  // The version of the SDK inside runs on Node 20; a warning about later versions would be noise.
  define: { "process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": '"true"' },
  // CommonJS packages call `require`, which an ES module lacks.
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
  logLevel: "warning",
});

// npx finds it there in a third of the time that it needs for the package's own bin.
rmSync(link, { force: true });
symlinkSync("../../functions/cli/bin.js", link);
