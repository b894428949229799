import { randomUUID } from "node:crypto";
import { gzipSync } from "node:zlib";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Deadline } from "../core/deadline.ts";
import type { EncodedSnapshot } from "../core/snapshot.ts";
import { type AwsCall, answer, callAws, pause } from "./aws-call.ts";

/** Where a large result can be fetched, and for how long. */
export interface StoredResult {
  readonly url: string;
  readonly expiresInSeconds: number;
}

/** The bucket: bodies of snapshots, each written once, and results that are too large for an answer. */
export interface Bodies {
  /**
   * Writes the body of a snapshot, unless there is one under its id already: `taken`. A write whose answer was lost is
   * known by its token, and counts as written.
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
  /** Stores a JSON text under a name nobody can guess. */
  putResult(text: string, deadline: Deadline): Promise<StoredResult>;
}

const resultSeconds = 3_600;
const tokenKey = "write-token";

/** The bodies in a bucket, under a prefix that is empty or ends in `/`. All methods throw what `callAws` throws. */
export function createBodies(s3: S3Client, bucket: string, prefix: string): Bodies {
  const at = (snapshotId: string) => ({ Bucket: bucket, Key: `${prefix}snapshots/${snapshotId}.json.gz` });
  const call = (action: string, doing: string, afterwards?: string): AwsCall => ({
    service: "S3",
    action,
    resource: `bucket ${bucket}`,
    doing,
    ...(afterwards !== undefined && { afterwards }),
  });
  const json = { ContentType: "application/json", ContentEncoding: "gzip" };

  return {
    async put(snapshotId, { body, sha256 }, writeToken, deadline) {
      const doing = `writing the body of ${snapshotId}`;
      const afterwards = "Nothing was listed: take the snapshot again.";
      const command = new PutObjectCommand({
        ...at(snapshotId),
        ...json,
        Body: body,
        ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
        IfNoneMatch: "*",
        Metadata: { [tokenKey]: writeToken },
      });
      for (let attempt = 0; ; attempt++) {
        const outcome = await callAws(call("PutObject", doing, afterwards), deadline, (options) =>
          s3
            .send(command, options)
            .then(() => "written" as const)
            .catch(answer("exists" as const, "PreconditionFailed"))
            .catch(answer("busy" as const, ...(attempt < 8 ? ["ConditionalRequestConflict", "OperationAborted"] : []))),
        );
        if (outcome === "written") return "written";
        if (outcome === "exists") {
          const found = await callAws(call("HeadObject", doing, afterwards), deadline, (options) =>
            s3.send(new HeadObjectCommand(at(snapshotId)), options).catch(answer(undefined, "NotFound", "NoSuchKey")),
          );
          if (found !== undefined) return found.Metadata?.[tokenKey] === writeToken ? "written" : "taken";
        }
        await pause(attempt, deadline);
      }
    },

    get: (snapshotId, deadline) =>
      callAws(call("GetObject", `reading the body of ${snapshotId}`), deadline, async (options) => {
        const found = await s3
          .send(new GetObjectCommand(at(snapshotId)), options)
          .catch(answer(undefined, "NoSuchKey"));
        return found?.Body?.transformToByteArray();
      }),

    async remove(snapshotId, deadline) {
      const afterwards = "It is no longer listed, but may still be in the bucket: delete it again to finish.";
      await callAws(call("DeleteObject", `deleting the body of ${snapshotId}`, afterwards), deadline, (options) =>
        s3.send(new DeleteObjectCommand(at(snapshotId)), options),
      );
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
