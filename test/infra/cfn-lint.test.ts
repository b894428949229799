import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { findPython } from "../../localstack/choice.ts";
import { makeVenv } from "../../localstack/venv.ts";
import { deployments } from "./configs.ts";
import { templateOf } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "offset-rollback-lint-"));
afterAll(() => rmSync(folder, { recursive: true }));

const findings = z.array(z.object({ Filename: z.string(), Rule: z.object({ Id: z.string() }), Message: z.string() }));

/** The findings of cfn-lint in templates, as lines `name rule message`. */
function lint(python: string, templates: Readonly<Record<string, unknown>>): string[] {
  const run = mkdtempSync(join(folder, "run-"));
  const names = Object.keys(templates);
  mkdirSync(run, { recursive: true });
  const files = names.map((name, index) => {
    const file = join(run, `${index}.json`);
    writeFileSync(file, JSON.stringify(templates[name]));
    return file;
  });
  const main = "import sys; from cfnlint.runner import main; sys.exit(main())";
  // W3005: the CDK names a dependency that follows from a reference, too.
  const checks = ["--format", "json", "--ignore-checks", "W3005", "--regions", "eu-west-1"];
  const { status, stdout, stderr } = spawnSync(python, ["-c", main, ...checks, "--", ...files], {
    encoding: "utf8",
    maxBuffer: 100_000_000,
  });
  if (status === 1 || stdout === "") throw new Error(`cfn-lint failed: ${stderr}`);
  const nameOf = (file: string) => names[files.indexOf(file)];
  return findings
    .parse(JSON.parse(stdout))
    .map(({ Filename, Rule, Message }) => `${nameOf(Filename)} ${Rule.Id} ${Message}`);
}

// Without Python there is no cfn-lint: where the local cloud runs in Docker.
describe.skipIf(findPython() === undefined)("cfn-lint", () => {
  let python = "";
  beforeAll(async () => {
    const requirements = join(import.meta.dirname, "cfn-lint/requirements.txt");
    python = await makeVenv("cfn-lint-1.58.0", requirements, () => {});
  }, 240_000);

  test("has no finding in the template of any config", () => {
    const templates = Object.fromEntries(
      Object.entries(deployments).map(([name, config]) => [name, templateOf(config).toJSON()]),
    );
    expect(lint(python, templates)).toEqual([]);
  });

  test("finds what CloudFormation would refuse", () => {
    const bad = { Resources: { Queue: { Type: "AWS::SQS::Queue", Properties: { VisibilityTimeout: "soon" } } } };
    expect(lint(python, { bad })).toEqual([expect.stringMatching(/^bad E3012 /)]);
  });
});
