import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { exit, exitCodeOf } from "../../../functions/cli/exit-codes.ts";
import { errorNamed } from "../../../functions/shared/core/error-names.ts";
import { KafkaUnavailable, RollbackBlocked } from "../../../functions/shared/core/errors.ts";
import { refusals } from "../../../functions/shared/lambda/final-line.ts";
import type { Invocation, Result } from "../../../functions/shared/lambda/handler.ts";
import { statuses } from "../../../functions/shared/lambda/http.ts";
import { compose } from "../../../functions/shared/operation.ts";
import { apiContext, context, proxyEvent } from "../../support/events.ts";

const storage = { storeResult: async () => ({ url: "", expiresInSeconds: 0 }) };
const request = z.strictObject({
  snapshot_id: z.optional(z.string()),
  requested_by: z.optional(z.string()),
  schedule: z.optional(z.string()),
});
type Run = (asked: z.output<typeof request>, invocation: Invocation) => Promise<Result>;

let written: string[] = [];
beforeEach(() => {
  vi.stubEnv("POWERTOOLS_LOG_LEVEL", "INFO");
  vi.stubEnv("DEPLOYMENT_NAME", "offset-rollback");
  written = [];
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((line) => written.push(String(line)) > 0);
  }
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** What an invocation answers, or its error, and the lines that it logs. Metrics are not among them. */
async function invoke(run: Run, event: unknown, through = context) {
  const handler = compose({ name: "list", request, directOnly: ["schedule"], run }, () => ({ storage }));
  const answer = await Promise.resolve(handler(event, through())).catch((error: unknown) => error);
  const lines = written.map((line) => JSON.parse(line)).filter((line) => !("_aws" in line));
  written = [];
  return { answer: Object(answer), lines };
}

const done: Run = async () => ({ snapshot_id: "snapshot-2025-01-15T10:30:00Z" });
const userArn = "arn:aws:iam::000000000000:user/ana";

describe("the log of an invocation ends with one line that says who asked for what, and the outcome", () => {
  test("for a direct invocation: what it says of its sender is not proven", async () => {
    const { lines } = await invoke(done, { snapshot_id: "latest", requested_by: userArn });
    expect(lines).toEqual([
      expect.objectContaining({
        level: "INFO",
        operation: "list",
        transport: "invoke",
        caller: { arn: null, proven: false },
        requested_by: userArn,
        request_id: "request-1",
        snapshot_id: "snapshot-2025-01-15T10:30:00Z", // what latest was
        outcome: "ok",
        duration_ms: expect.any(Number),
      }),
    ]);
  });

  test("for a call of the API: its caller is proven, also if the body says another", async () => {
    const event = proxyEvent({ body: '{"requested_by":"ben"}' });
    const { answer, lines } = await invoke(done, event, apiContext);
    expect(answer).toMatchObject({ statusCode: 200 });
    expect(lines).toEqual([
      expect.objectContaining({
        level: "INFO",
        transport: "api",
        caller: { arn: userArn, proven: true },
        requested_by: "ben",
        request_id: "request-1",
        api_request_id: "http-1",
        outcome: "ok",
      }),
    ]);
  });

  test.each([
    ["a direct invocation", {}, context],
    ["a call of the API", proxyEvent({}), apiContext],
  ])("for an error of %s: its name, and the ids that were known by then", async (_, event, through) => {
    const { lines } = await invoke(
      async (_asked, { note }) => {
        note({ rollback_id: "rollback-1", safety_snapshot_id: null });
        note({ safety_snapshot_id: "snapshot-2" });
        throw new KafkaUnavailable("no broker answers", { cause: new Error("ECONNREFUSED") });
      },
      event,
      through,
    );
    expect(lines).toEqual([
      expect.objectContaining({
        level: "ERROR",
        message: "KafkaUnavailable: no broker answers. Nothing was changed.",
        outcome: "KafkaUnavailable",
        error_name: "KafkaUnavailable",
        retryable: true,
        rollback_id: "rollback-1",
        safety_snapshot_id: "snapshot-2",
        cause: expect.objectContaining({ message: "ECONNREFUSED" }),
      }),
    ]);
  });

  test("for a refusal, which is an error too, so that the runbook finds it", async () => {
    const { lines } = await invoke(async () => {
      throw new RollbackBlocked("the rollback was refused");
    }, {});
    expect(lines).toEqual([
      expect.objectContaining({ level: "ERROR", outcome: "refused", error_name: "RollbackBlocked" }),
    ]);
  });

  test("for an internal error, with its cause", async () => {
    const { lines } = await invoke(async () => {
      throw new TypeError("x is not a function");
    }, {});
    expect(lines).toEqual([
      expect.objectContaining({ outcome: "InternalError", cause: expect.objectContaining({ name: "TypeError" }) }),
    ]);
  });

  test("for a request that is not valid", async () => {
    const { lines } = await invoke(done, { snapshot_id: 5 });
    expect(lines).toEqual([expect.objectContaining({ level: "ERROR", outcome: "InvalidRequest" })]);
    expect(lines[0]).not.toHaveProperty("snapshot_id");
  });
});

test("what is logged as refused is what the command line ends with 3 for", () => {
  const names = Object.keys(statuses).filter((name) => exitCodeOf(name) === exit.refused);
  expect([...refusals].sort()).toEqual(names.sort());
  for (const name of refusals) expect(errorNamed(name, "x").effect).toBe("none");
});

describe("an event counts as HTTP only if it came through the alias", () => {
  test.each([
    ["unqualified", "arn:aws:lambda:us-east-1:000000000000:function:offset-list"],
    ["of the newest version", "arn:aws:lambda:us-east-1:000000000000:function:offset-list:$LATEST"],
    ["of another alias", "arn:aws:lambda:us-east-1:000000000000:function:offset-list:live"],
  ])("an imitation in a direct invocation, %s, is refused and proves nobody", async (_, invokedFunctionArn) => {
    const run = vi.fn(done);
    const { answer, lines } = await invoke(run, proxyEvent({}), () => ({ ...context(), invokedFunctionArn }));
    expect(answer).toMatchObject({
      name: "InvalidRequest",
      message:
        "InvalidRequest: the event looks like one of API Gateway's (it has httpMethod, path and requestContext), but it did not " +
        `come through the API: the function was invoked directly, as ${invokedFunctionArn}. Nothing was changed. ` +
        "Call the API, or invoke the function with the fields of the request as the event.",
    });
    expect(run).not.toHaveBeenCalled();
    expect(lines).toEqual([
      expect.objectContaining({
        transport: "invoke",
        caller: { arn: null, proven: false },
        outcome: "InvalidRequest",
      }),
    ]);
  });

  test("a request that invokes the alias directly is refused", async () => {
    const run = vi.fn(done);
    const { answer } = await invoke(run, { requested_by: "ana" }, apiContext);
    expect(answer.statusCode).toBe(400);
    expect(JSON.parse(answer.body).message).toMatch(
      /^InvalidRequest: the alias api is for API Gateway alone.*:function:test:api was .* without a qualifier\.$/,
    );
    expect(run).not.toHaveBeenCalled();
  });

  test("a field for direct invocations is refused over HTTP, with all other problems", async () => {
    const event = proxyEvent({ body: '{"schedule":"hourly","zzz":1}' });
    const { answer } = await invoke(done, event, apiContext);
    expect(JSON.parse(answer.body).details.problems).toEqual([
      "schedule: is accepted in direct invocations only",
      expect.stringContaining('unknown field "zzz"'),
    ]);
    const alone = await invoke(done, proxyEvent({ body: '{"schedule":"hourly"}' }), apiContext);
    expect(alone.answer.statusCode).toBe(400);
    expect((await invoke(done, { schedule: "hourly" })).answer).toHaveProperty("snapshot_id");
  });
});
