import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { examples } from "../../../functions/examples.ts";
import { importedSnapshot, partOf, requireThisCluster } from "../../../functions/import/content.ts";
import { request } from "../../../functions/import/schema.ts";
import { readCommits } from "../../../functions/shared/core/formats/import.ts";
import type { ImportFormat } from "../../../functions/shared/core/formats/names.ts";
import { encodeJson } from "../../../functions/shared/core/json/json.ts";
import type { LiveState } from "../../../functions/shared/core/model.ts";
import { commitsDocument, importSource } from "../../../functions/shared/core/snapshot.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";
import { groupOf, liveOf, log } from "../../support/states.ts";

const topics = new Map([["orders", { topicId: "now", partitions: new Map([[0, log(5n, 25n, 7)]]) }]]);
const live = liveOf(new Map([["a", new Map()]]), topics, {
  observed: {
    groups: new Map([
      ["a", { ...groupOf("classic", "Empty", 0), asOf: "2025-01-15T10:30:00.000Z", pending: ["orders-0"] }],
    ]),
    topics,
  },
});

/** The snapshot that an import makes. */
function importing(format: ImportFormat, content: string, more: object = {}, state: LiveState = live) {
  const wanted = parseRequest(request, { format, content, ...more });
  const reading = readCommits(format, content, "a");
  return importedSnapshot({ wanted, reading, part: partOf(reading, wanted), live: state, sha256: "0f" });
}

const csv = (...lines: string[]) =>
  ["group,topic,partition,offset,leader_epoch,topic_id,log_leader_epoch,error,message,cluster_id", ...lines, ""].join(
    "\n",
  );

test("the documented example is what an import of it makes", () => {
  const { format = "kafka-csv", content = "", groups, source } = examples.import.request;
  const group = "orders-streams";
  const ofGroup = liveOf(new Map([[group, new Map()]]), topics, {
    observed: { groups: new Map([[group, groupOf("classic", "Empty", 0)]]), topics },
  });
  const wanted = parseRequest(request, { format, content, groups, source });
  const reading = readCommits(format, content, group);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const made = importedSnapshot({ wanted, reading, part: partOf(reading, wanted), live: ofGroup, sha256 });
  expect(JSON.parse(encodeJson({ source: importSource.encode(made.source), warnings: made.warnings }))).toEqual({
    source: examples.import.result.source,
    warnings: examples.import.result.warnings,
  });
  expect(JSON.parse(encodeJson(commitsDocument.encode(made.consumerGroups)))).toEqual(
    JSON.parse(encodeJson(examples.import.result.consumer_groups ?? null)),
  );
});

describe("an imported snapshot", () => {
  test("has the commits of the content, and the groups and log ranges of now", () => {
    const made = importing("rpk", "orders 0 17\n", { source: "offsets.txt", description: "from rpk" });
    expect(made).toMatchObject({
      trigger: "imported",
      description: "from rpk",
      source: { name: "offsets.txt", format: "rpk", sha256: "0f", snapshotId: null, createdAt: null, clusterId: null },
      selection: { groups: [{ name: "a" }], exclude: [] },
      cluster: live.cluster,
      errors: [],
    });
    expect(made.consumerGroups).toEqual(new Map([["a", new Map([["orders-0", { offset: 17n, metadata: "" }]])]]));
    expect(made.observed.topics).toEqual(topics);
    // The pending commit and the time of reading are those of the commits that are there now.
    expect(made.observed.groups).toEqual(new Map([["a", groupOf("classic", "Empty", 0)]]));
  });

  test("keeps the topic ids and leader epochs of the content, so that a topic created again blocks", () => {
    const made = importing("csv", csv("a,orders,0,17,3,then,4,,,c1"));
    expect(made.observed.topics.get("orders")).toEqual({
      topicId: "then",
      partitions: new Map([[0, log(5n, 25n, 4)]]),
    });
    expect(made.consumerGroups.get("a")?.get("orders-0")).toEqual({ offset: 17n, metadata: "", leaderEpoch: 3 });
    expect(made.warnings.join("\n")).toMatch(/blocked by .*topic_recreated 1/);
  });

  test("of a topic that did not exist when the content was written has none, so that it blocks", () => {
    const commits = { partitions: { "orders-0": { offset: 17 } } };
    const made = importing("json", JSON.stringify({ consumer_groups: { a: commits }, observed: { topics: {} } }));
    expect(made.observed.topics).toEqual(new Map());
    expect(made.warnings.join("\n")).toMatch(/blocked by .*topic_recreated 1/);
  });

  const share = { type: "share", pending: ["orders-0"], negative: { "orders-1": -1 } };
  const partitions = { "orders-0": { offset: 17 } };
  const rows = "group,topic,partition,offset,type,pending\ns,orders,0,17,share,TRUE\n";
  test.each<[ImportFormat, string]>([
    ["json", JSON.stringify({ consumer_groups: { s: { partitions } }, observed: { groups: { s: share } } })],
    ["csv", rows],
  ])("of a share group from %s cannot replace the commits of another, nor create one", (format, content) => {
    const made = importing(format, content, { group_map: { s: "a" } });
    expect(made.observed.groups.get("a")).toMatchObject({ type: "share", state: "Empty", pending: ["orders-0"] });
    expect(made.warnings.join("\n")).toMatch(/blocked by .*unsupported_type 1/);
    const created = importing(format, content, {}, { ...live, missing: new Set(["s"]) });
    expect(created.observed.groups.get("s")).toMatchObject({ type: "share", state: null });
  });

  test("keeps which commits of its source were no offsets", () => {
    const observed = { groups: { a: { negative: { "orders-1": -1 } } } };
    const made = importing("json", JSON.stringify({ consumer_groups: { a: { partitions } }, observed }));
    expect(made.observed.groups.get("a")).toMatchObject({ type: "classic", negative: new Map([["orders-1", -1n]]) });
  });

  test("says which groups have no commit, so that a rollback restores none", () => {
    const [none, some] = [{ partitions: {} }, { partitions }];
    const empty = importing("json", JSON.stringify({ consumer_groups: { a: none } }));
    expect(empty.warnings).toContain(
      '"a" has no commit: the snapshot has no offsets, and a rollback to it restores none.',
    );
    const half = importing("json", JSON.stringify({ consumer_groups: { a: some, b: none } }));
    expect(half.warnings).toContain('No commit: "b". A rollback to this snapshot restores no offsets there.');
  });

  test("lacks the groups that its source lacks, and no other", () => {
    const lines = csv(
      "a,orders,0,17,,,,,,c1",
      "b,,,,,,,KafkaAuthorization,no right,c1",
      ",,,,,,,Unlisted,no leader,c1",
    );
    const lacking = [{ group: "b", error: "KafkaAuthorization", message: "no right" }];
    expect(importing("csv", lines)).toMatchObject({ errors: lacking, unlisted: { message: "no leader" } });
    const only = importing("csv", lines, { groups: ["a"] });
    expect([only.errors, only.unlisted]).toEqual([[], undefined]);
  });

  test("says what it was not made from, and what a rollback would create", () => {
    const lines = csv("a,orders,0,17,,,,,,c1", "b,orders,0,17,,,,,,c1", "c,orders,0,17,,,,,,c1");
    const more = { groups: ["b", "a"], group_map: { a: "d", b: "b2" } };
    const made = importing("csv", lines, more, { ...live, missing: new Set(["b2"]) });
    expect([...made.consumerGroups.keys()]).toEqual(["d", "b2"]);
    expect(made.warnings).toContain('Not named in groups, and left out: "c".');
    expect(made.warnings).toContain('This cluster has no group "b2": a rollback to this snapshot creates it.');
  });

  test("warns of what its format does not carry, and of a cluster that could not be checked", () => {
    expect(importing("rpk", "orders 0 17\ngone 0 1\n").warnings.slice(0, 3)).toEqual([
      "rpk has no metadata and no leader epochs: a rollback to this snapshot commits none.",
      expect.stringContaining("does not say which cluster it is of"),
      expect.stringMatching(
        /^The content has no id of "orders": make sure that no such topic was deleted and created again/,
      ),
    ]);
    expect(importing("csv", csv("a,orders,0,17,,now,7,,,c1")).warnings.join("\n")).not.toMatch(/which cluster|has no/);
  });
});

test.each([[["b"]], [["b*", "c?"]], [["a", "b"]]])(
  "groups %j that the content lacks are named, with those that it has",
  (groups) => {
    expect(() => importing("rpk", "orders 0 17\n", { groups })).toThrow(
      /^GroupNotFound: the content has no group "b\*?".*\. It has "a"; .* Name groups of the content/,
    );
  },
);

test("offsets of another cluster are refused; of an unknown one they are not", () => {
  const reading = (clusterId: string) => readCommits("csv", csv(`a,orders,0,17,,,,,,${clusterId}`), undefined);
  expect(() => requireThisCluster(reading("c2"), live.cluster)).toThrow(
    /^ClusterMismatch: the content is of cluster c2, and this cluster is c1 .* another record there/,
  );
  for (const clusterId of ["c1", ""]) requireThisCluster(reading(clusterId), live.cluster);
});

test.each([
  [{ format: "rpk" }, "content: give either content or snapshot_url"],
  [{ format: "rpk", content: "a", snapshot_url: "s3://b/imports/a" }, "content: give either content or snapshot_url"],
  [{ format: "rpk", snapshot_url: "https://b/imports/a" }, 'snapshot_url: must look like "s3://bucket/imports/name"'],
])("a request has its content once: %j", (fields, problem) => {
  expect(() => parseRequest(request, fields)).toThrow(problem);
});
