import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import middy from "@middy/core";
import type { Context } from "aws-lambda";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { type Deadline, deadlineExceeded, deadlineIn } from "../core/deadline.ts";
import { type Details, InvalidRequest, type OperationError } from "../core/errors.ts";
import { toSerializable } from "../core/json/json.ts";
import type { Measurement } from "../core/metrics.ts";
import { count, cut, quote } from "../core/text.ts";
import { finalLine, type Ids, idsIn } from "./final-line.ts";
import {
  httpError,
  httpEvent,
  httpResult,
  requestOf,
  requireEventOf,
  type Transport,
  toOperationError,
  transportOf,
} from "./http.ts";
import { emit, errorMeasurements } from "./metrics.ts";

/** Zod's own messages, for all schemas of the process: in one language; zod brings fifty. */
z.config(en());

/** API Gateway gives up after 29 s: an answer must be on its way before that. */
const HTTP_TIME_MS = 27_000;
/** What an invocation keeps for its answer, before Lambda kills it. */
const ANSWER_TIME_MS = 1_500;
/** How long an operation may overrun its deadline before the caller is answered without it. */
const GRACE_MS = 1_000;

/** What is known of one invocation. */
export interface Invocation {
  readonly deadline: Deadline;
  readonly trigger: Transport;
  /** The IAM ARN of the caller over HTTP, proven by API Gateway; null in a direct invocation, where Lambda does not pass it on. */
  readonly caller: string | null;
  readonly requestId: string;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  /** Counts what happened: at the end of the invocation it is written as metrics. */
  measure(measurements: readonly Measurement[]): void;
  /** Says what the invocation works on, beside its request and result: its last log line has these ids, also after an error. */
  note(ids: Ids): void;
}

/** The result of an operation: an object in snake_case, in the order in which it is to be written. */
export type Result = Details;

/**
 * A route whose requests are invoked asynchronously. They have the whole time of the function, and no caller reads their answer:
 * an error is thrown as in a direct invocation, so that Lambda keeps the request.
 */
export interface Later {
  /** `/rollbacks`. */
  readonly path: string;
  /** What the route takes: the request of the operation must accept all of it. */
  readonly request: z.ZodMiniType;
  /** Keeps, where the caller can find it, why a request was refused before it ran. */
  refused(carried: unknown, error: OperationError, invocation: Invocation): Promise<void>;
}

/** What makes a Lambda handler. */
export interface HandlerDefinition<S extends z.ZodMiniType> {
  /** The operation, for the logs. */
  readonly name: string;
  /** The request's schema: strict, so that unknown fields are refused by name. */
  readonly request: S;
  /** The field of the request that the snapshot in an HTTP path is for; `snapshot_id` unless given. */
  readonly snapshotField?: string;
  /** Fields that are accepted in direct invocations only. */
  readonly directOnly?: readonly string[];
  /** A route whose caller was answered before the function runs. */
  readonly later?: Later;
  run(request: z.output<S>, invocation: Invocation): Promise<Result>;
  /** Makes the details of an error shorten into an answer. Must not fail: the error is answered in any case. */
  shorten(details: Details, invocation: Invocation): Promise<Result>;
}

/** How many values a request may have: three lists and a map of 10,000 entries each have half as many. */
const MOST_VALUES = 100_000;
/** How many problems of a request are named, and in how many bytes each. */
const [MOST_PROBLEMS, LONGEST_PROBLEM] = [100, 800];
/** How many of these the message names. */
const MOST_IN_MESSAGE = 10;

/**
 * Parses a request; problems are named with their fields.
 *
 * @param excluded fields of the schema that are not accepted here: over HTTP, those for direct invocations only
 * @throws InvalidRequest with the first 100 of them in `details.problems`, and how many more there are
 */
export function parseRequest<S extends z.ZodMiniType>(
  schema: S,
  request: unknown,
  excluded: readonly string[] = [],
): z.output<S> {
  if (hasMoreValues(request, MOST_VALUES)) {
    throw new InvalidRequest(`the request has more than ${MOST_VALUES} values.`, {
      next: "Use patterns instead of names.",
    });
  }
  const parsed = schema.safeParse(request ?? {});
  const misplaced = excluded
    .filter((field) => typeof request === "object" && request !== null && Object.hasOwn(request, field))
    .map((field) => `${field}: is accepted in direct invocations only`);
  if (parsed.success && misplaced.length === 0) return parsed.data;
  const known = schema instanceof z.ZodMiniObject ? ` (there are ${Object.keys(schema.shape).join(", ")})` : "";
  const invalid = (parsed.error?.issues ?? []).flatMap((issue) => {
    const path = issue.path
      .map((part) => (typeof part === "number" ? `[${part}]` : `.${cut(String(part), LONGEST_PROBLEM)}`))
      .join("");
    const field = path.replace(/^\./, "");
    if (issue.code === "unrecognized_keys") {
      const hint = field === "" ? known : "";
      return issue.keys.map((key, i) => `${field && `${field}: `}unknown field ${quote(key)}${i === 0 ? hint : ""}`);
    }
    return [`${field || "the request"}: ${issue.message.replace(/^Invalid input: /, "")}`];
  });
  const problems = [...misplaced, ...invalid];
  const some = (most: number) => {
    const shown = problems.slice(0, most).map((problem) => cut(problem, LONGEST_PROBLEM));
    return problems.length > most ? [...shown, `${problems.length - most} more`] : shown;
  };
  throw new InvalidRequest(`${count(problems.length, "problem")}: ${some(MOST_IN_MESSAGE).join("; ")}.`, {
    details: { problems: some(MOST_PROBLEMS) },
  });
}

/** Whether a parsed JSON value has more than so many values: keys with theirs, and elements of lists. */
function hasMoreValues(value: unknown, most: number): boolean {
  const found = [value];
  for (const next of found) {
    if (typeof next === "object" && next !== null) for (const inner of Object.values(next)) found.push(inner);
    if (found.length > most) return true;
  }
  return false;
}

/** Whether a direct invocation says that it is of a schedule's execution, whatever else is wrong with it. */
const isScheduled = (event: unknown) =>
  typeof event === "object" && event !== null && "schedule" in event && typeof event.schedule === "object";

/** Fails when an operation goes on after its deadline: an answer that says so is better than none. */
async function withGrace<T>(work: Promise<T>, deadline: Deadline, doing: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const overrun = Promise.withResolvers<never>();
  deadline.signal.addEventListener("abort", () => {
    timer = setTimeout(() => overrun.reject(deadlineExceeded(doing)), GRACE_MS);
  });
  try {
    return await Promise.race([work, overrun.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether an event of the REST API came over the route with a path. */
const isFor = (event: unknown, path: string) =>
  typeof event === "object" &&
  event !== null &&
  "resource" in event &&
  event.resource === path &&
  "httpMethod" in event &&
  event.httpMethod === "POST";

/** What a request says of its sender. */
const claimedBy = (request: unknown) =>
  typeof request === "object" &&
  request !== null &&
  "requested_by" in request &&
  typeof request.requested_by === "string"
    ? request.requested_by
    : undefined;

/**
 * Makes a Lambda handler for both transports. The event is the request itself, or an API Gateway proxy event that carries
 * it. Errors of a direct invocation are thrown, so that their name is the Lambda `errorType`; over HTTP they are answered
 * with the status of their kind. Each invocation ends its log with one line that says who asked for what, and the outcome.
 */
export function lambdaHandler<S extends z.ZodMiniType>({
  name,
  request,
  snapshotField,
  directOnly,
  later: laterRoute,
  run,
  shorten,
}: HandlerDefinition<S>) {
  const logger = new Logger({ serviceName: `offset-${name}` });
  return middy<unknown, unknown>()
    .use(injectLambdaContext(logger, { resetKeys: true }))
    .handler(async (event: unknown, context: Context) => {
      const { awsRequestId: requestId, invokedFunctionArn } = context;
      const transport = transportOf(invokedFunctionArn);
      const isHttp = transport === "api";
      const allowed = context.getRemainingTimeInMillis() - ANSWER_TIME_MS;
      const later = isHttp && laterRoute !== undefined && isFor(event, laterRoute.path) ? laterRoute : undefined;
      const isAnswered = isHttp && later === undefined;
      const deadline = deadlineIn(isAnswered ? Math.min(allowed, HTTP_TIME_MS) : allowed);
      const started = performance.now();
      const measured: Measurement[] = [];
      let ids: Ids = {};
      let requestedBy: string | undefined;
      let apiRequestId: string | undefined;
      let invocation: Invocation = {
        deadline,
        trigger: transport,
        caller: null,
        requestId,
        log: logger,
        measure: (some) => measured.push(...some),
        note: (some) => {
          ids = { ...ids, ...some };
        },
      };
      const ending = (error?: OperationError) => {
        const durationMs = Math.round(performance.now() - started);
        const { caller } = invocation;
        return finalLine({
          ...{ operation: name, transport, caller, requestedBy, requestId, apiRequestId, ids, durationMs },
          ...(error && { error }),
        });
      };
      try {
        requireEventOf(transport, event, invokedFunctionArn);
        const http = isHttp ? parseRequest(httpEvent, event) : undefined;
        invocation = { ...invocation, caller: http?.requestContext.identity?.userArn ?? null };
        apiRequestId = http?.requestContext.requestId ?? undefined;
        const carried = http === undefined ? event : requestOf(http, snapshotField ?? "snapshot_id");
        const parse = async () => {
          if (later !== undefined) parseRequest(later.request, carried);
          return parseRequest(request, carried, isHttp ? directOnly : []);
        };
        const asked = await parse().catch(async (error: unknown) => {
          await later?.refused(carried, toOperationError(error, requestId), invocation);
          throw error;
        });
        requestedBy = claimedBy(asked);
        invocation.note(idsIn(asked));
        const result = await withGrace(run(asked, invocation), deadline, `${name} was running`);
        invocation.note(idsIn(result));
        logger.info("done", ending());
        return isAnswered ? httpResult(result) : toSerializable(result);
      } catch (thrown) {
        const error = toOperationError(thrown, requestId);
        measured.push(...errorMeasurements(error, !isHttp && isScheduled(event)));
        logger.error(error.message, ending(error));
        if (!isAnswered) throw error;
        return httpError(error, error.details && (await shorten(error.details, invocation)), requestId);
      } finally {
        deadline.stop();
        await emit(measured, logger);
      }
    });
}
