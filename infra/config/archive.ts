import { always, fields, has, text, whole } from "./fields.ts";

const existing = fields("an archive that exists", {
  bucket: text(
    /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    "the name of a bucket in the stack's account and region (not its ARN)",
  ).optional(),
  table: text(
    /^[A-Za-z0-9_.-]{3,255}$/,
    "the name of a table in the stack's account and region (not its ARN)",
  ).optional(),
}).refine((it) => has(it, "bucket") || has(it, "table"), {
  error: 'must have "bucket" or "table": name what exists; for a new bucket and a new table, remove the field',
  ...always,
});

/** Where and how long snapshots are stored. */
export const archive = fields("the archive settings", {
  bucket_prefix: text(
    /^([A-Za-z0-9!_.'()-]+\/)*$/,
    'the prefix of every key in the bucket: empty, or ending in "/"',
  ).default(""),
  /** How long a deleted body can be recovered from the versioned bucket. */
  noncurrent_days: whole(1, 3650, "the number of days that deleted bodies can be recovered").optional(),
  /** A bucket, a table or both that this stack did not create: it sets nothing of them, and never deletes them. */
  existing: existing.optional(),
})
  .superRefine((it, problems) => {
    if (!has(it?.existing, "bucket") || !has(it, "noncurrent_days")) return;
    const message = "has no effect on a bucket that exists: set its lifecycle rule yourself, and remove this field";
    problems.addIssue({ code: "custom", path: ["noncurrent_days"], message });
  }, always)
  .transform(({ noncurrent_days = 30, ...settings }) => ({ ...settings, noncurrent_days }));
