import fc from "fast-check";
import { expect, test } from "vitest";
import { historyOf, type PartitionHistory } from "../../../../functions/shared/core/history/history.ts";
import type { Snapshot } from "../../../../functions/shared/core/model.ts";
import { groupOf, log, snapshotOf } from "../../../support/states.ts";

// A partition and its only consumer, which reads each record at once and commits after each, until it dies. What the history
// says is compared with what happened.

const start = Date.parse("2025-01-15T10:00:00Z");

/** What happened: when records were appended, when the consumer died (never: undefined), when snapshots were taken. */
interface Past {
  readonly appended: readonly number[];
  readonly died: number | undefined;
  /** When commits were read, when log ends were read, and when the snapshot was saved. */
  readonly taken: readonly { readonly commits: number; readonly logs: number; readonly saved: number }[];
}

const gaps = (most: number, n: { minLength: number; maxLength: number }) =>
  fc.array(fc.integer({ min: 1, max: most }), n).map((steps) => {
    let time = start;
    return steps.map((step) => (time += step));
  });

const mostTaken = { minLength: 1, maxLength: 12 };

const past: fc.Arbitrary<Past> = fc.record({
  appended: fc.oneof(gaps(60_000, { minLength: 0, maxLength: 120 }), gaps(1_800_000, { minLength: 0, maxLength: 10 })),
  died: fc.option(fc.integer({ min: start, max: start + 3_600_000 }), { nil: undefined }),
  taken: fc.oneof(gaps(900_000, mostTaken), gaps(2_000, mostTaken)).chain((times) =>
    fc
      .array(fc.tuple(fc.nat(3_000), fc.nat(1_000)), { minLength: times.length, maxLength: times.length })
      .map((delays) =>
        times.map((commits, i) => {
          const [reading, saving] = delays[i] ?? [0, 0];
          return { commits, logs: commits + reading, saved: commits + reading + saving };
        }),
      ),
  ),
});

const at = (times: readonly number[], now: number) => BigInt(times.filter((time) => time <= now).length);

/** The snapshots in the order of the archive: as they were saved. Some began to read before one that was saved earlier. */
function snapshotsOf({ appended, died = Number.POSITIVE_INFINITY, taken }: Past): Snapshot[] {
  const seconds = new Map<string, number>();
  const inOrder = taken.toSorted((one, other) => one.saved - other.saved);
  return inOrder.map(({ commits, logs, saved }) => {
    const createdAt = `${new Date(saved).toISOString().slice(0, 19)}Z`;
    const number = (seconds.get(createdAt) ?? 0) + 1;
    seconds.set(createdAt, number);
    const offset = at(appended, Math.min(commits, died));
    const group = { ...groupOf("classic", "Stable", commits < died ? 1 : 0), asOf: new Date(commits).toISOString() };
    return snapshotOf(new Map([["g", new Map([["t-0", { offset, metadata: "" }]])]]), {
      snapshotId: `snapshot-${createdAt}${number === 1 ? "" : `-${number}`}`,
      createdAt,
      observed: {
        groups: new Map([["g", group]]),
        topics: new Map([["t", { topicId: "id", partitions: new Map([[0, log(0n, at(appended, logs))]]) }]]),
      },
    });
  });
}

function historyOfPast(past: Past): PartitionHistory {
  const history = historyOf(snapshotsOf(past), ["g"], () => () => undefined);
  const partition = history.groups.get("g")?.partitions.get("t-0");
  if (partition === undefined) throw new Error("the history lacks the partition");
  return partition;
}

test("a consumer that never died never stopped, and its commit never moved in another way", () => {
  fc.assert(
    fc.property(past, (past) => {
      expect(historyOfPast({ ...past, died: undefined }).events).toEqual([]);
    }),
  );
});

test("a stop is between its bounds: after the last record before it was read, and before the first one that was not", () => {
  fc.assert(
    fc.property(past, ({ died = start + 1_800_000, ...past }) => {
      for (const { kind, after, before } of historyOfPast({ ...past, died }).events) {
        expect(kind).toBe("stopped");
        if (after !== null) expect(after.time).toBeLessThan(died + 4_000);
        expect(before.time + 1_000).toBeGreaterThan(died);
      }
    }),
  );
});

/** A snapshot before the first record: the log ends show when each record came. */
const empty = { commits: start, logs: start, saved: start };

test("the true lag in seconds is within the error, or is at least what is known of it", () => {
  fc.assert(
    fc.property(past, fc.boolean(), ({ died = start + 60_000, ...past }, isFromStart) => {
      const taken = isFromStart ? [empty, ...past.taken] : past.taken;
      const { lag, lagSeconds, lagSecondsError, lagSecondsAtLeast } = historyOfPast({ ...past, died, taken });
      if (lag === null || lag === 0n) return;
      const last = Math.max(...taken.map(({ commits }) => commits));
      const unread = past.appended[Number(at(past.appended, Math.min(last, died)))] ?? 0;
      const truth = Math.max((last - unread) / 1_000, 0);
      if (isFromStart) expect(lagSeconds).not.toBeNull();
      if (lagSeconds === null) expect(truth).toBeGreaterThanOrEqual(lagSecondsAtLeast ?? Number.POSITIVE_INFINITY);
      else expect(Math.abs(truth - lagSeconds)).toBeLessThanOrEqual((lagSecondsError ?? 0) + 0.001);
    }),
  );
});

test("where the log end is at the commit, there is no lag", () => {
  fc.assert(
    fc.property(past, (past) => {
      const { lag, lagSeconds, lagSecondsError } = historyOfPast(past);
      if (lag === 0n) expect([lagSeconds, lagSecondsError]).toEqual([0, 0]);
    }),
  );
});
