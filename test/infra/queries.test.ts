import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isObservation } from "../../functions/shared/core/history/sights.ts";
import { unpackJson } from "../../functions/shared/core/json/packed-json.ts";
import { triggers } from "../../functions/shared/core/model.ts";
import { encodeSnapshot, snapshotDocument } from "../../functions/shared/core/snapshot.ts";
import { queries } from "../../infra/queries.ts";
import { snapshot } from "../support/arbitraries.ts";
import {
  asRow,
  commitRowsOf,
  inAnyOrder,
  logRowsOf,
  questions,
  sqlOf,
  story,
  writeBodies,
} from "../support/archived.ts";
import { duckdbOn, rowsOf } from "../support/duckdb.ts";
import { local, root } from "./configs.ts";
import { render, templateOf } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "offset-rollback-bodies-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the queries, in DuckDB on encoded bodies", () => {
  const archive = join(folder, "story");
  beforeAll(() => writeBodies(archive, story));

  test.each(questions)("$query of $parameters", async ({ query, parameters, rows }) => {
    const found = await rowsOf(await duckdbOn(archive), sqlOf(query), parameters);
    expect(found.map(asRow)).toEqual(rows);
  });

  test("are all asked", () => {
    expect(new Set([...questions.map(({ query }) => query), "commits", "log-ranges", "unreadable-bodies"])).toEqual(
      new Set(queries.map(({ name }) => name)),
    );
  });

  test("leave out of what happened over time the snapshots that the operation history leaves out", () => {
    const unobserved = [...triggers, "computed", "recovered"].filter((trigger) => !isObservation({ trigger }));
    const excluded = queries.flatMap(({ sql }) => [...sql.matchAll(/trigger_name NOT IN \((.*?)\)/g)]);
    expect(excluded).toHaveLength(3);
    for (const [, words] of excluded) expect(words).toBe(unobserved.map((trigger) => `'${trigger}'`).join(", "));
  });

  test("find every commit and log of any snapshot, with names and figures as they are", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(snapshot, { selector: ({ snapshotId }) => snapshotId, minLength: 1, maxLength: 5 }),
        async (snapshots) => {
          const archive = join(folder, `any-${run++}`);
          writeBodies(archive, snapshots);
          const connection = await duckdbOn(archive);
          const [commits, logs] = [
            await rowsOf(connection, sqlOf("commits")),
            await rowsOf(connection, sqlOf("log-ranges")),
          ];
          expect(inAnyOrder(commits.map(asRow))).toEqual(inAnyOrder(snapshots.flatMap(commitRowsOf)));
          expect(inAnyOrder(logs.map(asRow))).toEqual(inAnyOrder(snapshots.flatMap(logRowsOf)));
        },
      ),
      { numRuns: 30 },
    );
  });

  test("find what a deployment of a former release has stored", async () => {
    const archive = join(folder, "former");
    const { objects } = JSON.parse(readFileSync(join(root, "test/fixtures/stored/2026-11-28.json"), "utf8"));
    mkdirSync(archive);
    const stored = Object.keys(objects).filter((key) => key.startsWith("snapshots/"));
    const snapshots = stored.map((key) => {
      const body = Buffer.from(objects[key], "base64");
      writeFileSync(join(archive, basename(key)), body);
      return snapshotDocument.decode(unpackJson(body), "");
    });
    const found = await rowsOf(await duckdbOn(archive), sqlOf("commits"));
    expect(inAnyOrder(found.map(asRow))).toEqual(inAnyOrder(snapshots.flatMap(commitRowsOf)));
    expect(found.length).toBeGreaterThan(3);
  });

  test("leave out what is not JSON, which has a query of its own", async () => {
    const archive = join(folder, "damaged");
    writeBodies(archive, story);
    const damaged = join(archive, "snapshot-2025-01-15T10:45:00Z.json.gz");
    writeFileSync(damaged, gzipSync('{"snapshot_id": "snapshot-2025-01-15T10:45:00Z", "cons'));
    const connection = await duckdbOn(archive);
    expect((await rowsOf(connection, sqlOf("commits"))).map(asRow)).toHaveLength(story.flatMap(commitRowsOf).length);
    expect((await rowsOf(connection, sqlOf("unreadable-bodies"))).map(asRow)).toEqual([[damaged, 54n]]);
  });
});

test("a body is one line without the character that separates the columns of the table", () => {
  fc.assert(
    fc.property(snapshot, (snapshot) => {
      expect(gunzipSync(encodeSnapshot(snapshot).body).findIndex((byte) => byte < 0x20)).toBe(-1);
    }),
  );
});

describe("the option athena", () => {
  const template = templateOf({
    ...local(),
    athena: true,
    name_prefix: "Team-A-",
    archive: { bucket_prefix: "kafka/" },
  });

  test("is off unless it is set", () => {
    const types = Object.values<{ Type: string }>(templateOf(local()).toJSON().Resources).map(({ Type }) => Type);
    expect(types.filter((type) => /Athena|Glue/.test(type))).toEqual([]);
  });

  test("makes a table of the bodies alone, with a line in one column", () => {
    template.hasResourceProperties("AWS::Glue::Database", { DatabaseInput: { Name: "team_a_offset_snapshots" } });
    const [{ DatabaseName, TableInput } = { DatabaseName: "", TableInput: {} }] = Object.values(
      template.findResources("AWS::Glue::Table"),
    ).map(({ Properties }) => Properties);
    expect(DatabaseName).toBe("team_a_offset_snapshots");
    expect(render(TableInput.StorageDescriptor.Location)).toBe("s3://<ArchiveBucket>/kafka/snapshots/");
    expect(TableInput.StorageDescriptor.Columns).toMatchObject([{ Name: "line", Type: "string" }]);
    expect(TableInput.StorageDescriptor.SerdeInfo.Parameters["field.delim"]).toBe("\u0001");
  });

  test("has the queries in a work group that keeps the results and limits what one reads", () => {
    template.hasResourceProperties("AWS::Athena::WorkGroup", {
      Name: "Team-A-offset-rollback",
      WorkGroupConfiguration: {
        EnforceWorkGroupConfiguration: true,
        BytesScannedCutoffPerQuery: 100_000_000_000,
        ManagedQueryResultsConfiguration: { Enabled: true },
      },
    });
    const named = Object.values(template.findResources("AWS::Athena::NamedQuery")).map(({ Properties }) => Properties);
    expect(named.map(({ Name, QueryString }) => [Name, QueryString]).sort()).toEqual(
      queries.map(({ name, sql }) => [name, sql]),
    );
    for (const { Database, WorkGroup, Description, QueryString } of named) {
      expect([Database, WorkGroup]).toEqual(["team_a_offset_snapshots", "Team-A-offset-rollback"]);
      expect(Description.length).toBeLessThanOrEqual(1_024);
      expect(Buffer.byteLength(QueryString)).toBeLessThan(262_144);
    }
  });

  test("has a policy that reads the bodies and changes nothing", () => {
    const policies = Object.entries(template.findResources("AWS::IAM::ManagedPolicy"));
    const [, policy] = policies.find(([id]) => id.startsWith("Queries")) ?? [];
    const rights = policy?.Properties.PolicyDocument.Statement.flatMap(
      ({ Action, Resource }: { Action: unknown; Resource: unknown }) =>
        [Action].flat().flatMap((action) => [Resource].flat().map((resource) => `${action} ${render(resource)}`)),
    );
    expect(rights.filter((right: string) => !right.startsWith("athena:"))).toEqual([
      ...["GetDatabase", "GetPartitions", "GetTable", "GetTables"].flatMap((action) =>
        ["catalog", "database/team_a_offset_snapshots", "table/team_a_offset_snapshots/bodies"].map(
          (resource) => `glue:${action} arn:<AWS::Partition>:glue:<AWS::Region>:<AWS::AccountId>:${resource}`,
        ),
      ),
      "glue:GetDatabase arn:<AWS::Partition>:glue:<AWS::Region>:<AWS::AccountId>:database/default",
      "s3:GetObject <ArchiveBucket>/kafka/snapshots/*",
      "s3:ListBucket <ArchiveBucket>",
      "s3:GetBucketLocation <ArchiveBucket>",
    ]);
    for (const right of rights.filter((right: string) => right.startsWith("athena:"))) {
      expect(right).toMatch(/^athena:(BatchGet|Get|List|Start|Stop)\w+ arn:.*:workgroup\/Team-A-offset-rollback$/);
    }
  });
});
