import { expect, test } from "vitest";
import { example } from "./configs.ts";
import { functionOf, rightsOf, templateOf } from "./support.ts";

const iam = { mechanism: "AWS_MSK_IAM", cluster_arn: "arn:aws:kafka:eu-west-1:111122223333:cluster/orders/1111-2222" };
const whole = {
  ...example(),
  cluster: { ...example().cluster, security: { protocol: "SASL_SSL", sasl: iam } },
  schedules: [],
  retention: undefined,
  archive: { existing: { bucket: "replica" } },
};
const config = { ...whole, read_only: true };
const template = templateOf(config);
const readers = ["diff", "history", "list", "plan", "reindex", "show", "verify"];

test("a read-only deployment has the functions that read, and reindex", () => {
  const names = Object.values(template.findResources("AWS::Lambda::Function")).map(
    ({ Properties }) => Properties.FunctionName,
  );
  expect(names.sort()).toEqual(readers.map((verb) => `offset-${verb}`));
  expect(Object.keys(JSON.parse(template.toJSON().Outputs.FunctionNames.Value)).sort()).toEqual(readers);
  expect(Object.keys(template.findResources("AWS::Scheduler::ScheduleGroup"))).toEqual([]);
});

test("each of its functions has the rights that it has in a whole deployment", () => {
  const full = templateOf(whole);
  for (const verb of readers) {
    expect(rightsOf(template, functionOf(template, verb).Role)).toEqual(rightsOf(full, functionOf(full, verb).Role));
  }
});

test("no role of it may write or delete an object of the archive, delete a row, or commit an offset", () => {
  const roles = Object.keys(template.findResources("AWS::IAM::Role")).map((Ref) => ({ Ref }));
  const rights = roles.flatMap((role) => rightsOf(template, role));
  expect(rights.length).toBeGreaterThan(30);
  const writes = rights.filter((right) => /^(s3|dynamodb):(Put|Update|Delete|BatchWrite)/.test(right));
  expect([...new Set(writes)].sort()).toEqual([
    "dynamodb:PutItem <ArchiveTable> only execution, snapshot",
    "s3:PutObject arn:<AWS::Partition>:s3:::replica/results/*",
  ]);
  expect(rights.filter((right) => /kafka-cluster:(Alter|Delete|Write|ReadData)|lambda:Invoke/.test(right))).toEqual([]);
});

test("its API has the methods of these functions", () => {
  const methods = Object.values(template.findResources("AWS::ApiGateway::Method"));
  expect(methods.map(({ Properties }) => Properties.HttpMethod).sort()).toEqual([
    "GET",
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
  ]);
});
