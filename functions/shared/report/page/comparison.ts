import { type Data, exactOf, isEntries, listOf, sumOf, totalOf } from "./data.ts";
import {
  exactField,
  markedRows,
  marksField,
  moveFields,
  movementReading,
  partitionCount,
  plannedMove,
  remainder,
  sumField,
  wordField,
} from "./fields.ts";
import { warningNotice } from "./notices.ts";
import { anything, name, words } from "./text.ts";
import { code, countIn, countOf, number } from "./values.ts";
import type { View } from "./view.ts";
import { badges } from "./words.ts";

/** A comparison. */
export function diffView(data: Data): View {
  const { head } = data;
  const summary = isEntries(head.summary) ? head.summary : {};
  const moveOf = plannedMove(data);
  const rowMarks = (row: number) => [anything(data.field(row, "change"))];
  const total = totalOf(head.summary, ["unchanged"]);
  const warnings = listOf(head.warnings);
  const isSame = total === 0n && data.rowCount === 0;
  const to = anything(head.to ?? "unknown");
  return {
    kind: "Comparison",
    title: [name(anything(head.from ?? "")), " → ", to === "live" ? "live commits" : name(to)],
    verdict: {
      tone: warnings.length > 0 ? "warn" : isSame ? "good" : "note",
      sign: isSame ? "=" : "≠",
      headline: isSame ? "No commit that was compared has changed." : [countOf(total, "commit"), " changed."],
      lines: [
        [countIn(summary, "unchanged", "commit"), " did not change."],
        warnings.length > 0 && "Not everything was compared, or there is more to know: read the warnings.",
      ],
    },
    facts: [
      ["From", code(head.from)],
      ["To", to === "live" ? "what was committed when the comparison was made" : code(head.to)],
    ],
    figures: Object.entries(summary).map(([kind, n]) => [words(kind), number(exactOf(n))] as const),
    notices: [warningNotice(head)],
    groupFields: [
      {
        ...partitionCount(data),
        label: "Changed",
      },
      sumField("moved", "Moved, in all", (group) => sumOf(data.rowsOf(group).flatMap((row) => moveOf(row) ?? []))),
      marksField("Changes", (group) => markedRows(data, group, rowMarks)),
    ],
    rowFields: [
      wordField("change", "Change", (row) => anything(data.field(row, "change"))),
      exactField(data, "from", "From"),
      exactField(data, "to", "To"),
      ...moveFields(data, "Moved by", moveOf),
      remainder(data, ["change", "from", "to", "offset_delta"]),
    ],
    groupMarks: () => [],
    rowMarks,
    topicSummary: (rows) => badges(rows.flatMap(rowMarks)),
    groupNotes: () => [],
    reading: ["Only what changed is listed. “none” is no commit: it is not offset 0.", movementReading],
  };
}
