import type { Entries, Value } from "../island.ts";
import { exactOf, isEntries, listOf, textOf } from "./data.ts";
import type { Child } from "./dom.ts";
import { anything, name, sentence } from "./text.ts";
import { code, entriesIn, flat, none, number } from "./values.ts";
import type { Notice } from "./view.ts";
import { badge, type Tone } from "./words.ts";

export const warningNotice = (head: Entries): Notice => ({
  title: "Warnings",
  tone: "warn",
  items: listOf(head.warnings).map((warning) => ({ text: () => sentence(anything(warning)) })),
});

export const blockerNotice = (title: string, tone: Tone, lead: string, blockers: readonly Entries[]): Notice => ({
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
export function omittedNotice(head: Entries): Notice {
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
export function byGroup(...lists: readonly (readonly Entries[])[]): Map<string, Entries[]> {
  const map = new Map<string, Entries[]>();
  for (const entry of lists.flat()) {
    const group = textOf(entry.group) ?? "";
    const known = map.get(group);
    if (known === undefined) map.set(group, [entry]);
    else known.push(entry);
  }
  return map;
}

export const extraNotice = (head: Entries): Notice => ({
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

export const leftOutNotice = (head: Entries): Notice =>
  blockerNotice(
    "Left out by request",
    "warn",
    "These are blocked, and the request asked to leave them out.",
    entriesIn(head.left_out ?? head.skipped),
  );

export const problemLines = (problems: readonly Entries[] = [], source: Value): Child[] => [
  ...(typeof source === "string" ? [["Gets the commits that the snapshot has of group ", name(source), "."]] : []),
  ...problems.map(({ kind, message }) => [
    badge(anything(kind ?? "blocked"), 1, "bad"),
    " ",
    sentence(anything(message ?? "")),
  ]),
];

export const snapshotFact = (head: Entries): readonly [string, Child] => ["Snapshot", code(head.snapshot_id)];
