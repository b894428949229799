import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { operations } from "../../../functions/operations.ts";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";
import { compose } from "../../../functions/shared/operation.ts";
import { apiContext, proxyEvent } from "../../support/events.ts";

vi.spyOn(console, "info").mockImplementation(() => {});
vi.spyOn(console, "error").mockImplementation(() => {});

const callers: (string | null)[] = [];
const handler = compose(
  {
    name: "test",
    request: z.looseObject({}),
    run: async (request, { caller }) => {
      callers.push(caller);
      return { fields: Object.keys(request).length };
    },
  },
  () => ({
    storage: {
      storeResult: async () => {
        throw new Error("an answer to a hostile request is small");
      },
    },
  }),
);

/** What a parsed JSON event can have, wherever it is. */
const anything: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>("", "x", 0, 1e300, true, null, [], {}, [null], { a: null }, "x".repeat(300_000), "\ud800"),
);
const mostly = (value: unknown): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: anything });

describe("an HTTP event that API Gateway would not send", () => {
  const answerTo = async (event: object) => Object(await handler(event, apiContext()));

  test.each<[string, object, RegExp]>([
    ["no request context", { requestContext: null }, /requestContext: /],
    ["a number as its request context", { requestContext: 5 }, /requestContext: /],
    ["a text as its identity", { requestContext: { identity: "ana" } }, /requestContext\.identity: /],
    ["a number as its body", { body: 5 }, /body: /],
    ["an object as its body", { body: {} }, /body: /],
    ["a text as its path parameters", { pathParameters: "snapshot_id" }, /pathParameters: must be an object of texts/],
    ["a number in its path parameters", { pathParameters: { snapshot_id: 5 } }, /pathParameters: /],
    ["a list in its query", { queryStringParameters: { limit: [5] } }, /queryStringParameters: /],
    ["a number in its query", { multiValueQueryStringParameters: { limit: 5 } }, /must be an object of lists of texts/],
    [
      "numbers in its query",
      { multiValueQueryStringParameters: { limit: [5] } },
      /must be an object of lists of texts/,
    ],
    ["a text that says that its body is in base64", { isBase64Encoded: "no" }, /isBase64Encoded: /],
  ])("is refused with %s", async (_what, wrong, message) => {
    const { statusCode, body } = await answerTo({ ...proxyEvent({}), ...wrong });
    expect(statusCode).toBe(400);
    expect(JSON.parse(body)).toMatchObject({ error: "InvalidRequest", message: expect.stringMatching(message) });
  });

  test.each([5, true, "", "x".repeat(257), "x".repeat(300_000), ["x"], {}])(
    "is refused with the caller %j",
    async (userArn) => {
      const before = callers.length;
      const { statusCode, body } = await answerTo({ ...proxyEvent({}), requestContext: { identity: { userArn } } });
      expect(statusCode).toBe(400);
      expect(JSON.parse(body).message).toMatch(/^InvalidRequest: 1 problem: requestContext\.identity\.userArn: /);
      expect(callers.length).toBe(before);
    },
  );

  test.each([
    [{ identity: { userArn: "x".repeat(256) } }, "x".repeat(256)],
    [{ identity: { userArn: null } }, null],
    [{ identity: {} }, null],
    [{ identity: null }, null],
    [{}, null],
  ])("is accepted with the caller in %j", async (requestContext, caller) => {
    expect(await answerTo({ ...proxyEvent({}), requestContext })).toMatchObject({ statusCode: 200 });
    expect(callers.at(-1)).toBe(caller);
  });

  test("is answered as a request, or as an invalid one, whatever it has", async () => {
    const event = fc.record(
      {
        httpMethod: mostly("POST"),
        path: mostly("/"),
        body: fc.oneof(mostly('{"a":1}'), fc.string(), fc.json()),
        isBase64Encoded: mostly(false),
        pathParameters: fc.oneof(mostly({ snapshot_id: "latest" }), fc.dictionary(fc.string(), anything)),
        queryStringParameters: fc.oneof(mostly(null), fc.dictionary(fc.string(), fc.oneof(fc.string(), anything))),
        multiValueQueryStringParameters: fc.oneof(
          mostly(null),
          fc.dictionary(fc.string(), fc.oneof(fc.array(fc.string()), anything)),
        ),
        requestContext: fc.oneof(
          fc.record({ identity: fc.oneof(fc.record({ userArn: mostly("ana") }), anything) }),
          anything,
        ),
        headers: anything,
      },
      { requiredKeys: ["httpMethod", "path", "requestContext"] },
    );
    await fc.assert(
      fc.asyncProperty(event, async (hostile) => {
        const { statusCode, body } = await answerTo(JSON.parse(JSON.stringify(hostile)));
        expect([200, 400]).toContain(statusCode);
        expect(body.length).toBeLessThan(100_000);
        if (statusCode === 400) expect(JSON.parse(body).error).toBe("InvalidRequest");
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("a hostile request", () => {
  const names = [
    "groups",
    "exclude",
    "topics",
    "snapshot_id",
    "from",
    "to",
    "group_map",
    "schedule",
    "resume",
    "limit",
  ];
  const fields = fc.constantFrom(
    ...names,
    "description",
    "next_token",
    "rollback_id",
    "requested_by",
    "__proto__",
    "x",
  );
  const values = fc.oneof(
    anything,
    fc.constantFrom<unknown>(["*"], ["a", { name: "b" }], [{ name: 5 }], ["\ud800"], ["a:0,,1"], ["*:*"], { at: "x" }),
    fc.constantFrom<unknown>({ "*": "*" }, { a: "a" }, { ["k".repeat(40_000)]: "v".repeat(40_000) }, "../x", "latest"),
    fc.constantFrom<unknown>(new Array(20_000).fill("*"), new Array(3_000).fill("a/b"), "x".repeat(40_000).split("")),
  );
  const hostile = fc.oneof(fc.dictionary(fields, values), anything);

  test.each(Object.entries(operations))(
    "is parsed for %s, or refused as invalid in at most 4 kB",
    (_verb, { request }) => {
      fc.assert(
        fc.property(hostile, (value) => {
          const before = process.threadCpuUsage();
          try {
            parseRequest(request, value);
          } catch (error) {
            if (!(error instanceof InvalidRequest)) throw error;
            expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(4_096);
            expect(JSON.stringify(error.details ?? {}).length).toBeLessThan(200_000);
          }
          expect(process.threadCpuUsage(before).user).toBeLessThan(1_000_000);
        }),
        { numRuns: 300 },
      );
    },
  );
});
