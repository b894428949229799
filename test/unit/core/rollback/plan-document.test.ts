import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, json as jsonCodec } from "../../../../functions/shared/core/json/codec.ts";
import { encodeJson, type Json, parseJson } from "../../../../functions/shared/core/json/json.ts";
import { type Blocker, blockerKinds } from "../../../../functions/shared/core/rollback/blockers.ts";
import { actions, type Plan } from "../../../../functions/shared/core/rollback/plan.ts";
import {
  encodePlan,
  extraCommits,
  type PlannedRollback,
  plannedDocument,
} from "../../../../functions/shared/core/rollback/plan-document.ts";
import { planRollback } from "../../../../functions/shared/core/rollback/planning.ts";
import { planResume } from "../../../../functions/shared/core/rollback/resume.ts";
import { commit, json, situation } from "../../../support/arbitraries.ts";
import { apply, at, journaled, later, MAX, writesOf } from "../../../support/states.ts";

/** A value after it was written and read: integers up to 2^53 are numbers. */
const reread = (value: Json): Json => jsonCodec.decode(parseJson(encodeJson(value)), "");
const written = (planned: PlannedRollback) => encodeJson(plannedDocument.encode(planned));
const read = (text: string) => plannedDocument.decode(parseJson(text), "");

const rereadBlocker = ({ expected, actual, ...rest }: Blocker): Blocker => ({
  ...rest,
  ...(expected !== undefined && { expected: reread(expected) }),
  ...(actual !== undefined && { actual: reread(actual) }),
});

/** A plan with every field and every optional field of the document. */
const full: PlannedRollback = {
  request: { snapshot_id: "s", groups: ["g"], group_map: new Map([["g", "h"]]) },
  plan: {
    snapshotId: "snapshot-2025-01-15T10:30:00Z",
    digest: "d1",
    blockers: [
      { kind: "below_log_start", group: "g", topic: "t", partition: 0, expected: 50n, actual: 55n, message: "below" },
    ],
    leftOut: [{ kind: "group_not_empty", group: "h", message: "members" }],
    warnings: ["w"],
    groups: new Map([
      [
        "g",
        {
          source: "orders",
          type: "share",
          state: "Empty",
          leftOut: true,
          replayed: 7n,
          skipped: null,
          partitions: new Map([
            [
              "t-0",
              {
                action: "rewind",
                from: at(MAX, "m", 3),
                to: at(55n),
                asked: at(50n, "", 1),
                done: true,
                replayed: 7n,
                skipped: null,
              },
            ],
          ]),
        },
      ],
    ]),
    extra: [{ group: "g", topic: "u", partition: 2, commit: at(4n) }],
  },
  origin: {
    name: "snapshot-2025-01-15T10:30:00Z",
    clusterId: "c1",
    topics: new Map([["t", { topicId: "id", partitions: new Map([[0, { leaderEpoch: 4 }]]) }]]),
  },
};

describe("a planned rollback", () => {
  test("is read as it was written, with any plan and blockers", () => {
    fc.assert(
      fc.property(situation, json, ({ snapshot, part, live, policy }, request) => {
        const plan = planRollback(snapshot, part, live, policy);
        const planned = { ...journaled(plan, live), request };
        const found = read(written(planned));
        const expected: Plan = {
          ...plan,
          blockers: plan.blockers.map(rereadBlocker),
          leftOut: plan.leftOut.map(rereadBlocker),
        };
        expect(found).toEqual({ request: reread(request), plan: expected, origin: planned.origin });
        expect(written(found)).toBe(written(planned));
      }),
      { numRuns: 500 },
    );
  });

  test("is read as it was written, with any commits, and sums beyond int64", () => {
    fc.assert(
      fc.property(commit, fc.bigInt({ min: 0n, max: MAX }), (saved, distance) => {
        const partitions = new Map([
          ["__proto__-0", { action: "rewind", from: saved, to: saved, asked: null, replayed: distance, skipped: 0n }],
          ["42-1", { action: "delete", from: saved, to: null, done: true, replayed: null, skipped: null }],
        ] as const);
        const groups = new Map(
          ["42", "7", "__proto__"].map((name) => [
            name,
            { type: null, state: null, replayed: null, skipped: distance * 3n, partitions },
          ]),
        );
        const plan: Plan = { ...full.plan, blockers: [], leftOut: [], groups };
        const planned = { ...full, request: null, plan };
        expect(read(written(planned))).toEqual(planned);
      }),
    );
  });

  test("is read as it was written when it was resumed", () => {
    fc.assert(
      fc.property(situation, ({ snapshot, part, live, policy }) => {
        const first = journaled(planRollback(snapshot, part, live, policy), live);
        const now = later(live, apply(live.commits, writesOf(first.plan)));
        const again = journaled(planResume(read(written(first)), now, true), now);
        const { groups, extra } = read(written(again)).plan;
        expect({ groups, extra }).toEqual({ groups: again.plan.groups, extra: again.plan.extra });
      }),
    );
  });

  test("has no properties for fields that its document lacks", () => {
    const partition = { action: "rewind", from: at(9n), to: at(5n), replayed: 4n, skipped: 0n } as const;
    const groupPlan = { type: null, state: null, replayed: 4n, skipped: 0n, partitions: new Map([["t-0", partition]]) };
    const blockers: Blocker[] = [{ kind: "group_not_empty", group: "g", message: "m" }];
    const planned = { ...full, plan: { ...full.plan, blockers, groups: new Map([["g", groupPlan]]) } };
    const { plan } = read(written(planned));
    expect(plan.blockers).toStrictEqual(blockers);
    expect(plan.groups.get("g")).toStrictEqual(groupPlan);
  });

  test("may contain every action and every kind of blocker", () => {
    const blockers = blockerKinds.map((kind) => ({ kind, group: "g", message: "m" }));
    const partitions = new Map(
      actions.map((action, i) => [`t-${i}`, { action, from: null, to: null, replayed: 0n, skipped: 0n }]),
    );
    const groups = new Map([["g", { type: null, state: null, replayed: 0n, skipped: 0n, partitions }]]);
    const planned = { ...full, request: {}, plan: { ...full.plan, blockers, leftOut: blockers, groups } };
    expect(read(written(planned))).toEqual(planned);
  });

  test("keeps the cluster id, topic ids and leader epochs that its targets are valid for", () => {
    expect(read(written(full)).origin).toEqual(full.origin);
    const unknown = {
      ...full.origin,
      clusterId: null,
      topics: new Map([
        ["t", null],
        ["u", { topicId: null }],
        ["v", { topicId: null, partitions: new Map([[0, { leaderEpoch: null }]]) }],
      ]),
    };
    const unread = { topicId: null, partitions: new Map() };
    expect(read(written({ ...full, origin: unknown })).origin).toEqual({
      ...unknown,
      topics: new Map(["t", "u", "v"].map((topic) => [topic, unread])),
    });
  });

  test("does not depend on the order in which its groups were planned", () => {
    const groups = new Map([
      ...full.plan.groups,
      ["a", { type: null, state: null, replayed: 0n, skipped: 0n, partitions: new Map() }],
    ]);
    const reversed = new Map([...groups].reverse());
    expect(encodeJson(encodePlan({ ...full.plan, groups }))).toBe(
      encodeJson(encodePlan({ ...full.plan, groups: reversed })),
    );
  });
});

describe("the document of a plan", () => {
  test("has the documented names, and no fields for absent values", () => {
    expect(encodeJson(encodePlan(full.plan))).toBe(
      '{"snapshot_id":"snapshot-2025-01-15T10:30:00Z","plan_digest":"d1","blockers":[{"kind":"below_log_start","group":"g",' +
        '"topic":"t","partition":0,"expected":50,"actual":55,"message":"below"}],"left_out":[{"kind":"group_not_empty",' +
        '"group":"h","message":"members"}],"skipped":[{"kind":"group_not_empty","group":"h","message":"members"}],"warnings":["w"],"groups":{"g":{"source":"orders","type":"share","state":"Empty","left_out":true,' +
        '"replayed":7,"skipped":null,"partitions":{"t-0":{"action":"rewind","from":{"offset":9223372036854775807,' +
        '"metadata":"m","leader_epoch":3},"to":{"offset":55,"metadata":""},"asked":{"offset":50,"metadata":"",' +
        '"leader_epoch":1},"done":true,"replayed":7,"skipped":null}}}},"extra":[{"group":"g","topic":"u","partition":2,' +
        '"commit":{"offset":4,"metadata":""}}]}',
    );
    expect(encodeJson(plannedDocument.encode({ ...full, plan: { ...full.plan, groups: new Map() } }))).toMatch(
      /"cluster_id":"c1","topic_ids":\{"t":"id"\},"leader_epochs":\{"t-0":4\}\}$/,
    );
    expect(encodeJson(extraCommits.encode([{ group: "g", topic: "u", partition: 2, commit: at(4n, "", 0) }]))).toBe(
      '[{"group":"g","topic":"u","partition":2,"commit":{"offset":4,"metadata":"","leader_epoch":0}}]',
    );
  });
});

describe("reading a planned rollback", () => {
  type Steps = readonly (string | number)[];
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  const document = () => parseJson(written(full));

  /** Every place in the document, from the top. `request`, `expected` and `actual` may be any JSON and are not entered. */
  function* places(value: unknown, steps: Steps = []): Generator<Steps> {
    if (steps.length > 0) yield steps;
    if (!isObject(value) || ["request", "expected", "actual"].includes(`${steps.at(-1)}`)) return;
    for (const [key, entry] of Object.entries(value)) {
      yield* places(entry, [...steps, Array.isArray(value) ? Number(key) : key]);
    }
  }

  const maps = ["groups", "partitions", "topic_ids", "leader_epochs"];
  const isEntry = (steps: Steps) => typeof steps.at(-1) === "number" || maps.includes(`${steps.at(-2)}`);
  const nameOf = (steps: Steps) =>
    steps.reduce<string>((path, step, i) => {
      if (typeof step === "number") return `${path}[${step}]`;
      if (maps.includes(`${steps[i - 1]}`)) return `${path}[${JSON.stringify(step)}]`;
      return path === "" ? step : `${path}.${step}`;
    }, "");

  /** The document with another value at a place; undefined removes the field. */
  function changed(steps: Steps, value: unknown): unknown {
    const whole = document();
    let at = whole;
    for (const step of steps.slice(0, -1)) at = isObject(at) ? at[step] : undefined;
    const last = steps.at(-1);
    if (!isObject(at) || last === undefined) throw new Error(`no ${nameOf(steps)}`);
    if (value === undefined) delete at[last];
    else at[last] = value;
    return whole;
  }

  const placeOfError = (value: unknown) => {
    try {
      plannedDocument.decode(value, "");
    } catch (error) {
      if (error instanceof DecodeError) return { path: error.path, message: error.message };
      throw error;
    }
    return "no error";
  };

  const all = [...places(document())];
  const fields = all.filter((steps) => !isEntry(steps));
  const optional = [
    "topic",
    "partition",
    "expected",
    "actual",
    "source",
    "type",
    "left_out",
    "asked",
    "done",
    "leader_epoch",
    "leader_epochs",
  ];
  const isOptional = (steps: Steps) =>
    optional.includes(`${steps.at(-1)}`) &&
    !(steps.includes("extra") && ["topic", "partition"].includes(`${steps.at(-1)}`));

  test("is tested at every place of the example", () => {
    expect(plannedDocument.decode(document(), "")).toMatchObject({ plan: { groups: full.plan.groups } });
    expect(fields.length).toBeGreaterThan(40);
    expect(all.map(nameOf)).toContain('plan.groups["g"].partitions["t-0"].from.leader_epoch');
  });

  const without = (optionally: boolean) =>
    fields.filter((steps) => isOptional(steps) === optionally).map((steps) => [nameOf(steps), steps] as const);

  test.each(without(false))("refuses a plan without %s", (name, steps) => {
    expect(placeOfError(changed(steps, undefined))).toEqual({ path: name, message: `${name} is missing` });
  });

  test.each(without(true))("accepts a plan without %s", (_name, steps) => {
    expect(placeOfError(changed(steps, undefined))).toBe("no error");
  });

  const anything = ["request", "expected", "actual"];
  const typed = all.filter((steps) => !anything.includes(`${steps.at(-1)}`));
  test.each(typed.map((steps) => [nameOf(steps), steps] as const))("refuses another type at %s", (name, steps) => {
    const original = valueAt(steps);
    for (const value of [{ wrong: 1 }, [1], "wrong", 1.5, true]) {
      const found = placeOfError(changed(steps, value));
      if (found === "no error") {
        expect(["string", "boolean"]).toContain(typeof value);
        expect(typeof original).toBe(typeof value);
        continue;
      }
      const inside = isObject(value) && isObject(original) && Array.isArray(value) === Array.isArray(original);
      if (inside) expect(found.path.startsWith(name)).toBe(true);
      else expect(found.path).toBe(name);
      expect(found.message.startsWith(`${found.path} `)).toBe(true);
    }
  });

  function valueAt(steps: Steps): unknown {
    return steps.reduce<unknown>((value, step) => (isObject(value) ? value[step] : undefined), document());
  }

  test.each([
    ["an unknown action", ["plan", "groups", "g", "partitions", "t-0", "action"], "undo", "must be one of rewind"],
    ["an unknown kind of blocker", ["plan", "blockers", 0, "kind"], "bad_luck", "must be one of group_not_empty"],
    ["a negative offset", ["plan", "groups", "g", "partitions", "t-0", "to", "offset"], -1, "must not be negative"],
    ["a negative epoch", ["plan", "extra", 0, "commit", "leader_epoch"], -1, "must not be negative"],
    ["an offset beyond int64", ["plan", "extra", 0, "commit", "offset"], MAX + 1n, "must be a 64-bit integer"],
    ["an extra commit on a negative partition", ["plan", "extra", 0, "partition"], -1, "must not be negative"],
    ["a partition beyond int32", ["plan", "blockers", 0, "partition"], 2 ** 31, "must be a 32-bit integer"],
  ])("refuses %s", (_what, steps, value, problem) => {
    expect(placeOfError(changed(steps, value))).toEqual({
      path: nameOf(steps),
      message: expect.stringContaining(`${nameOf(steps)} ${problem}`),
    });
  });

  test("refuses a key that is not a partition, and unknown fields at any place", () => {
    const key = ["plan", "groups", "g", "partitions", "t"];
    expect(placeOfError(changed(key, valueAt(["plan", "groups", "g", "partitions", "t-0"])))).toMatchObject({
      path: 'plan.groups["g"].partitions["t"]',
    });
    const objects = [[], ...all].filter((steps) => {
      const value = valueAt(steps);
      return (
        isObject(value) && !Array.isArray(value) && !maps.includes(`${steps.at(-1)}`) && steps.at(-1) !== "request"
      );
    });
    expect(objects.length).toBeGreaterThan(8);
    for (const steps of objects) {
      const unknownField = [...steps, "unknown_field"];
      expect(placeOfError(changed(unknownField, 1))).toEqual({
        path: nameOf(unknownField),
        message: `${nameOf(unknownField)} is not a field of this document`,
      });
    }
  });

  test.each([null, [], "text", 42, undefined])("refuses %j instead of a document", (value) => {
    expect(() => plannedDocument.decode(value, "plan")).toThrow(DecodeError);
  });

  test("takes the name of the origin from the plan", () => {
    const planned = read(written({ ...full, plan: { ...full.plan, snapshotId: "other" } }));
    expect(planned.origin.name).toBe("other");
  });
});
