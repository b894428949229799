import type { APIGatewayProxyEvent } from "aws-lambda";
import { describe, expect, test } from "vitest";
import * as errors from "../../../functions/shared/core/errors.ts";
import { httpError, isHttpEvent, requestOf, toOperationError } from "../../../functions/shared/lambda/http.ts";
import { proxyEvent } from "../../support/events.ts";

const request = (event: Partial<APIGatewayProxyEvent>, field = "snapshot_id") => requestOf(proxyEvent(event), field);

describe("an HTTP call", () => {
  test("is told from a direct request", () => {
    expect(isHttpEvent(proxyEvent({}))).toBe(true);
    for (const direct of [{}, null, undefined, { snapshot_id: "x" }, "text"]) expect(isHttpEvent(direct)).toBe(false);
  });

  test("carries its request in the body, and the snapshot in the path", () => {
    expect(
      request({ body: '{"dry_run":true}', pathParameters: { snapshot_id: "snapshot-2025-01-15T10%3A30%3A00Z" } }),
    ).toEqual({ dry_run: true, snapshot_id: "snapshot-2025-01-15T10:30:00Z" });
  });

  test("names a rollback in the path by its id, whatever it looks like", () => {
    expect(request({ pathParameters: { rollback_id: "at%3A12" } })).toEqual({ rollback_id: "at:12" });
    expect(request({ pathParameters: { snapshot_id: "at%3A12" } })).toEqual({ snapshot_id: { at: "12" } });
  });

  test("may have its body in base64", () => {
    const body = Buffer.from('{"groups":["ü"]}').toString("base64");
    expect(request({ body, isBase64Encoded: true })).toEqual({ groups: ["ü"] });
  });

  test("carries lists as repeated parameters, numbers as digits, times as at:<time>", () => {
    const multiValueQueryStringParameters = {
      groups: ["orders*", '{"name":"a*b"}'],
      limit: ["5"],
      to: ["at:2025-01-15T10:30:00Z"],
    };
    expect(request({ multiValueQueryStringParameters, pathParameters: { snapshot_id: "latest" } }, "from")).toEqual({
      groups: ["orders*", { name: "a*b" }],
      limit: 5,
      to: { at: "2025-01-15T10:30:00Z" },
      from: "latest",
    });
  });

  test("may carry a query in the single-valued form only", () => {
    expect(request({ queryStringParameters: { groups: "a", limit: "5" } })).toEqual({ groups: ["a"], limit: 5 });
  });

  test.each([
    [
      "a body that is not UTF-8",
      { body: Buffer.from([0x22, 0xff, 0x22]).toString("base64"), isBase64Encoded: true },
      /not JSON/,
    ],
    ["a body that is not JSON", { body: "{" }, /the body is not JSON/],
    ["a body that is a list", { body: "[]" }, /must be a JSON object/],
    ["a path that is not percent-encoded", { pathParameters: { snapshot_id: "%E0%A4%A" } }, /percent-encoded/],
    ["a field in body and path", { body: '{"snapshot_id":"a"}', pathParameters: { snapshot_id: "b" } }, /given twice/],
    ["a single parameter given twice", { multiValueQueryStringParameters: { to: ["a", "b"] } }, /to is given 2 times/],
  ])("is refused with %s", (_what, event, message) => {
    expect(() => request(event)).toThrow(errors.InvalidRequest);
    expect(() => request(event)).toThrow(message);
  });
});

describe("an error over HTTP", () => {
  test.each([
    [400, new errors.InvalidRequest("m")],
    [404, new errors.SnapshotNotFound("m")],
    [404, new errors.GroupNotFound("m")],
    [404, new errors.RollbackNotFound("m")],
    [409, new errors.GroupNotEmpty("m")],
    [409, new errors.ClusterMismatch("m")],
    [409, new errors.RollbackInProgress("m")],
    [409, new errors.VerificationMismatch("m")],
    [412, new errors.PlanChanged("m")],
    [422, new errors.RollbackBlocked("m")],
    [500, new errors.SnapshotCorrupt("m")],
    [500, new errors.Configuration("m")],
    [500, new errors.InternalError("m")],
    [502, new errors.KafkaAuthentication("m")],
    [502, new errors.KafkaCertificate("m")],
    [502, new errors.KafkaAuthorization("m")],
    [502, new errors.RollbackIncomplete("m")],
    [503, new errors.KafkaUnavailable("m")],
    [503, new errors.StorageUnavailable("m")],
    [504, new errors.DeadlineExceeded("m")],
  ])("has status %i for %s", (status, error) => {
    const answer = httpError(error, error.details, "r1");
    expect(answer.statusCode).toBe(status);
    expect(JSON.parse(answer.body)).toEqual({
      error: error.name,
      message: `${error.name}: m`,
      details: null,
      request_id: "r1",
    });
    expect(answer.headers?.["retry-after"] !== undefined).toBe(error.retryable);
  });

  test("is opaque when nobody foresaw it", () => {
    const error = toOperationError(new TypeError("password is hunter2"), "r2");
    expect(error.name).toBe("InternalError");
    expect(httpError(error, error.details, "r2").body).not.toContain("hunter2");
    expect(error.cause).toBeInstanceOf(TypeError);
  });
});
