import { always, arn, fields, flag, has, text, whole } from "./fields.ts";

const key = (what: string) =>
  arn("kms", "key/.+", `the ARN of the KMS key that encrypts the ${what} (not of an alias)`);

const existing = fields("an archive that exists", {
  bucket: text(
    /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
    "the name of a bucket in the stack's account and region (not its ARN)",
  ).optional(),
  table: text(
    /^[A-Za-z0-9_.-]{3,255}$/,
    "the name of a table in the stack's account and region (not its ARN)",
  ).optional(),
  /** The key of the bucket, and of the table, if it is not one of AWS. */
  bucket_kms_key_arn: key("bucket").optional(),
  table_kms_key_arn: key("table").optional(),
}).superRefine((it, problems) => {
  const report = (path: PropertyKey[], message: string) => problems.addIssue({ code: "custom", path, message });
  if (!has(it, "bucket") && !has(it, "table"))
    report([], 'must have "bucket" or "table": name what exists; for a new bucket and a new table, remove the field');
  for (const what of ["bucket", "table"])
    if (has(it, `${what}_kms_key_arn`) && !has(it, what))
      report(
        [`${what}_kms_key_arn`],
        `has no effect without ${what}: name the ${what} that the key encrypts, or remove it`,
      );
}, always);

/** Where and how long snapshots are stored. */
export const archive = fields("the archive settings", {
  bucket_prefix: text(
    /^([A-Za-z0-9!_.'()-]+\/)*$/,
    'the prefix of every key in the bucket: empty, or ending in "/"',
  ).default(""),
  /** How long a deleted body can be recovered from the versioned bucket. */
  noncurrent_days: whole(1, 3650, "the number of days that deleted bodies can be recovered").optional(),
  /** How long no version of an object can be deleted for good, for whom may not bypass that (S3 Object Lock). */
  object_lock_days: whole(1, 36_500, "the number of days that S3 locks each version of an object").optional(),
  /** Better set after the first deployment: if that one fails, CloudFormation cannot remove a table that is protected. */
  deletion_protection: flag("whether the table cannot be deleted, by anybody, before this is false again", false),
  /** A bucket, a table or both that this stack did not create: it sets nothing of them, and never deletes them. */
  existing: existing.optional(),
})
  .superRefine((it, problems) => {
    const report = (path: PropertyKey[], message: string) => problems.addIssue({ code: "custom", path, message });
    if (has(it?.existing, "bucket") && has(it, "noncurrent_days"))
      report(
        ["noncurrent_days"],
        "has no effect on a bucket that exists: set its lifecycle rule yourself, and remove this field",
      );
    if (has(it?.existing, "bucket") && has(it, "object_lock_days"))
      report(
        ["object_lock_days"],
        "has no effect on a bucket that exists: set its Object Lock yourself (aws s3api put-object-lock-configuration), and remove this field",
      );
    if (has(it?.existing, "table") && it?.deletion_protection === true)
      report(
        ["deletion_protection"],
        "has no effect on a table that exists: protect it yourself, and remove this field",
      );
  }, always)
  .transform(({ noncurrent_days = 30, ...settings }) => ({ ...settings, noncurrent_days }));
