import { describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { GroupNotEmpty, InvalidRequest, StorageUnavailable } from "../../functions/shared/core/errors.ts";
import { parseRequest, type Result } from "../../functions/shared/lambda/handler.ts";
import { compose } from "../../functions/shared/operation.ts";
import { apiContext, context, proxyEvent } from "../support/events.ts";

const request = z.strictObject({ name: z.string(), n: z._default(z.int().check(z.minimum(1), z.maximum(5)), 1) });
type Run = (parsed: z.output<typeof request>, invocation: { deadline: { signal: AbortSignal } }) => Promise<Result>;

const stored: string[] = [];
const storedTypes: string[] = [];
const storeResult = async (text: string, contentType: string) => {
  stored.push(text);
  storedTypes.push(contentType);
  return { url: "https://example.test/result", expiresInSeconds: 60 };
};
const handlerOf = (run: Run) => compose({ name: "test", request, run }, () => ({ storage: { storeResult } }));
const echo = handlerOf(async (parsed) => ({ ...parsed, big: 2n ** 62n }));

const listing = compose(
  {
    name: "test",
    request: z.strictObject({ name: z.optional(z.string()), list: z.optional(z.array(z.string())) }),
    run: async () => ({}),
  },
  () => ({ storage: { storeResult } }),
);

describe("an operation", () => {
  test("answers a direct invocation with an object that has exact integers", async () => {
    expect(JSON.stringify(await echo({ name: "x" }, context()))).toBe('{"name":"x","n":1,"big":4611686018427387904}');
  });

  test("answers HTTP with the same JSON as its body", async () => {
    const answer = await echo(proxyEvent({ body: '{"name":"x"}' }), apiContext());
    expect(answer).toMatchObject({ statusCode: 200, body: '{"name":"x","n":1,"big":4611686018427387904}' });
  });

  test("throws its error in a direct invocation, with its name at the beginning of the message", async () => {
    const failing = handlerOf(async () => {
      throw new GroupNotEmpty("it has members", { next: "Stop them." });
    });
    await expect(failing({ name: "x" }, context())).rejects.toMatchObject({
      name: "GroupNotEmpty",
      message: "GroupNotEmpty: it has members. Nothing was changed. Stop them.",
    });
    expect(await failing(proxyEvent({ body: '{"name":"x"}' }), apiContext())).toMatchObject({ statusCode: 409 });
  });

  test("reports every problem of a request at once, by field", async () => {
    const error: unknown = await Promise.resolve(echo({ n: 9, zzz: 1, yyy: 2 }, context())).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(InvalidRequest);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^InvalidRequest: 4 problems: name: expected string.*n: .*unknown field "zzz" \(there are name, n\).*"yyy"/,
      ),
    });
  });

  test.each<[string, unknown]>([
    ["45,000 unknown fields", Object.fromEntries(Array.from({ length: 45_000 }, (_, i) => [`field-${i}`, i]))],
    ["45,000 invalid names", { name: "x", list: Array.from({ length: 45_000 }, (_, i) => i) }],
    ["a field with a name of 5 MB", { ["k".repeat(5_000_000)]: 1 }],
    ["three million values", { list: Array.from({ length: 3_000_000 }, () => null) }],
    ["a name of 5 MB", { name: ["x".repeat(5_000_000)] }],
  ])("answers a request with %s in a few kB, logs no more, and stores nothing", async (_what, wrong) => {
    const written = vi.spyOn(process.stdout, "write");
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const before = stored.length;
    const error: unknown = await Promise.resolve(listing(wrong, context())).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidRequest);
    expect(Buffer.byteLength(Object(error).message)).toBeLessThanOrEqual(4_096);
    const answer = Object(await listing(proxyEvent({ body: JSON.stringify(wrong) }), apiContext()));
    expect(answer.statusCode).toBe(400);
    expect(JSON.parse(answer.body).message).toBe(Object(error).message);
    expect(Buffer.byteLength(answer.body)).toBeLessThan(100_000);
    expect(stored.length).toBe(before);
    const lines = [...logged.mock.calls, ...written.mock.calls].map(String);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(10_000);
    vi.restoreAllMocks();
  });

  test("names the first 100 problems of a request, and says how many more there are", () => {
    const wrong = Object.fromEntries(Array.from({ length: 45_000 }, (_, i) => [`field-${i}`, i]));
    expect(() => parseRequest(request, { ...wrong, name: "x" })).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(
          /^InvalidRequest: 45000 problems: unknown field "field-0" .* 44990 more\. Nothing/,
        ),
        details: { problems: expect.toSatisfy((all: string[]) => all.length === 101 && all[100] === "44900 more") },
      }),
    );
  });

  test("fails with DeadlineExceeded if the work does not end in time", async () => {
    const hanging = handlerOf(() => new Promise(() => {}));
    await expect(hanging({ name: "x" }, context(1_700))).rejects.toMatchObject({ name: "DeadlineExceeded" });
  });

  test("aborts the work's signal at the deadline", async () => {
    const waiting = handlerOf(
      (_wanted, { deadline }) =>
        new Promise((resolve) => deadline.signal.addEventListener("abort", () => resolve({ aborted: true }))),
    );
    expect(await waiting({ name: "x" }, context(1_600))).toEqual({ aborted: true });
  });

  test("has at most 27 s over HTTP, and its own time in a direct invocation", async () => {
    const remaining = compose(
      { name: "test", request, run: async (_wanted, { deadline }) => ({ ms: Math.round(deadline.remainingMs()) }) },
      () => ({ storage: { storeResult } }),
    );
    const direct = Object(await remaining({ name: "x" }, context(300_000)));
    expect(direct.ms).toBeGreaterThan(290_000);
    const http = Object(await remaining(proxyEvent({ body: '{"name":"x"}' }), apiContext(300_000)));
    expect(JSON.parse(http.body).ms).toBeLessThanOrEqual(27_000);
  });

  test("stores a result over 5 MB, and answers its small fields and a link", async () => {
    const large = handlerOf(async () => ({ status: "success", groups: "x".repeat(5_000_001) }));
    expect(await large({ name: "x" }, context())).toEqual({
      status: "success",
      omitted: { groups: 1 },
      result_url: "https://example.test/result",
      expires_in_seconds: 60,
    });
    expect(stored.at(-1)).toContain("xxxx");
    expect(storedTypes.at(-1)).toBe("application/json");
  });

  test("stores the content of a large file as it is, with its own type", async () => {
    const file = { snapshot_id: "s", content_type: "text/csv", content: "x".repeat(5_000_001), warnings: ["partial"] };
    expect(await handlerOf(async () => file)({ name: "x" }, context())).toEqual({
      snapshot_id: "s",
      content_type: "text/csv",
      warnings: ["partial"],
      result_url: "https://example.test/result",
      expires_in_seconds: 60,
    });
    expect([stored.at(-1), storedTypes.at(-1)]).toEqual([file.content, "text/csv"]);
  });

  test("stores error details over 5 MB, including the characters that HTTP escapes", async () => {
    const details = { blockers: Array.from({ length: 3 }, () => '"'.repeat(900_000)), dry_run: true };
    const refused = handlerOf(async () => {
      throw new GroupNotEmpty("it has members", { details });
    });
    const answer = await refused(proxyEvent({ body: '{"name":"x"}' }), apiContext());
    expect(answer).toMatchObject({ statusCode: 409 });
    expect(JSON.parse(Object(answer).body).details).toEqual({
      dry_run: true,
      omitted: { blockers: 3 },
      result_url: "https://example.test/result",
      expires_in_seconds: 60,
    });
  });

  test("with effects answers even if its large result cannot be stored; an operation that only reads fails", async () => {
    const definition = (hasEffects: boolean) =>
      compose(
        {
          name: "test",
          request,
          hasEffects,
          run: async () => ({ status: "success", groups: "x".repeat(5_000_001) }),
        },
        () => ({
          storage: {
            storeResult: async () => {
              throw new StorageUnavailable("S3 is away.");
            },
          },
        }),
      );
    expect(await definition(true)({ name: "x" }, context())).toEqual({
      status: "success",
      omitted: { groups: 1 },
      result_error: "StorageUnavailable: S3 is away.",
    });
    await expect(definition(false)({ name: "x" }, context())).rejects.toMatchObject({ name: "StorageUnavailable" });
  });

  test("reads a missing event as an empty request", () => {
    expect(() => parseRequest(request, null)).toThrow(/name: /);
  });
});
