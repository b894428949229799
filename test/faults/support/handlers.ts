import { handler as remove } from "../../../functions/delete/handler.ts";
import { handler as diff } from "../../../functions/diff/handler.ts";
import { handler as hold } from "../../../functions/hold/handler.ts";
import { handler as list } from "../../../functions/list/handler.ts";
import { handler as rollback } from "../../../functions/rollback/handler.ts";
import { handler as rollbacks } from "../../../functions/rollbacks/handler.ts";
import { OperationError } from "../../../functions/shared/core/errors.ts";
import { encodeJson, type Json } from "../../../functions/shared/core/json/json.ts";
import { handler as show } from "../../../functions/show/handler.ts";
import { handler as snapshot } from "../../../functions/snapshot/handler.ts";
import { handler as verify } from "../../../functions/verify/handler.ts";
import { apiContext, context } from "../../support/events.ts";

const handlers = { snapshot, list, show, diff, rollback, rollbacks, verify, delete: remove, hold };

/** The operations. */
export type Verb = keyof typeof handlers;

/** Whether a value is the name of an operation. */
export const isVerb = (text: unknown): text is Verb => typeof text === "string" && text in handlers;

/** An event of the API comes through the alias. */
const contextOf = (event: unknown) =>
  typeof event === "object" && event !== null && "httpMethod" in event ? apiContext : context;

/**
 * Runs a handler in this process with this much remaining time. Its settings come from the environment. Returns its answer as
 * JSON text: `{"result"}`, or `{"error": {"name", "message", "details"}}`.
 */
export async function run(verb: Verb, event: unknown, remainingMs: number): Promise<string> {
  try {
    return JSON.stringify({ result: await handlers[verb](event, contextOf(event)(remainingMs)) });
  } catch (thrown) {
    const error: Json =
      thrown instanceof OperationError
        ? { name: thrown.name, message: thrown.message, details: thrown.details }
        : { name: "unknown", message: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
    return encodeJson({ error });
  }
}
