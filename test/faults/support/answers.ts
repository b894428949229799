import * as z from "zod";
import { rollbackResult } from "../../../functions/rollback/schema.ts";
import { parseJson } from "../../../functions/shared/core/json/json.ts";

// The groups of these tests never had members, and every rollback warns of that. The model predicts this warning.
const result = z.pipe(
  rollbackResult,
  z.transform(({ warnings, ...others }: z.output<typeof rollbackResult>) => ({
    ...others,
    warnings: warnings.filter((warning) => !warning.includes("never had members")),
  })),
);

/** The result of a rollback, with its offsets as `bigint`. */
export type RollbackResult = z.output<typeof result>;

const failure = z.object({ name: z.string(), message: z.string(), details: z.unknown().optional() });

/** The body of an HTTP error. */
const httpFailure = z
  .object({ error: z.string(), message: z.string(), details: z.unknown().optional() })
  .transform(({ error, message, details }) => ({ name: error, message, details }));

const answer = z.union([z.object({ result: z.looseObject({}) }), z.object({ error: failure })]);

/** The answer of an invocation: a result, or an error with its details. Integers beyond 2^53 are `bigint`. */
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

/** The answer of a rollback: its result, its error, or both if it is incomplete. */
export interface RollbackAnswer {
  readonly result?: RollbackResult;
  readonly error?: z.output<typeof failure>;
}

/** Reads the answer to a rollback. */
export function readRollbackAnswer({ result: success, error }: Answer): RollbackAnswer {
  if (error === undefined) return { result: result.parse(success) };
  const incomplete = error.name === "RollbackIncomplete" && "groups" in Object(error.details);
  return incomplete ? { result: result.parse(error.details), error } : { error };
}

/** The result of a rollback, which must exist. */
export const resultOf = ({ result, error }: RollbackAnswer): RollbackResult => {
  if (result === undefined) throw new Error(`the rollback has no result: ${error?.message}`);
  return result;
};
