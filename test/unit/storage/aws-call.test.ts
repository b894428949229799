import { describe, expect, test } from "vitest";
import {
  Configuration,
  DeadlineExceeded,
  SnapshotCorrupt,
  StorageUnavailable,
} from "../../../functions/shared/core/errors.ts";
import { type AwsCall, callAws, valueFor } from "../../../functions/shared/storage/aws-call.ts";

const call: AwsCall = {
  service: "S3",
  action: "HeadObject",
  resource: "bucket b",
  part: "snapshots/*",
  doing: "writing x",
  afterwards: "Do y.",
};
const never = { signal: new AbortController().signal, remainingMs: () => 60_000 };
const awsError = (name: string, httpStatusCode?: number, more: object = {}) =>
  Object.assign(new Error("said AWS."), { name, $metadata: { httpStatusCode }, ...more });
const failing = (error: unknown) =>
  callAws(call, never, () => Promise.reject(error)).catch((thrown: unknown) => thrown);

describe("a call to AWS", () => {
  test.each([
    ["SlowDown", 503],
    ["InternalError", 500],
    ["ThrottlingException", 400],
    ["ProvisionedThroughputExceededException", 400],
    ["RequestLimitExceeded", 400],
    ["TransactionConflictException", 400],
    ["RequestTimeout", 400],
    ["ConditionalRequestConflict", 409],
    ["OperationAborted", 409],
    ["TimeoutError", undefined],
    ["SyntaxError", 502],
  ])("that fails with %s (%s) may succeed later", async (name, status) => {
    const cause = awsError(name, status);
    const error = await failing(cause);
    expect(error).toBeInstanceOf(StorageUnavailable);
    expect(error).toMatchObject({
      cause,
      message: `StorageUnavailable: S3 HeadObject on bucket b failed while writing x: ${name}: said AWS. Do y.`,
    });
  });

  test.each([
    ["AccessDenied", 403, "needs s3:GetObject on bucket b (snapshots/*), and"],
    ["AccessDeniedException", 400, "needs s3:GetObject on bucket b (snapshots/*), and"],
    ["403", 403, "needs s3:GetObject on bucket b (snapshots/*), and"],
    ["NoSuchBucket", 404, "There is no bucket b in this account and region"],
    ["ResourceNotFoundException", 400, "There is no bucket b in this account and region"],
    ["CredentialsProviderError", undefined, "credentials or the region"],
    ["ExpiredToken", 400, "credentials or the region"],
    ["UnrecognizedClientException", 400, "credentials or the region"],
    ["SignatureDoesNotMatch", 403, "credentials or the region"],
    ["PermanentRedirect", 301, "check the settings of bucket b"],
    ["ValidationException", 400, "check the settings of bucket b"],
    ["KMS.DisabledException", 400, "check the settings of bucket b"],
  ])("that is refused with %s (%s) is a matter of configuration", async (name, status, remedy) => {
    const error = await failing(awsError(name, status));
    expect(error).toBeInstanceOf(Configuration);
    expect(error).toHaveProperty("message", expect.stringContaining(`${name}: said AWS. `));
    expect(error).toHaveProperty("message", expect.stringContaining(remedy));
  });

  test("that fails without an AWS error names the network error", async () => {
    const refused = Object.assign(new AggregateError([]), { code: "ECONNREFUSED" });
    expect(await failing(refused)).toHaveProperty("message", expect.stringContaining(": ECONNREFUSED: no answer."));
    expect(await failing("oops")).toBeInstanceOf(StorageUnavailable);
  });

  test("passes on errors of this program unchanged", async () => {
    const error = new SnapshotCorrupt("x");
    expect(await failing(error)).toBe(error);
  });

  test("turns only an expected error into a value", async () => {
    const expected = valueFor("none" as const, "NoSuchKey", "NotFound");
    expect(await callAws(call, never, () => Promise.reject(awsError("NotFound", 404)).catch(expected))).toBe("none");
    await expect(callAws(call, never, () => Promise.reject(awsError("Other", 500)).catch(expected))).rejects.toThrow(
      "Other",
    );
  });

  test("ends at its deadline, even if the client ignores the signal", async () => {
    const controller = new AbortController();
    const deadline = { signal: controller.signal, remainingMs: () => 0 };
    const waiting = callAws(call, deadline, () => new Promise(() => undefined));
    controller.abort();
    await expect(waiting).rejects.toThrow(DeadlineExceeded);
    await expect(waiting).rejects.toThrow("while writing x (Do y.)");
    await expect(callAws(call, deadline, () => Promise.resolve(1))).rejects.toThrow(DeadlineExceeded);
  });
});
