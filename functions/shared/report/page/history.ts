import type { Entries, Value } from "../island.ts";
import { type Data, exactOf, isEntries, sumOf } from "./data.ts";
import { type Child, h } from "./dom.ts";
import { sparkline } from "./drawing.ts";
import { figure, markedRows, marksField, partitionCount, remainder, sumField, wordField } from "./fields.ts";
import { warningNotice } from "./notices.ts";
import { instants, seriesOf } from "./series.ts";
import { anything, count, digits, duration, name, time } from "./text.ts";
import { code, entriesIn, none, number, sum, unknown } from "./values.ts";
import type { Notice, View } from "./view.ts";
import { badge, badges, urgencyOf } from "./words.ts";

const lagFields = ["lag_seconds", "lag_seconds_error", "lag_seconds_at_least"];

/** A history. */
export function historyView(data: Data): View {
  const { head } = data;
  const snapshots = entriesIn(head.snapshots);
  const times = instants(head);
  const eventsOf = (row: number) => entriesIn(data.field(row, "events"));
  const rowMarks = (row: number) => eventsOf(row).map(({ kind }) => anything(kind ?? "unknown"));
  const statusOf = (group: number) => anything(data.groupField(group, "status") || "unknown");
  const [first, last] = [snapshots[0], snapshots.at(-1)];
  const statuses = new Map<string, number>();
  for (let group = 0; group < data.groupCount; group++) {
    statuses.set(statusOf(group), (statuses.get(statusOf(group)) ?? 0) + 1);
  }
  const worst = urgencyOf([...statuses.keys()]);
  const isKnown = data.groupCount > 0 && snapshots.length >= 2;
  const tone = worst === 0 ? "bad" : worst === 1 || !isKnown ? "warn" : "good";
  const events: Notice["items"][number][] = [];
  for (let row = 0; row < data.rowCount; row++) {
    for (const event of eventsOf(row)) {
      events.push({
        word: anything(event.kind ?? ""),
        group: data.nameOf(data.groupOf(row)),
        text: () => eventText(data.placeText(data.placeOf(row)), event),
      });
    }
  }
  const lastPoint = (row: number) => seriesOf(data, row).findLast(({ offset: at }) => at !== null);
  return {
    kind: "History",
    title: data.groupCount === 1 ? ["Group ", name(data.nameOf(0))] : count(data.groupCount, "group"),
    verdict: {
      tone,
      sign: { bad: "✕", warn: "⚠", good: "✓" }[tone],
      headline:
        data.groupCount === 0
          ? "No groups were found."
          : worst > 1
            ? "No group needs attention by its status."
            : [
                count(
                  [...statuses].reduce((n, [word, of]) => n + (urgencyOf([word]) < 2 ? of : 0), 0),
                  "group",
                ),
                ` of ${data.groupCount} may need attention.`,
              ],
      lines: [
        statuses.size > 0 &&
          h(
            "span",
            { class: "badges" },
            [...statuses].map(([word, n]) => badge(word, n)),
          ),
        [count(snapshots.length, "snapshot"), ", ", count(events.length, "event"), "."],
        snapshots.length < 2 && "Fewer than two snapshots: nothing can be said of movement.",
        "Only what snapshots saw is known: between two of them, anything may have happened.",
      ],
    },
    facts: [
      ["First snapshot", first === undefined ? none() : [time(first.created_at ?? null), " ", code(first.snapshot_id)]],
      ["Last snapshot", last === undefined ? none() : [time(last.created_at ?? null), " ", code(last.snapshot_id)]],
    ],
    figures: [
      ["Groups", digits(data.groupCount)],
      ["Partitions", digits(data.rowCount)],
      ["Snapshots", digits(snapshots.length)],
      ["Events", digits(events.length)],
    ],
    notices: [warningNotice(head), { title: "Events", tone: "note", items: events }],
    groupFields: [
      wordField("status", "Status", statusOf),
      partitionCount(data),
      sumField("lag", "Lag at the last snapshot", (group) =>
        sumOf(data.rowsOf(group).map((row) => exactOf(data.field(row, "lag")))),
      ),
      marksField("Events", (group) => markedRows(data, group, rowMarks)),
    ],
    rowFields: [
      wordField("status", "Status", (row) => anything(data.field(row, "status"))),
      figure("offset", "Committed", (row) => lastPoint(row)?.offset ?? undefined),
      figure("lag", "Lag", (row) => exactOf(data.field(row, "lag"))),
      {
        key: "lag_seconds",
        label: "Lag in time",
        numeric: true,
        cell: (row) => {
          const [value, error, least] = ["lag_seconds", "lag_seconds_error", "lag_seconds_at_least"].map((field) =>
            data.field(row, field),
          );
          if (typeof value !== "number") return typeof least === "number" ? `≥ ${duration(least)}` : unknown();
          return [
            duration(value),
            typeof error === "number" && error > 0 && h("span", { class: "aside" }, ` ± ${duration(error)}`),
          ];
        },
        order: (row) => {
          const [value, least] = ["lag_seconds", "lag_seconds_at_least"].map((field) => data.field(row, field));
          return typeof value === "number" ? value : typeof least === "number" ? least : undefined;
        },
      },
      {
        key: "per_second",
        label: "Rate",
        numeric: true,
        cell: (row) => {
          const rate = data.field(row, "per_second");
          return typeof rate === "number"
            ? `${rate.toLocaleString("en", { maximumSignificantDigits: 3 })} / s`
            : unknown();
        },
        order: (row) => {
          const rate = data.field(row, "per_second");
          return typeof rate === "number" ? rate : undefined;
        },
      },
      {
        key: "trend",
        label: "Lag over time",
        cell: (row) => {
          const series = seriesOf(data, row);
          return sparkline(
            series.map(({ at }) => times[at] ?? 0),
            series.map(({ offset: at, end }) => (at === null || end === null ? null : Math.max(0, Number(end - at)))),
          );
        },
        order: (row) => exactOf(data.field(row, "lag")),
      },
      {
        key: "events",
        label: "Events",
        cell: (row) => badges(rowMarks(row)),
        order: (row) => urgencyOf(rowMarks(row)),
      },
      remainder(data, ["status", "lag", "per_second", "events", ...lagFields]),
    ],
    groupMarks: (group) => [statusOf(group)],
    rowMarks,
    topicSummary: (rows) => ["lag ", sum(sumOf(rows.map((row) => exactOf(data.field(row, "lag")))))],
    groupNotes: (group) =>
      data
        .rowsOf(group)
        .flatMap((row) =>
          eventsOf(row).map(
            (event): Child => [
              badge(anything(event.kind ?? "")),
              " ",
              eventText(data.placeText(data.placeOf(row)), event),
            ],
          ),
        ),
    reading: [
      "An event has two bounds: it happened after the one snapshot and before the other.",
      "Lag and rate are those of the snapshots. Curves are drawn rounded; the tables of points are exact. Gaps are snapshots without a value.",
    ],
  };
}

const offsetOf = (commit: Value | undefined) => (isEntries(commit) ? exactOf(commit.offset) : undefined);
const at = (commit: Value | undefined): Child => (commit === null ? none() : number(offsetOf(commit)));

function eventText(place: string, { after, before, from, to, rollback_id, unexplained }: Entries): Child {
  const isSame = offsetOf(from) !== undefined && offsetOf(from) === offsetOf(to);
  return [
    name(place),
    isSame ? [", at offset ", at(to)] : [", offset ", at(from), " → ", at(to)],
    ", between ",
    after === null ? "the time before the first snapshot" : time(after ?? null),
    " and ",
    time(before ?? null),
    typeof rollback_id === "string" && [", by ", code(rollback_id)],
    unexplained === true && h("strong", {}, ", and no rollback of the journal did that"),
  ];
}
