import { isDeepStrictEqual } from "node:util";
import { SnapshotCorrupt } from "../core/errors.ts";
import { compareCodePoints } from "../core/json/code-points.ts";
import {
  converted,
  count,
  DecodeError,
  document,
  list,
  nullable,
  nullIfAbsent,
  oneOf,
  optional,
  text,
} from "../core/json/codec.ts";
import { encodeJson } from "../core/json/json.ts";
import {
  type AtRisk,
  type ClusterIdentity,
  countOffsets,
  type Labels,
  type Selection,
  type Snapshot,
  type SnapshotStatus,
  snapshotStatuses,
  statusOf,
  type Trigger,
  topicsOf,
  triggers,
} from "../core/model.ts";
import { atRisk, labels, selection } from "../core/snapshot.ts";
import { formatSnapshotId, isoSeconds, parseSnapshotId, type SnapshotIdParts } from "../core/snapshot-id.ts";
import { cut } from "../core/text.ts";
import { type Hold, type HoldChange, holdText } from "./hold.ts";
import { cap, type Item, inText, itemCodec, type Key } from "./items.ts";
import { decodeToken, invalid } from "./paging.ts";

/** What the index knows of a snapshot: enough to list it, to choose it and to check its body. */
export interface SnapshotEntry {
  readonly snapshotId: string;
  /** ISO 8601, UTC, whole seconds. */
  readonly createdAt: string;
  /** The first 1,024 characters. */
  readonly description: string;
  readonly status: SnapshotStatus;
  readonly trigger: Trigger;
  /** The name of the schedule that asked for it. */
  readonly schedule?: string;
  /** Of a scheduled snapshot. */
  readonly atRisk?: AtRisk;
  readonly labels?: Labels;
  /** Present while it must not be deleted. Unlike all else here, it changes after the snapshot was taken. */
  readonly hold?: Hold;
  /** The `HoldChange` that it was held or released by; absent where that never happened since it was taken. */
  readonly holdChange?: string;
  readonly cluster: ClusterIdentity;
  /** How many of each the snapshot has. */
  readonly groups: number;
  readonly offsets: number;
  readonly errors: number;
  readonly warnings: number;
  /** Absent where it is too long for an index item: the body has it. */
  readonly selection?: Selection;
  /** What `topicsNamed` gives; absent where it is too long for an index item: the body has it. */
  readonly topics?: readonly string[];
  /** SHA-256 and length of the stored body. */
  readonly sha256: string;
  readonly bytes: number;
  /** Why the last run of prune has kept it; absent before. */
  readonly keptBy?: readonly string[];
  /** When the snapshot may be forgotten, ISO 8601; absent: never. */
  readonly expiresAt?: string;
}

/** The partition that the entries of snapshots are kept in. */
export const snapshotPartition = "snapshot";

/** The sort key of a snapshot's entry: sort keys stand in the order of time and number. */
export function sortKeyOf({ createdAt, number }: SnapshotIdParts): string {
  return `${createdAt}#${String(number).padStart(6, "0")}`;
}

/** The id of the snapshot whose row has a sort key; the key itself where it is that of none. */
export function idAt(sortKey: string): string {
  const [createdAt = "", number] = sortKey.split("#");
  const id = formatSnapshotId({ createdAt, number: Number(number) });
  return parseSnapshotId(id) === undefined ? sortKey : id;
}

/** The key of the entry with a sort key. */
export const keyAt = (sortKey: string): Key => ({ pk: { S: snapshotPartition }, sk: { S: sortKey } });

/** The key of a snapshot's entry; undefined where the text cannot be the id of any snapshot. */
export function entryKey(snapshotId: string): Key | undefined {
  const parts = parseSnapshotId(snapshotId);
  return parts && keyAt(sortKeyOf(parts));
}

/** The attributes that `list` can filter by: those equal to the value that is asked for. */
const filterable = ["status", "schedule", "trigger"] as const;

/** What entries must have to be listed: these values, all of these labels, a hold or none. An absent one is any. */
export type Filters = { readonly [Name in (typeof filterable)[number]]?: string | undefined } & {
  readonly labels?: Labels | undefined;
  readonly held?: boolean | undefined;
};

/** The rest of a request: only filters may have a value. A request that passes on any other field does not compile. */
export type OnlyFilters<T> = { readonly [Name in keyof T]: Name extends keyof Filters ? T[Name] : undefined };

/** The filters of a query, as DynamoDB takes them; entries that are being deleted are never listed. */
export function filterExpression({ labels: wantedLabels = new Map<string, string>(), held, ...wanted }: Filters) {
  const equal = filterable.flatMap((name) => {
    const value = wanted[name];
    return value === undefined ? [] : [{ name, condition: `#${name} = :${name}`, values: [[`:${name}`, value]] }];
  });
  // An item has its labels as JSON text, in which a label stands as it does here and nothing else looks like it: quotes in
  // values are escaped, and keys have none.
  const members = [...wantedLabels].map((label) => encodeJson(new Map([label])).slice(1, -1));
  const labelled = members.map((member, i) => ({
    name: "labels",
    condition: `contains(#labels, :label${i})`,
    values: [[`:label${i}`, member]],
  }));
  const holds = `attribute_${held ? "" : "not_"}exists(#hold)`;
  const set = [...equal, ...labelled, ...(held === undefined ? [] : [{ name: "hold", condition: holds, values: [] }])];
  return {
    FilterExpression: ["attribute_not_exists(deleting)", ...set.map(({ condition }) => condition)].join(" AND "),
    names: Object.fromEntries(set.map(({ name }) => [`#${name}`, name])),
    values: Object.fromEntries(set.flatMap(({ values }) => values.map(([name = "", S = ""]) => [name, { S }]))),
  };
}

/** A stretch of the index, by sort keys: `from` and `to` belong to it, `after` (the last one seen) does not. */
export interface Stretch {
  readonly from: string;
  readonly to: string;
  readonly after?: string;
  readonly filters?: Filters;
  /** How many entries are probably wanted. */
  readonly expect: number;
}

/** Which entries to list; both times are inclusive. */
export interface ListRequest {
  /** At least 1. */
  readonly limit: number;
  /** From the page before, of the same list. */
  readonly nextToken?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly filters?: Filters;
}

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
 * The stretch of the index that a page comes from, with one entry more than the page: it shows whether another follows.
 *
 * @throws InvalidRequest where the times exclude each other, or the token is not of an earlier page of the same list
 */
export function stretchOf({ limit, nextToken, since, until, filters = {} }: ListRequest): Stretch {
  const { from, to } = keysBetween(since, until);
  if (from > to) throw invalid("since", "must not be after until: no snapshot can lie between them.");
  const after = nextToken === undefined ? undefined : decodeToken(nextToken, (id) => entryKey(id)?.sk.S);
  if (after !== undefined && (after < from || after > to)) {
    throw invalid("next_token", "comes from a list with other times: repeat since and until as they were.");
  }
  return { from, to, ...(after !== undefined && { after }), filters, expect: limit + 1 };
}

const selectionText = inText(selection);
const longestSelection = 4_096;
const atRiskText = inText(atRisk);
const labelsText = inText(labels);
const topicsText = inText(list(text));
/** The reasons to keep a snapshot, as its item has them. */
export const keptByText = inText(list(text));
const longestTopics = 8_192;

/** The topics that a snapshot has commits on, and those that could not be observed: it may lack the commits on these. */
export function topicsNamed({ consumerGroups, observed }: Pick<Snapshot, "consumerGroups" | "observed">): string[] {
  const unseen = [...observed.topics].flatMap(([topic, found]) => (found === null ? [topic] : []));
  return [...new Set([...topicsOf(consumerGroups), ...unseen])].sort(compareCodePoints);
}

/** What the entry of a snapshot repeats from its body. */
function repeatedIn(snapshot: Snapshot) {
  const { snapshotId, createdAt, trigger, schedule, atRisk, labels, cluster, selection } = snapshot;
  return {
    snapshotId,
    createdAt,
    description: cap(snapshot.description, 1_024),
    status: statusOf(snapshot),
    trigger,
    ...(schedule && { schedule: cap(schedule.name, 256) }),
    ...(atRisk && { atRisk }),
    ...(labels && { labels }),
    cluster: { name: cap(cluster.name, 256), clusterId: cluster.clusterId && cap(cluster.clusterId, 256) },
    groups: snapshot.consumerGroups.size,
    offsets: countOffsets(snapshot.consumerGroups),
    errors: snapshot.errors.length,
    warnings: snapshot.warnings.length,
    ...(Buffer.byteLength(selectionText.encode(selection)) <= longestSelection && { selection }),
  };
}

/** The hold of a snapshot that was to be held from the first moment. */
export const firstHold = ({ held, createdAt }: Pick<Snapshot, "held" | "createdAt">): Hold | undefined =>
  held && { at: new Date(createdAt).toISOString(), by: null, byProven: false, reason: null };

/** The entry of a snapshot whose body has this checksum and length. It stays small however large the snapshot is. */
export function indexEntryOf(
  snapshot: Snapshot,
  body: { readonly sha256: string; readonly bytes: number },
): SnapshotEntry {
  const topics = topicsNamed(snapshot);
  const hold = firstHold(snapshot);
  return {
    ...repeatedIn(snapshot),
    ...(hold && { hold }),
    ...(Buffer.byteLength(topicsText.encode(topics)) <= longestTopics && { topics }),
    ...body,
  };
}

/** What the index has to say of the hold of a snapshot. */
type HoldState = Pick<SnapshotEntry, "hold" | "holdChange">;

/** The hold of a snapshot after it was held or released. */
export const holdAfter = ({ held, change, at, by, byProven, reason }: HoldChange): HoldState => ({
  ...(held && { hold: { at, by, byProven, reason } }),
  holdChange: change,
});

/** What a row says of the hold, whatever else is wrong with it: a snapshot whose hold cannot be read is held. */
export function holdIn({ hold, hold_change }: Item): HoldState {
  let read: Hold | undefined;
  try {
    read = hold && holdText.decode(hold.S, "hold");
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    read = { at: null, by: null, byProven: false, reason: null };
  }
  return { ...(read && { hold: read }), ...(hold_change?.S !== undefined && { holdChange: hold_change.S }) };
}

/** The entry with this hold, or none, in place of its own. */
export function withHold({ hold: _, holdChange: __, ...entry }: SnapshotEntry, state: HoldState): SnapshotEntry {
  return { ...entry, ...state };
}

/** The last second that a Date knows. */
const LAST_SECOND = 8_640_000_000_000;

/** A time in seconds since 1970, as DynamoDB needs it to forget an item then. */
const secondsSince1970 = converted(
  count,
  (time: string) => Math.ceil(Date.parse(time) / 1_000),
  (seconds, path) => {
    if (seconds > LAST_SECOND) throw new DecodeError(path, `is ${seconds}, no time`);
    return new Date(seconds * 1_000).toISOString();
  },
);

const correctIt =
  "If a newer version wrote it, deploy that version. Otherwise use another snapshot, or restore the item from the table's " +
  "point-in-time recovery. Do not delete the item unless you can do without this snapshot: without it the snapshot cannot be " +
  "used, although its body stays in the bucket.";

/**
 * The items of the index. Decoding throws SnapshotCorrupt that names the item and the first attribute that is missing or
 * wrong.
 */
export const entryItem = itemCodec(
  converted(
    document(
      {
        pk: oneOf([snapshotPartition]),
        sk: nullable(text),
        snapshot_id: text,
        created_at: text,
        description: text,
        status: oneOf(snapshotStatuses),
        trigger: oneOf(triggers),
        schedule: optional(text),
        at_risk: optional(atRiskText),
        labels: optional(labelsText),
        hold: optional(holdText),
        hold_change: optional(text),
        cluster_name: text,
        cluster_id: nullIfAbsent(text),
        groups: count,
        offsets: count,
        errors: count,
        warnings: count,
        selection: optional(selectionText),
        topics: optional(topicsText),
        sha256: text,
        bytes: count,
        kept_by: optional(keptByText),
        expires_at: optional(secondsSince1970),
      },
      "ignored",
    ),
    ({ cluster, ...entry }: SnapshotEntry) => ({
      ...entry,
      pk: snapshotPartition,
      sk: entryKey(entry.snapshotId)?.sk.S ?? null,
      clusterName: cluster.name,
      clusterId: cluster.clusterId,
    }),
    ({ pk, sk, clusterName: name, clusterId, ...entry }): SnapshotEntry => {
      if (entryKey(entry.snapshotId)?.sk.S !== sk || !sk?.startsWith(`${entry.createdAt}#`)) {
        const id = JSON.stringify(entry.snapshotId);
        throw new DecodeError("snapshot_id", `is ${id}, which belongs under another key`);
      }
      return { ...entry, cluster: { name, clusterId } };
    },
  ),
  { Corrupt: SnapshotCorrupt, next: correctIt },
);

/**
 * Compares the entry of a snapshot with its body: lists and `latest` go by what it repeats from there.
 *
 * @param isPart whether only some groups of the body were read: then the numbers of groups and offsets are not compared
 * @throws SnapshotCorrupt that names the first field in which they differ
 */
export function requireAgreement(entry: SnapshotEntry, snapshot: Snapshot, bytes: number, isPart = false): void {
  const absent = { schedule: undefined, atRisk: undefined, labels: undefined };
  const { selection, ...all } = { ...absent, ...repeatedIn(snapshot), bytes };
  const { groups: _, offsets: __, ...others } = all;
  const expected = isPart ? others : all;
  const listed = new Map(Object.entries(entry));
  const shown = (value: unknown) => cut(JSON.stringify(value) ?? "absent", 200);
  for (const [name, stored] of Object.entries({ ...expected, ...(entry.selection && { selection }) })) {
    if (isDeepStrictEqual(listed.get(name), stored)) continue;
    throw new SnapshotCorrupt(
      `the index item of ${entry.snapshotId} does not agree with the snapshot's body: ${name} is ` +
        `${shown(listed.get(name))} in the index, and ${shown(stored)} in the body.`,
      { next: correctIt },
    );
  }
}
