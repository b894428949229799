import { errorNamed, KafkaUnavailable, OperationError } from "../../core/errors.ts";
import { errorCodeName, errorCodes, errorCodeText, isTransient } from "../wire/codes.ts";

/** Why one group, topic or partition could not be read or written: an error's name and its text, as values. */
export interface Problem {
  readonly error: string;
  readonly message: string;
}

/** What stands in the way: a failure for good, or a reason to try again. */
export type Failure = { readonly failed: Problem } | { readonly again: Problem };

/** What one attempt made of something. */
export type Attempt<R> = { readonly done: R } | Failure;

/** What became of something in the end. */
export type Settled<R> = { readonly done: R } | { readonly failed: Problem };

/**
 * A request has no answer: the broker cannot be reached, hung up, took too long or answered nonsense, or we ended it. Its
 * cause, where that is an error for callers, says that asking again is no use.
 */
export class NoAnswer extends Error {
  /** Whether the request was sent, so that it may have had effect. */
  readonly sent: boolean;
  constructor(address: string, what: string, sent: boolean, cause?: unknown) {
    super(`${address} ${what}`, { cause });
    this.sent = sent;
  }
}

/** Trouble as an exception, for work that stops at its first one. */
export class RequestFailed extends Error {
  readonly failure: Failure;
  constructor(trouble: Failure) {
    super("again" in trouble ? trouble.again.message : trouble.failed.message);
    this.failure = trouble;
  }
}

/** The problem of a Kafka that could not be used. */
export function unavailable(message: string): Problem {
  return { error: "KafkaUnavailable", message };
}

/** An exception as a problem. One that is no trouble of Kafka's is a fault of ours and goes on up. */
export function toProblem(error: unknown): Problem {
  if (error instanceof NoAnswer && !(error.cause instanceof OperationError)) return unavailable(error.message);
  if (error instanceof NoAnswer) return toProblem(error.cause);
  if (error instanceof OperationError) {
    return { error: error.name, message: error.message.replace(`${error.name}: `, "") };
  }
  throw error;
}

/** What an exception means for what was asked: a lost answer is worth another attempt, all else is final. */
export function failureOfException(error: unknown): Failure {
  if (error instanceof RequestFailed) return error.failure;
  const problem = toProblem(error);
  const isLost = error instanceof NoAnswer && !(error.cause instanceof OperationError);
  return isLost ? { again: problem } : { failed: problem };
}

/** Throws a problem as the error that it names. */
export function toError({ error, message }: Problem): OperationError {
  const sentence = message.endsWith(".") ? message : `${message}.`;
  const named = errorNamed(error, sentence);
  if (!(named instanceof KafkaUnavailable)) return named;
  return new KafkaUnavailable(`${sentence} Try again; if it stays so, look at the brokers and the network between.`);
}

/** What a request was about: `doing` as in "could not … ", and the right that it needs. */
export interface Subject {
  /** `read the commits of group "g"`. */
  readonly doing: string;
  /** `DESCRIBE on group "g"`. */
  readonly groupRight?: string;
  /** `READ on topic "t"`. */
  readonly topicRight?: string;
}

/**
 * What a code other than 0 means: a missing right by its name, a reason to try again, or a failure under Kafka's own
 * name for it.
 */
export function failureOfCode(number: number, subject: Subject): Failure {
  const could = `could not ${subject.doing}`;
  const needs = (right: string): Failure => ({
    failed: {
      error: "KafkaAuthorization",
      message: `${could}: the principal needs ${right} (${errorCodeText(number)})`,
    },
  });
  switch (number) {
    case errorCodes.GROUP_AUTHORIZATION_FAILED:
      return needs(subject.groupRight ?? "a right on the group");
    case errorCodes.TOPIC_AUTHORIZATION_FAILED:
      return needs(subject.topicRight ?? "DESCRIBE on the topic");
    case errorCodes.CLUSTER_AUTHORIZATION_FAILED:
      return needs("a right on the cluster");
    case errorCodes.UNSTABLE_OFFSET_COMMIT:
      return {
        again: {
          error: "PendingTransaction",
          message:
            `${could}: a transaction has an offset commit pending (${errorCodeText(number)}). Try again when the ` +
            "producer has ended it, or Kafka has (transaction.timeout.ms)",
        },
      };
  }
  const broker = `${could}: Kafka answers ${errorCodeText(number)}`;
  return isTransient(number)
    ? { again: unavailable(broker) }
    : { failed: { error: errorCodeName(number), message: broker } };
}
