import { expect, test } from "vitest";
import { commands, formatFlag } from "../../../functions/cli/commands.ts";
import { rendered } from "../../../functions/cli/output.ts";
import { encodeJson } from "../../../functions/shared/core/json/json.ts";
import { asRead, diff } from "../../support/results.ts";

const stdout = { output: undefined, open: false };

test("--format html is offered for what has a page, and for nothing else", () => {
  const offered = [...commands.values()].flatMap(({ name, verb, flags }) =>
    formatFlag(flags(), verb).own.choices.includes("html") ? [name] : [],
  );
  expect(offered).toEqual(expect.arrayContaining(["show", "diff", "rollback", "undo"]));
  expect(offered).not.toContain("list");
  expect(offered).not.toContain("report");
});

test("--format html prints the page of a result", async () => {
  const answer = { text: encodeJson({ ...diff }), result: asRead(diff) };
  expect(await rendered(answer, "diff", "html", stdout)).toMatch(/^<!doctype html>/);
});

test("a page that the function has made is printed as it is", async () => {
  const answer = { text: "{}", result: {}, content: "<!doctype html>" };
  expect(await rendered(answer, "show", "json", stdout)).toBe("<!doctype html>");
});
