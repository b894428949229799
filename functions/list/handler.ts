import * as z from "zod/mini";
import { archiveSettings } from "../shared/lambda/config.ts";
import { operation } from "../shared/lambda/operation.ts";
import { pageSize, pageToken, time } from "../shared/lambda/request-fields.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a list request may say. Times are inclusive. */
export const request = z.strictObject({
  limit: z._default(pageSize, 50),
  next_token: z.optional(pageToken),
  since: z.optional(time),
  until: z.optional(time),
  status: z.optional(z.enum(["complete", "partial"])),
});

/** Lists snapshots, newest first. */
export const handler = operation({
  name: "list",
  request,
  storeResult: (text, deadline) => createArchive(archiveSettings()).storeResult(text, deadline),
  async run({ limit, next_token: nextToken, since, until, status }, { deadline }) {
    const page = await createArchive(archiveSettings()).list({ limit, nextToken, since, until, status }, deadline);
    return {
      snapshots: page.entries.map((entry) => ({
        snapshot_id: entry.snapshotId,
        created_at: entry.createdAt,
        description: entry.description,
        status: entry.status,
        groups: entry.groups,
        offsets: entry.offsets,
        trigger: entry.trigger,
        expires_at: entry.expiresAt,
      })),
      next_token: page.nextToken,
    };
  },
});
