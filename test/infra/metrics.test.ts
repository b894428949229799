import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { metrics } from "../../functions/shared/core/metrics.ts";
import { root } from "./configs.ts";

test("the README has the table of all metrics, with units and dimensions, and no other", () => {
  const code = (text: string) => `\`${text}\``;
  const setOf = (names: readonly string[]) => (names.length === 0 ? "–" : names.map(code).join(" and "));
  const rows = Object.entries(metrics).map(
    ([name, { unit, by, means }]) => `| ${code(name)} | ${unit} | ${by.map(setOf).join("; ")} | ${means} |`,
  );
  const readme = readFileSync(join(root, "infra/README.md"), "utf8");
  const [, table = ""] = readme.split("| metric | unit | by | what it is |\n| --- | --- | --- | --- |\n");
  expect(table.slice(0, table.indexOf("\n\n")).split("\n")).toEqual(rows);
});
