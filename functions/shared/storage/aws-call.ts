import { setTimeout as delay } from "node:timers/promises";
import { type Deadline, deadlineExceeded } from "../core/deadline.ts";
import { Configuration, OperationError, StorageUnavailable } from "../core/errors.ts";
import { roleNeeds } from "../core/rights.ts";

/** A call to AWS, as the messages of its failures describe it. */
export interface AwsCall {
  readonly service: "S3" | "DynamoDB";
  /** The operation's own name: `PutObject`. */
  readonly action: string;
  /** What it works on: `bucket my-offsets`. */
  readonly resource: string;
  /** Which part of that its right is for: `snapshots/*`, `rows lease`. */
  readonly part: string;
  /** The actions that need a right, where that is not the operation itself. */
  readonly parts?: readonly string[];
  /** `writing the body of snapshot-…` */
  readonly doing: string;
  /** What a failure leaves behind and the next step: whole sentences. */
  readonly afterwards?: string | undefined;
}

/** What every `client.send(command, options)` is given. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

/**
 * Makes a call to AWS: the only way to S3 and DynamoDB. Errors that are no failure here (a condition that does not hold, an
 * object that does not exist) are caught by `send` itself, with `valueFor`.
 *
 * @throws DeadlineExceeded as soon as the deadline passes, whatever the client does
 * @throws Configuration where AWS refuses the call: a right, a bucket or table, or credentials are missing
 * @throws StorageUnavailable for everything else: it may succeed later
 */
export async function callAws<T>(
  call: AwsCall,
  deadline: Deadline,
  send: (options: SendOptions) => Promise<T>,
): Promise<T> {
  const { signal } = deadline;
  const { promise: passed, reject } = Promise.withResolvers<never>();
  const pass = () => reject(signal.reason);
  signal.addEventListener("abort", pass, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([send({ abortSignal: signal }), passed]);
  } catch (cause) {
    throw awsFailure(call, deadline, cause);
  } finally {
    signal.removeEventListener("abort", pass);
  }
}

/** Turns errors with one of these names into a value: `client.send(…).catch(valueFor(undefined, "NoSuchKey"))`. */
export const valueFor =
  <T>(value: T, ...names: readonly string[]) =>
  (error: unknown): T => {
    if (error instanceof Error && names.includes(error.name)) return value;
    throw error;
  };

/** Waits before a write that conflicted with another is tried again: longer each time, with jitter. */
export async function pause(attempt: number, deadline: Deadline): Promise<void> {
  const ms = Math.random() * Math.min(1_000, 20 * 2 ** attempt);
  await delay(ms, undefined, { signal: deadline.signal }).catch(() => undefined); // the next call says that time is up
}

/** The error that callers see in place of one that an AWS client threw; an OperationError stays as it is. */
export function awsFailure(call: AwsCall, deadline: Deadline, cause: unknown): Error {
  if (cause instanceof OperationError) return cause;
  if (deadline.signal.aborted) {
    return deadlineExceeded(call.afterwards === undefined ? call.doing : `${call.doing} (${call.afterwards})`, cause);
  }
  const { name, message, status } = describe(cause);
  const what = `${call.service} ${call.action} on ${call.resource} failed while ${call.doing}: ${name}: ${message}.`;
  const remedy = remedyFor(call, name, status);
  const next = [remedy, call.afterwards].filter((part) => part !== undefined && part !== "");
  const options = { ...(next.length > 0 && { next: next.join(" ") }), cause };
  return remedy === undefined ? new StorageUnavailable(what, options) : new Configuration(what, options);
}

/** What the clients of AWS, and Node's sockets, add to an error. */
interface AwsError extends Error {
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
}

function describe(cause: unknown) {
  if (!(cause instanceof Error)) return { name: "Error", message: String(cause), status: undefined };
  const { name, message, code, $metadata }: AwsError = cause;
  const unnamed = name === "Error" || name === "AggregateError";
  const status = $metadata?.httpStatusCode;
  return {
    name: unnamed && typeof code === "string" ? code : name,
    message: (message || "no answer").replace(/\.$/, ""),
    status: typeof status === "number" ? status : undefined,
  };
}

const busy =
  /Throttl|Throughput|LimitExceeded|SlowDown|TransactionConflict|TransactionInProgress|ConditionalRequestConflict|RequestTimeout/;

/** The right that a call needs, where its name is not that of the operation. */
const rights: Readonly<Record<string, string>> = {
  HeadObject: "GetObject",
  ListObjectsV2: "ListBucket",
};

/** What to do about a failure that trying again does not solve; undefined where it may. */
function remedyFor(call: AwsCall, name: string, status: number | undefined): string | undefined {
  if (busy.test(name)) return undefined;
  if (/Credential|Token|AccessKey|Signature|UnrecognizedClient/.test(name)) {
    return "The credentials or the region of the function are wrong.";
  }
  if (/AccessDenied/.test(name) || status === 401 || status === 403) {
    const needed = new Set((call.parts ?? [call.action]).map((action) => rights[action] ?? action));
    const needs = roleNeeds(
      [...needed].map((action) => `${call.service.toLowerCase()}:${action}`),
      `${call.resource} (${call.part})`,
    );
    return `${needs}, and the right to use the key that encrypts it, if it has its own key.`;
  }
  if (status === 404 || /NoSuchBucket|ResourceNotFound/.test(name)) {
    return `There is no ${call.resource} in this account and region: check the function's settings.`;
  }
  return status !== undefined && status >= 300 && status < 500 && status !== 408 && status !== 409
    ? `AWS rejected the request: check the settings of ${call.resource} and the deployed version.`
    : undefined;
}
