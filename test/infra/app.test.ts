import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { verbs } from "../../functions/operations.ts";
import { root } from "./configs.ts";
import { featureFlags } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "offset-rollback-app-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a command in a shell that has neither an AWS account nor Docker. */
function run(command: string, args: string[], variables: Record<string, string> = {}) {
  const path = [join(root, "node_modules/.bin"), "/usr/bin", "/bin"].join(":");
  const env = { PATH: path, HOME: folder, AWS_EC2_METADATA_DISABLED: "true", CDK_DOCKER: "false", ...variables };
  const { status, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8", env });
  return { status, stderr };
}

const runApp = (config: string) => run("node", ["infra/app.ts"], { CDK_CONTEXT_JSON: JSON.stringify({ config }) });

test("synthesizes the example without an AWS account or Docker, into functions that load, with a Kafka client where they need one", () => {
  const output = join(folder, "cdk.out");
  const { status, stderr } = run("cdk", ["synth", "--quiet", "--no-notices", "--output", output]);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  expect(stderr).toContain("this is infra/deployment.example.json, which cannot be deployed");
  const template = JSON.parse(readFileSync(join(output, "OffsetRollback.template.json"), "utf8"));
  expect(template.Parameters.ThisIsTheExamplePassConfig).not.toHaveProperty("Default");
  const bundles = readdirSync(output).filter((name) => name.startsWith("asset."));
  expect(bundles).toHaveLength(verbs.length);
  const load = `
    for (const bundle of ${JSON.stringify(bundles)}) {
      const { handler } = await import("${output}/" + bundle + "/index.mjs");
      if (typeof handler !== "function") throw new Error(bundle);
    }`;
  expect(run("node", ["--input-type=module", "--eval", load])).toMatchObject({ status: 0 });
  const resources: { Type: string; Properties: { FunctionName: string; Code: { S3Key: string } } }[] = Object.values(
    template.Resources,
  );
  const withClient = resources.filter(({ Type, Properties }) => {
    if (Type !== "AWS::Lambda::Function") return false;
    const bundle = join(output, `asset.${Properties.Code.S3Key.replace(".zip", "")}`);
    const files = readdirSync(bundle).filter((file) => file.endsWith(".mjs"));
    return files.some((file) => readFileSync(join(bundle, file), "utf8").includes("KafkaJSError"));
  });
  expect(withClient.map(({ Properties }) => Properties.FunctionName).sort()).toEqual([
    "offset-diff",
    "offset-import",
    "offset-plan",
    "offset-rollback",
    "offset-snapshot",
    "offset-verify",
  ]);
}, 300_000);

test("names the file and every problem of an invalid config, without a stack trace", () => {
  const path = join(folder, "bad.json");
  writeFileSync(path, JSON.stringify({ network: null, schedules: [], cluster: { name: "x", security: {} } }));
  const { status, stderr } = runApp(path);
  expect(status).toBe(1);
  expect(stderr).toContain(`${path} has 2 problem(s):\n  cluster.bootstrap_servers: must be a list`);
  expect(stderr).not.toContain("    at ");
});

test("names the missing file", () => {
  expect(runApp("nowhere.json").stderr).toContain("The deployment config nowhere.json cannot be read");
});

test("every feature flag of this version of the CDK is decided: a default that changes later changes no template", () => {
  const path = join(root, "node_modules/aws-cdk-lib/recommended-feature-flags.json");
  const flags = z.record(z.string(), z.unknown()).parse(JSON.parse(readFileSync(path, "utf8")));
  expect(Object.keys(featureFlags)).toEqual(Object.keys(flags).sort());
});
