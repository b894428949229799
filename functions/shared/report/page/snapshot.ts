import type { Value } from "../island.ts";
import { type Data, exactOf, isEntries, listOf, minus, sumOf } from "./data.ts";
import type { Child } from "./dom.ts";
import { position } from "./drawing.ts";
import {
  exactField,
  figure,
  markedRows,
  marksField,
  partitionCount,
  remainder,
  stateField,
  sumField,
} from "./fields.ts";
import { byGroup, warningNotice } from "./notices.ts";
import { anything, count, digits, name, sentence, time, words } from "./text.ts";
import { code, entriesIn, flat, none, number, sum, unknown } from "./values.ts";
import type { View } from "./view.ts";
import { badge, badges, urgencyOf } from "./words.ts";

/** A snapshot's document. */
export function snapshotView(data: Data): View {
  const { head } = data;
  const errors = entriesIn(head.errors);
  const errorsOf = byGroup(errors);
  const isPartial = head.status !== "complete";
  const unlisted = isEntries(head.unlisted) ? head.unlisted : undefined;
  const pending = new Set<string>();
  for (let group = 0; group < data.groupCount; group++) {
    for (const key of listOf(data.groupField(group, "pending"))) pending.add(`${group} ${anything(key)}`);
  }
  const rowMarks = (row: number): string[] => {
    const [start, end, at] = [data.logStartOf(row), data.logEndOf(row), data.offsetOf(row)];
    const marks: string[] = [];
    if (pending.size > 0 && pending.has(`${data.groupOf(row)} ${data.placeText(data.placeOf(row))}`))
      marks.push("pending");
    if (start === undefined || end === undefined || at === undefined) marks.push("log_unknown");
    else if (at < start) marks.push("below_log_start");
    else if (at > end) marks.push("above_log_end");
    else if (at < end) marks.push("has_lag");
    return marks;
  };
  const negativeOf = (group: number) => {
    const negative = data.groupField(group, "negative");
    return isEntries(negative) ? Object.entries(negative) : [];
  };
  const groupMarks = (group: number): string[] => {
    if (data.groupField(group, "not_captured") === true) return ["not_captured"];
    const own = negativeOf(group).map(() => "negative");
    return [...(data.groupField(group, "partitions") === 0 ? ["no_commits"] : []), ...own];
  };
  // A commit above the log end has no lag; its distance is not taken from the lag of others.
  const lags = (rows: readonly number[]) =>
    sumOf(
      rows.map((row) => {
        const lag = data.lagOf(row);
        return lag !== undefined && lag < 0 ? 0 : lag;
      }),
    );
  /** The position of several partitions, where each is known. */
  const positionOf = (rows: readonly number[]): Child => {
    const [start, end, at] = [data.logStartOf, data.logEndOf, data.offsetOf].map((of) => sumOf(rows.map(of)));
    const isKnown = [start, end, at].every((each) => each?.unknownParts === 0) && rows.length > 0;
    const isInside = rows.every(
      (row) => !rowMarks(row).some((mark) => mark.endsWith("_log_start") || mark.endsWith("_log_end")),
    );
    return isKnown && isInside ? position(at?.known, start?.known, end?.known) : "";
  };
  const allLag = lags(Array.from({ length: data.rowCount }, (_, row) => row));
  const isEmpty = data.rowCount === 0;
  const selection = isEntries(head.selection) ? head.selection : {};
  const selectors = (value: Value | undefined) =>
    listOf(value).map((one, at) => [at > 0 && ", ", code(isEntries(one) ? { ...one } : one)]);
  let captured = 0;
  for (let group = 0; group < data.groupCount; group++) {
    if (data.groupField(group, "not_captured") !== true) captured++;
  }
  return {
    kind: "Snapshot",
    title: name(anything(head.snapshot_id ?? "")),
    verdict: {
      tone: isPartial ? "bad" : isEmpty ? "warn" : "good",
      sign: isPartial ? "⚠" : isEmpty ? "∅" : "✓",
      headline: isPartial
        ? `The snapshot is ${words(anything(head.status ?? "of unknown status"))}: not every selected group is in it.`
        : isEmpty
          ? "The snapshot is complete, and there are no committed offsets here."
          : "The snapshot is complete: every selected group is in it.",
      lines: [
        isPartial && [
          count(errors.length, "group"),
          " could not be captured",
          unlisted !== undefined && ", and not all groups could be listed",
          ". A rollback cannot restore what is missing.",
        ],
        ["Here: ", count(captured, "group"), " with ", count(data.rowCount, "committed offset"), "."],
      ],
    },
    facts: [
      ["Taken", time(head.created_at ?? null)],
      ["Description", head.description === "" ? none() : sentence(anything(head.description ?? ""))],
      ["Taken by", name(anything(head.trigger ?? "unknown"))],
      ...(isEntries(head.schedule) ? [["Schedule", name(anything(head.schedule.name ?? ""))] as const] : []),
      [
        "Cluster",
        isEntries(head.cluster)
          ? [name(anything(head.cluster.name ?? "")), " ", code(head.cluster.cluster_id)]
          : unknown(),
      ],
      ["Selected groups", selectors(selection.groups)],
      ...(isEntries(head.labels)
        ? [
            [
              "Labels",
              Object.entries(head.labels).map(([key, value], at) => [
                at > 0 && ", ",
                code(`${key}=${anything(value)}`),
              ]),
            ] as const,
          ]
        : []),
      ...(head.held === true ? [["Held", "yes: when this report was made, it could not be deleted"] as const] : []),
      ...(listOf(selection.exclude).length > 0 ? [["Excluded groups", selectors(selection.exclude)] as const] : []),
    ],
    figures: [
      ["Groups", digits(captured)],
      ["Committed offsets", digits(data.rowCount)],
      ["Lag, all partitions", sum(allLag)],
      ["Not captured", digits(errors.length)],
    ],
    notices: [
      {
        title: "Groups that could not be captured",
        tone: "bad",
        lead: "They are not in the snapshot. They are not empty: what they have committed is unknown.",
        items: errors.map(({ group, error, message }) => ({
          word: anything(error ?? "error"),
          group: anything(group ?? ""),
          text: () => sentence(anything(message ?? "")),
        })),
      },
      {
        title: "Groups that could not be listed",
        tone: "bad",
        items:
          unlisted === undefined
            ? []
            : [
                {
                  text: () => [
                    sentence(anything(unlisted.message ?? "")),
                    " Partitions of __consumer_offsets: ",
                    flat(unlisted.offsets_partitions ?? []),
                  ],
                },
              ],
      },
      warningNotice(head),
    ],
    groupFields: [
      stateField(data),
      partitionCount(data),
      sumField("lag", "Lag", (group) =>
        data.groupField(group, "not_captured") === true ? sumOf([undefined]) : lags(data.rowsOf(group)),
      ),
      {
        key: "position",
        label: "Position in the logs",
        cell: (group) => positionOf(data.rowsOf(group)),
        order: (group) => shareOf(data, data.rowsOf(group)),
      },
      marksField("Marks", (group) => [
        ...groupMarks(group),
        ...markedRows(data, group, rowMarks).filter((mark) => mark !== "has_lag"),
      ]),
    ],
    rowFields: [
      exactField(data, "offset", "Committed"),
      figure("start", "Log start", data.logStartOf),
      figure("end", "Log end", data.logEndOf),
      figure("lag", "Lag", data.lagOf),
      {
        key: "position",
        label: "Position in the log",
        cell: (row) => position(data.offsetOf(row), data.logStartOf(row), data.logEndOf(row)),
        order: (row) => shareOf(data, [row]),
      },
      {
        key: "row_marks",
        label: "Marks",
        cell: (row) => badges(rowMarks(row).filter((mark) => mark !== "has_lag")),
        order: (row) => urgencyOf(rowMarks(row)),
      },
      remainder(data, ["offset"]),
    ],
    groupMarks,
    rowMarks,
    topicSummary: (rows) => ["lag ", sum(lags(rows)), " ", rows.length > 1 && positionOf(rows)],
    groupNotes: (group) => [
      ...(errorsOf.get(data.nameOf(group)) ?? []).map(({ error, message }) => [
        badge(anything(error ?? "error"), 1, "bad"),
        " ",
        sentence(anything(message ?? "")),
      ]),
      ...negativeOf(group).map(([key, value]) => [
        badge("negative"),
        " ",
        name(key),
        ": Kafka has ",
        number(exactOf(value)),
        ", which is no commit.",
      ]),
      ...(data.groupField(group, "as_of") ? [["Commits as of ", time(data.groupField(group, "as_of")), "."]] : []),
    ],
    reading: [
      "Lag is the log end minus the committed offset, both as they were when the snapshot was taken. It is an upper bound of the records: compaction and transactions leave gaps.",
      "Position bars go from log start to log end. Filled: before the commit. Empty: after it, the lag. The line is the commit. The bar of a group or topic adds up its partitions.",
    ],
  };
}

/** How far the commits are in their logs, to sort by. */
function shareOf(data: Data, rows: readonly number[]): number | undefined {
  const done = sumOf(rows.map((row) => minus(data.offsetOf(row), data.logStartOf(row))));
  const length = sumOf(rows.map((row) => minus(data.logEndOf(row), data.logStartOf(row))));
  if (done.unknownParts > 0 || length.unknownParts > 0 || length.known <= 0n) return undefined;
  return Number(done.known) / Number(length.known);
}
