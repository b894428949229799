import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, expect, test } from "vitest";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { asRow, commitRowsOf, inAnyOrder, sqlOf } from "../../support/archived.ts";
import { within } from "../../support/deadline.ts";
import { duckdbOn, rowsOf } from "../../support/duckdb.ts";
import { content, second, testArchive } from "./fixture.ts";

const storage = testArchive();
const folder = mkdtempSync(join(tmpdir(), "offset-rollback-stored-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the queries of the stack read the bodies as they are stored in the bucket", async () => {
  const commits = (offset: bigint): Commits =>
    new Map([
      ["größe \u{1F600}\n\u0000", new Map([["a-1-2", { offset, metadata: "línea\n", leaderEpoch: 7 }]])],
      ["empty", new Map()],
    ]);
  const saved = await Promise.all(
    [2n ** 63n - 1n, 9007199254740993n].map((offset, n) =>
      storage.archive.save(content({ consumerGroups: commits(offset) }), second(n), within()),
    ),
  );
  const bodies = (await storage.keys()).filter((key) => key.startsWith(`${storage.config.prefix}snapshots/`));
  for (const Key of bodies) {
    const { Body } = await storage.s3.send(new GetObjectCommand({ Bucket: storage.config.bucket, Key }));
    writeFileSync(join(folder, basename(Key)), (await Body?.transformToByteArray()) ?? "");
  }
  const rows = await rowsOf(await duckdbOn(folder), sqlOf("commits"));
  expect(inAnyOrder(rows.map(asRow))).toEqual(inAnyOrder(saved.flatMap(({ snapshot }) => commitRowsOf(snapshot))));
});
