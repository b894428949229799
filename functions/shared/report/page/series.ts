import { type Entries, unpackSeries } from "../island.ts";
import { type Data, isEntries, listOf } from "./data.ts";

/** A point of a history: the number of the snapshot, the commit and the log end, null where unknown. */
export interface Point {
  readonly at: number;
  readonly offset: bigint | null;
  readonly end: bigint | null;
}

/** The points of a partition. */
export function seriesOf(data: Data, row: number): Point[] {
  const points = data.field(row, "points");
  if (!isEntries(points)) return [];
  const [indices, offsets, ends] = [points.i, points.offset, points.end].map((steps) => unpackSeries(listOf(steps)));
  return (indices ?? []).map((at, n) => ({ at: Number(at), offset: offsets?.[n] ?? null, end: ends?.[n] ?? null }));
}

/** When the snapshots of a history were taken, in seconds. */
export const instants = (head: Entries): number[] =>
  listOf(head.snapshots).map((snapshot) =>
    isEntries(snapshot) ? new Date(String(snapshot.created_at)).getTime() / 1000 : Number.NaN,
  );
