import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidRequest, SnapshotCorrupt } from "../../../functions/shared/core/errors.ts";
import { type Snapshot, statusOf, topicsOf } from "../../../functions/shared/core/model.ts";
import {
  entryItem,
  filterExpression,
  indexEntryOf,
  keysBetween,
  requireAgreement,
  stretchOf,
  topicsNamed,
} from "../../../functions/shared/storage/index-entry.ts";
import { snapshot as anySnapshot, labels } from "../../support/arbitraries.ts";
import { spoilItem } from "../../support/spoil.ts";

const body = { sha256: "ab".repeat(32), bytes: 1_234 };

describe("an index entry", () => {
  test("is read from its item as it was written", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const entry = indexEntryOf(snapshot, body);
        expect(entryItem.decode(entryItem.encode(entry))).toEqual(entry);
        expect(entry).toMatchObject({ snapshotId: snapshot.snapshotId, status: statusOf(snapshot), ...body });
        expect(entry.topics).toEqual(topicsNamed(snapshot));
      }),
    );
  });

  test("keeps its expiry time", () => {
    fc.assert(
      fc.property(anySnapshot, fc.integer({ min: 0, max: 4_000_000_000 }), (snapshot, seconds) => {
        const expiresAt = new Date(seconds * 1_000).toISOString();
        const entry = { ...indexEntryOf(snapshot, body), expiresAt };
        expect(entryItem.decode(entryItem.encode(entry))).toEqual(entry);
      }),
    );
  });

  test("stays small and has valid Unicode, with any texts in the snapshot", () => {
    const long = fc.string({ unit: "binary", minLength: 1, maxLength: 5 }).map((text) => `${text}\ud83d`.repeat(5_000));
    fc.assert(
      fc.property(anySnapshot, long, fc.boolean(), (some, text, literal) => {
        const snapshot: Snapshot = {
          ...some,
          description: text,
          cluster: { name: text, clusterId: text },
          schedule: { name: text, executionId: text, scheduledTime: text },
          selection: { groups: [literal ? { name: text } : text], exclude: [] },
          // The most that a request may have.
          labels: new Map(Array.from({ length: 16 }, (_, i) => [`k${i}`.padEnd(64, "k"), "\u20ac".repeat(128)])),
        };
        const entry = indexEntryOf(snapshot, body);
        const attributes = Object.values(entryItem.encode(entry));
        const texts = attributes.flatMap(({ S }) => S ?? []);
        expect(Buffer.byteLength(texts.join(""))).toBeLessThan(20_000);
        expect(texts.every((value) => value.isWellFormed())).toBe(true);
        expect([...entry.description]).toHaveLength(1_024);
        expect(entry.description.endsWith("…")).toBe(true);
        expect(entry.selection).toBeUndefined();
      }),
      { numRuns: 20 },
    );
  });

  test("names the topics that have commits or could not be observed, unless there are too many", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const named = topicsNamed(snapshot);
        const { topics } = snapshot.observed;
        for (const topic of topicsOf(snapshot.consumerGroups)) expect(named).toContain(topic);
        for (const [topic, found] of topics) if (found === null) expect(named).toContain(topic);
        for (const topic of named) {
          expect(topicsOf(snapshot.consumerGroups).has(topic) || topics.get(topic) === null).toBe(true);
        }
        const many = new Map(Array.from({ length: 1_000 }, (_, i) => [`topic-${i}`, null]));
        const entry = indexEntryOf({ ...snapshot, observed: { ...snapshot.observed, topics: many } }, body);
        expect(entry.topics).toBeUndefined();
        expect(entryItem.encode(entry).topics).toBeUndefined();
      }),
    );
  });

  test.each(["orders", '"orders"', "[1]", "{}"])("whose topics are %s is corrupt", (topics) => {
    const [snapshot] = fc.sample(anySnapshot, 1);
    if (snapshot === undefined) throw new Error("there is a sample");
    const item = { ...entryItem.encode(indexEntryOf(snapshot, body)), topics: { S: topics } };
    expect(() => entryItem.decode(item)).toThrow(SnapshotCorrupt);
    expect(() => entryItem.decode(item)).toThrow(/topics/);
  });

  test("with changed attributes is read, or rejected as corrupt with the name of the attribute", () => {
    fc.assert(
      fc.property(anySnapshot, spoilItem, (snapshot, change) => {
        const item = entryItem.encode({ ...indexEntryOf(snapshot, body), expiresAt: "2030-01-01T00:00:00.000Z" });
        try {
          const read = entryItem.decode(change(item));
          expect(entryItem.decode(entryItem.encode(read))).toEqual(read);
        } catch (error) {
          if (!(error instanceof SnapshotCorrupt)) throw error;
          expect(error.message).toMatch(/ is not what was written: [a-z_0-9]+\S* /);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("an entry of a snapshot", () => {
  const [some] = fc.sample(anySnapshot, 1);
  if (some === undefined) throw new Error("there is a sample");
  const { labels: _, held: __, ...bare } = some;

  test("that was to be held from the first moment says so, since its own time", () => {
    const at = new Date(some.createdAt).toISOString();
    expect(indexEntryOf({ ...bare, held: true }, body).hold).toEqual({ at, by: null, byProven: false, reason: null });
    expect(indexEntryOf(bare, body)).not.toHaveProperty("hold");
    expect(indexEntryOf(bare, body)).not.toHaveProperty("labels");
  });

  test("agrees with the body also after it was held or released, and not with other labels", () => {
    const labelled: Snapshot = { ...bare, held: true, labels: new Map([["env", "a"]]) };
    const { hold: ___, ...released } = indexEntryOf(labelled, body);
    requireAgreement(released, labelled, body.bytes);
    requireAgreement(indexEntryOf(labelled, body), { ...bare, labels: new Map([["env", "a"]]) }, body.bytes);
    for (const other of [bare, { ...bare, labels: new Map([["env", "b"]]) }]) {
      expect(() => requireAgreement(released, other, body.bytes)).toThrow(
        /labels is .* in the index, and .* in the body/,
      );
    }
  });
});

test("a filter by labels finds exactly the items that have all of them, whatever their values contain", () => {
  fc.assert(
    fc.property(anySnapshot, labels, labels, (some, own, wanted) => {
      const { labels: { S = "" } = {} } = entryItem.encode(indexEntryOf({ ...some, labels: own }, body));
      const { FilterExpression, values } = filterExpression({ labels: wanted });
      const asked = Object.entries(values);
      expect(asked).toHaveLength(wanted.size);
      for (const [name] of asked) expect(FilterExpression).toContain(`contains(#labels, ${name})`);
      const isFound = asked.every(([, { S: member }]) => S.includes(member));
      expect(isFound).toBe([...wanted].every(([key, value]) => own.get(key) === value));
    }),
    { numRuns: 2_000 },
  );
});

describe("the sort keys between two times", () => {
  const key = "2025-01-15T10:30:00Z#000002";
  const holds = (since?: string, until?: string) => {
    const { from, to } = keysBetween(since ? new Date(since) : undefined, until ? new Date(until) : undefined);
    return from <= key && key <= to;
  };

  test.each([
    [undefined, undefined, true],
    ["2025-01-15T10:30:00Z", "2025-01-15T10:30:00Z", true],
    ["2025-01-15T11:30:00+01:00", undefined, true],
    ["2025-01-15T10:30:00.001Z", undefined, false],
    [undefined, "2025-01-15T10:30:00.999Z", true],
    [undefined, "2025-01-15T10:29:59.999Z", false],
    ["0000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", true],
    ["9999-12-31T23:59:59-14:00", undefined, false],
    [undefined, "0000-01-01T00:00:00+14:00", false],
  ])("from %s to %s", (since, until, expected) => {
    expect(holds(since, until)).toBe(expected);
  });
});

test("a list between times that exclude each other is refused with the field's name", () => {
  const [since, until] = [new Date("2025-01-02T00:00:00Z"), new Date("2025-01-01T00:00:00Z")];
  expect(() => stretchOf({ limit: 1, since, until })).toThrow(InvalidRequest);
  expect(() => stretchOf({ limit: 1, since, until })).toThrow(
    expect.objectContaining({ details: { problems: [expect.stringMatching(/^since: /)] } }),
  );
});
