import type { Entries, Value } from "../island.ts";
import { type Data, type Exact, exactOf, isEntries, listOf, minus, type Sum, sumOf, textOf } from "./data.ts";
import { type Child, h } from "./dom.ts";
import { movement, position, sparkline } from "./drawing.ts";
import { instants, seriesOf } from "./series.ts";
import { anything, count, digits, duration, name, sentence, signed, time, words } from "./text.ts";
import { badge, badges, type Tone, urgencyOf } from "./words.ts";

type Key = Exact | string | undefined;

/** A column of a table of groups or of partitions, by the number of the row. */
export interface Field {
  readonly key: string;
  readonly label: string;
  readonly numeric?: boolean;
  cell(row: number): Child;
  /** What it is sorted by; undefined, what is unknown, comes last. */
  order(row: number): Key;
}

/** A list that is shown before the groups. */
export interface Notice {
  readonly title: string;
  readonly tone: Tone;
  readonly lead?: string;
  readonly items: readonly { readonly word?: string; readonly group?: string; text(): Child }[];
}

/** What a kind of result shows, and where. */
export interface View {
  readonly kind: string;
  readonly title: Child;
  readonly verdict: {
    readonly tone: Tone;
    readonly sign: string;
    readonly headline: Child;
    readonly lines: readonly Child[];
  };
  readonly facts: readonly (readonly [string, Child])[];
  readonly figures: readonly (readonly [string, Child])[];
  readonly notices: readonly Notice[];
  readonly groupFields: readonly Field[];
  readonly rowFields: readonly Field[];
  groupMarks(group: number): readonly string[];
  rowMarks(row: number): readonly string[];
  /** What there is to say of the partitions of one topic of a group. */
  topicSummary(rows: readonly number[]): Child;
  /** The problems of a group, for the row that is opened. */
  groupNotes(group: number): readonly Child[];
  readonly reading: readonly Child[];
}

const unknown = () => h("span", { class: "unknown" }, "unknown");
const none = () => h("span", { class: "none" }, "none");
const number = (value: Exact | undefined): Child => (value === undefined ? unknown() : digits(value));

/** A distance: below 0 with a minus. */
const distance = (value: Exact | undefined): Child =>
  value !== undefined && value < 0 ? signed(value) : number(value);

const sum = ({ known, knownParts, unknownParts }: Sum): Child => {
  if (knownParts === 0) return unknownParts === 0 ? none() : unknown();
  if (unknownParts === 0) return known < 0n ? signed(known) : digits(known);
  return ["≥ ", digits(known), h("span", { class: "aside" }, ` (${unknownParts} unknown)`)];
};

/** A commit's offset where null is no commit. */
const offset = (value: Value): Child => {
  if (value === null || value === false) return none();
  return number(exactOf(value));
};

const exactField = (data: Data, field: string, label: string): Field => ({
  key: field,
  label,
  numeric: true,
  cell: (row) => offset(data.field(row, field)),
  order: (row) => exactOf(data.field(row, field)),
});

const amount = (data: Data, field: string, label: string): Field => ({
  key: field,
  label,
  numeric: true,
  cell: (row) => number(exactOf(data.field(row, field))),
  order: (row) => exactOf(data.field(row, field)),
});

/** What a row has beside its columns: metadata and epochs, reasons, and fields that this page does not know. */
function remainder(data: Data, shown: readonly string[]): Field {
  const pairs = ["metadata", "leader_epoch"];
  const known = new Set(["place", "points", ...shown, ...pairs.flatMap((part) => [`from.${part}`, `to.${part}`])]);
  const rest = data.fieldNames.filter((field) => !known.has(field));
  const hasPairs = pairs.filter((part) => data.fieldNames.some((field) => field.endsWith(`.${part}`)));
  const remarksOf = (row: number): string[] => {
    const both = hasPairs.flatMap((part) => {
      const [from, to] = [data.field(row, `from.${part}`), data.field(row, `to.${part}`)];
      const text = (value: Value) => (value === false ? "none" : anything(value) || "empty");
      if ((from === false || from === "") && (to === false || to === "")) return [];
      return [`${label(part)} ${text(from)}${from === to ? "" : ` → ${text(to)}`}`];
    });
    const others = rest.flatMap((field) => {
      const value = data.field(row, field);
      if (value === false || (value === "" && field.endsWith("metadata"))) return [];
      return [`${label(field)} ${value === null ? "none" : value === true ? "yes" : flat(value)}`];
    });
    return [...both, ...others];
  };
  return {
    key: "notes",
    label: "More",
    cell: (row) => remarksOf(row).map((remark) => h("span", { class: "remark" }, sentence(remark))),
    order: (row) => remarksOf(row).join(" ") || undefined,
  };
}
const label = (field: string) => words(field).replace("offset.", "").replace(".", " ").replace("leader epoch", "epoch");

/** A value of any form in words; null is unknown. */
const flat = (value: Value): string => {
  if (Array.isArray(value)) return value.map(flat).join("; ");
  if (!isEntries(value)) return value === null ? "unknown" : value === "" ? "empty" : anything(value);
  return Object.entries(value)
    .map(([key, entry]) => (isEntries(entry) ? `${words(key)} (${flat(entry)})` : `${words(key)} ${flat(entry)}`))
    .join(", ");
};

const entriesIn = (value: Value | undefined): readonly Entries[] => listOf(value).filter(isEntries);
const numberIn = (head: Entries, field: string) => exactOf(head[field]);
const countIn = (head: Entries, field: string, noun: string): Child => {
  const value = numberIn(head, field);
  return value === undefined ? ["an unknown number of ", `${noun}s`] : count(value, noun);
};

const snapshotFact = (head: Entries): readonly [string, Child] => ["Snapshot", code(head.snapshot_id)];
const code = (value: Value | undefined): Child =>
  value === null || value === undefined ? none() : h("code", {}, name(anything(value)));

const warningNotice = (head: Entries): Notice => ({
  title: "Warnings",
  tone: "warn",
  items: listOf(head.warnings).map((warning) => ({ text: () => sentence(anything(warning)) })),
});

const blockerNotice = (title: string, tone: Tone, lead: string, blockers: readonly Entries[]): Notice => ({
  title,
  tone,
  lead,
  items: blockers.map((blocker) => ({
    word: anything(blocker.kind ?? "blocked"),
    group: anything(blocker.group ?? ""),
    text: () => sentence(anything(blocker.message ?? "")),
  })),
});

/** What a summary leaves out: it must not look as if it were nothing. */
function omittedNotice(head: Entries): Notice {
  const items = isEntries(head.omitted)
    ? Object.entries(head.omitted).map(([field, n]) => ({
        text: () => [name(field), ": ", number(exactOf(n)), " left out"],
      }))
    : [];
  return {
    title: "This report is not the whole result",
    tone: "bad",
    lead: "It was made from a summary. What is left out was not empty. Make the report from the whole result (result_url, or without detail: summary).",
    items,
  };
}

/** Problems by group. */
function byGroup(...lists: readonly (readonly Entries[])[]): Map<string, Entries[]> {
  const map = new Map<string, Entries[]>();
  for (const entry of lists.flat()) {
    const group = textOf(entry.group) ?? "";
    const known = map.get(group);
    if (known === undefined) map.set(group, [entry]);
    else known.push(entry);
  }
  return map;
}

const stateField = (data: Data): Field => ({
  key: "state",
  label: "Type and state",
  cell: (group) => {
    if (data.groupField(group, "not_captured") === true) return badge("not_captured");
    const [type, state, members] = ["type", "state", "members"].map((field) => data.groupField(group, field));
    const textOrUnknown = (value: Value | undefined) => (typeof value === "string" ? name(value) : unknown());
    if (typeof type !== "string" && typeof state !== "string" && data.kind === "show") return unknown();
    return [
      textOrUnknown(type),
      " · ",
      state === null && data.kind === "dry_run" ? "does not exist or unknown" : textOrUnknown(state),
      typeof members === "number" && members > 0 && [" · ", count(members, "member")],
    ];
  },
  order: (group) => `${data.groupField(group, "type")} ${data.groupField(group, "state")}`,
});

const partitionCount = (data: Data): Field => ({
  key: "partitions",
  label: "Partitions",
  numeric: true,
  cell: (group) =>
    data.groupField(group, "not_captured") === true ? unknown() : digits(Number(data.groupField(group, "partitions"))),
  order: (group) => exactOf(data.groupField(group, "partitions")),
});

/** A commit in words. */
const commitText = (commit: Value | undefined): Child =>
  isEntries(commit)
    ? [
        "offset ",
        number(exactOf(commit.offset)),
        commit.metadata !== "" && commit.metadata !== undefined && [", metadata ", sentence(flat(commit.metadata))],
        commit.leader_epoch !== undefined && `, epoch ${flat(commit.leader_epoch)}`,
      ]
    : "no commit";

/** The marks of the partitions of a group, as one column. */
const marksField = (label: string, marks: (group: number) => readonly string[]): Field => ({
  key: "marks",
  label,
  cell: (group) => badges(marks(group)),
  order: (group) => urgencyOf(marks(group)),
});

const wordField = (key: string, label: string, data: Data): Field => ({
  key,
  label,
  cell: (row) => badge(anything(data.field(row, key))),
  order: (row) => `${urgencyOf([anything(data.field(row, key))])} ${anything(data.field(row, key))}`,
});

const sumField = (key: string, label: string, values: (group: number) => Sum): Field => ({
  key,
  label,
  numeric: true,
  cell: (group) => sum(values(group)),
  order: (group) => {
    const { known, knownParts } = values(group);
    return knownParts === 0 ? undefined : known;
  },
});

/** How far a partition moves; undefined where it has no commit before or after, or that is unknown. */
type Move = (row: number) => Exact | undefined;

const plannedMove =
  (data: Data): Move =>
  (row) =>
    minus(exactOf(data.field(row, "to")), exactOf(data.field(row, "from")));

function longestMove(data: Data, moveOf: Move): Exact {
  let longest: Exact = 1;
  for (let row = 0; row < data.rowCount; row++) {
    const move = moveOf(row);
    if (move === undefined) continue;
    const size = move < 0 ? -move : move;
    if (size > longest) longest = size;
  }
  return longest;
}

const moveFields = (data: Data, label: string, moveOf: Move): Field[] => {
  const longest = longestMove(data, moveOf);
  return [
    {
      key: "move",
      label,
      numeric: true,
      cell: (row) => {
        const move = moveOf(row);
        return move === undefined ? h("span", { class: "none" }, "–") : signed(move);
      },
      order: moveOf,
    },
    {
      key: "movement",
      label: "Back ◀ · ▶ forward",
      cell: (row) => movement(moveOf(row), longest),
      order: moveOf,
    },
  ];
};

const movementReading =
  "Movement bars begin at the middle: to the left is back, to the right is forward. Their scale is logarithmic; the exact distance is beside them.";

const markedRows = (data: Data, group: number, marks: (row: number) => readonly string[]) =>
  data.rowsOf(group).flatMap((row) => marks(row));

/** A snapshot's document. */
function snapshotView(data: Data): View {
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
      {
        key: "start",
        label: "Log start",
        numeric: true,
        cell: (row) => number(data.logStartOf(row)),
        order: (row) => data.logStartOf(row),
      },
      {
        key: "end",
        label: "Log end",
        numeric: true,
        cell: (row) => number(data.logEndOf(row)),
        order: (row) => data.logEndOf(row),
      },
      {
        key: "lag",
        label: "Lag",
        numeric: true,
        cell: (row) => distance(data.lagOf(row)),
        order: (row) => data.lagOf(row),
      },
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

/** A comparison. */
function diffView(data: Data): View {
  const { head } = data;
  const summary = isEntries(head.summary) ? head.summary : {};
  const moveOf = plannedMove(data);
  const rowMarks = (row: number) => [anything(data.field(row, "change"))];
  const changed = Object.entries(summary).filter(([kind]) => kind !== "unchanged");
  const total = sumOf(changed.map(([, n]) => exactOf(n)));
  const warnings = listOf(head.warnings);
  const isSame = total.known === 0n && data.rowCount === 0;
  const to = anything(head.to ?? "unknown");
  return {
    kind: "Comparison",
    title: [name(anything(head.from ?? "")), " → ", to === "live" ? "live commits" : name(to)],
    verdict: {
      tone: warnings.length > 0 ? "warn" : isSame ? "good" : "note",
      sign: isSame ? "=" : "≠",
      headline: isSame ? "No commit that was compared has changed." : [count(total.known, "commit"), " changed."],
      lines: [
        [count(exactOf(summary.unchanged) ?? 0, "commit"), " did not change."],
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
      wordField("change", "Change", data),
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

const extraNotice = (head: Entries): Notice => ({
  title: "Commits that the snapshot lacks",
  tone: "note",
  lead: "They are kept. What each choice of `uncommitted` would replay or skip is an upper bound.",
  items: entriesIn(head.extra).map(({ group, topic, partition, commit, uncommitted }) => ({
    group: anything(group ?? ""),
    text: () => [
      name(`${anything(topic ?? "")}-${anything(partition ?? "")}`),
      " stands at ",
      isEntries(commit) ? number(exactOf(commit.offset)) : none(),
      isEntries(uncommitted) && [". ", sentence(flat(uncommitted))],
    ],
  })),
});

const leftOutNotice = (head: Entries): Notice =>
  blockerNotice(
    "Left out by request",
    "warn",
    "These are blocked, and the request asked to leave them out.",
    entriesIn(head.left_out ?? head.skipped),
  );

/** A dry run. */
function dryRunView(data: Data): View {
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
  const idle = new Set(["unchanged", "skip"]);
  const moving = sumOf(Object.entries(actions).flatMap(([action, n]) => (idle.has(action) ? [] : exactOf(n)))).known;
  const amountOf = (value: Value | undefined) => number(exactOf(value));
  const isBlocked = blockers.length > 0 || (isEntries(head.omitted) && Object.hasOwn(head.omitted, "blockers"));
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
          : ["The rollback would change ", count(moving, "commit"), " of ", countIn(totals, "groups", "group"), "."],
      lines: [
        isBlocked && [count(blockers.length, "blocker"), ". If anything is blocked, nothing is changed."],
        "A dry run: nothing was changed.",
        moving > 0n && [
          isBlocked ? "Without the blockers, consumers would replay " : "Consumers would replay ",
          atMost(totals.replayed),
          " and skip ",
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
      ...(["replayed", "skipped"] as const).map(
        (field): Field => ({
          key: field,
          label: field === "replayed" ? "Replays, at most" : "Skips, at most",
          numeric: true,
          cell: (group) => amountOf(data.groupField(group, field)),
          order: (group) => exactOf(data.groupField(group, field)),
        }),
      ),
      marksField("Would do", (group) => [...groupMarks(group), ...markedRows(data, group, rowMarks)]),
    ],
    rowFields: [
      wordField("action", "Action", data),
      exactField(data, "from", "Now"),
      exactField(data, "to", "Target"),
      ...moveFields(data, "Would move by", plannedMove(data)),
      amount(data, "replayed", "Replays ≤"),
      amount(data, "skipped", "Skips ≤"),
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

const problemLines = (problems: readonly Entries[] = [], source: Value): Child[] => [
  ...(typeof source === "string" ? [["Gets the commits that the snapshot has of group ", name(source), "."]] : []),
  ...problems.map(({ kind, message }) => [
    badge(anything(kind ?? "blocked"), 1, "bad"),
    " ",
    sentence(anything(message ?? "")),
  ]),
];

/** The outcomes that were decided by reading the target back. */
const atTarget = new Set(["restored", "unchanged", "deleted"]);

/** The result of a rollback. */
function resultView(data: Data): View {
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
  const statusOf = (group: number) => anything(data.groupField(group, "status"));
  const failures: Notice["items"][number][] = [];
  for (let group = 0; group < data.groupCount; group++) {
    const word = statusOf(group);
    if (word === "success" || word === "skipped") continue;
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
  const isGood = status === "success";
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
      tone: !isGood || verification?.verified === false ? "bad" : "good",
      sign: isGood ? "✓" : status === "failed" ? "✕" : "⚠",
      headline: isGood
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
      {
        key: "status",
        label: "Status",
        cell: (group) => badge(statusOf(group)),
        order: (group) => `${urgencyOf([statusOf(group)])} ${statusOf(group)}`,
      },
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
      wordField("outcome", "Outcome", data),
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

const lagFields = ["lag_seconds", "lag_seconds_error", "lag_seconds_at_least"];

/** A history. */
function historyView(data: Data): View {
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
  const events: Notice["items"][number][] = [];
  for (let row = 0; row < data.rowCount; row++) {
    for (const event of eventsOf(row)) {
      events.push({
        word: anything(event.kind ?? ""),
        group: data.nameOf(data.groupOf(row)),
        text: () => eventText(snapshots, data.placeText(data.placeOf(row)), event),
      });
    }
  }
  const lastPoint = (row: number) => seriesOf(data, row).findLast(({ offset: at }) => at !== null);
  return {
    kind: "History",
    title: data.groupCount === 1 ? ["Group ", name(data.nameOf(0))] : count(data.groupCount, "group"),
    verdict: {
      tone:
        data.groupCount === 0 || snapshots.length < 2 ? "warn" : worst === 0 ? "bad" : worst === 1 ? "warn" : "good",
      sign: worst === 0 ? "✕" : worst === 1 ? "⚠" : "✓",
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
      {
        key: "status",
        label: "Status",
        cell: (group) => badge(statusOf(group)),
        order: (group) => `${urgencyOf([statusOf(group)])} ${statusOf(group)}`,
      },
      partitionCount(data),
      sumField("lag", "Lag at the last snapshot", (group) =>
        sumOf(data.rowsOf(group).map((row) => exactOf(data.field(row, "lag")))),
      ),
      marksField("Events", (group) => markedRows(data, group, rowMarks)),
    ],
    rowFields: [
      ...(data.fieldNames.includes("status") ? [wordField("status", "Status", data)] : []),
      {
        key: "offset",
        label: "Committed",
        numeric: true,
        cell: (row) => number(lastPoint(row)?.offset ?? undefined),
        order: (row) => lastPoint(row)?.offset ?? undefined,
      },
      amount(data, "lag", "Lag"),
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
              eventText(snapshots, data.placeText(data.placeOf(row)), event),
            ],
          ),
        ),
    reading: [
      "An event has two bounds: it happened after the one snapshot and before the other.",
      "Lag and rate are those of the snapshots. Curves are drawn rounded; the tables of points are exact. Gaps are snapshots without a value.",
    ],
  };
}

const bound = (value: Value | undefined, snapshots: readonly Entries[]): Child => {
  const text = textOf(typeof value === "number" ? snapshots[value]?.created_at : value);
  if (value === null) return "the time before the first snapshot";
  if (text === undefined) return "an unknown time";
  return /^\d{4}-\d\d-\d\dT/.test(text) ? time(text) : name(text);
};

const at = (value: Value | undefined): Child =>
  isEntries(value)
    ? number(exactOf(value.offset))
    : value === undefined || value === false
      ? unknown()
      : value === null
        ? none()
        : number(exactOf(value));

const offsetOf = (commit: Value | undefined) => (isEntries(commit) ? exactOf(commit.offset) : undefined);

function eventText(snapshots: readonly Entries[], place: string, event: Entries): Child {
  const { after, before, from, to, rollback_id, unexplained } = event;
  const isSame = offsetOf(from) !== undefined && offsetOf(from) === offsetOf(to);
  return [
    name(place),
    isSame ? [", at offset ", at(to)] : [", offset ", at(from), " → ", at(to)],
    ", between ",
    bound(after, snapshots),
    " and ",
    bound(before, snapshots),
    typeof rollback_id === "string" && [", by ", code(rollback_id)],
    unexplained === true && h("strong", {}, ", and no rollback of the journal did that"),
  ];
}

/** The fields of a result that no view shows, and a notice of what a summary left out. */
export function viewOf(data: Data): View {
  const views = {
    show: snapshotView,
    diff: diffView,
    dry_run: dryRunView,
    rollback: resultView,
    history: historyView,
  };
  const view = views[data.kind](data);
  return { ...view, notices: [omittedNotice(data.head), ...view.notices] };
}
