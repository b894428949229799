import type { Json } from "./json/json.ts";
import { cut, sentence } from "./text.ts";

/** What an HTTP answer carries beside the message of an error. */
export type Details = { readonly [key: string]: Json | undefined };

/** What the failed call left behind: `none`: it changed nothing; `unknown`: it may have changed something. */
export type Effect = "none" | "unknown";

interface ErrorOptions {
  /** The next step, as whole sentences; it stands at the end of the message. */
  readonly next?: string;
  readonly details?: Details | undefined;
  readonly cause?: unknown;
}

/** The parts of a message in bytes: with name and effect at most 4 kB. Of each, the end stays: the last step, the last cause. */
const longest = { what: 2_400, endOfWhat: 600, next: 1_500, endOfNext: 400 };

/**
 * Base of every error that a caller may see. `name` is the Lambda `errorType`. The message begins with it, because some
 * emulators and logs keep the message only; then it says what happened, what was changed, and the next step. It has at most
 * 4 kB: of a longer one, `…` stands for the middle of what happened.
 */
export abstract class OperationError extends Error {
  /** Whether the same request may succeed later, without any change. */
  abstract readonly retryable: boolean;
  /** The message without the name of the error and without what was changed: what a value carries. */
  readonly summary: string;
  /** The message without the next step, too. */
  readonly what: string;
  #details: Details | undefined;
  #effect: Effect;
  /** The message with what is known to have been changed. */
  readonly #messageWith: (changed: string | undefined) => string;

  protected constructor(
    name: string,
    effect: Effect,
    whole: string,
    { details, cause, ...options }: ErrorOptions = {},
  ) {
    const what = cut(whole, longest.what, longest.endOfWhat);
    const next = options.next && cut(options.next, longest.next, longest.endOfNext);
    const messageWith = (changed: string | undefined) =>
      `${name}: ${[sentence(what), changed, next].filter((part) => part !== undefined).join(" ")}`;
    const message = messageWith(effect === "none" ? "Nothing was changed." : undefined);
    super(message, cause === undefined ? undefined : { cause });
    this.#messageWith = messageWith;
    this.name = name;
    this.what = what;
    this.summary = next === undefined ? what : `${sentence(what)} ${next}`;
    this.#details = details;
    this.#effect = effect;
  }

  get details(): Details | undefined {
    return this.#details;
  }

  /** Puts other details in the place of those that there are. */
  changeDetails(change: (details: Details) => Details): void {
    this.#details = this.#details && change(this.#details);
  }

  get effect(): Effect {
    return this.#effect;
  }

  /** For the `catch` of a call that changes nothing: says so of its error, and throws it on. */
  static withoutEffect(statement: string): (error: unknown) => never {
    return (error) => {
      if (error instanceof OperationError) error.withoutEffect(statement);
      throw error;
    };
  }

  /** Says what the caller knows of an error whose effect was unknown, before the next step: `No offset was committed.` */
  withoutEffect(statement: string): void {
    if (this.#effect === "none") return;
    this.#effect = "none";
    this.message = this.#messageWith(statement);
  }
}

/** The base class of one kind of error. */
function kind(name: string, { retryable, effect }: { readonly retryable: boolean; readonly effect: Effect }) {
  return class extends OperationError {
    override readonly retryable = retryable;
    /** @param what what happened, to what, with figures: one or more sentences */
    constructor(what: string, options?: ErrorOptions) {
      super(name, effect, what, options);
    }
  };
}

/** The request breaks the contract; `details.problems` lists every problem with the path of its field. */
export class InvalidRequest extends kind("InvalidRequest", { retryable: false, effect: "none" }) {}

/** No snapshot has the id, or fits `latest` or the time, that was asked for. */
export class SnapshotNotFound extends kind("SnapshotNotFound", { retryable: false, effect: "none" }) {}

/** A group that was asked for by name does not exist: in the cluster (snapshot), or in the snapshot (all others). */
export class GroupNotFound extends kind("GroupNotFound", { retryable: false, effect: "none" }) {}

/** No rollback has the id that was asked for. */
export class RollbackNotFound extends kind("RollbackNotFound", { retryable: false, effect: "none" }) {}

/** Another rollback is running in this deployment; `details` has its id and age. */
export class RollbackInProgress extends kind("RollbackInProgress", { retryable: true, effect: "none" }) {}

/** The live state is not what the plan was made from; `details` is the plan as it would be now. */
export class PlanChanged extends kind("PlanChanged", { retryable: false, effect: "none" }) {}

/** A rollback was refused, and members of the groups are the only reason. */
export class GroupNotEmpty extends kind("GroupNotEmpty", { retryable: false, effect: "none" }) {}

/** The snapshot belongs to another cluster than the one it was to be compared with. */
export class ClusterMismatch extends kind("ClusterMismatch", { retryable: false, effect: "none" }) {}

/** The snapshot is held, so it was not deleted; `details.hold` says since when, by whom and why. */
export class SnapshotHeld extends kind("SnapshotHeld", { retryable: false, effect: "none" }) {}

/** The live state differs from the snapshot, and the caller asked for that to be a failure. */
export class VerificationMismatch extends kind("VerificationMismatch", { retryable: false, effect: "none" }) {}

/** A rollback was refused; `details.blockers` lists the reasons. */
export class RollbackBlocked extends kind("RollbackBlocked", { retryable: false, effect: "none" }) {}

/** A rollback ran and some groups do not stand at their targets; `details` is the whole result. */
export class RollbackIncomplete extends kind("RollbackIncomplete", { retryable: false, effect: "unknown" }) {}

/** A stored snapshot, or its index item, is not what was written; the message names the first wrong place. */
export class SnapshotCorrupt extends kind("SnapshotCorrupt", { retryable: false, effect: "none" }) {}

/** The index lacks many of the snapshots whose bodies are stored: what depends on all of them cannot be decided. */
export class IndexIncomplete extends kind("IndexIncomplete", { retryable: false, effect: "none" }) {}

/** A record of the journal, its plan or result, or the lease is not what was written. */
export class JournalCorrupt extends kind("JournalCorrupt", { retryable: false, effect: "none" }) {}

/** The deployment is set up wrongly; `details.problems` lists everything that is. */
export class Configuration extends kind("Configuration", { retryable: false, effect: "unknown" }) {}

/** Kafka refused the credentials: a wrong password, token or client certificate, or a mechanism the broker lacks. */
export class KafkaAuthentication extends kind("KafkaAuthentication", { retryable: false, effect: "none" }) {}

/** A broker's certificate cannot be trusted: it has expired, its authority is unknown, or it is for another host. */
export class KafkaCertificate extends kind("KafkaCertificate", { retryable: false, effect: "none" }) {}

/** The Kafka principal lacks a right. The message names the right and the resource. */
export class KafkaAuthorization extends kind("KafkaAuthorization", { retryable: false, effect: "none" }) {}

/** Kafka could not be reached, or did not give a usable answer in time. Thrown only before the first commit. */
export class KafkaUnavailable extends kind("KafkaUnavailable", { retryable: true, effect: "none" }) {}

/** S3, DynamoDB or Secrets Manager failed or did not answer. */
export class StorageUnavailable extends kind("StorageUnavailable", { retryable: true, effect: "unknown" }) {}

/** The time of the invocation ended before the work did. */
export class DeadlineExceeded extends kind("DeadlineExceeded", { retryable: true, effect: "unknown" }) {}

/** A fault of this program. The message says only where its log is. */
export class InternalError extends kind("InternalError", { retryable: false, effect: "unknown" }) {}
