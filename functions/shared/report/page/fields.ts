import type { Value } from "../island.ts";
import { type Data, type Exact, exactOf, minus, type Sum } from "./data.ts";
import { type Child, h } from "./dom.ts";
import { movement } from "./drawing.ts";
import { count, digits, name, sentence, signed } from "./text.ts";
import { distance, flat, label, none, offset, sum, unknown } from "./values.ts";
import type { Field } from "./view.ts";
import { badge, badges, urgencyOf } from "./words.ts";

export const exactField = (data: Data, field: string, label: string): Field => ({
  key: field,
  label,
  numeric: true,
  cell: (row) => offset(data.field(row, field)),
  order: (row) => exactOf(data.field(row, field)),
});

/** A column of integers that are known or not. */
export const figure = (key: string, label: string, value: (row: number) => Exact | undefined): Field => ({
  key,
  label,
  numeric: true,
  cell: (row) => distance(value(row)),
  order: value,
});

/** What a row has beside its columns: metadata and epochs, reasons, and fields that this page does not know. */
export function remainder(data: Data, shown: readonly string[]): Field {
  const pairs = ["metadata", "leader_epoch"];
  const known = new Set(["place", "points", ...shown, ...pairs.flatMap((part) => [`from.${part}`, `to.${part}`])]);
  const rest = data.fieldNames.filter((field) => !known.has(field));
  const hasPairs = pairs.filter((part) => data.fieldNames.some((field) => field.endsWith(`.${part}`)));
  const text = (value: Value): Child =>
    value === false || value === null ? none() : value === true ? "yes" : sentence(flat(value));
  const isSaid = (value: Value) => value !== false && value !== "";
  const remarksOf = (row: number): { readonly title: string; readonly said: Child }[] => {
    const both = hasPairs.flatMap((part) => {
      const [from, to] = [data.field(row, `from.${part}`), data.field(row, `to.${part}`)];
      if (!isSaid(from) && !isSaid(to)) return [];
      return [{ title: label(part), said: from === to ? text(from) : [text(from), " → ", text(to)] }];
    });
    const others = rest.flatMap((field) => {
      const value = data.field(row, field);
      const isUnsaid = value === false || (value === "" && field.endsWith("metadata"));
      return isUnsaid ? [] : [{ title: label(field), said: text(value) }];
    });
    return [...both, ...others];
  };
  return {
    key: "notes",
    label: "More",
    cell: (row) => remarksOf(row).map(({ title, said }) => h("span", { class: "remark" }, `${title} `, said)),
    order: (row) => remarksOf(row).length || undefined,
  };
}

export const stateField = (data: Data): Field => ({
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

export const partitionCount = (data: Data): Field => ({
  key: "partitions",
  label: "Partitions",
  numeric: true,
  cell: (group) =>
    data.groupField(group, "not_captured") === true ? unknown() : digits(Number(data.groupField(group, "partitions"))),
  order: (group) => exactOf(data.groupField(group, "partitions")),
});

/** The marks of the partitions of a group, as one column. */
export const marksField = (label: string, marks: (group: number) => readonly string[]): Field => ({
  key: "marks",
  label,
  cell: (group) => badges(marks(group)),
  order: (group) => urgencyOf(marks(group)),
});

/** A column of words, the most urgent first. */
export const wordField = (key: string, label: string, word: (row: number) => string): Field => ({
  key,
  label,
  cell: (row) => badge(word(row)),
  order: (row) => `${urgencyOf([word(row)])} ${word(row)}`,
});

export const sumField = (key: string, label: string, values: (group: number) => Sum): Field => ({
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

export const plannedMove =
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

export const moveFields = (data: Data, label: string, moveOf: Move): Field[] => {
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

export const movementReading =
  "Movement bars begin at the middle: to the left is back, to the right is forward. Their scale is logarithmic; the exact distance is beside them.";

export const markedRows = (data: Data, group: number, marks: (row: number) => readonly string[]) =>
  data.rowsOf(group).flatMap((row) => marks(row));
