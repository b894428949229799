import type { Data } from "./data.ts";
import { plain } from "./text.ts";
import type { View } from "./view.ts";
import { urgencyOf } from "./words.ts";

const naturally = new Intl.Collator("en", { numeric: true });

/** A text as it is searched: as it is, and as it is shown. */
export const searchable = (text: string): string => {
  const seen = plain(text);
  return (seen === text ? text : `${seen} ${text}`).toLowerCase();
};

/** A value that is made when it is first needed. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The order of two cells; what has no value is equal to all. */
export function compare(a: string | number | bigint | undefined, b: string | number | bigint | undefined): number {
  if (a === b || a === undefined || b === undefined) return 0;
  if (typeof a === "string" && typeof b === "string") return naturally.compare(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The place of each group by its name, and of each topic-partition, as numbers. */
export function ranking(data: Data) {
  const byName = Array.from({ length: data.groupCount }, (_, group) => group).sort(
    (a, b) => naturally.compare(data.nameOf(a), data.nameOf(b)) || (data.nameOf(a) < data.nameOf(b) ? -1 : 1),
  );
  const groups = new Uint32Array(data.groupCount);
  for (const [rank, group] of byName.entries()) groups[group] = rank;
  const topicRanks = once(() => {
    const topics = new Set(Array.from({ length: data.placeCount }, (_, place) => data.topicAt(place)));
    return new Map([...topics].sort(naturally.compare).map((topic, rank) => [topic, rank]));
  });
  const place = (at: number) => (topicRanks().get(data.topicAt(at)) ?? 0) * 1e6 + data.partitionAt(at);
  return { groups, place };
}

/** The marks of all rows and groups as bits: a group has those of its partitions too, a partition those of its group. */
export function maskRows(data: Data, view: View) {
  const bits = new Map<string, number>();
  const maskOf = (marks: readonly string[]): number => {
    let mask = 0;
    for (const mark of marks) {
      const bit = bits.get(mark) ?? bits.size;
      bits.set(mark, bit);
      if (bit < 31) mask |= 1 << bit;
    }
    return mask;
  };
  const rows = new Uint32Array(data.rowCount);
  const groups = new Uint32Array(data.groupCount);
  const rowUrgency = new Uint8Array(data.rowCount);
  const groupUrgency = new Uint8Array(data.groupCount);
  for (let group = 0; group < data.groupCount; group++) {
    const marks = view.groupMarks(group);
    const own = maskOf(marks);
    let all = own;
    let urgency = urgencyOf(marks);
    for (const row of data.rowsOf(group)) {
      const rowMarks = view.rowMarks(row);
      const mask = maskOf(rowMarks);
      const rowUrgent = urgencyOf(rowMarks);
      rows[row] = mask | own;
      rowUrgency[row] = rowUrgent;
      all |= mask;
      urgency = Math.min(urgency, rowUrgent);
    }
    groups[group] = all;
    groupUrgency[group] = urgency;
  }
  return {
    words: [...bits.keys()].slice(0, 31),
    rows,
    groups,
    rowUrgency,
    groupUrgency,
    groupsWith: (bit: number) => groups.reduce((n, mask) => n + ((mask >>> bit) & 1), 0),
  };
}
