#!/usr/bin/env node
// Starts the command line: the built one in the package, the source in a checkout, which is never older than the schemas.
import { existsSync } from "node:fs";
import module from "node:module";

const [major, minor] = process.versions.node.split(".").map(Number);
const source = new URL("main.ts", import.meta.url);
const isCheckout = existsSync(source);
const needed = isCheckout ? [22, 18] : [20, 12];
if (major < needed[0] || (major === needed[0] && minor < needed[1])) {
  const how = isCheckout ? " In the checkout, `npx offset-rollback` brings it (npm ci)." : "";
  console.error(`offset-rollback needs Node ${needed.join(".")} or newer; this is ${process.version}.${how}`);
  process.exitCode = 2;
} else {
  module.enableCompileCache?.();
  await import(isCheckout ? source.href : new URL("../../dist/main.js", import.meta.url).href);
}
