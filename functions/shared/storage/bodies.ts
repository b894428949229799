import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Deadline } from "../core/deadline.ts";
import { InvalidRequest, JournalCorrupt, SnapshotCorrupt } from "../core/errors.ts";
import { LONGEST_IMPORT } from "../core/formats/names.ts";
import { DecodeError } from "../core/json/codec.ts";
import type { Json } from "../core/json/json.ts";
import { UnpackError, unpackJson } from "../core/json/packed-json.ts";
import { NO_OBJECT } from "../core/rights.ts";
import { type EncodedSnapshot, sha256 as hash, packDocument } from "../core/snapshot.ts";
import { parseSnapshotId } from "../core/snapshot-id.ts";
import { quote } from "../core/text.ts";
import { type AwsCall, callAws, pause, valueFor } from "./aws-call.ts";
import { type HoldChange, holdChangeText } from "./hold.ts";

/** A stored JSON value: the name that it has in its folder, and the SHA-256 of its bytes, in hexadecimal. */
export interface StoredJson {
  readonly name: string;
  readonly sha256: string;
}

/** An object that stands where bodies are. */
export interface FoundObject {
  readonly key: string;
  /** The snapshot that it is the body of, by its name; undefined where it is none. */
  readonly snapshotId: string | undefined;
  readonly bytes: number;
  readonly writtenAt: Date;
}

/** What a journal keeps of a rollback. */
type Journalled = "plan" | "result";

/** The bucket: see `createBodies`. */
export type Bodies = ReturnType<typeof createBodies>;

const resultSeconds = 3_600;
/** `json`, `csv`, `html`, …; `txt` for plain text. */
const extensionOf = (contentType: string) => /\/(\w+)/.exec(contentType)?.[1]?.replace("plain", "txt") ?? "bin";
const tokenKey = "write-token";

/**
 * The bucket, under a prefix that is empty or ends in `/`: bodies of snapshots, each written once, their holds, what journals
 * keep, and results too large for an answer. All methods throw what `callAws` throws.
 */
export function createBodies(s3: S3Client, bucket: string, prefix: string) {
  const inFolder = (folder: string, name: string) => ({ Bucket: bucket, Key: `${prefix}${folder}/${name}.json.gz` });
  const at = (snapshotId: string) => inFolder("snapshots", snapshotId);
  const callIn =
    (folder: string) =>
    (action: string, doing: string, afterwards?: string): AwsCall => {
      return { service: "S3", action, resource: `bucket ${bucket}`, part: `${prefix}${folder}/*`, doing, afterwards };
    };
  const call = callIn("snapshots");
  const json = { ContentType: "application/json", ContentEncoding: "gzip" };
  const checksum = (sha256: string) => ({ ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64") });
  const readWithToken = (
    place: { Bucket: string; Key: string },
    doing: string,
    deadline: Deadline,
    callOf: typeof call = call,
  ) =>
    callAws(callOf("GetObject", doing), deadline, async (options) => {
      const found = await s3.send(new GetObjectCommand(place), options).catch(valueFor(undefined, "NoSuchKey"));
      const body = await found?.Body?.transformToByteArray();
      return body && { body, writeToken: found?.Metadata?.[tokenKey] };
    });
  const holdAt = (snapshotId: string) => ({ Bucket: bucket, Key: `${prefix}holds/${snapshotId}.json` });
  const callHolds = callIn("holds");
  /** What stands in a folder, in the order of the keys, fetched as it is consumed. */
  async function* objectsIn(folder: "snapshots" | "holds", doing: string, deadline: Deadline) {
    const Prefix = `${prefix}${folder}/`;
    for (let start: string | undefined; ; ) {
      const command = new ListObjectsV2Command({ Bucket: bucket, Prefix, ContinuationToken: start });
      const page = await callAws(callIn(folder)("ListObjectsV2", doing), deadline, (options) =>
        s3.send(command, options),
      );
      for (const object of page.Contents ?? []) yield { ...object, name: (object.Key ?? "").slice(Prefix.length) };
      if (page.NextContinuationToken === undefined) return;
      start = page.NextContinuationToken;
    }
  }
  const read = async (...asked: Parameters<typeof readWithToken>) => (await readWithToken(...asked))?.body;

  return {
    /**
     * Writes the body of a snapshot, unless one exists under its id: `taken`. A write whose answer was lost is recognised by
     * its token, and counts as written.
     */
    async put(snapshotId: string, { body, sha256 }: EncodedSnapshot, writeToken: string, deadline: Deadline) {
      const doing = `writing the body of ${snapshotId}`;
      const afterwards = "Nothing was listed: take the snapshot again.";
      const command = new PutObjectCommand({
        ...at(snapshotId),
        ...json,
        Body: body,
        ...checksum(sha256),
        IfNoneMatch: "*",
        Metadata: { [tokenKey]: writeToken },
      });
      for (let attempt = 0; ; attempt++) {
        const busy = attempt < 8 ? ["ConditionalRequestConflict", "OperationAborted"] : [];
        const outcome = await callAws(call("PutObject", doing, afterwards), deadline, (options) =>
          s3
            .send(command, options)
            .then(() => "written" as const)
            .catch(valueFor("exists" as const, "PreconditionFailed"))
            .catch(valueFor("busy" as const, ...busy)),
        );
        if (outcome === "written") return "written";
        if (outcome === "exists") {
          const found = await callAws(call("HeadObject", doing, afterwards), deadline, (options) =>
            s3.send(new HeadObjectCommand(at(snapshotId)), options).catch(valueFor(undefined, "NotFound", "NoSuchKey")),
          );
          if (found !== undefined) return found.Metadata?.[tokenKey] === writeToken ? "written" : "taken";
        }
        await pause(attempt, deadline);
      }
    },

    /** The body of a snapshot, unchecked; undefined where the bucket has none. */
    get: (snapshotId: string, deadline: Deadline): Promise<Uint8Array | undefined> =>
      read(at(snapshotId), `reading the body of ${snapshotId}`, deadline),

    /** The same, with the token that it was written with: copies that were made without their metadata have none. */
    getWithToken: (snapshotId: string, deadline: Deadline) =>
      readWithToken(at(snapshotId), `reading the body of ${snapshotId}`, deadline),

    /** What stands in the folder of the bodies, in the order of the keys, fetched as it is consumed. */
    async *list(deadline: Deadline): AsyncGenerator<FoundObject> {
      for await (const found of objectsIn("snapshots", "listing the bodies", deadline)) {
        const { name, Key: key = "", Size: bytes = 0, LastModified: writtenAt = new Date(0) } = found;
        const [, snapshotId = ""] = /^(.*)\.json\.gz$/.exec(name) ?? [];
        const isBody = parseSnapshotId(snapshotId) !== undefined;
        if (name !== "") yield { key, snapshotId: isBody ? snapshotId : undefined, bytes, writtenAt };
      }
    },

    /** The key of the object that says whether a snapshot is held. */
    holdKey: (snapshotId: string): string => holdAt(snapshotId).Key,

    /** Writes that a snapshot is held or released, in place of what was written of it before. */
    async putHold(snapshotId: string, change: HoldChange, deadline: Deadline): Promise<void> {
      const afterwards = "The index did not change: call hold again.";
      const command = new PutObjectCommand({
        ...holdAt(snapshotId),
        ContentType: "application/json",
        Body: holdChangeText.encode(change),
      });
      const doing = `writing the hold of ${snapshotId}`;
      await callAws(callHolds("PutObject", doing, afterwards), deadline, (options) => s3.send(command, options));
    },

    /** The snapshots that were held or released since they were taken, also those that are deleted. */
    async heldOrReleased(deadline: Deadline): Promise<ReadonlySet<string>> {
      const ids = new Set<string>();
      for await (const { name } of objectsIn("holds", "listing the holds", deadline))
        ids.add(name.replace(/\.json$/, ""));
      return ids;
    },

    /**
     * What was written last of the hold of a snapshot.
     *
     * @throws SnapshotCorrupt where it is not what was written
     */
    async getHold(snapshotId: string, deadline: Deadline): Promise<HoldChange | undefined> {
      const place = holdAt(snapshotId);
      const bytes = await read(place, `reading the hold of ${snapshotId}`, deadline, callHolds);
      try {
        return bytes && holdChangeText.decode(Buffer.from(bytes).toString(), "");
      } catch (cause) {
        if (!(cause instanceof DecodeError)) throw cause;
        throw new SnapshotCorrupt(`the object ${place.Key} is not what was written: ${cause.message}.`, {
          next: `Its snapshot counts as held. Call hold with {"snapshot_id": "${snapshotId}", "held": true} or false, which writes it anew.`,
          cause,
        });
      }
    },

    /** Deletes the body of a snapshot (the bucket keeps it as an earlier version); one that is gone is no error. */
    async remove(snapshotId: string, deadline: Deadline): Promise<void> {
      const afterwards = "It is no longer listed, but may still be in the bucket: delete it again to finish.";
      await callAws(call("DeleteObject", `deleting the body of ${snapshotId}`, afterwards), deadline, (options) =>
        s3.send(new DeleteObjectCommand(at(snapshotId)), options),
      );
    },

    /**
     * Stores the plan or the result of a rollback, under a name of its own.
     *
     * @param afterwards what a failure leaves behind: whole sentences
     * @throws InvalidRequest for one that is too large to be stored
     */
    async putJson(rollbackId: string, kind: Journalled, value: Json, afterwards: string, deadline: Deadline) {
      const what = `the ${kind} of ${rollbackId}`;
      const body = packDocument(value, what);
      const stored: StoredJson = { name: randomUUID(), sha256: hash(body) };
      const place = inFolder(`rollbacks/${rollbackId}`, stored.name);
      const command = new PutObjectCommand({ ...place, ...json, ...checksum(stored.sha256), Body: body });
      await callAws(callIn("rollbacks")("PutObject", `writing ${what}`, afterwards), deadline, (options) =>
        s3.send(command, options),
      );
      return stored;
    },

    /**
     * A value that was stored so, as `parseJson` gives it.
     *
     * @throws JournalCorrupt where it is gone, or is not what was written
     */
    async getJson(rollbackId: string, kind: Journalled, { name, sha256 }: StoredJson, deadline: Deadline) {
      const what = `the ${kind} in the journal of ${rollbackId}`;
      const place = inFolder(`rollbacks/${rollbackId}`, name);
      const corrupt = (problem: string, cause?: unknown) =>
        new JournalCorrupt(`${what} ${problem}.`, {
          next: `Restore an earlier version of ${place.Key} in the bucket, which is versioned.`,
          cause,
        });
      const body = await read(place, `reading ${what}`, deadline, callIn("rollbacks"));
      if (body === undefined) throw corrupt("is missing from the bucket, but the journal names it");
      const actual = hash(body);
      if (actual !== sha256) {
        throw corrupt(
          `is not what was written: its SHA-256 is ${actual}, the journal says ${sha256} (${body.byteLength} bytes)`,
        );
      }
      try {
        return unpackJson(body);
      } catch (cause) {
        if (!(cause instanceof UnpackError)) throw cause;
        throw corrupt(`is not what was written, though its SHA-256 is right: ${cause.message}`, cause);
      }
    },

    /**
     * The bytes of an object below `imports/`, which was put there to be imported.
     *
     * @param url `s3://<bucket>/<prefix>imports/<name>`
     * @throws InvalidRequest for any other place, where nothing is there, and for a file that is too large
     */
    async getImport(url: string, deadline: Deadline): Promise<Uint8Array> {
      const folder = `s3://${bucket}/${prefix}imports/`;
      const upload = `Copy it there, and name it: aws s3 cp FILE ${folder}.`;
      if (!url.startsWith(folder) || url === folder) {
        throw new InvalidRequest(`snapshot_url: only objects below ${folder} are read, and ${quote(url)} is not.`, {
          next: upload,
        });
      }
      const place = { Bucket: bucket, Key: url.slice(`s3://${bucket}/`.length) };
      const bytes = await callAws(callIn("imports")("GetObject", `reading ${url}`), deadline, async (options) => {
        const found = await s3.send(new GetObjectCommand(place), options).catch(valueFor(undefined, "NoSuchKey"));
        if ((found?.ContentLength ?? 0) > LONGEST_IMPORT) return "too large";
        return found?.Body?.transformToByteArray();
      });
      if (bytes === "too large")
        throw new InvalidRequest(`snapshot_url: ${quote(url)} is over ${LONGEST_IMPORT / 2 ** 20} MB.`);
      if (bytes === undefined) throw new InvalidRequest(`snapshot_url: ${NO_OBJECT} ${quote(url)}.`, { next: upload });
      return bytes;
    },

    /**
     * Stores a text under a name that cannot be guessed. Returns where it can be fetched with its content type, and for how long.
     */
    async putResult(text: string, contentType: string, deadline: Deadline) {
      const place = { Bucket: bucket, Key: `${prefix}results/${randomUUID()}.${extensionOf(contentType)}` };
      const Body = gzipSync(text);
      const type = { ContentType: contentType, ContentEncoding: "gzip" };
      const url = await callAws(callIn("results")("PutObject", "storing the result"), deadline, async (options) => {
        await s3.send(new PutObjectCommand({ ...place, ...type, ...checksum(hash(Body)), Body }), options);
        const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner"); // few results are large
        return getSignedUrl(s3, new GetObjectCommand(place), { expiresIn: resultSeconds });
      });
      return { url, expiresInSeconds: resultSeconds };
    },
  };
}
