import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidRequest, SnapshotCorrupt } from "../../../functions/shared/core/errors.ts";
import type { Json } from "../../../functions/shared/core/json/json.ts";
import { PackError } from "../../../functions/shared/core/json/packed-json.ts";
import { type Snapshot, topicsOf } from "../../../functions/shared/core/model.ts";
import {
  commit,
  decodeSnapshot,
  decodeSnapshotPart,
  encodeSnapshot,
  packDocument,
  type WantedPart,
} from "../../../functions/shared/core/snapshot.ts";
import { snapshot } from "../../support/arbitraries.ts";
import { groupOf } from "../../support/states.ts";

const example: Snapshot = {
  snapshotId: "snapshot-2025-01-15T10:30:00Z",
  description: "Before consuming remaining messages",
  createdAt: "2025-01-15T10:30:00Z",
  trigger: "invoke",
  selection: { groups: ["*"], exclude: [] },
  cluster: { name: "local", clusterId: "abc" },
  consumerGroups: new Map([["orders-streams", new Map([["orders-0", { offset: 17n, metadata: "", leaderEpoch: 0 }]])]]),
  errors: [],
  warnings: [],
  observed: {
    groups: new Map([["orders-streams", { ...groupOf("classic", "Empty", 0), asOf: "2025-01-15T10:29:59.875Z" }]]),
    topics: new Map([
      [
        "orders",
        { topicId: "id", partitions: new Map([[0, { logStartOffset: 0n, logEndOffset: 33n, leaderEpoch: 0 }]]) },
      ],
    ]),
  },
};

const text = (encoded: { body: Uint8Array }) => gunzipSync(encoded.body).toString("utf8");

/** Decodes a body with this JSON and its own checksum, so that only the decoder can reject it. */
function decodingOf(json: string) {
  const body = gzipSync(json);
  const sha256 = createHash("sha256").update(body).digest("hex");
  return () => decodeSnapshot(body, { snapshotId: example.snapshotId, sha256 });
}

describe("a snapshot's body", () => {
  test("decodes to exactly what was encoded, for any names and offsets", () => {
    fc.assert(
      fc.property(snapshot, (original) => {
        const { body, sha256 } = encodeSnapshot(original);
        expect(decodeSnapshot(body, { snapshotId: original.snapshotId, sha256 })).toEqual(original);
      }),
      { numRuns: 500 },
    );
  });

  test("is one line that begins with the documented keys in their order", () => {
    const json = text(encodeSnapshot(example));
    expect(json).not.toContain("\n");
    expect(json).toMatch(
      /^\{"snapshot_id":"snapshot-2025-01-15T10:30:00Z","description":"Before consuming remaining messages","created_at":"2025-01-15T10:30:00Z","consumer_groups":\{"orders-streams":\{"partitions":\{"orders-0":\{"offset":17,"metadata":"","leader_epoch":0\}\}\}\},/,
    );
  });

  test("has the protocols and the time of the commits of each group, or null in older documents", () => {
    const json = text(encodeSnapshot(example));
    const more = ',"protocol_type":"consumer","protocol":null,"as_of":"2025-01-15T10:29:59.875Z"';
    expect(json).toContain(`{"type":"classic","state":"Empty","members":0${more}}`);
    const old = gzipSync(json.replace(more, ""));
    const sha256 = createHash("sha256").update(old).digest("hex");
    const { observed } = decodeSnapshot(old, { snapshotId: example.snapshotId, sha256 });
    expect(observed.groups.get("orders-streams")).toEqual({
      ...{ type: "classic", state: "Empty", members: 0 },
      ...{ protocolType: null, protocol: null, asOf: null },
    });
  });

  test("does not depend on the order in which groups were read", () => {
    fc.assert(
      fc.property(snapshot, (original) => {
        const reversed = { ...original, consumerGroups: new Map([...original.consumerGroups].reverse()) };
        expect(text(encodeSnapshot(reversed))).toBe(text(encodeSnapshot(original)));
      }),
    );
  });

  test("is corrupt if any byte was altered", () => {
    const { body, sha256 } = encodeSnapshot(example);
    fc.assert(
      fc.property(fc.nat({ max: body.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Uint8Array.from(body, (byte, i) => (i === at ? byte ^ change : byte));
        expect(() => decodeSnapshot(altered, { snapshotId: example.snapshotId, sha256 })).toThrow(SnapshotCorrupt);
      }),
    );
  });

  test("is corrupt if it was cut off at any byte", () => {
    const { body, sha256 } = encodeSnapshot(example);
    for (let length = 0; length < body.length; length++) {
      expect(() => decodeSnapshot(body.subarray(0, length), { snapshotId: example.snapshotId, sha256 })).toThrow(
        /^SnapshotCorrupt: /,
      );
    }
  });

  test("is corrupt under another id, even with the right checksum", () => {
    const { body, sha256 } = encodeSnapshot(example);
    expect(() => decodeSnapshot(body, { snapshotId: "snapshot-2025-01-15T10:30:00Z-2", sha256 })).toThrow(
      /another snapshot's body/,
    );
  });

  const json = text(encodeSnapshot(example));
  test.each([
    [
      "a negative offset",
      '"offset":17',
      '"offset":-1',
      'consumer_groups["orders-streams"].partitions["orders-0"].offset must not be negative',
    ],
    ["an offset beyond int64", '"offset":17', '"offset":9223372036854775808', ".offset must be a 64-bit integer"],
    ["an offset as text", '"offset":17', '"offset":"17"', '.offset must be a 64-bit integer, not "17"'],
    ["no offset", '"offset":17,', "", ".offset is missing"],
    ["metadata that is null", '"metadata":""', '"metadata":null', ".metadata must be a string, not null"],
    [
      "a key that is not a partition",
      '"orders-0":{"offset"',
      '"orders":{"offset"',
      'partitions["orders"] is not <topic>-<partition>',
    ],
    ["an unknown field", '"schema_version":5', '"schema_version":4,"more":2', "more is not a field of this document"],
    ["a status that contradicts its errors", '"status":"complete"', '"status":"partial"', "status is partial"],
    [
      "a schema before the first",
      '"schema_version":5',
      '"schema_version":0',
      "schema_version is 0: the first version is 1",
    ],
    ["a negative schema", '"schema_version":5', '"schema_version":-1', "schema_version is -1"],
    [
      "a time that is none",
      '"created_at":"2025-01-15T10:30:00Z"',
      '"created_at":"yesterday"',
      'created_at is "yesterday": not the time of the id',
    ],
    [
      "the time of another id",
      '"created_at":"2025-01-15T10:30:00Z"',
      '"created_at":"2025-01-15T10:30:01Z"',
      "created_at is",
    ],
    ["a newer schema", '"schema_version":5', '"schema_version":6', "deploy a newer one"],
    [
      "groups as a list",
      /"consumer_groups":\{.*?\}\}\}\}/,
      '"consumer_groups":[]',
      "consumer_groups must be an object",
    ],
    ["partition -1", '{"0":{"log', '{"-1":{"log', 'observed.topics["orders"].partitions["-1"] is not the number of'],
    ["partition 01", '{"0":{"log', '{"01":{"log', '.partitions["01"] is not the number of a partition'],
    ["partition 1.5", '{"0":{"log', '{"1.5":{"log', '.partitions["1.5"] is not the number of a partition'],
    [
      "partition 2^31",
      '{"0":{"log',
      '{"2147483648":{"log',
      '.partitions["2147483648"] is not the number of a partition',
    ],
    ["partition x", '{"0":{"log', '{"x":{"log', '.partitions["x"] is not the number of a partition'],
    [
      "a negative leader epoch",
      '"leader_epoch":0}}}',
      '"leader_epoch":-1}}}',
      '.partitions["orders-0"].leader_epoch must not be negative, but is -1',
    ],
    ["no schema", '"schema_version":5', '"schema_version":null', "schema_version must be a 32-bit integer, not null"],
    ["a schema as text", '"schema_version":5', '"schema_version":"9"', "schema_version must be a 32-bit integer, not "],
    ["an unknown trigger", '"invoke"', '"chance"', "trigger must be one of invoke, api, schedule, safety, imported"],
    [
      "a partial snapshot without errors",
      '"complete"',
      '"partial"',
      "status is partial, but 0 groups are among its errors",
    ],
    [
      "a selector with an unknown field",
      '"groups":["*"]',
      '"groups":[{"name":"a","more":1}]',
      "selection.groups[0].more is not a field",
    ],
  ])("names the place of %s", (_what, original, replacement, place) => {
    const changed = json.replace(original, replacement);
    expect(changed).not.toBe(json);
    expect(decodingOf(changed)).toThrow(SnapshotCorrupt);
    expect(decodingOf(changed)).toThrow(place);
  });

  test("may have an offset of 0 and the largest partition number", () => {
    const changed = json.replace('"offset":17', '"offset":0').replace('{"0":{"log', '{"2147483647":{"log');
    const read = decodingOf(changed)();
    expect(read.consumerGroups.get("orders-streams")?.get("orders-0")).toEqual({
      ...{ offset: 0n, metadata: "", leaderEpoch: 0 },
    });
    expect([...(read.observed.topics.get("orders")?.partitions.keys() ?? [])]).toEqual([2147483647]);
  });

  test("of each earlier schema version is read", () => {
    for (const version of [1, 2, 3, 4]) {
      expect(decodingOf(json.replace('"schema_version":5', `"schema_version":${version}`))()).toEqual(example);
    }
  });

  test.each(["null", "3", "[]", '"text"'])("is corrupt where it is %s instead of a document", (value) => {
    expect(decodingOf(value)).toThrow(/^SnapshotCorrupt: .* the document must be an object, not /);
  });

  test("is refused with both checksums if its checksum differs from the index", () => {
    const { body } = encodeSnapshot(example);
    expect(() => decodeSnapshot(body, { snapshotId: example.snapshotId, sha256: "0".repeat(64) })).toThrow(
      new RegExp(
        `its SHA-256 is [0-9a-f]{64}, the index says 0{64} \\(${body.length} bytes\\)\\. Nothing .* Use another`,
      ),
    );
  });

  test("is refused with the cause", () => {
    for (const wrong of ["{", "{}"]) {
      try {
        decodingOf(wrong)();
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(SnapshotCorrupt);
        expect((error as SnapshotCorrupt).cause).toBeInstanceOf(Error);
      }
    }
  });

  test("is refused with the reason if it is not JSON or not gzip", () => {
    expect(decodingOf("{")).toThrow(/it is not JSON/);
    const sha256 = createHash("sha256").update("plain").digest("hex");
    expect(() => decodeSnapshot(Buffer.from("plain"), { snapshotId: "x", sha256 })).toThrow(/it is not gzip/);
  });
});

describe("a commit", () => {
  test("has no leaderEpoch property if its document has no leader_epoch", () => {
    expect(commit.decode({ offset: 5, metadata: "" }, "")).toStrictEqual({ offset: 5n, metadata: "" });
    expect(commit.decode({ offset: 0, metadata: "", leader_epoch: 0 }, "")).toStrictEqual({
      ...{ offset: 0n, metadata: "", leaderEpoch: 0 },
    });
  });
});

describe("a document", () => {
  /** A value for which JSON.stringify throws this error. */
  const failing = (error: Error): Json => {
    const broken = new Map([["a", null]]);
    broken.get = () => {
      throw error;
    };
    return broken;
  };

  test("is refused with the next step if it is too large to be stored", () => {
    try {
      packDocument(failing(new RangeError("Invalid string length")), "the snapshot");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidRequest);
      expect(error).toMatchObject({
        message: expect.stringMatching(/^InvalidRequest: the snapshot would be more than the .* Name fewer groups\.$/),
        cause: expect.any(PackError),
      });
    }
  });

  test("passes on errors that are not about its size", () => {
    const fault = new TypeError("a fault");
    expect(() => packDocument(failing(fault), "the snapshot")).toThrow(fault);
  });
});

describe("a part of a snapshot's body", () => {
  const entriesOf = <V>(map: ReadonlyMap<string, V>, isWanted: (key: string, value: V) => boolean) =>
    new Map([...map].filter(([key, value]) => isWanted(key, value)));

  /** What `decodeSnapshotPart` must give of a snapshot. */
  function partOf(whole: Snapshot, wanted: WantedPart): Snapshot {
    const groups = entriesOf(whole.consumerGroups, wanted.group);
    const consumerGroups = new Map(
      [...groups].map(([group, commits]) => [group, entriesOf(commits, wanted.partition)] as const),
    );
    const topics = topicsOf(consumerGroups);
    const observed = {
      groups: entriesOf(whole.observed.groups, wanted.group),
      topics: entriesOf(whole.observed.topics, (topic, found) => found === null || topics.has(topic)),
    };
    return { ...whole, consumerGroups, observed };
  }

  /** A choice among texts that is the same each time: this share of them, by their characters. */
  const choice = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat({ max: 2 })).map(
    ([share, rest]) =>
      (key: string) =>
        [...key].reduce((sum, character) => sum + (character.codePointAt(0) ?? 0), 0) % share === rest,
  );

  test("is what a whole decoding gives of the wanted groups and partitions, for any names and offsets", async () => {
    await fc.assert(
      fc.asyncProperty(snapshot, choice, choice, async (original, group, partition) => {
        const { body, sha256 } = encodeSnapshot(original);
        const expected = { snapshotId: original.snapshotId, sha256 };
        const wanted = { group, partition };
        expect(await decodeSnapshotPart(body, expected, wanted)).toEqual(
          partOf(decodeSnapshot(body, expected), wanted),
        );
      }),
      { numRuns: 500 },
    );
  });

  const everything: WantedPart = { group: () => true, partition: () => true };
  const nothing: WantedPart = { group: () => false, partition: () => false };
  const expectedOf = (body: Uint8Array) => ({
    snapshotId: example.snapshotId,
    sha256: createHash("sha256").update(body).digest("hex"),
  });

  test("has names of groups that JavaScript's objects treat apart", async () => {
    const commits = new Map([["0-0", { offset: 2n ** 62n, metadata: '}"\\{' }]]);
    for (const name of ["__proto__", "42", "constructor", "", 'a"\\', "\u{1F600}"]) {
      const original = { ...example, consumerGroups: new Map([["a", commits] as const, [name, commits] as const]) };
      const { body, sha256 } = encodeSnapshot(original);
      const wanted = { ...everything, group: (group: string) => group === name };
      const part = await decodeSnapshotPart(body, { snapshotId: example.snapshotId, sha256 }, wanted);
      expect(part.consumerGroups).toEqual(new Map([[name, commits]]));
    }
  });

  test("is corrupt if any byte of the body was altered or cut off, wanted or not", async () => {
    const { body, sha256 } = encodeSnapshot(example);
    for (let at = 0; at < body.length; at++) {
      const altered = Uint8Array.from(body, (byte, i) => (i === at ? byte ^ 1 : byte));
      for (const spoiled of [altered, body.subarray(0, at)]) {
        const decoding = decodeSnapshotPart(spoiled, { snapshotId: example.snapshotId, sha256 }, nothing);
        await expect(decoding).rejects.toThrow(/^SnapshotCorrupt: .* SHA-256/);
      }
    }
  });

  const json = text(encodeSnapshot(example));
  test.each([
    ["not gzip", Buffer.from(json), "it is not gzip"],
    ["nothing", Buffer.alloc(0), "it is not gzip"],
    ["not JSON", gzipSync(json.slice(0, -1)), "it is not JSON"],
    ["not UTF-8", gzipSync(Buffer.from(json.replace("Before", "Bef\xe9re"), "latin1")), "it is not UTF-8"],
    ["longer than 256 MB", gzipSync(Buffer.alloc(257 * 2 ** 20, " "), { level: 1 }), "it is longer than 256 MB"],
    ["without a schema", gzipSync("{}"), "schema_version is missing"],
    ["of a newer schema", gzipSync(json.replace('"schema_version":5', '"schema_version":6')), "deploy a newer one"],
    ["of another snapshot", gzipSync(json.replaceAll("10:30:00", "10:30:01")), "another snapshot's body"],
    ["wrong in a wanted commit", gzipSync(json.replace('"offset":17', '"offset":-1')), "must not be negative"],
  ])("is corrupt if the body is %s", async (_what, body, message) => {
    const decoding = decodeSnapshotPart(body, expectedOf(body), everything);
    await expect(decoding).rejects.toThrow(SnapshotCorrupt);
    await expect(decoding).rejects.toThrow(message);
  });

  test("does not depend on what is not wanted, which only the checksum covers", async () => {
    const body = gzipSync(json.replace('"offset":17', '"offset":?'));
    expect(await decodeSnapshotPart(body, expectedOf(body), nothing)).toEqual(partOf(example, nothing));
    await expect(decodeSnapshotPart(body, expectedOf(body), everything)).rejects.toThrow("it is not JSON");
  });

  test("has all topics where these stand before the commits", async () => {
    const observed = json.slice(json.lastIndexOf('"observed":'), -1);
    const body = gzipSync(`{${observed},${json.slice(1).replace(`,${observed}`, "")}`);
    expect(await decodeSnapshotPart(body, expectedOf(body), everything)).toEqual(example);
  });
});
