import type * as z from "zod/mini";
import { OperationError } from "./core/errors.ts";
import { encodeJson } from "./core/json/json.ts";
import { withoutLarge } from "./core/json/without-large.ts";
import { type KafkaSettings, settings, storageSettings } from "./lambda/config.ts";
import { type HandlerDefinition, type Invocation, type Later, lambdaHandler, type Result } from "./lambda/handler.ts";
import type { Caller } from "./storage/items.ts";
import { createStorage, type Storage } from "./storage/storage.ts";

/** Lambda answers with at most 6 MB; API Gateway wraps the body once more. */
const LARGEST_RESULT = 5_000_000;
/** Fields of a result that is too large stay in the answer up to this size. */
const LARGEST_FIELD = 100_000;
/** The same for a summary: all fields of a result together are below the 256 kB that Step Functions accepts. */
const LARGEST_SUMMARY_FIELD = 16_000;

/** What an operation works with. */
export interface Work extends Invocation {
  readonly storage: Storage;
}

/** What an operation works with that reads or writes Kafka. */
export interface KafkaWork extends Work {
  readonly kafka: KafkaSettings;
}

/** Who asks, as it is recorded with a change: over HTTP the proven ARN, otherwise what the request says of its sender. */
export const callerOf = (
  { caller, requestId }: Pick<Invocation, "caller" | "requestId">,
  claimed: string | undefined,
): Caller => ({ requestedBy: caller ?? claimed ?? null, callerArn: caller, requestId });

/** What makes an operation a Lambda function. */
interface Definition<S extends z.ZodMiniType, W> extends Omit<HandlerDefinition<S>, "run" | "shorten" | "later"> {
  /** Whether it changes something, so that it must be answered even if its result cannot be stored. */
  readonly hasEffects?: boolean;
  /** What a summary of a result, or of an error's details, is made from: by default these themselves. */
  forSummary?(result: Result): Result;
  readonly later?: Omit<Later, "refused"> & {
    refused(carried: unknown, error: OperationError, work: W): Promise<void>;
  };
  run(request: z.output<S>, work: W): Promise<Result>;
}

/**
 * Makes an operation that does not need Kafka a Lambda handler, see `lambdaHandler`. A result over 5 MB is stored, and
 * answered as its small fields with `result_url`. A request with `"detail": "summary"` is answered without what is large.
 */
export const operation = <S extends z.ZodMiniType>(definition: Definition<S, Work>) =>
  compose(definition, () => ({ storage: createStorage(storageSettings()) }));

/** The same for an operation that reads or writes Kafka. */
export const kafkaOperation = <S extends z.ZodMiniType>(definition: Definition<S, KafkaWork>) =>
  compose(definition, () => {
    const { storage, kafka } = settings();
    return { storage: createStorage(storage), kafka };
  });

/** @param open what the operation works with beside its invocation; throws Configuration with every problem at once */
export function compose<S extends z.ZodMiniType, More extends { readonly storage: Pick<Storage, "storeResult"> }>(
  { run, hasEffects = false, forSummary = (result) => result, later, ...definition }: Definition<S, Invocation & More>,
  open: () => More,
) {
  return lambdaHandler({
    ...definition,
    ...(later && {
      later: {
        ...later,
        refused: (carried, error, invocation) => later.refused(carried, error, { ...invocation, ...open() }),
      },
    }),
    async run(request, invocation) {
      const more = open();
      const asked = (result: Result) => (wantsSummary(request) ? summaryOf(forSummary(result)) : result);
      try {
        const result = asked(await run(request, { ...invocation, ...more }));
        return await bounded(result, invocation, () => more.storage, hasEffects);
      } catch (error) {
        if (error instanceof OperationError) error.changeDetails(asked);
        throw error;
      }
    },
    // An answer that says what happened is more important than its details.
    shorten: async (details, invocation) => bounded(details, invocation, () => open().storage, true),
  });
}

/** Whether a request asks for a summary. Only some operations have the field. */
const wantsSummary = (request: unknown) =>
  typeof request === "object" && request !== null && "detail" in request && request.detail === "summary";

function summaryOf(result: Result): Result {
  const { small, omitted } = withoutLarge(result, LARGEST_SUMMARY_FIELD, true);
  return { ...small, omitted };
}

/**
 * The result itself if it fits into an answer. Else it is stored, and the answer is its small fields, a link, and the
 * number of entries of each field that was left out, so that those do not look empty. The size that counts is that of the
 * answer: the body of an HTTP call is a string, with its quotes escaped. Of a result with a `content` of its own
 * `content_type`, the link gives that content.
 */
async function bounded(
  result: Result,
  { deadline, trigger, log }: Invocation,
  storage: () => Pick<Storage, "storeResult">,
  mustAnswer: boolean,
): Promise<Result> {
  const text = encodeJson(result);
  const size = Buffer.byteLength(trigger === "api" ? JSON.stringify(text) : text);
  if (size <= LARGEST_RESULT) return result;
  const { content, ...rest } = result;
  const isFile = typeof content === "string" && typeof rest.content_type === "string";
  const { small, omitted } = withoutLarge(isFile ? rest : result, LARGEST_FIELD, false);
  const summary = isFile && omitted.size === 0 ? small : { ...small, omitted };
  const whole = isFile ? { text: content, type: String(rest.content_type) } : { text, type: "application/json" };
  try {
    const { url, expiresInSeconds } = await storage().storeResult(whole.text, whole.type, deadline);
    return { ...summary, result_url: url, expires_in_seconds: expiresInSeconds };
  } catch (error) {
    if (!mustAnswer) throw error;
    log.error("a result that is too large for an answer could not be stored", { cause: String(error) });
    return { ...summary, result_error: error instanceof Error ? error.message : String(error) };
  }
}
