import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, test } from "vitest";
import { type Level, levelOf, levels, operations, type Verb, verbs } from "../../functions/operations.ts";
import { example, local } from "./configs.ts";
import { allows, statementsOfRole } from "./simulation.ts";
import { functionOf, render, stackOf, templateOf } from "./support.ts";

const template = templateOf(local());
const outputs = (of: typeof template) => of.toJSON().Outputs;

/** The statements of the policy that an output names. */
function statementsOf(of: typeof template, level: Level): unknown[] {
  const output = `${level.charAt(0).toUpperCase()}${level.slice(1)}PolicyArn`;
  const policy = of.toJSON().Resources[outputs(of)[output].Value.Ref];
  expect(policy.Type).toBe("AWS::IAM::ManagedPolicy");
  return policy.Properties.PolicyDocument.Statement;
}

const mayCall = (level: Level, verb: Verb) => levels.indexOf(level) >= levels.indexOf(levelOf[verb]);

const api = /^(.*)\/GET\/snapshots$/.exec(
  statementsOf(template, "viewer")
    .flatMap((statement) => [Object(statement).Resource].flat())
    .map(render)
    .find((resource) => resource.endsWith("/GET/snapshots")) ?? "",
)?.[1];
/** Values of a parameter in a path, in the form that API Gateway sees: also such that look like another path. */
const values = ["snapshot-2025-01-15T10:30:00Z", "latest", "plan", "a%2Fplan", "rollback", "*"];
const pathsOf = (verb: Verb) =>
  operations[verb].routes.flatMap(({ method, path }) =>
    values.map((value) => ({ method, path: path.replaceAll(/\{\w+\}/g, value) })),
  );

describe.each(levels)("a policy for the %s", (level) => {
  const statements = statementsOf(template, level);

  test.each(verbs)("allows to call %s exactly if the level of that may", (verb) => {
    const resource = `<${verb}>`;
    expect(allows(statements, { action: "lambda:InvokeFunction", resource })).toBe(mayCall(level, verb));
    for (const { method, path } of pathsOf(verb)) {
      const call = { action: "execute-api:Invoke", resource: `${api}/${method}${path}` };
      expect([call, allows(statements, call)]).toEqual([call, mayCall(level, verb)]);
    }
  });

  test("allows no version or alias of a function, and nothing else of it", () => {
    for (const verb of verbs) {
      for (const qualifier of ["api", "$LATEST", "1"]) {
        const resource = `<${verb}>:${qualifier}`;
        expect(allows(statements, { action: "lambda:InvokeFunction", resource })).toBe(false);
      }
      for (const action of ["lambda:UpdateFunctionCode", "lambda:GetFunction", "lambda:InvokeFunctionUrl"]) {
        expect(allows(statements, { action, resource: `<${verb}>` })).toBe(false);
      }
    }
  });

  test("allows no path that the API does not have, no other stage, and only the outputs of this stack", () => {
    const invoke = (resource: string) => allows(statements, { action: "execute-api:Invoke", resource });
    expect(invoke(`${api}/PATCH/snapshots`)).toBe(false);
    expect(invoke(`${api}/GET/other`)).toBe(false);
    expect(invoke(`${api?.replace(/[^/]+$/, "test-invoke-stage")}/GET/snapshots`)).toBe(false);
    const describes = (resource: string) => allows(statements, { action: "cloudformation:DescribeStacks", resource });
    expect([describes("<AWS::StackId>"), describes("*"), describes("another")]).toEqual([true, false, false]);
  });

  test("is far from the largest that IAM accepts, 6,144 characters", () => {
    const arn = `arn:aws:lambda:ap-southeast-1:111122223333:function:${"f".repeat(64)}`;
    const resources = statements.flatMap((one) => [Object(one).Resource].flat()).map(render);
    const long = resources.map((resource) => resource.replace(/^<.*>$/, arn).replaceAll(/<[^>]+>/g, "x".repeat(14)));
    expect(resources.length).toBeGreaterThan(10);
    expect(JSON.stringify(long).length).toBeLessThan(5_000);
  });
});

test("the README says which operations each policy adds", () => {
  const readme = readFileSync(join(import.meta.dirname, "../../infra/README.md"), "utf8");
  const rows = [...readme.matchAll(/^\| `(\w+)PolicyArn` \| (?:and )?([^|]+) \|/gm)].map(
    ([, name = "", named = ""]) => [name.toLowerCase(), [...named.matchAll(/`(\w+)`/g)].map(([, verb]) => verb)],
  );
  expect(rows).toEqual(levels.map((level) => [level, verbs.filter((verb) => levelOf[verb] === level).sort()]));
});

test("the role of plan can write neither to Kafka nor to the journal, on a cluster with IAM", () => {
  const cluster_arn = "arn:aws:kafka:eu-west-1:111122223333:cluster/orders/1111-2222";
  const security = { protocol: "SASL_SSL", sasl: { mechanism: "AWS_MSK_IAM", cluster_arn } };
  const iam = templateOf({ ...example(), cluster: { ...example().cluster, security } });
  const may = (verb: Verb, action: string, resource: string, context = {}) =>
    allows(statementsOfRole(iam, functionOf(iam, verb).Role), { action, resource, context });
  const group = `${cluster_arn.replace(":cluster/", ":group/")}/orders`;
  const topic = `${cluster_arn.replace(":cluster/", ":topic/")}/orders`;
  const onKafka = [
    ["kafka-cluster:AlterGroup", group],
    ["kafka-cluster:DeleteGroup", group],
    ["kafka-cluster:ReadData", topic],
    ["kafka-cluster:WriteData", topic],
  ] as const;
  expect(onKafka.map(([action, resource]) => may("plan", action, resource))).toEqual([false, false, false, false]);
  expect(onKafka.map(([action, resource]) => may("rollback", action, resource))).toEqual([true, true, true, false]);
  expect(may("plan", "kafka-cluster:DescribeGroup", group)).toBe(true);

  const rows = ["snapshot", "execution", "deletion", "lease", "rollback", "rollback-id"];
  for (const action of ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"].map((name) => `dynamodb:${name}`)) {
    for (const row of rows) {
      expect(may("plan", action, "<ArchiveTable>", { "dynamodb:LeadingKeys": [row] })).toBe(false);
    }
  }
  expect(may("rollback", "dynamodb:PutItem", "<ArchiveTable>", { "dynamodb:LeadingKeys": ["lease"] })).toBe(true);
  const puts = ["snapshots", "rollbacks", "imports", "results"].map((folder) =>
    may("plan", "s3:PutObject", `<ArchiveBucket>/${folder}/a`),
  );
  expect(puts).toEqual([false, false, false, true]);
});

test("a read-only deployment has the same policies, of the functions that it has", () => {
  const readOnly = templateOf({
    ...local(),
    read_only: true,
    schedules: [],
    archive: { existing: { bucket: "replica" } },
  });
  const statements = statementsOf(readOnly, "operator");
  expect(allows(statements, { action: "lambda:InvokeFunction", resource: "<plan>" })).toBe(true);
  expect(allows(statements, { action: "lambda:InvokeFunction", resource: "<rollback>" })).toBe(false);
  expect(functionOf(readOnly, "plan").FunctionName).toBe("offset-plan");
});

test("the policies have no cdk-nag finding", () => {
  const { app, stack } = stackOf(example());
  app.synth();
  expect(new AwsSolutionsChecks(app).validateScope(stack).violations).toEqual([]);
});
