import type { Data } from "./data.ts";
import { h } from "./dom.ts";
import { compare, type maskRows, once, type ranking, searchable } from "./order.ts";
import { name } from "./text.ts";
import type { Field, View } from "./view.ts";

/** What the table lists: all groups, or all partitions. Its rows have numbers from 0. */
export interface Level {
  readonly size: number;
  readonly noun: string;
  /** The first column says which row it is. */
  readonly fields: readonly [Field, ...Field[]];
  readonly marks: Uint32Array;
  readonly urgencies: Uint8Array;
  /** Which rows a term of the search finds. */
  has(term: string): (row: number) => boolean;
}

/** What a reader has chosen to see, and in which order. */
export interface Choice {
  readonly query: string;
  /** The marks of which a row has one, as bits; 0 is every row. */
  readonly wanted: number;
  /** Without a key: what asks for attention first. */
  readonly sort: { readonly key: string; readonly down: boolean };
}

export function createLevels(
  data: Data,
  view: View,
  ranks: ReturnType<typeof ranking>,
  masks: ReturnType<typeof maskRows>,
): { readonly groups: Level; readonly partitions: Level } {
  const groupTexts = once(() => Array.from({ length: data.groupCount }, (_, group) => searchable(data.nameOf(group))));
  const placeTexts = once(() =>
    Array.from({ length: data.placeCount }, (_, place) => searchable(data.placeText(place))),
  );
  const found = (term: string) => {
    const [groups, places] = [groupTexts(), placeTexts()].map((texts) => texts.map((text) => text.includes(term)));
    return {
      inGroup: (group: number) => groups?.[group] === true,
      inPlace: (row: number) => places?.[data.placeOf(row)] === true,
    };
  };
  const nameField: Field = {
    key: "name",
    label: "Group",
    cell: (group) => name(data.nameOf(group)),
    order: (group) => ranks.groups[group],
  };
  const placeField: Field = {
    key: "name",
    label: "Group and partition",
    cell: (row) => [
      name(data.nameOf(data.groupOf(row))),
      h("span", { class: "aside" }, " · "),
      name(data.placeText(data.placeOf(row))),
    ],
    order: (row) => (ranks.groups[data.groupOf(row)] ?? 0) * data.rowCount + ranks.place(data.placeOf(row)) / 1e6,
  };
  return {
    groups: {
      size: data.groupCount,
      noun: "group",
      fields: [nameField, ...view.groupFields],
      marks: masks.groups,
      urgencies: masks.groupUrgency,
      has(term) {
        const { inGroup, inPlace } = found(term);
        return (group) => inGroup(group) || data.rowsOf(group).some(inPlace);
      },
    },
    partitions: {
      size: data.rowCount,
      noun: "partition",
      fields: [placeField, ...view.rowFields],
      marks: masks.rows,
      urgencies: masks.rowUrgency,
      has(term) {
        const { inGroup, inPlace } = found(term);
        return (row) => inGroup(data.groupOf(row)) || inPlace(row);
      },
    },
  };
}

/** The rows that are to be shown, in their order. */
export function find(level: Level, { query, wanted, sort }: Choice): number[] {
  const terms = query
    .toLowerCase()
    .split(/\s+/)
    .filter((term) => term !== "");
  let found = Array.from({ length: level.size }, (_, row) => row);
  if (wanted !== 0) found = found.filter((row) => ((level.marks[row] ?? 0) & wanted) !== 0);
  for (const term of terms) found = found.filter(level.has(term));
  return inOrder(found, level, sort);
}

function inOrder(rows: number[], { fields, urgencies }: Level, { key, down }: Choice["sort"]): number[] {
  const [first] = fields;
  const field = fields.find((one) => one.key === key);
  const keyOf = field === undefined ? (row: number) => urgencies[row] : (row: number) => field.order(row);
  const keys = new Map(rows.map((row) => [row, keyOf(row)]));
  const ties = new Map(rows.map((row) => [row, first.order(row)]));
  const direction = down ? -1 : 1;
  return rows.sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    if (x !== y && (x === undefined || y === undefined)) return x === undefined ? 1 : -1;
    return compare(x, y) * direction || compare(ties.get(a), ties.get(b));
  });
}
