/*
 * The data of an HTML report, as the page carries it. `html.ts` writes it, the page reads it. It is plain JSON: integers
 * beyond 2^53 are decimal strings, so that `JSON.parse` of any browser rounds none of them.
 */

/** The results that have an HTML report. A rollback's is that of its dry run where the result has `dry_run: true`. */
export const htmlReports = ["show", "diff", "rollback", "history"] as const;
export type HtmlReport = (typeof htmlReports)[number];

/** A value of the island. */
export type Value = null | boolean | number | string | readonly Value[] | Entries;
export type Entries = { readonly [key: string]: Value };

/** One field of all rows of a table: a list; one value that all have; or the distinct values and where they are. */
export type Column =
  | readonly Value[]
  | { readonly all: Value }
  | { readonly of: readonly Value[]; readonly at: readonly number[] };

/** Rows by column. `false` is a field that the row does not have: the results' own fields are never false. */
export interface Table {
  readonly size: number;
  readonly columns: { readonly [name: string]: Column };
}

/** The result of a report: all of it, in another form. */
export interface Island {
  readonly kind: "show" | "diff" | "dry_run" | "rollback" | "history";
  /** The result without what is in the tables. */
  readonly head: Entries;
  /** One row a group: `name`, `partitions` (how many rows it has in `rows`), and its own fields. */
  readonly groups: Table;
  /** One row a topic-partition that a row names: `topic`, `partition`, and what the document says of its log. */
  readonly places: Table;
  /**
   * One row a partition of a group, in the order of the groups: `place`, and its fields. A commit is three columns:
   * `from` (the offset, null for no commit), `from.metadata` and `from.leader_epoch`; in `show` the first is `offset`.
   */
  readonly rows: Table;
}

const isList = (value: Column): value is readonly Value[] => Array.isArray(value);

/** Packs a column in the shortest of its three forms. */
export function packColumn(values: readonly Value[]): Column {
  const [first = null] = values;
  if (typeof first !== "object" || first === null) {
    if (values.every((value) => value === first)) return { all: first };
  }
  const indices = new Map<Value, number>();
  for (const value of values) {
    if (typeof value === "object" && value !== null) return values;
    if (!indices.has(value)) indices.set(value, indices.size);
    if (indices.size > values.length / 4) return values;
  }
  return { of: [...indices.keys()], at: values.map((value) => indices.get(value) ?? 0) };
}

/** Reads a field of a row; false where the row does not have it. */
export function cellOf({ columns }: Table, name: string, row: number): Value {
  if (!Object.hasOwn(columns, name)) return false;
  const column = columns[name];
  if (column === undefined) return false;
  if (isList(column)) return column[row] ?? null;
  if ("all" in column) return column.all;
  return column.of[column.at[row] ?? 0] ?? null;
}

/** The smallest exact form of an integer in JSON. */
export const packInteger = (value: bigint): number | string =>
  BigInt.asIntN(54, value) === value && value !== -(2n ** 53n) ? Number(value) : value.toString();

/** Integers as differences, each to the one before it that is not null. */
export function packSeries(values: readonly (bigint | null)[]): (number | string | null)[] {
  let before = 0n;
  return values.map((value) => {
    if (value === null) return null;
    const step = value - before;
    before = value;
    return packInteger(step);
  });
}

/** The integers of such differences. */
export function unpackSeries(steps: readonly Value[]): (bigint | null)[] {
  let value = 0n;
  return steps.map((step) => {
    if (typeof step !== "number" && typeof step !== "string") return null;
    value += BigInt(step);
    return value;
  });
}
