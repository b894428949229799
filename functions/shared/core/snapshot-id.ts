/** The time and number that a snapshot's id is made of: the first of a second has number 1, which the id leaves out. */
export interface SnapshotIdParts {
  /** ISO 8601, UTC, whole seconds: `2025-01-15T10:30:00Z`. */
  readonly createdAt: string;
  readonly number: number;
}

/** `snapshot-2025-01-15T10:30:00Z`, `snapshot-2025-01-15T10:30:00Z-2`, … */
export function formatSnapshotId({ createdAt, number }: SnapshotIdParts): string {
  return number === 1 ? `snapshot-${createdAt}` : `snapshot-${createdAt}-${number}`;
}

/** The parts of an id; undefined where the text cannot be the id of any snapshot. */
export function parseSnapshotId(id: string): SnapshotIdParts | undefined {
  const match = /^snapshot-(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?:-(?!1$)([1-9]\d{0,5}))?$/.exec(id);
  const createdAt = match?.[1] ?? "";
  const number = match?.[2] ?? "1";
  return Number.isNaN(Date.parse(createdAt)) ? undefined : { createdAt, number: Number(number) };
}

/**
 * An id of a snapshot or a rollback as it is stored and shown. Where it comes from outside, its colons may be written as dashes:
 * a path without colons is signed alike by every client. What is no id of this product stays as it is.
 */
export const withColons = (id: string): string =>
  id.replace(/^((?:snapshot|rollback)-\d{4}-\d\d-\d\dT\d\d)[:-](\d\d)[:-](\d\dZ)(?=-|$)/, "$1:$2:$3");

/** A time in the form that ids carry. */
export function isoSeconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
