import type * as z from "zod/mini";
import { parseJson } from "../shared/core/json/json.ts";
import type { Deployment } from "./deployment.ts";
import { exit, isErrorName } from "./exit-codes.ts";
import { AnswerLost, howItEnded, NotInvoked, OperationFailed, Problem, usage } from "./problems.ts";

/** An answer of an operation. */
export interface Answer {
  /** Exactly what the function answered, or what the link in its answer gives. */
  readonly text: string;
  /** The same, parsed; integers beyond 2^53 are `bigint`. Undefined where it is no JSON: a format of another tool. */
  readonly result: unknown;
  /** The content of a file in the format that was asked for, instead of a result. */
  readonly content?: string;
  /** The result as lines for people, where it is no answer of an operation. */
  readonly lines?: string;
}

/** Longer than any function runs (900 s): an earlier end would lose the result of a rollback that is still running. */
const TIMEOUT_MS = 930_000;
const CONNECT_MS = 10_000;

/** A field of an object that is a text. */
export function textField(value: unknown, name: string): string | undefined {
  const entry: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return typeof entry === "string" ? entry : undefined;
}

/** Names that an error has before the call reaches the function: nothing was run. */
const notSent = new Set(["ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "CredentialsProviderError"]);

/**
 * The name of the function for an operation.
 *
 * @throws Problem where the deployment has none
 */
export function functionName({ name, functions }: Deployment, verb: string): string {
  const found = functions[verb];
  if (found !== undefined) return found;
  throw usage([`${name} has no function for ${verb}: it is read-only, or of an older version. Nothing was sent.`]);
}

/**
 * Invokes a function once. A second try would be a second invocation, so none is made.
 *
 * @param payload the request, as JSON
 * @param changes whether the call changes something where it runs
 * @throws OperationFailed for an error of the operation, AnswerLost where there is no whole answer
 */
export async function invoke(deployment: Deployment, verb: string, payload: string, changes: boolean): Promise<Answer> {
  const FunctionName = functionName(deployment, verb);
  const { InvokeCommand, LambdaClient } = await import("@aws-sdk/client-lambda");
  const lambda = new LambdaClient({
    ...deployment.client,
    maxAttempts: 1,
    requestHandler: { requestTimeout: TIMEOUT_MS, throwOnRequestTimeout: true, connectionTimeout: CONNECT_MS },
  });
  const what = `${FunctionName} of ${deployment.name}`;
  const answer = await lambda.send(new InvokeCommand({ FunctionName, Payload: payload })).catch((cause) => {
    throw callFailed(cause, what, changes, deployment);
  });
  const text = answer.Payload?.transformToString() ?? "";
  const result = parsed(text);
  if (answer.FunctionError !== undefined) {
    const message = textField(result, "errorMessage") ?? "the function failed without a message";
    const name = errorName(textField(result, "errorType") ?? "", message);
    const ofLambda = `${name}: ${message}\n${what} failed. ${howItEnded(changes)}`;
    throw new OperationFailed(name, isErrorName(name) ? message : ofLambda);
  }
  if (!hasFields(result)) {
    throw new AnswerLost(`The answer of ${what} is no result: ${text.slice(0, 300) || "(empty)"}.`, changes);
  }
  return followed(deployment, { text, result });
}

/** Every result has fields: an operation that answered with none has said nothing of what it did. */
const hasFields = (result: unknown): boolean =>
  typeof result === "object" && result !== null && !Array.isArray(result) && Object.keys(result).length > 0;

/** MiniStack loses the type; every message begins with it. */
function errorName(type: string, message: string): string {
  const [first = ""] = message.split(":", 1);
  return [type, first].find(isErrorName) ?? (type || "FunctionError");
}

function callFailed(cause: unknown, what: string, changes: boolean, { client }: Deployment): Problem {
  const { name, message, code, $metadata } = Object(cause);
  const said = `${name || "Error"}: ${message || code || cause}`;
  const status = Number($metadata?.httpStatusCode ?? 0);
  if ((status >= 400 && status < 500) || notSent.has(name) || notSent.has(code)) {
    const isDown = client.endpoint !== undefined && code === "ECONNREFUSED";
    const next = isDown ? ["npm run local:up"] : [];
    return new NotInvoked(`${said}\n${what} was not invoked. Nothing was changed.`, next, cause);
  }
  return new AnswerLost(`${said}\nThe answer of ${what} was lost.`, changes, cause);
}

/**
 * What is needed of an answer, of which a summary and a later version may have less or more.
 *
 * @param changes whether the call changes something where it runs
 * @throws AnswerLost where it is not there
 */
export function readAnswer<T>(schema: z.ZodMiniType<T>, answer: Answer, what: string, changes = false): T {
  const parsed = schema.safeParse(answer.result);
  if (parsed.success) return parsed.data;
  throw unread(answer, what, changes);
}

/** An answer without what it must have is no success. */
export const unread = ({ text }: Answer, what: string, changes = false): AnswerLost =>
  new AnswerLost(`The answer of ${what} is not what this version reads: ${text.slice(0, 300)}.`, changes);

const parsed = (text: string): unknown => {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
};

/** A large result is a link: the whole is what it leads to. */
async function followed({ client }: Deployment, answer: Answer): Promise<Answer> {
  const content = textField(answer.result, "content");
  if (content !== undefined) return { ...answer, content };
  const link = textField(answer.result, "result_url");
  if (link === undefined) return answer;
  // A function in Docker knows a local cloud by another address than this machine.
  const { pathname, search } = new URL(link);
  const url = client.endpoint === undefined ? link : new URL(`${pathname}${search}`, client.endpoint).href;
  const isFile = textField(answer.result, "content_type") !== undefined;
  const text = await fetchText(url).catch((cause) => {
    throw new Problem(
      `The operation succeeded, and its result, which was too large for an answer, could not be fetched (${cause.message}). It ` +
        `can be fetched for some minutes, gzip'd: ${link}`,
      exit.failed,
      [],
      cause,
    );
  });
  if (isFile) return { ...answer, content: text };
  const result = parsed(text);
  if (hasFields(result)) return { text, result };
  throw new Problem(
    `The operation succeeded, and its stored result is no JSON. It can be fetched again: ${link}`,
    exit.failed,
  );
}

/** @throws Error that says why there is no text */
async function fetchText(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return response.text();
}
