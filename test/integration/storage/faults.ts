import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import { buffer } from "node:stream/consumers";
import type { Deadline } from "../../../functions/shared/core/deadline.ts";
import { within } from "../../support/deadline.ts";

/**
 * How a call fails:
 *
 * - `lost`: it takes effect, and the connection closes without an answer;
 * - `breaks`, `throttled`, `conflicts`, `denied`: it has no effect, and is answered with a server error, with a request to slow
 *   down, with a conflict with another write, or with a missing right;
 * - `hangs`: it has no effect and no answer;
 * - `cut`, `stalls`: it takes effect, and its answer stops in the middle, with or without closing the connection.
 */
export type Fault = "lost" | "breaks" | "throttled" | "conflicts" | "denied" | "hangs" | "cut" | "stalls";

/** The n-th matching call from now on; `nth` counts from 1. */
export interface CallMoment {
  /** `PutObject`, `TransactWriteItems`, …; by default any. */
  readonly action?: string;
  /** A text that the request body contains. */
  readonly body?: string;
  readonly nth?: number;
  /** Before the call reaches the emulator (default), or after the emulator has answered. */
  readonly at?: "call" | "answer";
}

/** A proxy to the emulator that injects faults. */
export interface Faults {
  readonly url: string;
  /** Injects a fault into the next calls of an operation (`PutObject`, `TransactWriteItems`, …): this many, or all. */
  on(action: string, fault: Fault, times?: number): void;
  /** Runs `act` before the next call of an operation is forwarded. */
  before(action: string, act: () => Promise<unknown>): void;
  /**
   * Runs `act` at a moment. The call or its answer waits for it, and fails with the fault that it returns, if any.
   * `happened` is true once the moment has come.
   */
  when(moment: CallMoment, act: () => Fault | undefined | Promise<Fault | undefined>): { readonly happened: boolean };
  /** The operations of all calls that reached the proxy, in order. */
  readonly calls: readonly string[];
  /** The operations of calls that hung until the client closed the connection. */
  readonly abandoned: readonly string[];
  /** Makes the next call of an operation hang or stall, and returns a deadline that passes 50 ms after that. */
  deadlineAt(action: string, fault: "hangs" | "stalls"): Deadline;
  clear(): void;
  close(): Promise<void>;
}

const objectActions: Readonly<Record<string, string>> = {
  PUT: "PutObject",
  GET: "GetObject",
  HEAD: "HeadObject",
  DELETE: "DeleteObject",
};

function actionOf({ method = "", url = "", headers }: IncomingMessage): string {
  const target = headers["x-amz-target"];
  if (method === "GET" && url.includes("list-type=2")) return "ListObjectsV2";
  return typeof target === "string" ? (target.split(".")[1] ?? "") : (objectActions[method] ?? method);
}

const answers: Readonly<
  Record<"breaks" | "throttled" | "conflicts" | "denied", Readonly<Record<"s3" | "dynamodb", [number, string]>>>
> = {
  breaks: {
    s3: [503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"],
    dynamodb: [500, '{"__type":"InternalServerError","message":"internal"}'],
  },
  throttled: {
    s3: [503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"],
    dynamodb: [
      400,
      '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"too many"}',
    ],
  },
  conflicts: {
    s3: [409, "<Error><Code>ConditionalRequestConflict</Code><Message>conflict</Message></Error>"],
    dynamodb: [
      400,
      '{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"cancelled",' +
        '"CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}',
    ],
  },
  denied: {
    s3: [403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"],
    dynamodb: [400, '{"__type":"AccessDeniedException","Message":"not authorized to perform"}'],
  },
};

/** Starts a proxy to an emulator. */
export async function startFaults(upstream: string): Promise<Faults> {
  const planned = new Map<string, { fault: Fault; times: number }>();
  const actsBefore = new Map<string, () => Promise<unknown>>();
  const watches = new Set<{ moment: CallMoment; passed: number; act(): Promise<Fault | undefined> }>();
  const calls: string[] = [];
  const abandoned: string[] = [];

  const next = (action: string): Fault | undefined => {
    const plan = planned.get(action);
    if (plan === undefined || plan.times === 0) return undefined;
    plan.times--;
    return plan.fault;
  };
  const faultAt = async (name: string, text: Buffer, stage: "call" | "answer") => {
    let fault: Fault | undefined;
    for (const watch of watches) {
      const { action = name, body = "", nth = 1, at = "call" } = watch.moment;
      if (action !== name || at !== stage || !text.includes(body) || ++watch.passed < nth) continue;
      watches.delete(watch);
      fault = (await watch.act()) ?? fault;
    }
    return fault;
  };
  const forward = (request: IncomingMessage, body: Buffer, response: ServerResponse, planned: Fault | undefined) => {
    const { method, headers, url = "" } = request;
    const onward = send(new URL(url, upstream), { method, headers }, async (answer) => {
      const whole = await buffer(answer);
      const fault = (await faultAt(actionOf(request), body, "answer")) ?? planned;
      if (fault === "lost") {
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      if (fault === undefined) response.end(whole);
      else response.write(whole.subarray(0, whole.length >> 1), () => fault === "cut" && response.destroy());
    });
    onward.on("error", () => response.destroy());
    onward.end(body);
  };
  const server = createServer(async (request, response) => {
    const action = actionOf(request);
    calls.push(action);
    const act = actsBefore.get(action);
    actsBefore.delete(action);
    await act?.();
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return; // the client closed the connection
    const fault = (await faultAt(action, body, "call")) ?? next(action);
    if (fault === "hangs") {
      response.on("close", () => abandoned.push(action));
      return;
    }
    if (fault === undefined || fault === "lost" || fault === "cut" || fault === "stalls")
      return forward(request, body, response, fault);
    const service = request.headers["x-amz-target"] === undefined ? "s3" : "dynamodb";
    const [status, text] = answers[fault][service];
    response.writeHead(status, { "content-type": service === "s3" ? "application/xml" : "application/x-amz-json-1.0" });
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;

  const when: Faults["when"] = (moment, act) => {
    const happening = { happened: false };
    watches.add({
      moment,
      passed: 0,
      async act() {
        happening.happened = true;
        return act();
      },
    });
    return happening;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    before: (action, act) => actsBefore.set(action, act),
    when,
    deadlineAt(action, fault) {
      const over = new AbortController();
      const left = within();
      when({ action, at: fault === "hangs" ? "call" : "answer" }, () => {
        setTimeout(() => over.abort(), 50); // by then, the client waits for the answer or the rest of it
        return fault;
      });
      return { signal: over.signal, remainingMs: () => (over.signal.aborted ? 0 : left.remainingMs()) };
    },
    calls,
    abandoned,
    on: (action, fault, times = Number.POSITIVE_INFINITY) => planned.set(action, { fault, times }),
    clear() {
      planned.clear();
      actsBefore.clear();
      watches.clear();
      calls.length = 0;
      abandoned.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
