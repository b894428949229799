import { describe, expect, test } from "vitest";
import { verbs } from "../../functions/operations.ts";
import { local } from "./configs.ts";
import { functionOf, render, rightsOf, templateOf } from "./support.ts";

const withArchive = (archive: object) => ({ ...local(), archive: { bucket_prefix: "kafka/", ...archive } });
const own = templateOf(withArchive({}));
const both = withArchive({ existing: { bucket: "old-offsets", table: "offsets-restored" } });

const typesOf = (template: typeof own) =>
  Object.values<{ Type: string }>(template.toJSON().Resources).map(({ Type }) => Type);

/** The rights of a function, with what exists in place of what the stack creates. */
const asExisting = (rights: readonly string[]) =>
  rights
    .map((right) =>
      right
        .replace("<ArchiveBucket>", "arn:<AWS::Partition>:s3:::old-offsets")
        .replace(
          "<ArchiveTable>",
          "arn:<AWS::Partition>:dynamodb:<AWS::Region>:<AWS::AccountId>:table/offsets-restored",
        ),
    )
    .sort();

describe("a stack on a bucket and a table that exist", () => {
  const template = templateOf(both);

  test("neither creates one nor sets anything of them", () => {
    expect(typesOf(template).filter((type) => /^AWS::(S3|DynamoDB)::/.test(type))).toEqual([]);
    const others = (types: readonly string[]) => types.filter((type) => !/^AWS::(S3|DynamoDB)::/.test(type)).sort();
    expect(others(typesOf(template))).toEqual(others(typesOf(own)));
  });

  test.each(verbs)("gives %s exactly the rights that it has on those of the stack", (verb) => {
    const rights = rightsOf(own, functionOf(own, verb).Role);
    expect(rightsOf(template, functionOf(template, verb).Role)).toEqual(asExisting(rights));
    expect(functionOf(template, verb).Environment.Variables).toMatchObject({
      SNAPSHOT_BUCKET: "old-offsets",
      SNAPSHOT_TABLE: "offsets-restored",
      SNAPSHOT_PREFIX: "kafka/",
    });
  });

  test("names them in its outputs", () => {
    const { Outputs } = template.toJSON();
    const shown = ["BucketName", "TableName", "Path"].map((name) => render(Outputs[name].Value));
    expect(shown).toEqual(["old-offsets", "offsets-restored", "s3://old-offsets/kafka/"]);
  });
});

test("what exists and has a key of its own is used with the rights on that key that the accesses require, and no others", () => {
  const key = (id: string) => `arn:aws:kms:eu-west-1:111122223333:key/${id}`;
  const keys = { bucket_kms_key_arn: key("b"), table_kms_key_arn: key("t") };
  const template = templateOf(withArchive({ existing: { bucket: "old-offsets", table: "offsets-restored", ...keys } }));
  const onKeys = (verb: string) => {
    const rights = rightsOf(template, functionOf(template, verb).Role);
    const others = rights.filter((right) => !right.startsWith("kms:"));
    expect(others).toEqual(asExisting(rightsOf(own, functionOf(own, verb).Role)));
    return rights.filter((right) => right.startsWith("kms:"));
  };
  const bucket = [`kms:Decrypt ${key("b")}`, `kms:GenerateDataKey ${key("b")}`];
  const reads = [`kms:Decrypt ${key("t")}`, `kms:DescribeKey ${key("t")}`];
  const writes = ["Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"].map(
    (right) => `kms:${right} ${key("t")}`,
  );
  for (const verb of ["list", "show", "diff", "verify", "plan", "history", "rollbacks"]) {
    expect([...new Set(onKeys(verb))]).toEqual([...bucket, ...reads].sort());
  }
  for (const verb of ["snapshot", "rollback", "import", "reindex"]) {
    expect([...new Set(onKeys(verb))]).toEqual([...bucket, ...reads, ...writes].sort());
  }
  expect([...new Set(onKeys("delete"))]).toEqual([...reads, ...writes].sort());
});

test("one of them exists, and the stack creates the other", () => {
  const table = templateOf(withArchive({ existing: { table: "offsets-restored" } }));
  table.resourceCountIs("AWS::S3::Bucket", 1);
  table.resourceCountIs("AWS::DynamoDB::Table", 0);
  const bucket = templateOf(withArchive({ existing: { bucket: "old-offsets" } }));
  bucket.resourceCountIs("AWS::S3::Bucket", 0);
  bucket.resourceCountIs("AWS::DynamoDB::Table", 1);
});
