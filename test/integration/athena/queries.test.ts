import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import type { Snapshot } from "../../../functions/shared/core/model.ts";
import { encodeSnapshot } from "../../../functions/shared/core/snapshot.ts";
import { snapshot } from "../../support/arbitraries.ts";
import { asRow, commitRowsOf, inAnyOrder, logRowsOf, questions, sqlOf, story } from "../../support/archived.ts";
import { runInTrino } from "../../support/java.ts";

/** Athena is made of Trino. These tests run the queries of the stack on Trino's engine, on lines as bodies have them. */

const lineOf = (snapshot: Snapshot) => gunzipSync(encodeSnapshot(snapshot).body).toString();
const bodyOf = (snapshot: Snapshot) => [`s3://bucket/${snapshot.snapshotId}.json.gz`, lineOf(snapshot)] as const;
const say = (line: string) => console.error(line);

describe("the queries, in Trino", () => {
  const damaged = ["s3://bucket/damaged.json.gz", '{"snapshot_id": '] as const;
  let answers: readonly (readonly (readonly unknown[])[])[] = [];

  beforeAll(async () => {
    const asked = questions.map(({ query, parameters }) => ({ sql: sqlOf(query), parameters }));
    const others = ["commits", "unreadable-bodies"].map((name) => ({ sql: sqlOf(name), parameters: [] }));
    answers = await runInTrino([...story.map(bodyOf), damaged], [...asked, ...others], say);
  });

  test.each(questions.map((question, index) => ({ ...question, index })))(
    "$query of $parameters",
    ({ index, rows }) => {
      expect(answers[index]?.map(asRow)).toEqual(rows);
    },
  );

  test("leave out what is not JSON, which has a query of its own", () => {
    const [commits = [], unreadable = []] = answers.slice(-2);
    expect(inAnyOrder(commits.map(asRow))).toEqual(inAnyOrder(story.flatMap(commitRowsOf)));
    expect(unreadable.map(asRow)).toEqual([[damaged[0], 16n]]);
  });
});

test("find every commit and log of any snapshot in Trino, with names and figures as they are", async () => {
  const distinct = fc.uniqueArray(snapshot, { selector: ({ snapshotId }) => snapshotId, minLength: 60, maxLength: 60 });
  const [snapshots = []] = fc.sample(distinct, 1);
  const asked = ["commits", "log-ranges"].map((name) => ({ sql: sqlOf(name), parameters: [] }));
  const [commits = [], logs = []] = await runInTrino(snapshots.map(bodyOf), asked, say);
  expect(inAnyOrder(commits.map(asRow))).toEqual(inAnyOrder(snapshots.flatMap(commitRowsOf)));
  expect(inAnyOrder(logs.map(asRow))).toEqual(inAnyOrder(snapshots.flatMap(logRowsOf)));
});
