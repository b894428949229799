import { createHash, randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Deadline } from "../core/deadline.ts";
import { JournalCorrupt } from "../core/errors.ts";
import type { Json } from "../core/json/json.ts";
import { UnpackError, unpackJson } from "../core/json/packed-json.ts";
import { type EncodedSnapshot, packDocument } from "../core/snapshot.ts";
import { type AwsCall, callAws, pause, valueFor } from "./aws-call.ts";

/** Where a large result can be fetched, and for how long. */
export interface StoredResult {
  readonly url: string;
  readonly expiresInSeconds: number;
}

/** A stored JSON value: the name that it has in its folder, and the SHA-256 of its bytes, in hexadecimal. */
export interface StoredJson {
  readonly name: string;
  readonly sha256: string;
}

/** The bucket: bodies of snapshots, each written once, what journals keep, and results too large for an answer. */
export interface Bodies {
  /**
   * Writes the body of a snapshot, unless one exists under its id: `taken`. A write whose answer was lost is recognised by
   * its token, and counts as written.
   */
  put(
    snapshotId: string,
    encoded: EncodedSnapshot,
    writeToken: string,
    deadline: Deadline,
  ): Promise<"written" | "taken">;
  /** The body of a snapshot, unchecked; undefined where the bucket has none. */
  get(snapshotId: string, deadline: Deadline): Promise<Uint8Array | undefined>;
  /** Deletes the body of a snapshot (the bucket keeps it as an earlier version); one that is gone is no error. */
  remove(snapshotId: string, deadline: Deadline): Promise<void>;
  /**
   * Stores a value in a folder, under a name of its own.
   *
   * @param what what it is, for messages: `the plan of rollback-…`
   * @param afterwards what a failure leaves behind: whole sentences
   * @throws InvalidRequest for one that is too large to be stored
   */
  putJson(folder: string, value: Json, what: string, afterwards: string, deadline: Deadline): Promise<StoredJson>;
  /**
   * A value that was stored so, as `parseJson` gives it.
   *
   * @throws JournalCorrupt where it is gone, or is not what was written
   */
  getJson(folder: string, stored: StoredJson, what: string, deadline: Deadline): Promise<unknown>;
  /** Stores a JSON text under a name that cannot be guessed. */
  putResult(text: string, deadline: Deadline): Promise<StoredResult>;
}

const resultSeconds = 3_600;
const tokenKey = "write-token";
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The bodies in a bucket, under a prefix that is empty or ends in `/`. All methods throw what `callAws` throws. */
export function createBodies(s3: S3Client, bucket: string, prefix: string): Bodies {
  const inFolder = (folder: string, name: string) => ({ Bucket: bucket, Key: `${prefix}${folder}/${name}.json.gz` });
  const at = (snapshotId: string) => inFolder("snapshots", snapshotId);
  const call = (action: string, doing: string, afterwards?: string): AwsCall => ({
    service: "S3",
    action,
    resource: `bucket ${bucket}`,
    doing,
    ...(afterwards !== undefined && { afterwards }),
  });
  const json = { ContentType: "application/json", ContentEncoding: "gzip" };
  const checksum = (sha256: string) => ({ ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64") });
  const read = (place: { Bucket: string; Key: string }, doing: string, deadline: Deadline) =>
    callAws(call("GetObject", doing), deadline, async (options) => {
      const found = await s3.send(new GetObjectCommand(place), options).catch(valueFor(undefined, "NoSuchKey"));
      return found?.Body?.transformToByteArray();
    });

  return {
    async put(snapshotId, { body, sha256 }, writeToken, deadline) {
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
        const outcome = await callAws(call("PutObject", doing, afterwards), deadline, (options) =>
          s3
            .send(command, options)
            .then(() => "written" as const)
            .catch(valueFor("exists" as const, "PreconditionFailed"))
            .catch(
              valueFor("busy" as const, ...(attempt < 8 ? ["ConditionalRequestConflict", "OperationAborted"] : [])),
            ),
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

    get: (snapshotId, deadline) => read(at(snapshotId), `reading the body of ${snapshotId}`, deadline),

    async remove(snapshotId, deadline) {
      const afterwards = "It is no longer listed, but may still be in the bucket: delete it again to finish.";
      await callAws(call("DeleteObject", `deleting the body of ${snapshotId}`, afterwards), deadline, (options) =>
        s3.send(new DeleteObjectCommand(at(snapshotId)), options),
      );
    },

    async putJson(folder, value, what, afterwards, deadline) {
      const body = packDocument(value, what);
      const stored = { name: randomUUID(), sha256: hash(body) };
      const place = inFolder(folder, stored.name);
      const command = new PutObjectCommand({ ...place, ...json, ...checksum(stored.sha256), Body: body });
      await callAws(call("PutObject", `writing ${what}`, afterwards), deadline, (options) => s3.send(command, options));
      return stored;
    },

    async getJson(folder, { name, sha256 }, what, deadline) {
      const place = inFolder(folder, name);
      const corrupt = (problem: string, cause?: unknown) =>
        new JournalCorrupt(`${what} ${problem}.`, {
          next: `Restore an earlier version of ${place.Key} in the bucket, which is versioned.`,
          cause,
        });
      const body = await read(place, `reading ${what}`, deadline);
      if (body === undefined) throw corrupt("is gone from the bucket, though the journal has it");
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

    async putResult(text, deadline) {
      const place = { Bucket: bucket, Key: `${prefix}results/${randomUUID()}.json` };
      const url = await callAws(call("PutObject", "storing the result"), deadline, async (options) => {
        await s3.send(new PutObjectCommand({ ...place, ...json, Body: gzipSync(text) }), options);
        const { getSignedUrl } = await import("@aws-sdk/s3-request-presigner"); // few results are large
        return getSignedUrl(s3, new GetObjectCommand(place), { expiresIn: resultSeconds });
      });
      return { url, expiresInSeconds: resultSeconds };
    },
  };
}
