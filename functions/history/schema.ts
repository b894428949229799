import * as z from "zod/mini";
import { eventKinds } from "../shared/core/history/events.ts";
import { groupStatuses, partitionStatuses } from "../shared/core/history/status.ts";
import { described, optional, type Route, resultObject } from "../shared/lambda/documentation.ts";
import { restriction, selectors, time } from "../shared/lambda/request-fields.ts";
import * as fields from "../shared/lambda/result-fields.ts";
import { byName, commit, int64OrNull, mark } from "../shared/lambda/result-fields.ts";

/** How many snapshots are read at most: the newest. */
const MAX_SNAPSHOTS = 1_000;

export const request = z.strictObject({
  groups: described(selectors, "The groups: names, or patterns with `*` and `?`. At least one."),
  topics: restriction.topics,
  since: optional(time, "Only snapshots taken at this time or later."),
  until: optional(time, "Only snapshots taken at this time or earlier."),
  limit: described(
    z._default(z.int().check(z.minimum(1), z.maximum(MAX_SNAPSHOTS)), MAX_SNAPSHOTS),
    "How many snapshots are read at most: the newest of the range.",
  ),
});

const point = () =>
  described(
    z.tuple([fields.count, fields.int64, int64OrNull]),
    "`[i, offset, log_end_offset]`: `i` is the index in `snapshots`.",
  );

const event = () =>
  z.strictObject({
    kind: described(z.enum(eventKinds), "What happened."),
    after: described(fields.textOrNull, "The time of the last snapshot before; null: before the first of the range."),
    before: described(z.string(), "The time of the first snapshot after."),
    from: described(commit, "The commit in the snapshot before; null is none."),
    to: described(commit, "The commit in the snapshot after; null is none."),
    rollback_id: optional(z.string(), "The rollback that did it."),
    unexplained: described(mark, "The commit was moved, and no rollback of the journal did that."),
  });

const partition = () =>
  z.strictObject({
    points: described(z.array(point()), "The snapshots in which there is a commit, oldest first."),
    per_second: described(
      z.nullable(z.number()),
      "By how many offsets a second the commit advanced on average; null without two points.",
    ),
    lag: described(int64OrNull, "Offsets after the commit at the last point; null is unknown."),
    lag_seconds: described(
      z.nullable(z.number()),
      "How long the record at the commit had been in the log at the last point: interpolated; null is unknown.",
    ),
    lag_seconds_error: described(z.nullable(z.number()), "By how much `lag_seconds` can be wrong, up or down."),
    lag_seconds_at_least: optional(
      z.number(),
      "Where `lag_seconds` is unknown because that record is older than all points.",
    ),
    status: described(z.enum(partitionStatuses), "By Burrow's rules, over the last ten points."),
    events: described(z.array(event()), "What happened, oldest first."),
  });

const group = () =>
  z.strictObject({
    status: described(
      z.enum(groupStatuses),
      "By Burrow's rules: `ERR` where a partition is rewound, stopped or stalled; `NOTFOUND`: no commits any more.",
    ),
    partitions: described(byName(partition()), "By topic-partition."),
  });

export const result = /* @__PURE__ */ resultObject(() => ({
  snapshots: described(
    z.array(z.strictObject({ snapshot_id: fields.snapshotId, created_at: fields.aboutSnapshot.created_at })),
    "The snapshots that show at least one of the groups, oldest first. Points count them from 0.",
  ),
  groups: described(byName(group()), "The history of each group."),
  rollbacks: optional(
    z.array(z.strictObject({ rollback_id: z.string(), requested_by: fields.requestedBy, caller: fields.caller })),
    "Who asked for the rollbacks that events name, newest first; absent where they name none.",
  ),
  warnings: described(fields.sentences, "Which snapshots were left out, and what is not known, in sentences."),
}));
export type HistoryResult = z.output<typeof result>;

export const summary =
  "Shows where groups stood over the snapshots: commits, lag, rate, and what happened to them between two.";
export const routes: readonly Route[] = [{ method: "GET", path: "/groups/{group}/history" }];
