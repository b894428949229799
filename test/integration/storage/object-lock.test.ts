import { randomUUID } from "node:crypto";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectLockConfigurationCommand,
} from "@aws-sdk/client-s3";
import { expect, test } from "vitest";
import { createStorage } from "../../../functions/shared/storage/storage.ts";
import { within } from "../../support/deadline.ts";
import { ana, content, second, testArchive } from "./fixture.ts";

const storage = testArchive();

test("in a bucket with Object Lock, a deletion hides a body that is locked, and it can be recovered", async () => {
  const Bucket = `locked-${randomUUID()}`;
  await storage.s3.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  const Rule = { DefaultRetention: { Mode: "GOVERNANCE", Days: 30 } } as const;
  const ObjectLockConfiguration = { ObjectLockEnabled: "Enabled", Rule } as const;
  await storage.s3.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
  const { snapshots, reindex } = createStorage({ ...storage.config, bucket: Bucket }, storage.clients);

  const { snapshot } = await snapshots.save(content(), second(0), within());
  const { snapshotId } = snapshot;
  const Key = `kept/snapshots/${snapshotId}.json.gz`;
  expect((await storage.s3.send(new HeadObjectCommand({ Bucket, Key }))).ObjectLockMode).toBe("GOVERNANCE");
  await snapshots.remove(snapshotId, ana, within());

  const { Versions = [], DeleteMarkers } = await storage.s3.send(new ListObjectVersionsCommand({ Bucket }));
  expect(DeleteMarkers).toMatchObject([{ Key, IsLatest: true }]);
  expect(Versions).toMatchObject([{ Key, IsLatest: false }]);
  const VersionId = String(Versions[0]?.VersionId);
  await expect(storage.s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }))).rejects.toThrow(
    /denied|locked|WORM/i,
  );
  expect((await snapshots.list({ limit: 5 }, within())).entries).toEqual([]);
  expect(await reindex(false, within())).toMatchObject({ indexed: 0, added: [], unreadable: [], warnings: [] });

  const CopySource = `${Bucket}/${encodeURIComponent(Key)}?versionId=${VersionId}`;
  await storage.s3.send(new CopyObjectCommand({ Bucket, Key, CopySource }));
  expect(await reindex(false, within())).toMatchObject({ indexed: 1, added: [snapshotId] });
  expect(await snapshots.load(snapshotId, within())).toEqual(snapshot);
});
