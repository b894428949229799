import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { expectJournal, expectSnapshots, type Stored } from "../../support/stored.ts";

/** What each release stored: `test/e2e/stored.test.ts` makes such a file. */
const folder = join(import.meta.dirname, "../../fixtures/stored");
const versions = readdirSync(folder).map((name) => {
  const stored: Stored = JSON.parse(readFileSync(join(folder, name), "utf8"));
  return { name, stored };
});

test("there is something that an earlier version stored", () => {
  expect(versions).not.toEqual([]);
});

describe.each(versions)("what the version of $name stored", ({ stored }) => {
  test("has snapshots that are read with their index entries", () => {
    expectSnapshots(stored);
  });

  test("has a journal that is read with its plans and results", () => {
    expectJournal(stored);
  });
});
