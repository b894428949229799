import type { Value } from "../island.ts";
import { type Data, exactOf, isEntries, listOf, minus, textOf } from "./data.ts";
import {
  exactField,
  markedRows,
  marksField,
  moveFields,
  movementReading,
  partitionCount,
  remainder,
  wordField,
} from "./fields.ts";
import { byGroup, extraNotice, leftOutNotice, problemLines, snapshotFact, warningNotice } from "./notices.ts";
import { anything, count, duration, name, sentence } from "./text.ts";
import { code, commitText, countIn, entriesIn, number, numberIn, offset, unknown } from "./values.ts";
import type { Notice, View } from "./view.ts";
import { badge, badges } from "./words.ts";

/** The outcomes that were decided by reading the target back. */
const atTarget = new Set(["restored", "unchanged", "deleted"]);

/** The result of a rollback. */
export function resultView(data: Data): View {
  const { head } = data;
  const status = anything(head.status ?? "of unknown status");
  const rowMarks = (row: number) => [
    anything(data.field(row, "outcome")),
    ...(data.field(row, "in_doubt") === true ? ["in_doubt"] : []),
  ];
  /** The offset that was read after the rollback, null for no commit; undefined where the result does not say it. */
  const readBack = (row: number): Value | undefined => {
    const actual = data.field(row, "actual");
    if (actual !== false) return actual;
    return atTarget.has(anything(data.field(row, "outcome"))) ? data.field(row, "to") : undefined;
  };
  // A group that the snapshot lacks was left out before the rollback: it has no status.
  const statusOf = (group: number) =>
    data.groupField(group, "not_captured") === true ? "not_captured" : anything(data.groupField(group, "status"));
  const failures: Notice["items"][number][] = [];
  for (let group = 0; group < data.groupCount; group++) {
    const word = statusOf(group);
    if (word === "success" || word === "skipped" || word === "not_captured") continue;
    const reason = textOf(data.groupField(group, "error")) ?? "No reason was recorded.";
    failures.push({ word, group: data.nameOf(group), text: () => sentence(reason) });
  }
  if (data.groupCount === 0) {
    for (const { group, status: word, error } of entriesIn(head.failed_groups)) {
      failures.push({
        word: anything(word ?? "failed"),
        group: anything(group ?? ""),
        text: () => sentence(anything(error ?? "")),
      });
    }
  }
  const left = byGroup(entriesIn(head.left_out ?? head.skipped));
  const verification = isEntries(head.verification) ? head.verification : undefined;
  const isVerified = verification?.verified === true;
  const isSuccess = status === "success";
  const isGood = isSuccess && (verification === undefined || isVerified);
  const figures = [
    ["groups_rolled_back", "Groups at their targets"],
    ["groups_failed", "Groups not at their targets"],
    ["groups_skipped", "Groups left out"],
    ["offsets_restored", "Offsets restored"],
    ["offsets_deleted", "Commits deleted"],
  ] as const;
  return {
    kind: "Result of a rollback",
    title: name(anything(head.rollback_id ?? "")),
    verdict: {
      tone: isGood ? "good" : "bad",
      sign: isGood ? "✓" : status === "failed" ? "✕" : "⚠",
      headline: isSuccess
        ? ["Success: ", countIn(head, "groups_rolled_back", "group"), " at the targets."]
        : [
            status === "failed"
              ? "Failed: "
              : status === "partial_success"
                ? "Partial success: "
                : [name(status), ": "],
            countIn(head, "groups_failed", "group"),
            " not at the targets, ",
            number(numberIn(head, "groups_rolled_back")),
            " at the targets.",
          ],
      lines: [
        verification === undefined
          ? "There is no verification in this result; the read-back decided the status."
          : isVerified
            ? [
                "Verified: ",
                countIn(verification, "checked", "target"),
                " compared with what is committed, no difference.",
              ]
            : [
                "Not verified: ",
                count(listOf(verification.mismatches).length, "difference"),
                " listed between targets and commits.",
              ],
        head.safety_snapshot_id === null
          ? "There is no safety snapshot: nothing had to be committed."
          : [
              "The state before it is in the safety snapshot ",
              code(head.safety_snapshot_id),
              ". To undo the rollback, roll back to it.",
            ],
        head.resumed === true && "This call resumed an earlier one.",
        head.repeated === true && "This call did nothing: the result is that of an earlier call.",
      ],
    },
    facts: [
      snapshotFact(head),
      ["Safety snapshot", code(head.safety_snapshot_id)],
      ["Took", typeof head.duration_ms === "number" ? duration(head.duration_ms / 1000) : unknown()],
    ],
    figures: figures.map(([field, text]) => [text, number(numberIn(head, field))] as const),
    notices: [
      {
        title: "Groups that are not at their targets",
        tone: "bad",
        items: failures,
      },
      {
        title: "Differences between targets and commits",
        tone: "bad",
        items: entriesIn(verification?.mismatches).map(({ group, topic, partition, kind, expected, actual }) => ({
          word: anything(kind ?? ""),
          group: anything(group ?? ""),
          text: () => [
            name(`${anything(topic ?? "")}-${anything(partition ?? "")}`),
            ": expected ",
            commitText(expected),
            "; found ",
            commitText(actual),
          ],
        })),
      },
      warningNotice(head),
      leftOutNotice(head),
      extraNotice(head),
    ],
    groupFields: [
      wordField("status", "Status", statusOf),
      partitionCount(data),
      marksField("Outcomes", (group) => markedRows(data, group, rowMarks)),
      {
        key: "error",
        label: "Reason",
        cell: (group) => {
          const reason = textOf(data.groupField(group, "error"));
          return reason === undefined ? "" : sentence(reason.length > 160 ? `${reason.slice(0, 160)}…` : reason);
        },
        order: (group) => textOf(data.groupField(group, "error")),
      },
    ],
    rowFields: [
      wordField("outcome", "Outcome", (row) => anything(data.field(row, "outcome"))),
      exactField(data, "from", "Before"),
      exactField(data, "to", "Target"),
      {
        key: "read_back",
        label: "Read back",
        numeric: true,
        cell: (row) => {
          const found = readBack(row);
          return found === undefined ? unknown() : offset(found);
        },
        order: (row) => exactOf(readBack(row)),
      },
      ...moveFields(data, "Moved by", (row) => minus(exactOf(readBack(row)), exactOf(data.field(row, "from")))),
      remainder(data, ["outcome", "from", "to", "in_doubt", "actual"]),
    ],
    groupMarks: (group) => [statusOf(group)],
    rowMarks,
    topicSummary: (rows) => badges(rows.flatMap(rowMarks)),
    groupNotes: (group) => {
      const reason = textOf(data.groupField(group, "error"));
      return [
        ...(reason === undefined ? [] : [[badge(statusOf(group)), " ", sentence(reason)]]),
        ...problemLines(left.get(data.nameOf(group)), data.groupField(group, "source")),
      ];
    },
    reading: [
      "Outcomes were decided by reading the commits back. moved since: another client committed afterwards. in doubt: a commit was sent and not answered.",
      "“none” is no commit: it is not offset 0.",
      movementReading,
    ],
  };
}
