import type { Value } from "../island.ts";
import { type Data, exactOf, isEntries, sumOf, totalOf } from "./data.ts";
import { type Child, h } from "./dom.ts";
import {
  exactField,
  figure,
  markedRows,
  marksField,
  moveFields,
  movementReading,
  partitionCount,
  plannedMove,
  remainder,
  stateField,
  wordField,
} from "./fields.ts";
import {
  blockerNotice,
  byGroup,
  extraNotice,
  leftOutNotice,
  problemLines,
  snapshotFact,
  warningNotice,
} from "./notices.ts";
import { anything, digits, name, words } from "./text.ts";
import { code, countIn, countOf, entriesIn, number, sum } from "./values.ts";
import type { View } from "./view.ts";

/** A dry run. */
export function dryRunView(data: Data): View {
  const { head } = data;
  const blockers = entriesIn(head.blockers);
  const problems = byGroup(blockers, entriesIn(head.left_out ?? head.skipped));
  const blocked = byGroup(blockers);
  const rowMarks = (row: number) => [
    anything(data.field(row, "action")),
    ...(data.field(row, "done") === true ? ["done"] : []),
  ];
  const groupMarks = (group: number) => [
    ...(blocked.has(data.nameOf(group)) ? ["blocked"] : []),
    ...(data.groupField(group, "left_out") === true ? ["left_out"] : []),
    ...(data.groupField(group, "not_captured") === true ? ["not_captured"] : []),
  ];
  const totals = isEntries(head.totals) ? head.totals : {};
  const actions = isEntries(totals.actions) ? totals.actions : {};
  const moving = totalOf(totals.actions, ["unchanged", "skip"]);
  const amountOf = (value: Value | undefined) => number(exactOf(value));
  const isCut = isEntries(head.omitted) && Object.hasOwn(head.omitted, "blockers");
  const isBlocked = isCut || blockers.length > 0;
  return {
    kind: "Dry run of a rollback",
    title: ["To ", name(anything(head.snapshot_id ?? ""))],
    verdict: {
      tone: isBlocked ? "bad" : moving === 0n ? "good" : "note",
      sign: isBlocked ? "✕" : moving === 0n ? "=" : "▷",
      headline: isBlocked
        ? "Blocked: this rollback would be refused."
        : moving === 0n
          ? "Nothing to change: the rollback would commit nothing."
          : ["The rollback would change ", countOf(moving, "commit"), " of ", countIn(totals, "groups", "group"), "."],
      lines: [
        isBlocked && [
          countOf(isCut ? totalOf(totals.blockers) : blockers.length, "blocker"),
          ". If anything is blocked, nothing is changed.",
        ],
        "A dry run: nothing was changed.",
        moving !== 0n && [
          isBlocked ? "Without the blockers, consumers would replay " : "Consumers would replay ",
          atMost(totals.replayed),
          " records and skip ",
          atMost(totals.skipped),
          " records.",
        ],
      ],
    },
    facts: [snapshotFact(head), ["Plan digest", code(head.plan_digest)]],
    figures: [
      ["Groups", amountOf(totals.groups)],
      ["Partitions", amountOf(totals.partitions)],
      ["Replayed, at most", amountOf(totals.replayed)],
      ["Skipped, at most", amountOf(totals.skipped)],
      ...Object.entries(actions).flatMap(([action, n]) => (n === 0 ? [] : [[words(action), amountOf(n)] as const])),
    ],
    notices: [
      blockerNotice("Blockers", "bad", "Each names what to do.", blockers),
      warningNotice(head),
      leftOutNotice(head),
      extraNotice(head),
    ],
    groupFields: [
      stateField(data),
      partitionCount(data),
      figure("replayed", "Replays, at most", (group) => exactOf(data.groupField(group, "replayed"))),
      figure("skipped", "Skips, at most", (group) => exactOf(data.groupField(group, "skipped"))),
      marksField("Would do", (group) => [...groupMarks(group), ...markedRows(data, group, rowMarks)]),
    ],
    rowFields: [
      wordField("action", "Action", (row) => anything(data.field(row, "action"))),
      exactField(data, "from", "Now"),
      exactField(data, "to", "Target"),
      ...moveFields(data, "Would move by", plannedMove(data)),
      figure("replayed", "Replays ≤", (row) => exactOf(data.field(row, "replayed"))),
      figure("skipped", "Skips ≤", (row) => exactOf(data.field(row, "skipped"))),
      remainder(data, ["action", "from", "to", "replayed", "skipped"]),
    ],
    groupMarks,
    rowMarks,
    topicSummary: (rows) => [
      "replays at most ",
      sum(sumOf(rows.map((row) => exactOf(data.field(row, "replayed"))))),
      ", skips at most ",
      sum(sumOf(rows.map((row) => exactOf(data.field(row, "skipped"))))),
    ],
    groupNotes: (group) => problemLines(problems.get(data.nameOf(group)), data.groupField(group, "source")),
    reading: [
      "Replayed and skipped are distances between the two offsets inside the present log: an upper bound of the records. “unknown” is not 0.",
      "“none” is no commit: where nothing is committed, auto.offset.reset of the consumers decides.",
      movementReading,
    ],
  };
}

const atMost = (value: Value | undefined): Child => {
  const known = exactOf(value);
  return known === undefined
    ? h("strong", {}, "an unknown number of")
    : BigInt(known) === 0n
      ? "no"
      : ["at most ", digits(known)];
};
