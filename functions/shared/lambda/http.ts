import { isUtf8 } from "node:buffer";
import type { APIGatewayProxyResult } from "aws-lambda";
import * as z from "zod/mini";
import type { ErrorName } from "../core/error-names.ts";
import { type Details, InternalError, InvalidRequest, OperationError } from "../core/errors.ts";
import { encodeJson, type Json } from "../core/json/json.ts";
import { parseExactly, RepeatedKey } from "../core/json/parser.ts";
import { quote } from "../core/text.ts";
import { fieldOf } from "./documentation.ts";
import { apiAlias } from "./env.ts";

/** The HTTP status of each error: 4xx where the caller can act, 5xx where the operator of Kafka, AWS or the deployment must. */
export const statuses: Readonly<Record<ErrorName, number>> = {
  InvalidRequest: 400,
  SnapshotNotFound: 404,
  GroupNotFound: 404,
  RollbackNotFound: 404,
  GroupNotEmpty: 409,
  ClusterMismatch: 409,
  RollbackInProgress: 409,
  VerificationMismatch: 409,
  SnapshotHeld: 409,
  PlanChanged: 412,
  RollbackBlocked: 422,
  SnapshotCorrupt: 500,
  IndexIncomplete: 500,
  JournalCorrupt: 500,
  Configuration: 500,
  InternalError: 500,
  KafkaAuthentication: 502,
  KafkaCertificate: 502,
  KafkaAuthorization: 502,
  RollbackIncomplete: 502,
  KafkaUnavailable: 503,
  StorageUnavailable: 503,
  DeadlineExceeded: 504,
};

/** The HTTP status of an error. */
export const statusOf = ({ name }: OperationError): number => new Map(Object.entries(statuses)).get(name) ?? 500;

/** Query parameters that are lists and maps, which may be repeated, whole numbers, and truths. All others are texts, given once. */
const lists = new Set(["groups", "topics"]);
const maps = new Set(["labels"]);
const integers = new Set(["limit"]);
const flags = new Set(["held"]);

/** An object whose keys come from outside. */
const byName = <T>(isValue: (value: unknown) => value is T, error: string) =>
  z.nullish(
    z.custom<{ readonly [name: string]: T | null | undefined }>(
      (value) =>
        typeof value === "object" &&
        value !== null &&
        Object.values(value).every((entry) => entry === null || entry === undefined || isValue(entry)),
      { error },
    ),
  );
const isText = (value: unknown) => typeof value === "string";
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);
const texts = byName(isText, "must be an object of texts");

/** What is read of an event of the REST API (Lambda proxy integration). */
export const httpEvent = z.object({
  body: z.nullish(z.string()),
  isBase64Encoded: z.nullish(z.boolean()),
  pathParameters: texts,
  queryStringParameters: texts,
  multiValueQueryStringParameters: byName(isTexts, "must be an object of lists of texts"),
  requestContext: z.object({
    requestId: z.nullish(z.string().check(z.maxLength(128))),
    identity: z.nullish(z.object({ userArn: z.nullish(z.string().check(z.minLength(1), z.maxLength(256))) })),
  }),
});
export type HttpEvent = z.output<typeof httpEvent>;

/** How a request reaches a function: through the REST API, or by invoking the function. */
export type Transport = "api" | "invoke";

/** The transport of an invocation: the alias that was invoked decides, because anyone who invokes can imitate an event. */
export function transportOf(invokedFunctionArn: string): Transport {
  // arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]
  return invokedFunctionArn.split(":")[7] === apiAlias ? "api" : "invoke";
}

/** Whether an event looks like one of the REST API, wherever it comes from. */
const looksLikeHttp = (event: unknown): boolean =>
  typeof event === "object" && event !== null && "httpMethod" in event && "requestContext" in event && "path" in event;

/**
 * Checks that an event is one of its transport.
 *
 * @throws InvalidRequest for an event that looks like API Gateway's and did not come through it, and for the reverse
 */
export function requireEventOf(transport: Transport, event: unknown, invokedFunctionArn: string): void {
  if (looksLikeHttp(event) === (transport === "api")) return;
  throw transport === "invoke"
    ? new InvalidRequest(
        "the event looks like one of API Gateway's (it has httpMethod, path and requestContext), but it did not come through " +
          `the API: the function was invoked directly, as ${invokedFunctionArn}.`,
        { next: "Call the API, or invoke the function with the fields of the request as the event." },
      )
    : new InvalidRequest(
        `the alias ${apiAlias} is for API Gateway alone, and the event is not one of API Gateway's: ${invokedFunctionArn} was ` +
          "invoked directly.",
        { next: "Invoke the function without a qualifier." },
      );
}

/** `latest` and ids as they are; `at:<time>`, which is how a time is written in a path or a query, as `{at}`. */
const reference = (text: string): Json => (text.startsWith("at:") ? { at: text.slice(3) } : text);

/**
 * JSON of a caller; undefined for a text that is none.
 *
 * @throws InvalidRequest for a key that an object has twice: one of its values would be ignored
 */
function parse(text: string, what: string): unknown {
  try {
    return parseExactly(text, "refused");
  } catch (cause) {
    if (!(cause instanceof RepeatedKey)) return undefined;
    throw new InvalidRequest(`${what} has the key ${quote(cause.key)} twice in one object; give it once.`, { cause });
  }
}

/** A literal name in a query string: `{"name":"a*b"}`. */
const selector = (text: string): unknown =>
  (text.startsWith('{"name":') ? parse(text, "the query") : undefined) ?? text;

/** Entries of a map in a query string: `key:value`. Without a colon, an entry has the empty value. */
function entries(name: string, values: readonly string[]): object {
  const map = new Map<string, string>();
  for (const text of values) {
    const [key = "", ...rest] = text.split(":");
    if (map.has(key)) throw new InvalidRequest(`${name} has ${quote(key)} twice; give it once.`);
    map.set(key, rest.join(":"));
  }
  return Object.fromEntries(map);
}

function parameter(name: string, values: readonly string[]): unknown {
  if (lists.has(name)) return values.map(selector);
  if (maps.has(name)) return entries(name, values);
  const [value = "", ...more] = values;
  if (more.length > 0) throw new InvalidRequest(`${name} is given ${values.length} times; give it once.`);
  if (integers.has(name) && /^\d{1,9}$/.test(value)) return Number(value);
  if (flags.has(name) && /^(true|false)$/.test(value)) return value === "true";
  return name === "to" ? reference(value) : value;
}

/** What a path names: a snapshot, one group literally, or an id. */
function fromPath(parameter: string, text: string): Json {
  if (parameter === "snapshot_id") return reference(text);
  return parameter === "group" ? [{ name: text }] : text;
}

function decodePath(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch (cause) {
    throw new InvalidRequest(`the path has ${quote(value)}, which is not percent-encoded text.`, { cause });
  }
}

function bodyOf({ body: text, isBase64Encoded }: HttpEvent): object {
  if (!text) return {};
  const bytes = Buffer.from(text, isBase64Encoded ? "base64" : "utf8");
  const body = isUtf8(bytes) ? parse(bytes.toString().replace(/^\uFEFF/, ""), "the body") : undefined;
  if (body === undefined) throw new InvalidRequest("the body is not JSON.");
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new InvalidRequest("the body must be a JSON object with the fields of the request.");
  }
  return body;
}

/** The query's parameters with all their values; a test event may carry the single-valued form only. */
function queryOf(event: HttpEvent): ReadonlyMap<string, readonly string[]> {
  const query = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(event.queryStringParameters ?? {})) query.set(name, [value ?? ""]);
  for (const [name, values] of Object.entries(event.multiValueQueryStringParameters ?? {}))
    query.set(name, values ?? []);
  return query;
}

/**
 * The request that an HTTP call carries: the fields of its body, its query parameters, and what its path names.
 *
 * @param snapshotField the name that the snapshot of the path has in the request
 * @throws InvalidRequest for a body that is not a JSON object, or a field or key that is given twice
 */
export function requestOf(event: HttpEvent, snapshotField: string): unknown {
  const fields = new Map<string, unknown>(Object.entries(bodyOf(event)));
  const add = (name: string, value: unknown) => {
    if (fields.has(name)) {
      throw new InvalidRequest(`${name} is given twice: once in the path or the query, and once more in the body.`);
    }
    fields.set(name, value);
  };
  for (const [name, values] of queryOf(event)) add(name, parameter(name, values));
  for (const [name, value] of Object.entries(event.pathParameters ?? {})) {
    if (value === undefined || value === null) continue;
    const text = decodePath(value);
    add(fieldOf(name, snapshotField), fromPath(name, text));
  }
  return Object.fromEntries(fields);
}

const response = (statusCode: number, body: Json, headers: Record<string, string> = {}): APIGatewayProxyResult => ({
  statusCode,
  headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  body: encodeJson(body),
});

/** The answer to an HTTP call that succeeded. */
export const httpResult = (result: Json): APIGatewayProxyResult => response(200, result);

/** The answer to an HTTP call that failed: `{error, message, details, request_id}` under the error's status. */
export function httpError(
  error: OperationError,
  details: Details | undefined,
  requestId: string,
): APIGatewayProxyResult {
  return response(
    statusOf(error),
    { error: error.name, message: error.message, details: details ?? null, request_id: requestId },
    error.retryable ? { "retry-after": "5" } : {},
  );
}

/** Any thrown value as an OperationError; an unknown one is opaque to the caller, and logged. */
export function toOperationError(error: unknown, requestId: string): OperationError {
  if (error instanceof OperationError) return error;
  return new InternalError("internal error. What it changed is not known.", {
    next: `Read the function's log for request id ${requestId}, and check the state before you repeat the request.`,
    cause: error,
  });
}
