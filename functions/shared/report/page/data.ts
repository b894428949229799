import { cellOf, type Entries, type Island, type Value } from "../island.ts";

/** An exact integer for arithmetic and order: a number as long as it is one, so that most take no memory. */
export type Exact = number | bigint;

export const isEntries = (value: Value | undefined): value is Entries =>
  typeof value === "object" && value !== null && !Array.isArray(value);
export const listOf = (value: Value | undefined): readonly Value[] => (Array.isArray(value) ? value : []);
export const textOf = (value: Value | undefined): string | undefined => (typeof value === "string" ? value : undefined);

/** An integer of the island; undefined where it is null, absent or unknown. */
export function exactOf(value: Value | undefined): Exact | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d+$/.test(value) ? BigInt(value) : undefined;
}

/** `a − b`, exactly. */
export function minus(a: Exact | undefined, b: Exact | undefined): Exact | undefined {
  if (a === undefined || b === undefined) return undefined;
  if (typeof a === "number" && typeof b === "number") {
    const difference = a - b;
    if (Number.isSafeInteger(difference)) return difference;
  }
  return BigInt(a) - BigInt(b);
}

/** A sum of which some parts may be unknown. */
export interface Sum {
  readonly known: bigint;
  readonly knownParts: number;
  readonly unknownParts: number;
}

export function sumOf(values: Iterable<Exact | undefined>): Sum {
  let [small, large, knownParts, unknownParts] = [0, 0n, 0, 0];
  for (const value of values) {
    if (value === undefined) unknownParts++;
    else {
      knownParts++;
      if (typeof value === "number" && Number.isSafeInteger(small + value)) small += value;
      else large += BigInt(value);
    }
  }
  return { known: large + BigInt(small), knownParts, unknownParts };
}

/** The sum of counts by word, but for some words; undefined where there are no counts, or one is unknown. */
export function totalOf(counts: Value | undefined, without: readonly string[] = []): bigint | undefined {
  if (!isEntries(counts)) return undefined;
  const summed = Object.entries(counts).filter(([word]) => !without.includes(word));
  const { known, unknownParts } = sumOf(summed.map(([, n]) => exactOf(n)));
  return unknownParts === 0 ? known : undefined;
}

export type Data = ReturnType<typeof dataOf>;

/** The data of the page by row: `row` counts partitions, `group` groups. */
export function dataOf(island: Island) {
  const { groups, places, rows, head, kind } = island;
  const names: string[] = [];
  const starts: number[] = [0];
  const groupOf = new Uint32Array(rows.size);
  for (let group = 0; group < groups.size; group++) {
    const start = starts[group] ?? 0;
    const end = start + Number(cellOf(groups, "partitions", group));
    names.push(String(cellOf(groups, "name", group)));
    starts.push(end);
    groupOf.fill(group, start, end);
  }
  const placeAt = Uint32Array.from({ length: rows.size }, (_, row) => Number(cellOf(rows, "place", row)));
  const placeOf = (row: number) => placeAt[row] ?? 0;
  const field = (row: number, name: string) => cellOf(rows, name, row);
  const offsetOf = (row: number) => exactOf(field(row, "offset"));
  const log = (row: number, name: "log_start_offset" | "log_end_offset") => exactOf(cellOf(places, name, placeOf(row)));
  return {
    kind,
    head,
    groupCount: groups.size,
    rowCount: rows.size,
    nameOf: (group: number) => names[group] ?? "",
    groupOf: (row: number) => groupOf[row] ?? 0,
    rowsOf: (group: number): number[] => {
      const start = starts[group] ?? 0;
      return Array.from({ length: (starts[group + 1] ?? start) - start }, (_, at) => start + at);
    },
    groupField: (group: number, name: string) => cellOf(groups, name, group),
    field,
    fieldNames: Object.keys(rows.columns),
    placeOf,
    topicAt: (place: number) => String(cellOf(places, "topic", place)),
    partitionAt: (place: number) => Number(cellOf(places, "partition", place)),
    placeCount: places.size,
    placeText: (place: number) => `${cellOf(places, "topic", place)}-${cellOf(places, "partition", place)}`,
    offsetOf,
    logStartOf: (row: number) => log(row, "log_start_offset"),
    logEndOf: (row: number) => log(row, "log_end_offset"),
    /** The distance from the commit to the log end: negative where the commit is above it. */
    lagOf: (row: number) => minus(log(row, "log_end_offset"), offsetOf(row)),
  };
}
