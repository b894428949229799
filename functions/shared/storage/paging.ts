import { InvalidRequest } from "../core/errors.ts";
import type { SnapshotStatus } from "../core/model.ts";
import { isoSeconds, parseSnapshotId } from "../core/snapshot-id.ts";
import { type SnapshotEntry, sortKeyOf } from "./index-entry.ts";
import type { Stretch } from "./index-table.ts";

/** Which entries to list; both times are inclusive. */
export interface ListRequest {
  /** At least 1. */
  readonly limit: number;
  /** From the page before, of the same list. */
  readonly nextToken?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly status?: SnapshotStatus | undefined;
}

/** The error of a list request with a field that is wrong. */
export const invalid = (field: string, problem: string) =>
  new InvalidRequest(`${field} ${problem}`, { details: { problems: [`${field}: ${problem}`] } });

const earliest = Date.parse("0000-01-01T00:00:00Z");
const latest = Date.parse("9999-12-31T23:59:59Z");

/** A time in whole seconds, as sort keys have it. */
const seconds = (time: Date, round: (seconds: number) => number) =>
  isoSeconds(new Date(Math.min(Math.max(round(time.getTime() / 1_000) * 1_000, earliest), latest)));

/** The sort keys of everything taken from one time up to another, both included; undefined is no bound. */
export function keysBetween(since: Date | undefined, until: Date | undefined): { from: string; to: string } {
  return {
    from: since === undefined ? "0" : `${seconds(since, Math.ceil)}#`,
    to: until === undefined ? "~" : `${seconds(until, Math.floor)}#~`,
  };
}

/**
 * The stretch of the index that a page comes from, with one entry more than the page: that tells whether another follows.
 *
 * @throws InvalidRequest where the times exclude each other, or the token is not of an earlier page of the same list
 */
export function stretchOf({ limit, nextToken, since, until, status }: ListRequest): Stretch {
  const { from, to } = keysBetween(since, until);
  if (from > to) throw invalid("since", "must not be after until: no snapshot can lie between them.");
  const after = nextToken === undefined ? undefined : decodeToken(nextToken);
  if (after !== undefined && (after < from || after > to)) {
    throw invalid("next_token", "comes from a list with other times: repeat since and until as they were.");
  }
  return { from, to, ...(after !== undefined && { after }), ...(status && { status }), expect: limit + 1 };
}

/** The token of the page that starts after this entry. */
export function tokenAfter(entry: SnapshotEntry): string {
  return Buffer.from(entry.snapshotId).toString("base64url");
}

/** The sort key that a token stands for. */
function decodeToken(token: string): string {
  const snapshotId = Buffer.from(token, "base64url").toString();
  const parts = parseSnapshotId(snapshotId);
  if (parts === undefined || Buffer.from(snapshotId).toString("base64url") !== token) {
    throw invalid("next_token", "must be the next_token of an earlier page, unchanged.");
  }
  return sortKeyOf(parts);
}
