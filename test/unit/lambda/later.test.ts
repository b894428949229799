import { describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import { InvalidRequest, type OperationError, RollbackBlocked } from "../../../functions/shared/core/errors.ts";
import type { Invocation, Result } from "../../../functions/shared/lambda/handler.ts";
import { compose } from "../../../functions/shared/operation.ts";
import { apiContext, context, proxyEvent } from "../../support/events.ts";

const storage = { storeResult: async () => ({ url: "", expiresInSeconds: 0 }) };
const request = z.strictObject({ rollback_id: z.optional(z.string()), dry_run: z.optional(z.boolean()) });
const laterRequest = z.strictObject({ rollback_id: z.string() });

/** Calls a function that has a route for later, with ten minutes left. */
async function invoke(event: unknown, run: (invocation: Invocation) => Promise<Result>, through = apiContext) {
  const refused = vi.fn(async (_carried: unknown, _error: OperationError) => {});
  const later = { path: "/rollbacks", request: laterRequest, refused };
  const definition = { name: "rollback", request, later, run: (_: unknown, invocation: Invocation) => run(invocation) };
  const handler = compose(definition, () => ({ storage }));
  const answer: unknown = await Promise.resolve(handler(event, through(600_000))).catch((error: unknown) => error);
  return { answer, refused: refused.mock.calls.map(([carried, error]) => ({ carried, error })) };
}

const posted = (body: object, resource = "/rollbacks") =>
  proxyEvent({
    ...{ httpMethod: "POST", resource, path: resource, isBase64Encoded: true },
    body: Buffer.from(JSON.stringify(body)).toString("base64"),
  });
const timeOf = async ({ deadline }: Invocation) => ({ seconds: Math.round(deadline.remainingMs() / 1_000) });

describe("a request whose caller was answered already", () => {
  test("has the whole time of the function; other HTTP calls have 27 s", async () => {
    expect((await invoke(posted({ rollback_id: "r" }), timeOf)).answer).toMatchObject({ seconds: 598 });
    const { answer } = await invoke(posted({ rollback_id: "r" }, "/snapshots/{snapshot_id}/rollback"), timeOf);
    expect(answer).toMatchObject({ statusCode: 200, body: '{"seconds":27}' });
  });

  test("has the caller that API Gateway has established", async () => {
    const { answer } = await invoke(posted({ rollback_id: "r" }), async ({ caller, trigger }) => ({ caller, trigger }));
    expect(answer).toEqual({ caller: "arn:aws:iam::000000000000:user/ana", trigger: "api" });
  });

  test("fails the invocation where it fails, so that Lambda keeps it", async () => {
    const fail = () => Promise.reject(new RollbackBlocked("blocked"));
    const { answer, refused } = await invoke(posted({ rollback_id: "r" }), fail);
    expect(answer).toBeInstanceOf(RollbackBlocked);
    expect(refused).toEqual([]); // it had begun
  });

  test.each([
    ["a field that the operation lacks", { rollback_id: "r", grups: [] }, "grups"],
    ["a field that has no use later", { rollback_id: "r", dry_run: true }, "dry_run"],
    ["no id", {}, "rollback_id"],
  ])("is recorded as refused, and fails, with %s", async (_, body, problem) => {
    const { answer, refused } = await invoke(posted(body), timeOf);
    expect(answer).toBeInstanceOf(InvalidRequest);
    expect(refused).toMatchObject([{ carried: body, error: { message: expect.stringContaining(problem) } }]);
    expect(refused[0]?.error).toBe(answer);
  });

  test("cannot be imitated by a direct invocation", async () => {
    const { answer, refused } = await invoke(posted({ rollback_id: "r" }), timeOf, context);
    expect(answer).toBeInstanceOf(InvalidRequest);
    expect(refused).toEqual([]);
  });
});
