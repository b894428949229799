import { describe, expect, test } from "vitest";
import { examples } from "../../../functions/examples.ts";
import { parseJson } from "../../../functions/shared/core/json/json.ts";
import { tablesOf } from "../../../functions/shared/report/tables.ts";
import { dryRun, history, partlyRolledBack } from "./samples.ts";

const tableOf = (result: unknown, path: string) => {
  const table = tablesOf(result).tables.find((table) => table.path === path);
  return table && { columns: table.columns, rows: table.rows };
};
const factsOf = (result: unknown) => Object.fromEntries(tablesOf(result).facts.map(({ path, value }) => [path, value]));
const alarmsOf = (result: unknown) => {
  const { facts, notes, tables } = tablesOf(result);
  const rows = tables.flatMap(({ path, alarms }) => [...alarms].map((row) => `${path} ${row}`));
  return [...[...facts, ...notes, ...tables].filter(({ alarm }) => alarm).map(({ path }) => path), ...rows];
};

describe("the values of a result", () => {
  test("are its scalars, lists of words, maps of counts and empty lists", () => {
    expect(
      factsOf({
        a: 1,
        b: { c: null, d: 9223372036854775807n },
        words: ["x", "y"],
        counts: { x: 0, y: 2 },
        none: [],
        zero: { x: 0 },
      }),
    ).toEqual({
      a: 1,
      "b.c": null,
      "b.d": 9223372036854775807n,
      words: "x, y",
      counts: "y 2",
      none: "none",
      zero: "none",
    });
  });

  test("are labels in one text, alone and in a table, whatever they are called", () => {
    const labels = { error: "none", groups: "0", env: "prod, old" };
    const text = 'error=none, groups=0, env="prod, old"';
    expect(factsOf({ labels, held: true })).toEqual({ labels: text, held: true });
    expect(factsOf({ labels: new Map([["status", "x"]]) })).toEqual({ labels: "status=x" });
    const snapshots = [{ snapshot_id: "a", labels, held: true }, { snapshot_id: "b" }];
    expect(tableOf({ snapshots }, "snapshots")).toEqual({
      columns: ["snapshot_id", "labels", "held"],
      rows: [
        ["a", text, true],
        ["b", undefined, undefined],
      ],
    });
    expect(alarmsOf({ labels, snapshots })).toEqual([]);
  });

  test("come from maps, as functions return them, and from JSON alike", () => {
    const json =
      '{"groups": {"42": {"partitions": {"t-0": {"offset": 9223372036854775807}}}, "a": {"partitions": {}}}}';
    const partitions = new Map([["t-0", { offset: 9223372036854775807n }]]);
    const maps = {
      groups: new Map([
        ["a", { partitions: new Map() }],
        ["42", { partitions }],
      ]),
    };
    expect(tablesOf(maps)).toEqual(tablesOf(parseJson(json)));
    expect(tableOf(maps, "groups.partitions")).toEqual({
      columns: ["group", "topic", "partition", "offset"],
      rows: [
        ["42", "t", 0, 9223372036854775807n],
        ["a", undefined, undefined, undefined],
      ],
    });
  });
});

describe("the tables of a result", () => {
  test("have their columns in the order of the fields, whichever row has them first", () => {
    const rows = [
      { id: 1, z: 1 },
      { id: 2, b: 1, y: 1, z: 1 },
      { id: 3, a: 1, b: 2 },
    ];
    expect(tableOf({ rows }, "rows")).toEqual({
      columns: ["id", "a", "b", "y", "z"],
      rows: [
        [1, undefined, undefined, undefined, 1],
        [2, undefined, 1, 1, 1],
        [3, 1, 2, undefined, undefined],
      ],
    });
  });

  test("begin with group, topic and partition, and have commits in columns", () => {
    expect(tableOf(examples.verify.result, "mismatches")?.columns.slice(0, 5)).toEqual([
      "group",
      "topic",
      "partition",
      "kind",
      "expected.offset",
    ]);
  });

  test("have partitions in the order of their numbers, and a missing commit as null", () => {
    const table = tableOf(dryRun, "groups.partitions");
    expect(
      table?.rows.map(([group, topic, partition, action, from]) => [group, topic, partition, action, from]),
    ).toEqual([
      ["billing", "payments", 0, "fast_forward", 25],
      ["empty", undefined, undefined, undefined, undefined],
      ["orders-streams", "orders", 2, "create", null],
      ["orders-streams", "orders", 10, "rewind", 25],
    ]);
  });

  test("have the same keys where the first group has no partitions", () => {
    const { partitions, ...group } = dryRun.groups.billing;
    const groups = { audit: { ...group, partitions: {} }, billing: { ...group, partitions } };
    expect(tablesOf({ groups }).tables.map(({ path, keys }) => [path, keys])).toEqual([
      ["groups", 1],
      ["groups.partitions", 3],
    ]);
  });

  test("have the lag of commits, and leave it empty where the log is unknown", () => {
    const observed = {
      groups: {},
      topics: {
        orders: { topic_id: "x", partitions: { "0": { log_start_offset: 1, log_end_offset: 25 } } },
        gone: null,
      },
    };
    const partitions = { "orders-0": { offset: 17 }, "orders-1": { offset: 3 }, "gone-0": { offset: 4 } };
    const result = { consumer_groups: { g: { partitions } }, observed };
    expect(tableOf(result, "consumer_groups.partitions")).toEqual({
      columns: ["group", "topic", "partition", "offset", "lag", "log_start_offset", "log_end_offset"],
      rows: [
        ["g", "gone", 0, 4, null, null, null],
        ["g", "orders", 0, 17, 8n, 1, 25],
        ["g", "orders", 1, 3, null, null, null],
      ],
    });
    expect(tablesOf(result).tables.map(({ path }) => path)).toEqual(["consumer_groups.partitions"]);
  });

  test("of a mapping report have its topics and its groups", () => {
    const report = {
      topics: {
        orders: { partitions: { "10": { start_offset: 0, end_offset: 5 }, "9": { start_offset: 0, end_offset: 6 } } },
      },
      consumer_groups: { g: { partitions: { "orders-9": { offset: 4, metadata: "", lag: 2 } } } },
    };
    expect(tableOf(report, "topics.partitions")?.rows).toEqual([
      ["orders", 9, 0, 6],
      ["orders", 10, 0, 5],
    ]);
    expect(tableOf(report, "consumer_groups.partitions")?.rows).toEqual([["g", "orders", 9, 4, "", 2]]);
  });

  test("of a history have its events, and points with their snapshots", () => {
    expect(tableOf(history, "groups.partitions.events")?.columns.slice(0, 5)).toEqual([
      "group",
      "topic",
      "partition",
      "kind",
      "after",
    ]);
    expect(tableOf(history, "groups.partitions.points")?.rows).toHaveLength(3);
    expect(factsOf(history)).toEqual({
      snapshots: "2, from snapshot-2025-01-15T10:15:00Z to snapshot-2025-01-15T10:30:00Z",
      warnings: "none",
    });
  });

  test("of a recorded rollback are those of its plan and its result", () => {
    const record = { rollback_id: "r", calls: [{ attempt: 1 }], plan: dryRun, result: partlyRolledBack };
    expect(tablesOf(record).tables.map(({ path }) => path)).toEqual([
      "calls",
      "plan.groups",
      "plan.groups.partitions",
      "result.groups",
      "result.groups.partitions",
    ]);
  });

  test("of a recorded rollback have the names in its maps, which are no alarms, and epochs of 0", () => {
    const record = {
      request: { group_map: { "orders.errors": "billing" } },
      topic_ids: { "orders.errors": "5f0sQ1rWQNqmnnDxDZx7nA", status: null },
      leader_epochs: { "orders.errors-10": 4, "orders.errors-9": 0 },
    };
    expect(alarmsOf(record)).toEqual([]);
    expect(tablesOf(record).tables.map(({ path, columns, rows }) => [path, columns, ...rows])).toEqual([
      ["request.group_map", ["group", "value"], ["orders.errors", "billing"]],
      ["topic_ids", ["topic", "value"], ["orders.errors", "5f0sQ1rWQNqmnnDxDZx7nA"], ["status", null]],
      ["leader_epochs", ["topic", "partition", "value"], ["orders.errors", 9, 0], ["orders.errors", 10, 4]],
    ]);
  });
});

describe("what is an alarm", () => {
  test.each<[unknown, string[]]>([
    [{ status: "complete", errors: [], warnings: ["w w"], groups_failed: 0, verified: true }, []],
    [{ status: "partial", errors: [{ group: "g", error: "e", message: "m" }] }, ["status", "errors"]],
    [{ status: "a new word" }, ["status"]],
    [{ unlisted: { offsets_partitions: [3], message: "m" } }, ["unlisted.offsets_partitions", "unlisted.message"]],
    [{ verified: false, mismatches: [{ group: "g" }] }, ["verified", "mismatches"]],
    [{ totals: { blockers: { a: 0 } }, blockers: [] }, []],
    [{ totals: { blockers: { a: 1 } }, blockers: [{ kind: "a", message: "m" }] }, ["totals.blockers", "blockers"]],
    [{ groups_failed: 1, duration_ms: 3 }, ["groups_failed"]],
    [{ skipped: [{ line: 4, message: "has 2 columns" }], totals: { skipped: 4 } }, ["skipped"]],
    [{ left_out: [{ kind: "group_not_empty", group: "g", message: "g has members" }] }, ["left_out"]],
    [{ result: { left_out: [{ group: "g", message: "g has members" }] } }, ["result.left_out"]],
    [{ omitted: { groups: 4 } }, ["omitted"]],
    [{ at_risk: { partitions: 3, groups: 1, unknown: 4 } }, ["at_risk"]],
    [{ at_risk: { partitions: 0, groups: 0, unknown: 9 } }, []],
    [
      {
        snapshots: [
          { id: 1, at_risk: { partitions: 0, groups: 0, unknown: 9 } },
          { id: 2, at_risk: { partitions: 1, groups: 1, unknown: 0 } },
        ],
      },
      ["snapshots 1"],
    ],
    [
      {
        snapshots: [
          { id: 1, status: "complete" },
          { id: 2, status: "partial" },
        ],
      },
      ["snapshots 1"],
    ],
    [partlyRolledBack, ["status", "groups_failed", "groups 1", "groups.partitions 1", "groups.partitions 2"]],
  ])("%j: %j", (result, alarms) => {
    expect(alarmsOf(result)).toEqual(alarms);
  });
});

describe("sentences", () => {
  test("name what their message does not", () => {
    const blockers = [
      { kind: "topic_missing", group: "g", topic: "t", partition: 0, message: "The topic does not exist." },
      { kind: "group_not_empty", group: "billing", message: "billing has 2 members." },
    ];
    const skipped = [
      { line: 4, message: "has 2 columns" },
      { line: null, message: 'consumer_groups["g"] has no commits' },
    ];
    expect(tablesOf({ blockers, skipped }).notes.map(({ lines }) => lines)).toEqual([
      [
        "[topic_missing] group g: topic t: partition 0: The topic does not exist.",
        "[group_not_empty] billing has 2 members.",
      ],
      ["line 4: has 2 columns", 'consumer_groups["g"] has no commits'],
    ]);
  });

  test("are made of lists of which only some entries are objects", () => {
    expect(tablesOf({ groups: ["x", { name: "y" }] }).notes.map(({ lines }) => lines)).toEqual([["x", "name y"]]);
  });

  test("are not repeated under their former name", () => {
    const left = [{ kind: "group_not_empty", group: "g", message: "g has members" }];
    const plan = { left_out: left, skipped: left };
    expect(tablesOf({ ...plan, plan }).notes.map(({ path }) => path)).toEqual(["left_out", "plan.left_out"]);
  });
});
