import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SnapshotCorrupt } from "../../../functions/shared/core/errors.ts";
import { DecodeError } from "../../../functions/shared/core/json/codec.ts";
import { encodeJson, parseJson } from "../../../functions/shared/core/json/json.ts";
import { type PlannedRollback, plannedDocument } from "../../../functions/shared/core/rollback/plan-document.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { decodeSnapshot, encodeSnapshot } from "../../../functions/shared/core/snapshot.ts";
import { json, situation, snapshot } from "../../support/arbitraries.ts";
import { spoil } from "../../support/spoil.ts";

/** Reads a body with its own checksum, so that only the decoder can reject it. */
const readWithOwnChecksum = (snapshotId: string, body: Uint8Array) =>
  decodeSnapshot(body, { snapshotId, sha256: createHash("sha256").update(body).digest("hex") });

/** Requires that a damaged body is read as a valid snapshot, or rejected with SnapshotCorrupt and the reason. */
function readOrCorrupt(snapshotId: string, body: Uint8Array): void {
  try {
    const read = readWithOwnChecksum(snapshotId, body);
    expect(readWithOwnChecksum(snapshotId, encodeSnapshot(read).body)).toEqual(read);
  } catch (error) {
    if (!(error instanceof SnapshotCorrupt)) throw error;
    expect(error.message).toMatch(
      / is not what was written: (it is not (gzip|UTF-8|JSON)|\S.* .+)\. Nothing was changed/s,
    );
    expect(error.message.length).toBeLessThan(1_100);
  }
}

/** Bytes are replaced, inserted or removed. */
const damage = fc.record({ at: fc.nat(), removed: fc.nat(3), inserted: fc.uint8Array({ maxLength: 3 }) });
const damaged = (bytes: Uint8Array, damages: readonly { at: number; removed: number; inserted: Uint8Array }[]) =>
  damages.reduce<Uint8Array>((all, { at, removed, inserted }) => {
    const start = at % (all.length + 1);
    return Buffer.concat([all.subarray(0, start), inserted, all.subarray(start + removed)]);
  }, bytes);

describe("a damaged snapshot body is read as a snapshot or rejected with the place of the error", () => {
  const textOf = (body: Uint8Array) => gunzipSync(body).toString("utf8");

  test("if values or names of its document are changed", () => {
    fc.assert(
      fc.property(snapshot, spoil, (original, change) => {
        const text = change(textOf(encodeSnapshot(original).body));
        readOrCorrupt(original.snapshotId, gzipSync(text, { level: 1 }));
      }),
      { numRuns: 400 },
    );
  });

  test("if bytes of its document are changed", () => {
    fc.assert(
      fc.property(snapshot, fc.array(damage, { minLength: 1, maxLength: 3 }), (original, damages) => {
        const text = gunzipSync(encodeSnapshot(original).body);
        readOrCorrupt(original.snapshotId, gzipSync(damaged(text, damages), { level: 1 }));
      }),
      { numRuns: 400 },
    );
  });

  test("if bytes of its gzip are changed, or it is cut off", () => {
    fc.assert(
      fc.property(snapshot, fc.array(damage, { minLength: 1, maxLength: 3 }), fc.nat(), (original, damages, length) => {
        const { body } = encodeSnapshot(original);
        readOrCorrupt(original.snapshotId, damaged(body, damages));
        readOrCorrupt(original.snapshotId, body.subarray(0, length % body.length));
      }),
      { numRuns: 200 },
    );
  });

  test("if a name in it is not UTF-8: it is rejected, not read as another name", () => {
    const [original] = fc.sample(snapshot, 1);
    if (original === undefined) throw new Error("there is a sample");
    const consumerGroups = new Map([["marked", new Map()]]);
    const text = gunzipSync(encodeSnapshot({ ...original, consumerGroups }).body);
    text[text.indexOf("marked")] = 0xff;
    expect(() => readWithOwnChecksum(original.snapshotId, gzipSync(text))).toThrow(
      /^SnapshotCorrupt: .*it is not UTF-8/,
    );
  });

  test("without unpacking an unlimited number of bytes", () => {
    const megabytes = gzipSync(Buffer.alloc(16 * 2 ** 20, " "), { level: 1 });
    const bomb = Buffer.concat(Array.from({ length: 64 }, () => megabytes));
    const before = process.memoryUsage().rss;
    expect(() => readWithOwnChecksum("snapshot-2025-01-15T10:30:00Z", bomb)).toThrow(
      /^SnapshotCorrupt: .*it is longer than 256 MB/,
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(700 * 2 ** 20);
  });
});

describe("a damaged planned rollback", () => {
  const planned: fc.Arbitrary<PlannedRollback> = fc.tuple(situation, json).map(([drawn, request]) => ({
    request,
    plan: planRollback(drawn.snapshot, drawn.part, drawn.live, drawn.policy),
    origin: { name: "s", clusterId: "c1", topics: drawn.snapshot.observed.topics },
  }));

  test("is read, or rejected with the place of the error", () => {
    fc.assert(
      fc.property(planned, spoil, (original, change) => {
        let parsed: unknown;
        try {
          parsed = parseJson(change(encodeJson(plannedDocument.encode(original))));
        } catch (error) {
          if (error instanceof SyntaxError) return;
          throw error;
        }
        try {
          const read = plannedDocument.decode(parsed, "");
          const again = encodeJson(plannedDocument.encode(read));
          expect(encodeJson(plannedDocument.encode(plannedDocument.decode(parseJson(again), "")))).toBe(again);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          expect(error.message.length).toBeLessThan(1_000);
        }
      }),
      { numRuns: 400 },
    );
  });
});
