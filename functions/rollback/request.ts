import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { encodeJson, type Json } from "../shared/core/json/json.ts";
import type { Policy } from "../shared/core/rollback/plan.ts";
import type { Selector } from "../shared/core/selectors.ts";
import {
  description,
  groupMap,
  requestedBy,
  rollbackId,
  selectors,
  snapshotRef,
  topicSelectors,
} from "../shared/lambda/request-fields.ts";

/** What an unfinished rollback has in its journal, so that nobody may say it once more. */
const fromJournal = [
  "groups",
  "topics",
  "exact",
  "out_of_range",
  "plan_digest",
  "rollback_id",
  "group_map",
  "description",
] as const;

/** What a rollback request may say. */
export const request = z
  .strictObject({
    snapshot_id: z.optional(snapshotRef),
    resume: z.optional(rollbackId),
    groups: z.optional(selectors),
    topics: z.optional(topicSelectors),
    dry_run: z._default(z.boolean(), false),
    verify: z._default(z.boolean(), true),
    exact: z.optional(z.boolean()),
    out_of_range: z.optional(z.enum(["refuse", "clamp", "skip"])),
    skip_blocked: z._default(z.boolean(), false),
    plan_digest: z.optional(
      z
        .string()
        .check(z.regex(/^[0-9a-f]{64}$/, { error: "must be the plan_digest of a dry run: 64 hexadecimal digits" })),
    ),
    wait_for_empty_seconds: z._default(z.int().check(z.minimum(0), z.maximum(840)), 0),
    rollback_id: z.optional(rollbackId),
    group_map: z.optional(groupMap),
    requested_by: z.optional(requestedBy),
    description: z.optional(description),
  })
  .check(
    z.superRefine((wanted, context) => {
      const problem = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
      if (wanted.resume !== undefined) {
        if (wanted.snapshot_id === "latest" || typeof wanted.snapshot_id === "object") {
          problem("snapshot_id", "comes from the journal when a rollback is resumed: leave it out, or repeat its id");
        }
        for (const field of fromJournal) {
          if (wanted[field] !== undefined)
            problem(field, "comes from the journal when a rollback is resumed: leave it out");
        }
        return;
      }
      if (wanted.snapshot_id === undefined) {
        problem("snapshot_id", "is missing: the snapshot to roll back to, or resume with the id of a rollback");
        return;
      }
      const named = wanted.groups !== undefined || wanted.group_map !== undefined;
      if (named || (typeof wanted.snapshot_id === "string" && wanted.snapshot_id !== "latest")) return;
      problem(
        "snapshot_id",
        "must be an id when no groups are named: rolling back all groups to whatever is newest is too easy to regret",
      );
    }),
  );

/** A rollback request, read. */
export type Request = z.output<typeof request>;

/** The groups that a request names: those of the map where only that does. */
export function groupsOf({ groups, group_map }: Request): readonly Selector[] | undefined {
  return groups ?? (group_map && [...group_map.keys()].map((name) => ({ name })));
}

/** What a request wants done about what is in the way. */
export function policyOf(wanted: Request): Policy {
  return {
    exact: wanted.exact ?? false,
    outOfRange: wanted.out_of_range ?? "refuse",
    skipBlocked: wanted.skip_blocked,
  };
}

/** What a request asks for, without what does not change it: who asks, how it is answered, how long it waits. */
export function requestDocument(wanted: Request) {
  const { snapshot_id } = wanted;
  return {
    snapshot_id: typeof snapshot_id === "object" ? { at: snapshot_id.at.toISOString() } : snapshot_id,
    groups: wanted.groups,
    topics: wanted.topics,
    exact: wanted.exact ?? false,
    out_of_range: wanted.out_of_range ?? "refuse",
    skip_blocked: wanted.skip_blocked,
    plan_digest: wanted.plan_digest,
    rollback_id: wanted.rollback_id,
    group_map: wanted.group_map,
  } satisfies Json;
}

/** The same for two requests that ask for the same. */
export function fingerprintOf(wanted: Request): string {
  return createHash("sha256")
    .update(encodeJson(requestDocument(wanted)))
    .digest("hex");
}
