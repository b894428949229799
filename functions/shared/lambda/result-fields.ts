import * as z from "zod/mini";
import type { Json } from "../core/json/json.ts";
import { snapshotStatuses, triggers } from "../core/model.ts";
import { blockerKinds } from "../core/rollback/blockers.ts";
import { mismatchKinds } from "../core/verify.ts";

/**
 * The fields of results. Handlers take only types from here: schemas of results are for the API documents and the clients,
 * and no Lambda bundle has them: see `unbundled`.
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

/** An object whose keys are names from outside. */
export const byName = <T extends z.ZodMiniType>(entry: T) => z.record(z.string(), entry);

/** Values by group and topic-partition: `{"g": {"partitions": {"orders-0": …}}}`. */
export const byPartition = <T extends z.ZodMiniType>(entry: T) => byName(z.strictObject({ partitions: byName(entry) }));

/** A partition's commit; null is no commit. */
export const commit = z.nullable(
  z.strictObject({ offset: int64, metadata: z.string(), leader_epoch: z.optional(z.int()) }),
);

export const warnings = z.array(z.string());

export const snapshotStatus = z.enum(snapshotStatuses);
export const trigger = z.enum(triggers);

/** The groups that a snapshot could not capture. */
export const captureErrors = z.array(z.strictObject({ group: z.string(), error: z.string(), message: z.string() }));

/** A reason not to roll back. */
export const blocker = z.strictObject({
  kind: z.enum(blockerKinds),
  group: z.string(),
  topic: z.optional(z.string()),
  partition: z.optional(z.int()),
  expected: z.optional(z.unknown()),
  actual: z.optional(z.unknown()),
  message: z.string(),
});

/** The differences between expected and live commits. */
export const mismatches = z.array(
  z.strictObject({
    group: z.string(),
    topic: z.string(),
    partition: z.int(),
    kind: z.enum(mismatchKinds),
    expected: commit,
    actual: commit,
  }),
);

/** A request's groups or topics as the snapshot document has them. */
const selector = z.union([z.string(), z.strictObject({ name: z.string() })]);
export const selection = z.strictObject({ groups: z.array(selector), exclude: z.array(selector) });
