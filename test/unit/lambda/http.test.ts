import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { APIGatewayProxyEvent } from "aws-lambda";
import { describe, expect, test } from "vitest";
import * as errors from "../../../functions/shared/core/errors.ts";
import {
  httpError,
  requestOf,
  statuses,
  toOperationError,
  transportOf,
} from "../../../functions/shared/lambda/http.ts";
import { proxyEvent } from "../../support/events.ts";

const request = (event: Partial<APIGatewayProxyEvent>, field = "snapshot_id") => requestOf(proxyEvent(event), field);

describe("an HTTP call", () => {
  test("is what invokes the alias api, and nothing else", () => {
    const arn = "arn:aws:lambda:eu-west-1:111122223333:function:offset-list";
    expect(transportOf(`${arn}:api`)).toBe("api");
    for (const other of [arn, `${arn}:$LATEST`, `${arn}:7`, `${arn}:apis`, `${arn}:x:api`, "", ":api"]) {
      expect(transportOf(other)).toBe("invoke");
    }
    expect(transportOf("arn:aws:lambda:eu-west-1:111122223333:function:api")).toBe("invoke"); // a function of that name
  });

  test("carries its request in the body, and the snapshot in the path", () => {
    expect(
      request({ body: '{"dry_run":true}', pathParameters: { snapshot_id: "snapshot-2025-01-15T10%3A30%3A00Z" } }),
    ).toEqual({ dry_run: true, snapshot_id: "snapshot-2025-01-15T10:30:00Z" });
  });

  test("has the rollback id in the path, with any characters", () => {
    expect(request({ pathParameters: { rollback_id: "at%3A12" } })).toEqual({ rollback_id: "at:12" });
    expect(request({ pathParameters: { group: "a%2Fb%20*" } })).toEqual({ groups: [{ name: "a/b *" }] });
    expect(request({ pathParameters: { snapshot_id: "at%3A12" } })).toEqual({ snapshot_id: { at: "12" } });
  });

  test("may have its body in base64", () => {
    const body = Buffer.from('{"groups":["ü"]}').toString("base64");
    expect(request({ body, isBase64Encoded: true })).toEqual({ groups: ["ü"] });
  });

  test("may have a byte order mark before its body", () => {
    expect(request({ body: '\uFEFF{"limit":5}' })).toEqual({ limit: 5 });
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

  test("carries labels as repeated key:value, and truths as words", () => {
    const multiValueQueryStringParameters = { labels: ["env:prod", "url:https://x:1/", "none"], held: ["false"] };
    expect(request({ multiValueQueryStringParameters })).toEqual({
      labels: { env: "prod", url: "https://x:1/", none: "" },
      held: false,
    });
    expect(request({ queryStringParameters: { labels: "__proto__:x", held: "maybe" } })).toEqual({
      labels: JSON.parse('{"__proto__":"x"}'),
      held: "maybe",
    });
  });

  test("may have its query only in the single-valued form", () => {
    expect(request({ queryStringParameters: { groups: "a", limit: "5" } })).toEqual({ groups: ["a"], limit: 5 });
  });

  test.each([
    [
      "a body that is not UTF-8",
      { body: Buffer.from([0x22, 0xff, 0x22]).toString("base64"), isBase64Encoded: true },
      /not JSON/,
    ],
    ["a body that is not JSON", { body: "{" }, /the body is not JSON/],
    ["a key that is repeated", { body: '{"dry_run":true,"dry_run":false}' }, /the body has the key "dry_run" twice/],
    ["a key that is repeated inside", { body: '{"schedule":{"name":"a","n\\u0061me":"b"}}' }, /the key "name" twice/],
    [
      "a key that is repeated in a literal name of the query",
      { multiValueQueryStringParameters: { groups: ['{"name":"a","name":"b"}'] } },
      /the query has the key "name" twice/,
    ],
    ["a body that is a list", { body: "[]" }, /must be a JSON object/],
    ["a path that is not percent-encoded", { pathParameters: { snapshot_id: "%E0%A4%A" } }, /percent-encoded/],
    ["a field in body and path", { body: '{"snapshot_id":"a"}', pathParameters: { snapshot_id: "b" } }, /given twice/],
    [
      "a label given twice",
      { multiValueQueryStringParameters: { labels: ["env:a", "env:b"] } },
      /labels has "env" twice; give it once/,
    ],
    ["a single parameter given twice", { multiValueQueryStringParameters: { to: ["a", "b"] } }, /to is given 2 times/],
  ])("is refused with %s", (_what, event, message) => {
    expect(() => request(event)).toThrow(errors.InvalidRequest);
    expect(() => request(event)).toThrow(message);
  });
});

describe("an error over HTTP", () => {
  const { OperationError: _, ...classes } = errors;
  const kinds = Object.entries(classes).map(
    ([name, Kind]) => [name, new Kind("m", { next: "n.", details: { a: 1 } })] as const,
  );

  test("has a status for every kind, and for no other name", () => {
    expect(Object.keys(statuses).sort()).toEqual(kinds.map(([name]) => name).sort());
  });

  test.each(kinds)("%s has its status, what was changed, and whether to try again", (name, error) => {
    const answer = httpError(error, error.details, "r1");
    expect(answer.statusCode).toBe(Object.entries(statuses).find(([known]) => known === name)?.[1]);
    expect(JSON.parse(answer.body)).toEqual({
      error: name,
      message: `${name}: m.${error.effect === "none" ? " Nothing was changed." : ""} n.`,
      details: { a: 1 },
      request_id: "r1",
    });
    expect(answer.headers?.["retry-after"] !== undefined).toBe(error.retryable);
    expect(error.summary).toBe("m. n.");
  });

  test("is in the table of functions/README.md, under its status", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../../functions/README.md"), "utf8");
    const rows = [...readme.matchAll(/^\| (`\w+`(?:, `\w+`)*) \| (\d{3}) \|/gm)].flatMap(([, names = "", status]) =>
      [...names.matchAll(/\w+/g)].map(([name]) => [name, Number(status)] as const),
    );
    expect(Object.fromEntries(rows)).toEqual(statuses);
  });

  test("of unknown effect states that nothing was changed if the caller knows it, and states it once", () => {
    const [unknown, none] = [new errors.StorageUnavailable("m"), new errors.GroupNotFound("m")];
    for (const error of [unknown, none]) {
      error.withoutEffect("No offset was committed.");
      error.withoutEffect("No offset was committed.");
    }
    expect(unknown.message).toBe("StorageUnavailable: m. No offset was committed.");
    expect(none.message).toBe("GroupNotFound: m. Nothing was changed.");
  });

  test("is opaque if it is not an OperationError", () => {
    const error = toOperationError(new TypeError("password is hunter2"), "r2");
    expect(error.name).toBe("InternalError");
    expect(httpError(error, error.details, "r2").body).not.toContain("hunter2");
    expect(error.cause).toBeInstanceOf(TypeError);
  });
});
