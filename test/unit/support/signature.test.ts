import { AwsClient } from "aws4fetch";
import { describe, expect, test } from "vitest";
import { type ReceivedRequest, refusalOf } from "../../support/signature.ts";

const keys = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const verifier = { ...keys, region: "eu-west-1", service: "execute-api", now: new Date("2025-01-15T10:30:00Z") };
const ofApi = { region: "eu-west-1", service: "execute-api" };
const base = "https://api-id.execute-api.eu-west-1.amazonaws.com/v1";

/** A request that another implementation signs. */
async function signed(path: string, init: RequestInit = {}, how: object = {}): Promise<ReceivedRequest> {
  const aws = { datetime: "20250115T103000Z", ...how };
  const request = await new AwsClient({ ...keys, ...ofApi }).sign(`${base}${path}`, { ...init, aws });
  const { host } = new URL(base);
  return {
    method: request.method,
    url: `/v1${path}`,
    headers: { ...Object.fromEntries(request.headers), host },
    body: new Uint8Array(await request.arrayBuffer()),
  };
}

describe("a signature", () => {
  test("is the one of AWS's own example", () => {
    const signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
    const example: ReceivedRequest = {
      method: "GET",
      url: "/?Action=ListUsers&Version=2010-05-08",
      headers: {
        host: "iam.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-amz-date": "20150830T123600Z",
        authorization:
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
          `SignedHeaders=content-type;host;x-amz-date, Signature=${signature}`,
      },
      body: new Uint8Array(),
    };
    const iam = { ...keys, region: "us-east-1", service: "iam", now: new Date("2015-08-30T12:40:00Z") };
    expect(refusalOf(example, iam)).toBeUndefined();
  });

  test.each([
    ["/snapshots", {}],
    ["/snapshots?limit=5&since=2025-01-15T00:00:00Z", {}],
    ["/snapshots?groups=b&groups=a&groups=a%20b&Z=1&a", {}],
    ["/snapshots/snapshot-2025-01-15T10:30:00Z", {}],
    ["/snapshots/snapshot-2025-01-15T10%3A30%3A00Z", {}],
    ["/groups/a%2Fb%20%C3%BC*/history", {}],
    ["/snapshots", { method: "POST", body: '{"groups":["ü"]}', headers: { "content-type": "application/json" } }],
    ["/snapshots/latest", { headers: { "x-amz-security-token": "a session" } }],
  ])("of another implementation is accepted: %s", async (path, init) => {
    expect(refusalOf(await signed(path, init), verifier)).toBeUndefined();
  });

  test("over a path that is not encoded once more is refused, as of curl 7.88", async () => {
    const escaped = "/snapshots/snapshot-2025-01-15T10%3A30%3A00Z";
    const refusal = refusalOf(await signed(escaped, {}, { singleEncode: true }), verifier);
    expect(refusal).toContain("does not match");
    expect(refusal).toContain("/v1/snapshots/snapshot-2025-01-15T10%253A30%253A00Z");
    const dashes = "/snapshots/snapshot-2025-01-15T10-30-00Z";
    expect(refusalOf(await signed(dashes, {}, { singleEncode: true }), verifier)).toBeUndefined();
  });

  test.each<[string, (request: ReceivedRequest) => ReceivedRequest, RegExp]>([
    ["another method", (request) => ({ ...request, method: "DELETE" }), /does not match/],
    ["another path", (request) => ({ ...request, url: request.url.replace("latest", "newest") }), /does not match/],
    ["another query", (request) => ({ ...request, url: `${request.url}&x=1` }), /does not match/],
    ["another body", (request) => ({ ...request, body: Buffer.from("{}") }), /does not match/],
    ["another host", ({ headers, ...rest }) => ({ ...rest, headers: { ...headers, host: "x" } }), /does not match/],
    [
      "a header of AWS that is not signed",
      ({ headers, ...rest }) => ({ ...rest, headers: { ...headers, "x-amz-security-token": "x" } }),
      /'x-amz-security-token' must be a 'SignedHeader'/,
    ],
    ["no signature", ({ headers: { host }, ...rest }) => ({ ...rest, headers: { host } }), /Missing Authentication/],
  ])("is refused for a request with %s", async (_, change, message) => {
    const request = await signed("/snapshots/latest?groups=a", { method: "POST", body: '{"a":1}' });
    expect(refusalOf(request, verifier)).toBeUndefined();
    expect(refusalOf(change(request), verifier)).toMatch(message);
  });

  test.each([
    ["of another key", { accessKeyId: "AKIDOTHER" }, /token .* is invalid/],
    ["with another secret", { secretAccessKey: "x" }, /does not match/],
    ["for another region", { region: "eu-west-2" }, /scoped to .*eu-west-2/],
    ["for another service", { service: "lambda" }, /scoped to .*lambda/],
    ["of six minutes ago", { now: new Date("2025-01-15T10:36:00Z") }, /expired/],
  ])("is refused %s", async (_, change, message) => {
    expect(refusalOf(await signed("/snapshots"), { ...verifier, ...change })).toMatch(message);
  });
});
