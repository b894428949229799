import { describe, expect, test } from "vitest";
import { InvalidRequest } from "../../../../functions/shared/core/errors.ts";
import { readCommits } from "../../../../functions/shared/core/formats/import.ts";
import type { ImportFormat } from "../../../../functions/shared/core/formats/names.ts";

/** The problems that reading a text ends with. */
function problemsOf(format: ImportFormat, text: string, group?: string): unknown {
  try {
    readCommits(format, text, group);
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    return error.details?.problems ?? error.message;
  }
  return [];
}

const range = "is not a number from 0 to 9223372036854775807";

describe("a bad line is named by its number, and every one of them", () => {
  test.each<[ImportFormat, string, string[]]>([
    [
      "kafka-csv",
      'orders,0,17\norders,x,1\r\norders,1,-1\na/b,2,1\n\norders,3\n"orders,4,1',
      [
        'line 2: partition "x" is not a number from 0 to 2147483647',
        `line 3: offset "-1" ${range}`,
        'line 4: topic "a/b" is not the name of a topic',
        "line 6: has 2 columns, not 3: topic,partition,offset (or, for several groups, group,topic,partition,offset in all lines)",
        "line 7: the quote at cell 1 is never closed",
      ],
    ],
    ["kafka-csv", "g,orders,0,17\norders,1,18\n", ["line 2: has 3 columns, not 4: group,topic,partition,offset"]],
    [
      "kafka-csv",
      "topic,partition,offset\norders,0,1\n",
      [
        'line 1: partition "partition" is not a number from 0 to 2147483647; offset "offset" is not a number from 0 to 9223372036854775807',
      ],
    ],
    [
      "rpk",
      "orders 0 17\n\norders 1\n\torders\t2  9223372036854775808\norders 2147483648 1 \n",
      [
        "line 3: has 2 fields, not 3: TOPIC PARTITION OFFSET",
        `line 4: offset "9223372036854775808" ${range}`,
        'line 5: partition "2147483648" is not a number from 0 to 2147483647',
      ],
    ],
    ["csv", "group,topic,offset\ng,t,1\n", ["line 1: the header lacks partition"]],
    ["csv", "group,topic,partition,offset,group\n", ["line 1: the header has group twice"]],
    [
      "csv",
      "offset,group,topic,partition,leader_epoch\n1.2E+15,g,orders,0,\n1,g,orders,1,-1\n1,g,orders\n",
      [
        `line 2: offset "1.2E+15" ${range}`,
        'line 3: leader epoch "-1" is not a number from 0 to 2147483647',
        "line 4: has 3 cells, and the header has 5",
      ],
    ],
    [
      "csv",
      "group,topic,partition,offset,cluster_id\ng,t,0,1,a\ng,t,1,1,b\n",
      ["line 3: is of cluster b, and a line before is of a"],
    ],
    [
      "csv",
      "group,topic,partition,offset,topic_id\ng,t,0,1,a\ng,t,1,1,b\n",
      ["line 3: has another topic_id than a line before: the topic was created again in between"],
    ],
    [
      "kafka-utils",
      '{"groupid": "g", "offsets": {"orders": {"0": -1, "x": 1, "1": 1.5}, "b": 3}}',
      [
        `offsets["orders"]["0"]: offset -1 ${range}`,
        `offsets["orders"]["1"]: offset 1.5 ${range}`,
        'offsets["orders"]["x"]: partition "x" is not a number from 0 to 2147483647',
        'offsets["b"] must be an object, and is 3',
      ],
    ],
    ["kafka-utils", '{"offsets": {}}', ["groupid: group (missing) is not the name of a group"]],
    ["kafka-utils", '{"groupid": "g",\n"offsets": {"t": {"0": 1}\n', ["line 3: is not JSON: unexpected end at 43"]],
    ["kafka-utils", '{"groupid": "g", "groupid": "h"}', ['the key "groupid" stands twice in one object']],
    [
      "kafka-backup",
      '{"cluster_id": null, "group_offsets": {"g": {"group_id": "h", "partition_count": 2, "offsets": {"t": {"0": {"offset": "x", "metadata": 1}}}}}}',
      [
        'group_offsets["g"].group_id is another group',
        `group_offsets["g"].offsets["t"]["0"]: offset "x" ${range}; metadata 1 is not text`,
        'group_offsets["g"].partition_count is 2, but 1 partitions are there',
      ],
    ],
    ["json", '{"snapshot_id": "snapshot-1"}', ["consumer_groups must be an object, and is missing"]],
    [
      "json",
      '{"status": "partial", "consumer_groups": {"g": {"partitions": {"orders": {"offset": 1}, "orders-0": null}}, "h": {}}}',
      [
        'consumer_groups["g"].partitions["orders"] is not <topic>-<partition>',
        `consumer_groups["g"].partitions["orders-0"]: offset (missing) ${range}`,
        'consumer_groups["h"].partitions must be an object, and is missing',
        "status is partial, but errors, which names the groups that are missing, is not there",
      ],
    ],
    [
      "csv",
      "group,topic,partition,offset,log_leader_epoch,type\ng,t,0,1,1.5,share\ng,t,1,1,0,classic\n",
      [
        'line 2: log_leader_epoch "1.5" is not a number from 0 to 2147483647',
        'line 3: has another type of group "g" than a line before',
      ],
    ],
    [
      "json",
      '{"consumer_groups": {}, "observed": {"topics": {"t": {"topic_id": null, "partitions": {"0": {"leader_epoch": 1.5}}}}}}',
      ['observed.topics["t"].partitions["0"].leader_epoch must be a 32-bit integer, not 1.5'],
    ],
    ["json", '{"schema_version": 99}', ["schema_version is 99, and this deployment reads up to 5"]],
    ["json", '{"consumer_groups": {}, "errors": [{"group": 1}]}', ["errors[0].group must be a string, not 1"]],
  ])("%s: %j", (format, text, problems) => {
    expect(problemsOf(format, text, "g")).toEqual(problems);
  });
});

test("a problem in each of 12,000 lines: the message has the first 10, the details the first 10,000", () => {
  const text = Array.from({ length: 12_000 }, (_, i) => `orders,${i},x\n`).join("");
  const problems = problemsOf("kafka-csv", text, "g");
  expect(problems).toHaveLength(10_001);
  expect(problems).toContain("2000 more");
  expect(() => readCommits("kafka-csv", text, "g")).toThrow(
    /^InvalidRequest: the content has 12000 problems: line 1: offset "x" .*; line 10: [^;]*; 11990 more\. Nothing was changed\. Correct all of them/,
  );
});

test("a commit that is there twice is skipped with the place of the first; with another offset it is a problem", () => {
  expect(readCommits("rpk", "orders 0 5\norders 1 5\norders 0 5\n", "g").skipped).toEqual([
    { line: 3, message: "repeats line 1" },
  ]);
  expect(problemsOf("rpk", "orders 0 5\norders 0 6\n", "g")).toEqual([
    'line 2: has another commit of group "g" on orders-0 than line 1: 6, not 5',
  ]);
  expect(problemsOf("csv", "group,topic,partition,offset,metadata\ng,orders,0,5,a\ng,orders,0,5,b\n")).toEqual([
    'line 3: has another commit of group "g" on orders-0 than line 2: the same offset with other metadata or another leader epoch',
  ]);
});

test.each<[ImportFormat, string]>([
  ["rpk", "orders 0 17\n"],
  ["kafka-csv", "orders,0,17\n"],
])("%s, which does not say its group, asks for it", (format, text) => {
  expect(problemsOf(format, text)).toMatch(/does not say which group it is for.*"groups": \[\{"name": "…"\}\]/);
});

test.each<[ImportFormat, string]>([
  ["rpk", "\n"],
  ["csv", "group,topic,partition,offset\n"],
  ["json", '{"consumer_groups": {}}'],
])("%s without any commit is refused: the snapshot would be empty", (format, text) => {
  expect(problemsOf(format, text, "g")).toMatch(/nothing to import/);
});

test("a CSV keeps its meaning with other columns, and in another order", () => {
  const reading = readCommits("csv", "\uFEFFnote,offset,partition,topic,group\n'=1+1,17,0,orders,'=g\n", undefined);
  expect(reading.commits).toEqual(new Map([["=g", new Map([["orders-0", { offset: 17n, metadata: "" }]])]]));
  expect(reading.warnings).toEqual(['Columns that are not known were left out: "note".']);
});

test.each<[ImportFormat, string]>([
  ["kafka-csv", "orders,0,17\r\norders,1,12"],
  ["rpk", "orders 0 17\norders 1 12"],
  ["csv", "group,topic,partition,offset\ng,orders,1,12"],
])("%s whose last line may be cut off has a warning, and none where it ends", (format, text) => {
  expect(readCommits(format, text, "g").warnings).toEqual([expect.stringMatching(/last line has no line break/)]);
  expect(readCommits(format, `${text}\n`, "g").warnings).toEqual([]);
});

test("a report is no document, although it has commits", () => {
  const consumer_groups = { g: { partitions: { "orders-0": { offset: 5, metadata: "", lag: 1 } } } };
  const text = JSON.stringify({ generated_at: "2025-01-15T10:30:00Z", cluster_id: "c1", consumer_groups });
  expect(problemsOf("json", text)).toEqual([expect.stringMatching(/^is a report, .* with the format json$/)]);
});

test.each<[ImportFormat, string, string]>([
  [
    "csv",
    "group,topic,partition,offset,error,message\ng,orders,0,5,KafkaUnavailable,x\n",
    "line 2: has a commit, and also the error KafkaUnavailable, with which a group has none",
  ],
  [
    "csv",
    "group,topic,partition,offset,error,message\ng,orders,0,5,,\ng,,,,KafkaUnavailable,x\n",
    'group "g" has commits, and also the error KafkaUnavailable, with which it has none',
  ],
  [
    "json",
    '{"consumer_groups":{"g":{"partitions":{}}},"errors":[{"group":"g","error":"KafkaUnavailable","message":"x"}]}',
    'group "g" has commits, and also the error KafkaUnavailable, with which it has none',
  ],
])("%s with commits of a group that could not be captured contradicts itself", (format, text, problem) => {
  expect(problemsOf(format, text)).toEqual([problem]);
});

test("an empty line of a spreadsheet is no group without a name", () => {
  const { commits } = readCommits("csv", "group,topic,partition,offset\ng,orders,0,5\n,,,\n", undefined);
  expect([...commits.keys()]).toEqual(["g"]);
});

test.each<[ImportFormat, string, string]>([
  ["csv", "group,topic,partition,offset,status,error\ng,orders,0,5,partial,\n", "h,,,,partial,KafkaUnavailable\n"],
  [
    "json",
    '{"consumer_groups":{"g":{"partitions":{}}},"status":"partial","errors":[]',
    ',"unlisted":{"offsets_partitions":[3],"message":"no leader"}',
  ],
])(
  "%s of a partial snapshot that does not say what it lacks has a warning, and none with it",
  (format, text, lacking) => {
    const warningsOf = (more: string) =>
      readCommits(format, `${text}${more}${format === "json" ? "}" : ""}`, "g").warnings;
    expect(warningsOf("")).toEqual([expect.stringMatching(/is of a partial snapshot/)]);
    expect(warningsOf(lacking)).toEqual([]);
  },
);

test("a group of kafka-backup without offsets, which it may not have been able to read, is named in a warning", () => {
  const group_offsets = { g: { offsets: { orders: { "0": { offset: 5 } } } }, h: { offsets: {} } };
  const reading = readCommits("kafka-backup", JSON.stringify({ group_offsets }), undefined);
  expect([...reading.commits.keys()]).toEqual(["g"]);
  expect(reading.warnings).toEqual([expect.stringMatching(/^Left out, without offsets: "h"\. .* could not read/)]);
});

test("a million empty lines are read in a moment", () => {
  expect(readCommits("rpk", `${"\n".repeat(1_000_000)}orders 0 5`, "g").warnings).toHaveLength(1);
}, 5_000);

test("a text in which a program has replaced bytes that are not UTF-8 has a warning", () => {
  const { commits, warnings } = readCommits("kafka-csv", "gr\uFFFD\uFFFDe,orders,0,17\n", undefined);
  expect([...commits.keys()]).toEqual(["gr\uFFFD\uFFFDe"]);
  expect(warnings).toEqual([expect.stringMatching(/U\+FFFD.* not UTF-8/)]);
});
