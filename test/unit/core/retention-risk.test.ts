import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ObservedPartition, ObservedTopic } from "../../../functions/shared/core/model.ts";
import { countRisk, type LogsAt, retentionRisk, riskWarnings } from "../../../functions/shared/core/retention-risk.ts";

const HOUR = 3_600_000;
const commitsAt = (offset: bigint, group = "orders", key = "events-0") =>
  new Map([[group, new Map([[key, { offset, metadata: "" }]])]]);
const log = (logStartOffset: bigint | null, logEndOffset: bigint | null): ObservedPartition => ({
  logStartOffset,
  logEndOffset,
  leaderEpoch: 0,
});
const logsAt = (hours: number, start: bigint | null, end: bigint | null, topicId: string | null = "id"): LogsAt => ({
  time: hours * HOUR,
  topics: new Map<string, ObservedTopic | null>([["events", { topicId, partitions: new Map([[0, log(start, end)]]) }]]),
});
const none = { below: [], soon: [], unknown: 0 };
const unknown = { ...none, unknown: 1 };
const at = (offset: bigint, logStart: bigint) => [{ group: "orders", key: "events-0", offset, logStart }];

describe("the retention risk", () => {
  test("of an offset below the log start is certain, with or without an earlier snapshot", () => {
    const now = logsAt(1, 20n, 100n);
    for (const earlier of [undefined, logsAt(0, 0n, 90n), logsAt(0, 0n, 90n, "another")]) {
      expect(retentionRisk(commitsAt(19n), now, earlier, 24)).toEqual({ ...none, below: at(19n, 20n) });
    }
  });

  test("of an offset that the log start will pass within the hours depends on the rate since the earlier snapshot", () => {
    const [earlier, now] = [logsAt(0, 0n, 1_000n), logsAt(2, 20n, 1_100n)]; // 10 an hour
    expect(retentionRisk(commitsAt(259n), now, earlier, 24)).toEqual({ ...none, soon: at(259n, 20n) });
    expect(retentionRisk(commitsAt(260n), now, earlier, 24)).toEqual(none); // the log begins with it then
    expect(retentionRisk(commitsAt(259n), now, earlier, 23)).toEqual(none);
  });

  test("is none at the end of a log to which nothing is appended, whose start cannot pass its end", () => {
    const [earlier, now] = [logsAt(0, 0n, 100n), logsAt(1, 90n, 100n)];
    expect(retentionRisk(commitsAt(100n), now, earlier, 24)).toEqual(none);
    expect(retentionRisk(commitsAt(99n), now, earlier, 24)).toEqual({ ...none, soon: at(99n, 90n) });
  });

  test.each<[string, LogsAt, LogsAt | undefined]>([
    ["there is no earlier snapshot", logsAt(1, 0n, 9n), undefined],
    ["the topic was created again since", logsAt(1, 0n, 9n), logsAt(0, 0n, 9n, "another")],
    ["only one of them has the topic's id", logsAt(1, 0n, 9n, null), logsAt(0, 0n, 9n)],
    ["the earlier one lacks the topic", logsAt(1, 0n, 9n), { time: 0, topics: new Map() }],
    [
      "the earlier one could not observe the topic",
      logsAt(1, 0n, 9n),
      { time: 0, topics: new Map([["events", null]]) },
    ],
    ["the earlier one lacks the log start", logsAt(1, 0n, 9n), logsAt(0, null, 9n)],
    ["the earlier one lacks the log end", logsAt(1, 0n, 9n), logsAt(0, 0n, null)],
    ["the log start went back", logsAt(1, 0n, 9n), logsAt(0, 1n, 9n)],
    ["the log end went back", logsAt(1, 0n, 9n), logsAt(0, 0n, 10n)],
    ["no time has passed", logsAt(1, 0n, 9n), logsAt(1, 0n, 9n)],
    ["the log start is unknown", logsAt(1, null, 9n), logsAt(0, 0n, 9n)],
    ["the log end is unknown", logsAt(1, 0n, null), logsAt(0, 0n, 9n)],
    ["the topic could not be observed", { time: HOUR, topics: new Map([["events", null]]) }, logsAt(0, 0n, 9n)],
  ])("is unknown where %s", (_why, now, earlier) => {
    expect(retentionRisk(commitsAt(5n), now, earlier, 24)).toEqual(unknown);
  });

  test("is forecast on brokers without topic ids", () => {
    expect(retentionRisk(commitsAt(5n), logsAt(1, 4n, 99n, null), logsAt(0, 0n, 9n, null), 24).soon).toHaveLength(1);
  });

  test("leaves out topics that do not exist, and what the group's own Streams application deletes", () => {
    const topics = new Map(
      [...logsAt(1, 20n, 100n).topics.values()].map((topic) => ["orders-by-id-repartition", topic]),
    );
    const own = commitsAt(3n, "orders", "orders-by-id-repartition-0");
    const foreign = commitsAt(3n, "audit", "orders-by-id-repartition-0");
    expect(retentionRisk(own, { time: HOUR, topics }, undefined, 24)).toEqual(none);
    expect(retentionRisk(foreign, { time: HOUR, topics }, undefined, 24).below).toHaveLength(1);
    expect(retentionRisk(commitsAt(3n), { time: HOUR, topics }, undefined, 24)).toEqual(none);
  });

  const amount = fc.bigInt({ min: 0n, max: 1_000_000_000n });
  const hours = fc.integer({ min: 1, max: 1_000 });

  test("is what a log does that goes on at the same rate", () => {
    fc.assert(
      fc.property(
        amount,
        amount,
        amount,
        amount,
        hours,
        hours,
        amount,
        (start, deleted, size, more, past, ahead, offset) => {
          // The log start moves by `deleted` in each hour, the log end by `more` or, if it has to, further.
          const appended = deleted > more ? deleted : more;
          const startAt = (hour: number) => start + deleted * BigInt(hour);
          const endAt = (hour: number) => start + size + appended * BigInt(hour);
          const logs = (hour: number) => logsAt(hour, startAt(hour), endAt(hour));
          const committed = startAt(past) + (offset % (size + 1n));
          const risk = retentionRisk(commitsAt(committed), logs(past), logs(0), ahead);
          expect(risk.soon.length === 1).toBe(startAt(past + ahead) > committed);
          expect([risk.below.length, risk.unknown]).toEqual([0, 0]);
        },
      ),
    );
  });

  test("grows with the hours, and every partition on a topic that exists is counted once or is safe", () => {
    const bound = fc.option(fc.bigInt({ min: 0n, max: 100n }));
    const logs = (time: number) =>
      fc
        .record({ start: bound, end: bound, id: fc.constantFrom("a", "b", null) })
        .map((one) => logsAt(time, one.start, one.end, one.id));
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 120n }),
        logs(3),
        fc.option(logs(0)),
        hours,
        hours,
        (offset, now, earlier, a, b) => {
          const riskIn = (ahead: number) => retentionRisk(commitsAt(offset), now, earlier ?? undefined, ahead);
          const [sooner, later] = [riskIn(Math.min(a, b)), riskIn(Math.max(a, b))];
          expect(later.soon.length).toBeGreaterThanOrEqual(sooner.soon.length);
          expect([later.below, later.unknown]).toEqual([sooner.below, sooner.unknown]);
          expect(later.below.length + later.soon.length + later.unknown).toBeLessThanOrEqual(1);
          const start = now.topics.get("events")?.partitions.get(0)?.logStartOffset ?? null;
          if (earlier === null) expect(later.below.length + later.unknown).toBe(1);
          if (start === null) expect(later.unknown).toBe(1);
        },
      ),
    );
  });
});

test("the numbers count each group once", () => {
  const one = { group: "a", key: "t-0", offset: 1n, logStart: 2n };
  const risk = { below: [one, { ...one, key: "t-1" }], soon: [{ ...one, group: "b" }], unknown: 4 };
  expect(countRisk(risk)).toEqual({ partitions: 3, groups: 2, unknown: 4 });
});

test("the warnings name the partitions, and are none without a risk", () => {
  const one = { group: "orders", key: "events-0", offset: 5n, logStart: 20n };
  expect(riskWarnings({ ...none, below: [one] }, 24)).toEqual([
    '1 saved offset is below the log start ("orders" events-0: 5, log start 20). What these groups have not read up to ' +
      "there is deleted, and a rollback to these offsets is blocked.",
  ]);
  expect(riskWarnings({ ...none, soon: [one, one] }, 24)[0]).toMatch(
    /^2 saved offsets will be below the log start within 24 hours, at the rate since the schedule's last complete snapshot/,
  );
  expect(riskWarnings(unknown, 24)).toEqual([]);
});
