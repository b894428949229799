import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import middy from "@middy/core";
import type { Context } from "aws-lambda";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { type Deadline, deadlineExceeded } from "../core/deadline.ts";
import { type Details, InvalidRequest } from "../core/errors.ts";
import { encodeJson, type Json, toSerializable } from "../core/json/json.ts";
import { count } from "../core/text.ts";
import { httpError, httpResult, isHttpEvent, requestOf, toOperationError } from "./http.ts";

/** Zod's own messages, for all schemas of the process: in one language, where zod brings fifty. */
z.config(en());

/** API Gateway gives up after 29 s: an answer must be on its way before that. */
const HTTP_TIME_MS = 27_000;
/** What an invocation keeps for its answer, before Lambda kills it. */
const ANSWER_TIME_MS = 1_500;
/** How long an operation may overrun its deadline before it is answered for. */
const GRACE_MS = 1_000;
/** Lambda answers with at most 6 MB; API Gateway wraps the body once more. */
const LARGEST_RESULT = 5_000_000;
/** Of a result that is too large, fields up to this size stay in the summary. */
const LARGEST_SUMMARY_FIELD = 100_000;

/** The surroundings of one invocation. */
export interface Invocation {
  readonly deadline: Deadline;
  readonly trigger: "invoke" | "api";
  /** The IAM ARN of the caller over HTTP; null in a direct invocation, which Lambda does not tell. */
  readonly caller: string | null;
  readonly requestId: string;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
}

/** The result of an operation: an object in snake_case, in the order in which it is to be written. */
export type Result = Details;

/** What makes an operation a Lambda function. */
export interface OperationDefinition<S extends z.ZodMiniType> {
  /** For the logs. */
  readonly name: string;
  /** The request's schema: strict, so that unknown fields are refused by name. */
  readonly request: S;
  /** What the snapshot of an HTTP path is called in the request; `snapshot_id` unless given. */
  readonly snapshotField?: string;
  /** Whether the operation changes something, so that it must be answered even if its result cannot be stored. */
  readonly hasEffects?: boolean;
  /** Keeps a result that is too large for an answer, and gives a link to it. */
  storeResult(text: string, deadline: Deadline): Promise<{ url: string; expiresInSeconds: number }>;
  run(request: z.output<S>, invocation: Invocation): Promise<Result>;
}

/** Parses a request; every problem is named with its field. */
export function parseRequest<S extends z.ZodMiniType>(schema: S, request: unknown): z.output<S> {
  const parsed = schema.safeParse(request ?? {});
  if (parsed.success) return parsed.data;
  const known = schema instanceof z.ZodMiniObject ? ` (there are ${Object.keys(schema.shape).join(", ")})` : "";
  const problems = parsed.error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
    const field = path.replace(/^\./, "");
    if (issue.code === "unrecognized_keys") {
      const hint = field === "" ? known : "";
      return issue.keys.map((key) => `${field && `${field}: `}unknown field ${JSON.stringify(key)}${hint}`);
    }
    return [`${field || "the request"}: ${issue.message.replace(/^Invalid input: /, "")}`];
  });
  throw new InvalidRequest(`${count(problems.length, "problem")}: ${problems.join("; ")}.`, { details: { problems } });
}

function startDeadline(context: Context, http: boolean): Deadline & { stop(): void } {
  const allowed = context.getRemainingTimeInMillis() - ANSWER_TIME_MS;
  const end = performance.now() + Math.max(0, http ? Math.min(allowed, HTTP_TIME_MS) : allowed);
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), Math.max(0, end - performance.now()));
  return {
    signal: controller.signal,
    remainingMs: () => Math.max(0, end - performance.now()),
    stop: () => clearTimeout(timer),
  };
}

/** Fails when an operation goes on after its deadline: an answer that says so is better than none. */
async function within<T>(work: Promise<T>, deadline: Deadline, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const overrun = new Promise<never>((_, reject) => {
    const fail = () => reject(deadlineExceeded(doing));
    deadline.signal.addEventListener("abort", () => {
      timer = setTimeout(fail, GRACE_MS);
    });
  });
  try {
    return await Promise.race([work, overrun]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The result as it is if it fits into an answer; else stored, and answered as its small fields, with a link and with the
 * number of entries of each field that was left out, so that nobody takes those for empty. The size that
 * counts is that of the answer, in which the body of an HTTP call is a string, with its quotes escaped.
 */
async function bounded<S extends z.ZodMiniType>(
  { storeResult, hasEffects = false }: OperationDefinition<S>,
  result: Result,
  { deadline, trigger, log }: Invocation,
): Promise<Result> {
  const text = encodeJson(result);
  const size = Buffer.byteLength(trigger === "api" ? JSON.stringify(text) : text);
  if (size <= LARGEST_RESULT) return result;
  const small: [string, Json | undefined][] = [];
  const omitted: [string, number][] = [];
  for (const [name, value] of Object.entries(result)) {
    const large = value !== undefined && Buffer.byteLength(encodeJson(value)) > LARGEST_SUMMARY_FIELD;
    if (large) omitted.push([name, entriesIn(value)]);
    else small.push([name, value]);
  }
  const summary = { ...Object.fromEntries(small), omitted: Object.fromEntries(omitted) };
  try {
    const { url, expiresInSeconds } = await storeResult(text, deadline);
    return { ...summary, result_url: url, expires_in_seconds: expiresInSeconds };
  } catch (error) {
    if (!hasEffects) throw error;
    log.error("a result that is too large for an answer could not be stored", { cause: String(error) });
    return { ...summary, result_error: error instanceof Error ? error.message : String(error) };
  }
}

const entriesIn = (value: Json): number =>
  value instanceof Map ? value.size : typeof value === "object" && value !== null ? Object.keys(value).length : 1;

/**
 * Makes an operation a Lambda handler for both transports. The event is the request itself, or an API Gateway proxy
 * event that carries it. Errors of a direct invocation are thrown, so that their name is the Lambda `errorType`; over
 * HTTP they are answered with the status of their kind. A result over 5 MB is stored, and answered as its small fields
 * with `result_url`.
 */
export function operation<S extends z.ZodMiniType>(definition: OperationDefinition<S>) {
  const logger = new Logger({ serviceName: `offset-${definition.name}` });
  return middy<unknown, unknown>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .handler(async (event: unknown, context: Context) => {
      const http = isHttpEvent(event);
      const requestId = context.awsRequestId;
      const deadline = startDeadline(context, http);
      const started = performance.now();
      const invocation: Invocation = {
        deadline,
        trigger: http ? "api" : "invoke",
        caller: http ? (event.requestContext.identity?.userArn ?? null) : null,
        requestId,
        log: logger,
      };
      const duration = () => Math.round(performance.now() - started);
      try {
        const carried = http ? requestOf(event, definition.snapshotField ?? "snapshot_id") : event;
        const request = parseRequest(definition.request, carried);
        const work = definition.run(request, invocation).then((result) => bounded(definition, result, invocation));
        const result = await within(work, deadline, `${definition.name} was running`);
        logger.info("done", { trigger: invocation.trigger, duration_ms: duration() });
        return http ? httpResult(result) : toSerializable(result);
      } catch (thrown) {
        const error = toOperationError(thrown, requestId);
        logger.error(error.message, {
          error_name: error.name,
          retryable: error.retryable,
          duration_ms: duration(),
          ...(error.cause instanceof Error && { cause: error.cause }),
        });
        if (!http) throw error;
        // An answer that says what happened comes first, whatever becomes of its details.
        const always = { ...definition, hasEffects: true };
        return httpError(error, error.details && (await bounded(always, error.details, invocation)), requestId);
      } finally {
        deadline.stop();
      }
    });
}
