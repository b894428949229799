import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { triggers } from "../../../functions/shared/core/model.ts";
import { applyRetention, type Candidate, type Retention } from "../../../functions/shared/core/retention.ts";
import { formatSnapshotId, isoSeconds, parseSnapshotId } from "../../../functions/shared/core/snapshot-id.ts";

const DAY = 24 * 60 * 60 * 1_000;
const now = new Date("2025-01-20T12:00:00Z");
const none: ReadonlyMap<string, readonly string[]> = new Map();

/** A complete snapshot of the schedule `hourly`, taken then. */
const at = (createdAt: string, more: Partial<Candidate> = {}): Candidate => ({
  snapshotId: formatSnapshotId({ createdAt, number: 1 }),
  createdAt,
  status: "complete",
  trigger: "schedule",
  schedule: "hourly",
  offsets: 3,
  held: false,
  ...more,
});
const rules = (its: Retention["schedules"][string], more: Partial<Retention> = {}): Retention => ({
  schedules: { hourly: its },
  safetyDays: 30,
  ...more,
});
const times = (ids: readonly string[]) => ids.map((id) => parseSnapshotId(id)?.createdAt);

/** The times of the snapshots that are kept, newest first. */
const keptOf = (snapshots: readonly Candidate[], retention: Retention, needed = none) =>
  times(applyRetention(snapshots, retention, needed, now).kept.map(({ snapshotId }) => snapshotId));
/** The reasons, by the times of the snapshots that are kept. */
const reasonsOf = (snapshots: readonly Candidate[], retention: Retention | undefined, needed = none) =>
  Object.fromEntries(
    applyRetention(snapshots, retention, needed, now).kept.map(({ snapshotId, because }) => [
      parseSnapshotId(snapshotId)?.createdAt,
      because,
    ]),
  );

describe("a rule of a schedule keeps", () => {
  const newest = "newest complete snapshot of schedule hourly";
  const withOffsets = "newest complete snapshot with offsets of schedule hourly";

  test("the last snapshots", () => {
    const snapshots = ["2025-01-15T10:00:00Z", "2025-01-15T11:00:00Z", "2025-01-15T12:00:00Z"].map((it) => at(it));
    expect(reasonsOf(snapshots, rules({ keep_last: 2 }))).toEqual({
      "2025-01-15T12:00:00Z": [newest, withOffsets, "one of the last 2"],
      "2025-01-15T11:00:00Z": ["one of the last 2"],
    });
  });

  test("the newest snapshot of each hour, and the oldest one while there are fewer hours", () => {
    const snapshots = ["09:59:59", "10:00:00", "10:59:59", "12:00:00"].map((it) => at(`2025-01-15T${it}Z`));
    expect(reasonsOf(snapshots, rules({ hourly: 2 }))).toEqual({
      "2025-01-15T12:00:00Z": [newest, withOffsets, "hourly 2025-01-15T12"],
      "2025-01-15T10:59:59Z": ["hourly 2025-01-15T10"],
    });
    const earlier = [at("2025-01-15T09:00:00Z"), at("2025-01-15T09:00:01Z"), ...snapshots];
    expect(reasonsOf(earlier, rules({ hourly: 4 }))).toEqual({
      "2025-01-15T12:00:00Z": [newest, withOffsets, "hourly 2025-01-15T12"],
      "2025-01-15T10:59:59Z": ["hourly 2025-01-15T10"],
      "2025-01-15T09:59:59Z": ["hourly 2025-01-15T09"],
      "2025-01-15T09:00:00Z": ["hourly 2025-01-15T09, the oldest"],
    });
    expect(keptOf(earlier, rules({ hourly: 3 }))).toHaveLength(3);
    expect(reasonsOf(snapshots.slice(2), rules({ hourly: 3 }))).toMatchObject({
      "2025-01-15T10:59:59Z": ["hourly 2025-01-15T10"],
    });
  });

  // The example of restic's documentation: Sundays, of which keep-daily 4 keeps the last four.
  test("days that have a snapshot: days without one are not counted", () => {
    const sundays = ["2019-09-01", "2019-09-08", "2019-09-15", "2019-09-22", "2019-09-29"].map((it) =>
      at(`${it}T11:00:00Z`),
    );
    expect(keptOf(sundays, rules({ daily: 4 }))).toEqual(
      sundays
        .slice(1)
        .map(({ createdAt }) => createdAt)
        .reverse(),
    );
  });

  test.each([
    ["2024-12-29T23:59:59Z", "2024-W52"],
    ["2024-12-30T00:00:00Z", "2025-W01"], // a Monday
    ["2025-01-05T23:59:59Z", "2025-W01"],
    ["2025-01-06T00:00:00Z", "2025-W02"],
    ["2021-01-03T00:00:00Z", "2020-W53"],
    ["2023-01-01T00:00:00Z", "2022-W52"],
    ["2024-02-29T00:00:00Z", "2024-W09"],
  ])("weeks of ISO 8601: %s is in %s", (time, week) => {
    expect(reasonsOf([at(time)], rules({ weekly: 1 }))).toEqual({ [time]: [newest, withOffsets, `weekly ${week}`] });
  });

  test("months", () => {
    const snapshots = ["2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z", "2025-01-14T00:00:00Z"].map((it) => at(it));
    expect(reasonsOf(snapshots, rules({ monthly: 2 }))).toEqual({
      "2025-01-14T00:00:00Z": [newest, withOffsets, "monthly 2025-01"],
      "2024-12-31T23:59:59Z": ["monthly 2024-12"],
    });
  });

  test("the days before the newest snapshot, however old that is", () => {
    const snapshots = ["2020-01-01T10:00:00Z", "2020-01-01T10:00:01Z", "2020-01-03T10:00:00Z"].map((it) => at(it));
    expect(reasonsOf(snapshots, rules({ within_days: 2 }))).toEqual({
      "2020-01-03T10:00:00Z": [newest, withOffsets, "within 2 days of the newest"],
      "2020-01-01T10:00:01Z": ["within 2 days of the newest"],
    });
  });

  test.each<[string, Retention["schedules"][string]]>([
    ["keep_last", { keep_last: 1 }],
    ["hourly", { hourly: 1 }],
    ["monthly", { monthly: 1 }],
    ["within_days", { within_days: 5 }],
    ["the newest ones", {}],
  ])("by %s as if there were no snapshots of the future, which stay, with a warning", (_, its) => {
    const future = ["2025-06-01T10:00:00Z", "2025-05-01T10:00:00Z"].map((it) => at(it));
    const present = [at("2025-01-19T10:00:00Z"), at("2025-01-10T10:00:00Z")];
    expect(reasonsOf([...future, ...present], rules(its))).toEqual({
      ...Object.fromEntries(future.map(({ createdAt }) => [createdAt, ["its time is in the future"]])),
      ...reasonsOf(present, rules(its)),
    });
    expect(keptOf(present, rules(its))).toEqual(["2025-01-19T10:00:00Z"]);
    expect(applyRetention([...future, ...present], rules(its), none, now).warnings).toEqual([
      "The time of snapshot-2025-06-01T10:00:00Z, snapshot-2025-05-01T10:00:00Z is in the future. Until then they are kept, " +
        "and the rules do not count them. If a clock was wrong, delete them.",
    ]);
  });

  test("the last snapshot also if the clock that took it is a few minutes ahead", () => {
    const [ahead, too] = [5 * 60_000, 5 * 60_000 + 1_000].map((ms) => at(isoSeconds(new Date(now.getTime() + ms))));
    const before = at("2025-01-19T10:00:00Z");
    expect(keptOf([ahead ?? before, before], rules({ keep_last: 1 }))).toEqual([ahead?.createdAt]);
    expect(keptOf([too ?? before, before], rules({ keep_last: 1 }))).toHaveLength(2);
  });

  test("what any one of several rules keeps, with each reason", () => {
    expect(reasonsOf([at("2025-01-15T10:30:00Z")], rules({ hourly: 1, daily: 1, weekly: 1, monthly: 1 }))).toEqual({
      "2025-01-15T10:30:00Z": [
        newest,
        withOffsets,
        "hourly 2025-01-15T10",
        "daily 2025-01-15",
        "weekly 2025-W03",
        "monthly 2025-01",
      ],
    });
  });

  test("snapshots of its own schedule only", () => {
    const snapshots = [at("2025-01-15T11:00:00Z", { schedule: "daily" }), at("2025-01-15T10:00:00Z")];
    const both = { schedules: { hourly: { keep_last: 1 }, daily: { keep_last: 1 } }, safetyDays: 30 };
    expect(keptOf(snapshots, both)).toHaveLength(2);
  });

  test("the last of several that were taken in one second", () => {
    const createdAt = "2025-01-15T10:00:00Z";
    const snapshots = [2, 10, 1].map((number) =>
      at(createdAt, { snapshotId: formatSnapshotId({ createdAt, number }) }),
    );
    const { kept } = applyRetention(snapshots, rules({ keep_last: 1 }), none, now);
    expect(kept.map(({ snapshotId }) => snapshotId)).toEqual([`snapshot-${createdAt}-10`]);
  });
});

describe("a snapshot that lacks something", () => {
  const sound = [at("2025-01-15T10:00:00Z"), at("2025-01-15T11:00:00Z")];
  test.each<[string, Partial<Candidate>]>([
    ["is partial", { status: "partial" }],
    ["has no offsets", { offsets: 0 }],
  ])("because it %s never displaces one that does not", (_, lacks) => {
    const later = [at("2025-01-15T12:00:00Z", lacks), at("2025-01-15T13:00:00Z", lacks)];
    expect(keptOf([...sound, ...later], rules({ keep_last: 1 }))).toEqual([
      "2025-01-15T13:00:00Z",
      "2025-01-15T11:00:00Z",
    ]);
    expect(keptOf([...sound, ...later], rules({ keep_last: 2 }))).toEqual([
      "2025-01-15T13:00:00Z",
      "2025-01-15T12:00:00Z",
      "2025-01-15T11:00:00Z",
      "2025-01-15T10:00:00Z",
    ]);
    const longAgo = [at("2024-01-01T00:00:00Z"), at("2024-01-02T00:00:00Z"), ...later];
    expect(keptOf(longAgo, rules({ within_days: 3 }))).toHaveLength(4);
  });

  test("is kept as the newest of its period", () => {
    const partial = at("2025-01-15T12:00:00Z", { status: "partial" });
    expect(reasonsOf([...sound, partial], rules({ daily: 1 }))).toMatchObject({
      "2025-01-15T12:00:00Z": ["daily 2025-01-15"],
      "2025-01-15T11:00:00Z": expect.arrayContaining(["daily 2025-01-15"]),
    });
  });

  test("keeps the newest complete snapshot even if that has no offsets, beside the newest that has some", () => {
    const empty = [at("2025-01-16T10:00:00Z", { offsets: 0 }), at("2025-01-17T10:00:00Z", { status: "partial" })];
    expect(reasonsOf([...sound, ...empty], rules({ keep_last: 1 }))).toEqual({
      "2025-01-17T10:00:00Z": ["one of the last 1"],
      "2025-01-16T10:00:00Z": ["newest complete snapshot of schedule hourly"],
      "2025-01-15T11:00:00Z": ["newest complete snapshot with offsets of schedule hourly", "one of the last 1"],
    });
  });
});

describe("kept beside the rules are", () => {
  const many = ["10", "11", "12"].map((it) => at(`2025-01-15T${it}:00:00Z`));
  const [first = expect.fail()] = many;

  test("held snapshots", () => {
    expect(reasonsOf([{ ...first, held: true }, ...many.slice(1)], rules({ keep_last: 1 }))).toMatchObject({
      "2025-01-15T10:00:00Z": ["held"],
    });
  });

  test("snapshots that rollbacks need", () => {
    const needed = new Map([[first.snapshotId, ["rollback-1 can be undone"]]]);
    expect(reasonsOf(many, rules({ keep_last: 1 }), needed)).toMatchObject({
      "2025-01-15T10:00:00Z": ["rollback-1 can be undone"],
    });
  });

  test("all snapshots of a schedule without rules, with a warning: one that was removed from the config, too", () => {
    const { kept, expired, warnings } = applyRetention(many, { schedules: {}, safetyDays: 30 }, none, now);
    expect(kept.map(({ because }) => because)).toEqual(many.map(() => ["schedule hourly has no rules in retention"]));
    expect(expired).toEqual([]);
    expect(warnings).toEqual([
      'Schedule "hourly" has no rules in retention: its 3 snapshots are kept for good. Add rules for it (in retention.retired if ' +
        "the config has no such schedule), or delete those that are not needed.",
    ]);
  });

  test("those of a schedule that is called like something that every object has", () => {
    const odd = at("2025-01-15T10:00:00Z", { schedule: "constructor" });
    expect(reasonsOf([odd], rules({ keep_last: 1 }))).toEqual({
      "2025-01-15T10:00:00Z": ["schedule constructor has no rules in retention"],
    });
  });

  test("all snapshots of a deployment without retention", () => {
    const old = at("2001-01-01T00:00:00Z", { trigger: "safety", schedule: undefined });
    expect(reasonsOf([old], undefined)).toEqual({ "2001-01-01T00:00:00Z": ["no retention is configured"] });
    expect(applyRetention([at("2030-01-01T00:00:00Z")], undefined, none, now)).toMatchObject({ warnings: [] });
    expect(applyRetention(many, undefined, none, now)).toMatchObject({ expired: [], warnings: [] });
    expect(applyRetention(many, rules({ keep_last: 1 }), none, now)).toMatchObject({ warnings: [] });
  });
});

describe("by their age", () => {
  const safety = { trigger: "safety", schedule: undefined } as const;
  test("safety snapshots expire, also the only one", () => {
    const snapshots = [at("2025-01-17T12:00:00Z", safety), at("2025-01-17T12:00:01Z", safety)];
    expect(reasonsOf(snapshots, rules({}, { safetyDays: 3 }))).toEqual({
      "2025-01-17T12:00:01Z": ["safety snapshot of the last 3 days"],
    });
  });

  test.each(["invoke", "api", "imported"] as const)("snapshots by %s expire only with manual_days", (trigger) => {
    const snapshots = [at("2001-01-01T00:00:00Z", { trigger, schedule: undefined })];
    expect(reasonsOf(snapshots, rules({}))).toEqual({ "2001-01-01T00:00:00Z": ["manual snapshots are kept for good"] });
    expect(keptOf(snapshots, rules({}, { manualDays: 9_000 }))).toHaveLength(1);
    expect(keptOf(snapshots, rules({}, { manualDays: 8_000 }))).toEqual([]);
  });
});

const someCount = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
const someRules = fc.record({
  keep_last: someCount,
  hourly: someCount,
  daily: someCount,
  weekly: someCount,
  monthly: someCount,
  within_days: someCount,
});
const someRetention: fc.Arbitrary<Retention> = fc.record({
  schedules: fc.record({ hourly: someRules, nightly: someRules }),
  safetyDays: fc.integer({ min: 1, max: 60 }),
  manualDays: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
});
/** Hours before `now`, close together or far apart. */
const someAge = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 0, max: 5_000 }),
);
const someSnapshots: fc.Arbitrary<Candidate[]> = fc.uniqueArray(
  fc
    .record({
      hours: someAge,
      number: fc.integer({ min: 1, max: 2 }),
      status: fc.oneof(
        { weight: 3, arbitrary: fc.constant("complete" as const) },
        { weight: 1, arbitrary: fc.constant("partial" as const) },
      ),
      trigger: fc.oneof(
        { weight: 5, arbitrary: fc.constant("schedule" as const) },
        { weight: 1, arbitrary: fc.constantFrom(...triggers) },
      ),
      schedule: fc.constantFrom("hourly", "hourly", "hourly", "nightly", "removed"),
      offsets: fc.oneof({ weight: 4, arbitrary: fc.constant(3) }, { weight: 1, arbitrary: fc.constant(0) }),
      held: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    })
    .map(({ hours, number, schedule, trigger, ...rest }): Candidate => {
      const createdAt = isoSeconds(new Date(now.getTime() - hours * 60 * 60 * 1_000));
      const snapshotId = formatSnapshotId({ createdAt, number });
      return { snapshotId, createdAt, trigger, schedule: trigger === "schedule" ? schedule : undefined, ...rest };
    }),
  { selector: ({ snapshotId }) => snapshotId, maxLength: 40 },
);
const archive = fc.record({ retention: someRetention, snapshots: someSnapshots }).chain(({ retention, snapshots }) =>
  fc.record({
    retention: fc.constant(retention),
    snapshots: fc.constant(snapshots),
    needed: fc
      .subarray(snapshots.map(({ snapshotId }) => snapshotId))
      .map((ids) => new Map(ids.map((id) => [id, ["it"]]))),
  }),
);
type Archive = typeof archive extends fc.Arbitrary<infer T> ? T : never;

const holds = (property: (archive: Archive) => void) => fc.assert(fc.property(archive, property), { numRuns: 500 });
const prune = ({ snapshots, retention, needed }: Archive, time = now) => {
  const { kept } = applyRetention(snapshots, retention, needed, time);
  const ids = new Set(kept.map(({ snapshotId }) => snapshotId));
  return snapshots.filter(({ snapshotId }) => ids.has(snapshotId));
};

describe("for all snapshots and rules", () => {
  test("each snapshot is kept with a reason, or expired", () =>
    holds(({ snapshots, retention, needed }) => {
      const { kept, expired } = applyRetention(snapshots, retention, needed, now);
      const ids = [...kept.map(({ snapshotId }) => snapshotId), ...expired];
      expect(ids.toSorted()).toEqual(snapshots.map(({ snapshotId }) => snapshotId).toSorted());
      for (const { because } of kept) expect(because.length).toBe(new Set(because).size);
      expect(kept.every(({ because }) => because.length > 0)).toBe(true);
    }));

  test("held ones, those that rollbacks need, and those of schedules without rules are kept", () =>
    holds((archive) => {
      const kept = prune(archive);
      for (const it of archive.snapshots) {
        if (it.held || archive.needed.has(it.snapshotId) || it.schedule === "removed") expect(kept).toContain(it);
      }
    }));

  test("of each schedule the newest complete one is kept, and the newest complete one with offsets", () =>
    holds((archive) => {
      const kept = prune(archive);
      for (const schedule of ["hourly", "nightly", "removed"]) {
        for (const least of [0, 1]) {
          const fit = (it: Candidate) => it.schedule === schedule && it.status === "complete" && it.offsets >= least;
          const newestOf = (its: readonly Candidate[]) =>
            its
              .filter(fit)
              .map(({ createdAt }) => createdAt)
              .toSorted()
              .at(-1);
          expect(newestOf(kept)).toBe(newestOf(archive.snapshots));
        }
      }
    }));

  test("a second run deletes nothing more", () =>
    holds((archive) => {
      const kept = prune(archive);
      expect(prune({ ...archive, snapshots: kept })).toEqual(kept);
    }));

  test("a schedule that has stopped loses nothing with time", () =>
    holds((archive) => {
      const snapshots = archive.snapshots.filter(({ schedule }) => schedule !== undefined);
      const kept = prune({ ...archive, snapshots });
      expect(prune({ ...archive, snapshots }, new Date(now.getTime() + 10_000 * DAY))).toEqual(kept);
    }));

  test("to take a snapshot, or several, never brings back one that was to be deleted", () =>
    holds((archive) => {
      const byTime = archive.snapshots.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
      for (const taken of [1, 3, 10]) {
        const earlier = byTime.slice(0, -taken);
        const keptBefore = new Set(prune({ ...archive, snapshots: earlier }));
        for (const it of prune({ ...archive, snapshots: byTime }))
          expect(keptBefore.has(it) || !earlier.includes(it)).toBe(true);
      }
    }));

  test("it does not matter how often it has run before", () =>
    holds((archive) => {
      const byTime = archive.snapshots.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
      let kept: Candidate[] = [];
      for (const it of byTime) kept = prune({ ...archive, snapshots: [...kept, it] });
      expect(new Set(kept)).toEqual(new Set(prune(archive)));
    }));

  test("partial and empty ones do not matter to the others", () =>
    holds((archive) => {
      const isSound = ({ status, offsets }: Candidate) => status === "complete" && offsets > 0;
      const kept = prune({ ...archive, snapshots: archive.snapshots.filter(isSound) });
      expect(prune(archive).filter(isSound)).toEqual(kept);
    }));

  test("higher numbers keep what lower ones do", () =>
    holds((archive) => {
      const { schedules } = archive.retention;
      const more = Object.entries(schedules).map(([name, its]) => {
        const higher = Object.entries(its).flatMap(([rule, n]) => (n === undefined ? [] : [[rule, n + 1]]));
        return [name, Object.fromEntries(higher)];
      });
      const retention = { ...archive.retention, schedules: Object.fromEntries(more) };
      const kept = new Set(prune({ ...archive, retention }));
      expect(prune(archive).filter((it) => !kept.has(it))).toEqual([]);
    }));
});
