import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Deadline } from "../core/deadline.ts";
import { Configuration, JournalCorrupt, RollbackInProgress } from "../core/errors.ts";
import { converted, count, document, nullIfAbsent, text } from "../core/json/codec.ts";
import { pause } from "./aws-call.ts";
import { type Clients, type StorageConfig, sharedClients } from "./clients.ts";
import { isoTime, itemCodec, itemOf, type Key } from "./items.ts";
import { createTable } from "./table.ts";

/** Which rollback holds the lease. */
export interface LeaseHolder {
  readonly rollbackId: string;
  readonly requestedBy: string | null;
  /** ISO 8601, UTC, milliseconds. */
  readonly startedAt: string;
}

/** The lease, held and renewed until it is released or lost, or the deadline of its invocation passes. */
export interface Lease {
  /**
   * How much longer it is surely held, by every clock: counted from before the request was sent that acquired or renewed
   * it. 0 once it is lost or released.
   */
  remainingMs(): number;
  /** Another rollback holds it, or it was not renewed in time. It stays lost. */
  readonly lost: boolean;
  /** Why AWS refused to renew or to release it: trying again does not help. Undefined unless it did. */
  readonly refused: string | undefined;
  /**
   * Stops renewing, and frees it if this rollback still holds it. Returns whether it is surely no longer held. Failing to
   * free it is no error: it expires by itself. Takes a few seconds at most, and never throws.
   */
  release(deadline: Deadline): Promise<boolean>;
}

const systemClock = {
  /** The monotonic clock, in ms. It stands still while a function is frozen. */
  monotonicMs: () => performance.now(),
  /** The clock that others have, too, in ms since 1970. It may be set. */
  utcMs: () => Date.now(),
  /** Waits for a time, or until the signal aborts. */
  wait: (ms: number, signal: AbortSignal): Promise<void> =>
    delay(ms, undefined, { signal, ref: false }).catch(() => undefined),
};
/** What a lease goes by; a test may hold it. */
export type Clock = typeof systemClock;

const key: Key = { pk: { S: "lease" }, sk: { S: "rollback" } };

/** The lease of a deployment: see `createLease`. */
export type RollbackLease = ReturnType<typeof createLease>;

/**
 * The lease that lets one rollback run at a time in a deployment, an item in its table. It is held for `lengthMs` at most
 * without being renewed, which is done every `renewMs`. All methods but `release` throw what `callAws` throws, and
 * JournalCorrupt where the item is not what was written.
 */
export function createLease(
  config: StorageConfig,
  { dynamodb }: Clients = sharedClients(),
  { lengthMs, renewMs } = { lengthMs: 20_000, renewMs: 2_500 },
  clock: Clock = systemClock,
) {
  const table = createTable(dynamodb, config.table);
  /** What the holder counts on: others, whose clocks may be ahead of its own, must not find it expired before that. */
  const sureMs = lengthMs * 0.95;
  /** A renewal that has no answer by then is tried again while there is time. */
  const answerMs = lengthMs * 0.15;
  const retryMs = renewMs / 4;
  const lengthSeconds = Math.ceil(lengthMs / 1_000);
  const leaseItem = itemCodec(leaseAttributes, { Corrupt: JournalCorrupt, next: freeIt(config.table) });
  const expiryOf = (sentAt: number, wallMs: number) => Math.round(sentAt + wallMs + lengthMs);

  const read = async (deadline: Deadline) => {
    const item = await table.get(key, "looking up which rollback runs", deadline);
    return item && leaseItem.decode(item);
  };

  /** Renews, and says how that went. A late request of an earlier renewal never shortens a later one. */
  const renew = async (token: string, expiresMs: number, deadline: Deadline) => {
    let found: StoredLease | undefined;
    const change = {
      update: key,
      expression: "SET expires_ms = :expires",
      condition: "#token = :token AND expires_ms <= :expires",
      values: itemOf({ token, expires: expiresMs }),
    };
    const tookEffect = async (limit: Deadline) => {
      found = await read(limit);
      return found?.token === token && found.expiresMs === expiresMs;
    };
    const doing = "renewing the lease";
    if (await table.write({ changes: [change], doing, undone: "", tookEffect }, deadline)) return "renewed";
    return found?.token === token ? "failed" : "lost";
  };

  /** Works until the signal aborts, or an answer is no longer waited for. */
  const limited = async <T>(signal: AbortSignal, work: (deadline: Deadline) => Promise<T>): Promise<T> => {
    const done = new AbortController();
    const over = new AbortController();
    const end = clock.monotonicMs() + answerMs;
    void clock.wait(answerMs, done.signal).then(() => over.abort());
    try {
      return await work({
        signal: AbortSignal.any([signal, over.signal]),
        remainingMs: () => Math.max(0, end - clock.monotonicMs()),
      });
    } finally {
      done.abort();
    }
  };

  /** Holds what the request sent at `sentAt` got. Times are of the monotonic clock; `wallMs` makes them those of others. */
  const hold = (token: string, sentAt: number, wallMs: number, deadline: Deadline): Lease => {
    const released = new AbortController();
    const stop = AbortSignal.any([released.signal, deadline.signal]);
    let sureUntil = sentAt + sureMs;
    let lost = false;
    let refused: string | undefined;
    const noteRefusal = (error: unknown) => {
      if (error instanceof Configuration) refused = error.summary;
    };
    /** The monotonic clock stands still while a function is frozen, and the other may be set back: the later one counts. */
    const leftMs = () => sureUntil - Math.max(clock.monotonicMs(), clock.utcMs() - wallMs);
    const isLost = () => {
      lost ||= !released.signal.aborted && leftMs() <= 0;
      return lost;
    };

    const keep = async () => {
      let due = sentAt + renewMs;
      for (;;) {
        await clock.wait(Math.max(0, due - clock.monotonicMs()), stop);
        if (stop.aborted || deadline.remainingMs() === 0 || isLost()) return;
        const askedAt = clock.monotonicMs();
        const expiresMs = expiryOf(askedAt, wallMs);
        const outcome = await limited(stop, (limit) => renew(token, expiresMs, limit)).catch((error: unknown) => {
          noteRefusal(error);
          return "failed";
        });
        if (isLost()) return; // an answer that comes too late changes nothing: another rollback may have held it in between
        lost = outcome === "lost";
        if (lost) return;
        if (outcome === "renewed") sureUntil = askedAt + sureMs;
        due = outcome === "renewed" ? askedAt + renewMs : clock.monotonicMs() + retryMs;
      }
    };
    void keep();

    return {
      get lost() {
        return isLost();
      },
      get refused() {
        return refused;
      },
      remainingMs: () => (isLost() || released.signal.aborted ? 0 : Math.max(0, leftMs())),
      async release(deadline) {
        isLost();
        released.abort();
        const freeing = {
          changes: [
            { remove: key, condition: "attribute_not_exists(pk) OR #token = :token", values: itemOf({ token }) },
          ],
          doing: "releasing the lease",
          undone: "",
          tookEffect: async (limit: Deadline) => (await read(limit))?.token !== token,
        };
        return limited(deadline.signal, (limit) => table.write(freeing, limit)).catch((error: unknown) => {
          noteRefusal(error);
          return false;
        });
      },
    };
  };

  /**
   * Whether a lease holds now.
   *
   * @throws JournalCorrupt where it ends later than a lease can that was just acquired, by clocks that differ by one length
   */
  const holds = ({ expiresMs, holder: { rollbackId } }: StoredLease): boolean => {
    const restMs = expiresMs - clock.utcMs();
    if (restMs <= 2 * lengthMs) return restMs >= 0;
    throw new JournalCorrupt(
      `the lease of ${rollbackId} ends in ${Math.round(restMs / 1_000)} s, and a lease ends after ${lengthSeconds} s: its item ` +
        "was changed, or the clock of a function is wrong.",
      {
        next: `${freeIt(config.table)} To see that rollback, call rollbacks {"rollback_id": ${JSON.stringify(rollbackId)}}.`,
      },
    );
  };

  const inProgress = ({ rollbackId, requestedBy, startedAt }: LeaseHolder) => {
    const age = Math.max(0, Math.floor((clock.utcMs() - Date.parse(startedAt)) / 1_000));
    const by = requestedBy === null ? "" : ` (requested by ${JSON.stringify(requestedBy)})`;
    return new RollbackInProgress(
      `${rollbackId}${by} has been running for ${age} s, and one rollback runs at a time in a deployment.`,
      {
        next:
          `Call rollbacks {"rollback_id": ${JSON.stringify(rollbackId)}} to see it, and try again when it has ended; if ` +
          `it crashed, it stops blocking others after at most ${lengthSeconds} s, when its lease expires.`,
        details: { rollback_id: rollbackId, requested_by: requestedBy, started_at: startedAt, age_seconds: age },
      },
    );
  };

  return {
    /**
     * Acquires the lease if no rollback holds it, and renews it from then on.
     *
     * @throws RollbackInProgress where another has it; `details` is `{rollback_id, requested_by, started_at, age_seconds}`
     */
    async acquire(holder: LeaseHolder, deadline: Deadline): Promise<Lease> {
      const token = randomUUID();
      const wallMs = clock.utcMs() - clock.monotonicMs(); // kept: a clock that is set back must not move what others see
      for (let attempt = 0; ; attempt++) {
        const sentAt = clock.monotonicMs();
        const expiresMs = expiryOf(sentAt, wallMs);
        let found: StoredLease | undefined;
        const taking = {
          changes: [
            {
              put: { ...key, ...leaseItem.encode({ token, holder, expiresMs }) },
              condition: "attribute_not_exists(pk) OR expires_ms < :now",
              values: itemOf({ now: clock.utcMs() }),
            },
          ],
          doing: `acquiring the lease for ${holder.rollbackId}`,
          undone: "The lease was not acquired: try again.",
          unknown: `Whether the lease was acquired is not known: try again in ${lengthSeconds} s, when it has expired.`,
          async tookEffect(limit: Deadline) {
            found = await read(limit);
            return found?.token === token && found.expiresMs === expiresMs;
          },
        };
        const taken = await table.write(taking, deadline);
        if (taken && clock.monotonicMs() < sentAt + sureMs) return hold(token, sentAt, wallMs, deadline);
        if (!taken && found !== undefined && found.token !== token && holds(found)) {
          throw inProgress(found.holder);
        }
        await pause(attempt, deadline); // it was freed or expired meanwhile, or the answer came too late to count on it
      }
    },

    /** The rollback that holds it now; undefined where none does, or its lease has expired. */
    async holder(deadline: Deadline): Promise<LeaseHolder | undefined> {
      const found = await read(deadline);
      return found !== undefined && holds(found) ? found.holder : undefined;
    },
  };
}

/** What the item says. `token` identifies the holder; `expiresMs` is when it expires, in ms since 1970. */
interface StoredLease {
  readonly token: string;
  readonly holder: LeaseHolder;
  readonly expiresMs: number;
}

const leaseAttributes = converted(
  document(
    {
      token: text,
      rollback_id: text,
      requested_by: nullIfAbsent(text),
      started_at: isoTime,
      expires_ms: count,
    },
    "ignored",
  ),
  ({ holder, ...lease }: StoredLease) => ({ ...lease, ...holder }),
  ({ token, expiresMs, rollbackId, requestedBy, startedAt }): StoredLease => ({
    token,
    expiresMs,
    holder: { rollbackId, requestedBy, startedAt },
  }),
);

/** What to do about a lease that cannot be trusted. */
const freeIt = (table: string) =>
  "A rollback runs at most 15 minutes. If rollbacks shows none with a started_at or resumed_at of the last 15 minutes, " +
  `delete the item: aws dynamodb delete-item --table-name ${table} --key ` +
  `'{"pk": {"S": "lease"}, "sk": {"S": "rollback"}}'.`;
