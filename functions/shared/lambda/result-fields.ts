import * as z from "zod/mini";
import type { Json } from "../core/json/json.ts";
import { snapshotStatuses, triggers } from "../core/model.ts";
import { blockerKinds } from "../core/rollback/blockers.ts";
import { mismatchKinds } from "../core/verify.ts";
import { described, optional } from "./documentation.ts";

/**
 * The fields of results. Handlers take only types from here: schemas of results are for the API documents and the clients,
 * and no Lambda bundle has them: see `resultObject`.
 */

/**
 * A result as a handler returns it: objects with keys from outside are maps, and every field is there, optional ones as
 * `undefined`: a field that a handler forgets does not compile.
 */
export type Encoded<T> = unknown extends T
  ? Json | undefined
  : T extends string | number | bigint | boolean | null | undefined
    ? T
    : T extends readonly (infer Entry)[]
      ? readonly Encoded<Entry>[]
      : string extends keyof T
        ? ReadonlyMap<string, Encoded<T[string & keyof T]>>
        : { readonly [Key in keyof T]-?: Encoded<T[Key]> };

/** A 64-bit integer, exact in JSON. Read with `parseJson` and this schema, it is a `bigint`. */
export const int64 = z
  .pipe(
    z.union([z.int(), z.bigint()]),
    z.transform((value) => BigInt(value)),
  )
  .check(z.meta({ type: "integer", format: "int64" })); // what JSON Schema says of it

/** A number of things. */
export const count = z.int();

/** Present as `true`, or absent. */
export const mark = z.optional(z.literal(true));

/** What may be unknown. */
export const textOrNull = z.nullable(z.string());
export const int64OrNull = z.nullable(int64);

/** An object whose keys are names from outside. */
export const byName = <T extends z.ZodMiniType>(entry: T) => z.record(z.string(), entry);

/** Values by group and topic-partition: `{"g": {"partitions": {"orders-0": …}}}`. */
export const byPartition = <T extends z.ZodMiniType>(entry: T) => byName(z.strictObject({ partitions: byName(entry) }));

/** A partition's commit; null is no commit. */
export const commit = z.nullable(
  z.strictObject({ offset: int64, metadata: z.string(), leader_epoch: z.optional(z.int()) }),
);
/** A partition's commit before and after, and the one that the snapshot has where `to` is another. */
export const targets = { from: commit, to: commit, asked: z.optional(commit) };
export const place = { group: z.string(), topic: z.string(), partition: z.int() };

/** The differences between expected and live commits. */
export const mismatches = z.array(
  z.strictObject({ ...place, kind: z.enum(mismatchKinds), expected: commit, actual: commit }),
);

/** Reasons not to roll back. */
export const blockers = z.array(
  z.strictObject({
    kind: z.enum(blockerKinds),
    group: z.string(),
    topic: z.optional(z.string()),
    partition: z.optional(z.int()),
    expected: z.optional(z.unknown()),
    actual: z.optional(z.unknown()),
    message: z.string(),
  }),
);

export const sentences = z.array(z.string());
export const comparisonWarnings = described(sentences, "What was not compared, in sentences.");

export const snapshotId = described(z.string(), "The id of the snapshot.");
export const description = described(z.string(), "What its caller wrote.");
export const trigger = described(z.enum(triggers), "What it was taken by.");
export const safetySnapshotId = described(
  textOrNull,
  "The snapshot of the state before the first commit; null where nothing had to be committed.",
);

export const requestedBy = described(
  textOrNull,
  "Who asked: over HTTP the caller's IAM ARN, in a direct invocation what the request claims.",
);
export const caller = described(
  z.strictObject({ arn: textOrNull, proven: z.boolean() }),
  "The caller's IAM ARN as API Gateway has established it; null, and not proven, in a direct invocation.",
);

/** What a snapshot was imported from. */
export const importSource = z.strictObject({
  name: textOrNull,
  format: z.string(),
  sha256: z.string(),
  snapshot_id: textOrNull,
  created_at: textOrNull,
  cluster_id: textOrNull,
});

/** What is said of a snapshot wherever it is shown. */
export const aboutSnapshot = {
  snapshot_id: snapshotId,
  created_at: described(z.string(), "When it was taken."),
  description,
  status: described(
    z.enum(snapshotStatuses),
    "`complete`: every selected group is in it; `partial`: those that could not be captured are not.",
  ),
};

export const sizeOfSnapshot = {
  groups: described(count, "How many groups it has."),
  offsets: described(count, "How many committed offsets it has."),
};

/** Of how many saved offsets the records are deleted, or will be soon. */
export const atRisk = optional(
  z.strictObject({ partitions: count, groups: count, unknown: count }),
  "How many partitions of how many groups have a saved offset that is below the log start, or will be within the configured " +
    "hours at the present rate; and of how many partitions that is not known. Absent where it was not measured: only " +
    "scheduled snapshots have it.",
);

/** What was said of a snapshot beside what it captured. */
export const marksOfSnapshot = {
  labels: optional(byName(z.string()), "Its labels. Absent without any."),
  held: described(mark, "True where it is held now: it cannot be deleted. Absent otherwise."),
};

export const problemsOfSnapshot = {
  errors: described(
    z.array(z.strictObject({ group: z.string(), error: z.string(), message: z.string() })),
    "The groups that could not be captured, and why.",
  ),
  unlisted: optional(
    z.strictObject({ offsets_partitions: z.array(z.int()), message: z.string() }),
    "The partitions of `__consumer_offsets` whose groups could not be listed, and why. Absent where all could.",
  ),
  warnings: described(sentences, "What may be missing or unknown, in sentences."),
};
