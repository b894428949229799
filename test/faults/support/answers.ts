import * as z from "zod";
import { parseJson } from "../../../functions/shared/core/json/json.ts";

const commit = z
  .strictObject({
    offset: z.union([z.number(), z.bigint()]).transform(BigInt),
    metadata: z.string(),
    leader_epoch: z.number().optional(),
  })
  .nullable();

const result = z.object({
  rollback_id: z.string(),
  status: z.enum(["success", "partial_success", "failed"]),
  snapshot_id: z.string(),
  safety_snapshot_id: z.string().nullable(),
  groups_rolled_back: z.number(),
  groups_failed: z.number(),
  groups_skipped: z.number(),
  offsets_restored: z.number(),
  offsets_deleted: z.number(),
  groups: z.record(
    z.string(),
    z.object({
      status: z.enum(["success", "partial_success", "failed", "skipped"]),
      partitions: z.record(
        z.string(),
        z.object({
          outcome: z.enum(["restored", "unchanged", "deleted", "moved_since", "failed", "not_attempted", "skipped"]),
          from: commit,
          to: commit,
          actual: commit.optional(),
        }),
      ),
      error: z.string().optional(),
    }),
  ),
  extra: z.array(z.unknown()),
  // The groups of these tests never have members, which every rollback of them says: the model predicts it.
  warnings: z.array(z.string()).transform((all) => all.filter((warning) => !warning.includes("never had members"))),
  duration_ms: z.number(),
  repeated: z.boolean().optional(),
  resumed: z.boolean().optional(),
});

/** The result of a rollback, as contract.md has it; anything else does not parse. */
export type RollbackResult = z.output<typeof result>;

const failure = z.object({ name: z.string(), message: z.string(), details: z.unknown().optional() });

/** The body of an HTTP answer that is an error. */
const httpFailure = z
  .object({ error: z.string(), message: z.string(), details: z.unknown().optional() })
  .transform(({ error, message, details }) => ({ name: error, message, details }));

const answer = z.union([z.object({ result: z.looseObject({}) }), z.object({ error: failure })]);

/** What an invocation answered: a result, or an error with its details. Integers beyond 2^53 are bigint. */
export interface Answer {
  readonly result?: unknown;
  readonly error?: z.output<typeof failure>;
}

/** Reads the text of an answer. */
export const readAnswer = (text: string): Answer => answer.parse(parseJson(text));

/** Reads the answer to an event of the REST API. */
export function readHttpAnswer({ result }: Answer): Answer {
  const { statusCode, body } = z.object({ statusCode: z.number(), body: z.string() }).parse(result);
  const document = parseJson(body);
  return statusCode < 300 ? { result: document } : { error: httpFailure.parse(document) };
}

/** What became of a rollback: its result, of an incomplete one too, or the error of one that has none. */
export interface Rolled {
  readonly result?: RollbackResult;
  readonly error?: z.output<typeof failure>;
}

/** Reads the answer to a rollback. */
export function readRolled({ result: success, error }: Answer): Rolled {
  if (error === undefined) return { result: result.parse(success) };
  const incomplete = error.name === "RollbackIncomplete" && "groups" in Object(error.details);
  return incomplete ? { result: result.parse(error.details), error } : { error };
}
