#!/usr/bin/env node
// Starts the command line: as it was built, or in a checkout whose source has changed since, from the source.
import { existsSync, readdirSync, statSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const built = new URL("dist/main.js", root);
const source = new URL("functions/cli/main.ts", root);

/** Whether the built program is what the source says: a package has no source. */
function isBuilt() {
  if (!existsSync(source)) return true;
  if (!existsSync(built)) return false;
  const folder = fileURLToPath(new URL("functions/", root));
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".ts"));
  const { mtimeMs } = statSync(built);
  const inputs = [...files.map((name) => `${folder}/${name}`), fileURLToPath(new URL("package-lock.json", root))];
  return inputs.every((file) => statSync(file).mtimeMs < mtimeMs);
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const isAtLeast = (version) => major > version[0] || (major === version[0] && minor >= version[1]);
const [isFresh, oldest] =
  isAtLeast([20, 12]) && isBuilt() ? [true, [20, 12]] : [false, existsSync(source) ? [22, 18] : [20, 12]];

if (!isAtLeast(oldest)) {
  const how = existsSync(source) ? " Run it as `npx offset-rollback`, which brings Node, or first `npm ci`." : "";
  console.error(`offset-rollback needs Node ${oldest.join(".")} or newer, and this is ${process.version}.${how}`);
  process.exitCode = 2;
} else {
  module.enableCompileCache?.();
  await import((isFresh ? built : source).href);
}
