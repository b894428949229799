import { errorNamed } from "../../core/error-names.ts";
import { KafkaUnavailable, OperationError } from "../../core/errors.ts";
import { principalNeeds } from "../../core/rights.ts";
import { errorCodeName, errorCodes, errorCodeText, isTransient } from "../wire/codes.ts";

/** Why a group, topic or partition could not be read or written: an error's name and message, as values. */
export interface Problem {
  readonly error: string;
  readonly message: string;
}

/** A failure: `failed` is final, `again` is worth another attempt. */
export type Failure = { readonly failed: Problem } | { readonly again: Problem };

/** The result of one attempt. */
export type Attempt<R> = { readonly done: R } | Failure;

/** The result after the last attempt. */
export type Settled<R> = { readonly done: R } | { readonly failed: Problem };

/**
 * A request without a usable answer: the broker was unreachable, hung up, was late or sent invalid bytes, or this
 * program closed the connection. If the cause is an `OperationError`, a retry is useless.
 */
export class NoAnswer extends Error {
  /** Whether the request was sent and so may have changed something. */
  readonly sent: boolean;
  constructor(address: string, what: string, sent: boolean, cause?: unknown) {
    super(`${address} ${what}`, { cause });
    this.sent = sent;
  }
}

/** A failure as an exception, for work that stops at the first one. */
export class RequestFailed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super("again" in failure ? failure.again.message : failure.failed.message);
    this.failure = failure;
  }
}

/** The problem that Kafka could not be used. */
export function unavailable(message: string): Problem {
  return { error: "KafkaUnavailable", message };
}

/** An exception as a problem. Rethrows internal errors. */
export function toProblem(error: unknown): Problem {
  if (error instanceof NoAnswer && !(error.cause instanceof OperationError)) return unavailable(error.message);
  if (error instanceof NoAnswer) return toProblem(error.cause);
  if (error instanceof OperationError) return { error: error.name, message: error.summary };
  throw error;
}

/** An exception as a failure: a lost answer is worth another attempt, all else is final. */
export function failureOfException(error: unknown): Failure {
  if (error instanceof RequestFailed) return error.failure;
  const problem = toProblem(error);
  const isLost = error instanceof NoAnswer && !(error.cause instanceof OperationError);
  return isLost ? { again: problem } : { failed: problem };
}

/** A problem as the error that it names. */
export function toError({ error, message }: Problem): OperationError {
  const named = errorNamed(error, message);
  if (!(named instanceof KafkaUnavailable)) return named;
  return new KafkaUnavailable(message, {
    next: "Try again; if it fails again, check the brokers and the network to them.",
  });
}

/** What a request was for (after "could not"), and the rights that it needs. */
export interface Subject {
  /** `read the commits of group "g"`. */
  readonly doing: string;
  /** `DESCRIBE on group "g"`. */
  readonly groupRight?: string;
  /** `READ on topic "t"`. */
  readonly topicRight?: string;
}

/** An error code other than 0 as a failure: a missing right, a reason to try again, or Kafka's name of the error. */
export function failureOfCode(code: number, subject: Subject): Failure {
  const couldNot = `could not ${subject.doing}`;
  const answer = errorCodeText(code);
  const needs = (right: string): Failure => ({
    failed: { error: "KafkaAuthorization", message: `${couldNot}: ${principalNeeds(right)} (${answer})` },
  });
  switch (code) {
    case errorCodes.GROUP_AUTHORIZATION_FAILED:
      return needs(subject.groupRight ?? "a right on the group");
    case errorCodes.TOPIC_AUTHORIZATION_FAILED:
      return needs(subject.topicRight ?? "DESCRIBE on the topic");
    case errorCodes.CLUSTER_AUTHORIZATION_FAILED:
      return needs("a right on the cluster");
  }
  const message = `${couldNot}: Kafka answered ${answer}`;
  return isTransient(code) ? { again: unavailable(message) } : { failed: { error: errorCodeName(code), message } };
}
