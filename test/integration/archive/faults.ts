import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import { buffer } from "node:stream/consumers";

/**
 * What becomes of a call: its answer is `lost` after it took effect, it `breaks` with a 503 before that, it is met by
 * somebody else's write (`conflicts`), its rights are `denied`, it `hangs`, or its answer stops in the middle, with
 * (`cut`) or without (`stalls`) the connection's end.
 */
type Fault = "lost" | "breaks" | "conflicts" | "denied" | "hangs" | "cut" | "stalls";

/** A proxy before the emulator that fails as it is told. */
export interface Faults {
  readonly url: string;
  /** The next calls of an operation (`PutObject`, `TransactWriteItems`, …) meet a fault: this many of them, or all. */
  on(action: string, fault: Fault, times?: number): void;
  /** Lets something happen before the next call of an operation goes on. */
  before(action: string, happens: () => Promise<unknown>): void;
  /** What came through, in order. */
  readonly calls: readonly string[];
  /** Which of them the client gave up before it had an answer. */
  readonly abandoned: readonly string[];
  clear(): void;
  close(): Promise<void>;
}

const objectActions: Readonly<Record<string, string>> = {
  PUT: "PutObject",
  GET: "GetObject",
  HEAD: "HeadObject",
  DELETE: "DeleteObject",
};

function actionOf({ method = "", headers }: IncomingMessage): string {
  const target = headers["x-amz-target"];
  return typeof target === "string" ? (target.split(".")[1] ?? "") : (objectActions[method] ?? method);
}

const answers: Readonly<
  Record<"breaks" | "conflicts" | "denied", Readonly<Record<"s3" | "dynamodb", [number, string]>>>
> = {
  breaks: {
    s3: [503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"],
    dynamodb: [500, '{"__type":"InternalServerError","message":"internal"}'],
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

/** Starts such a proxy before an emulator. */
export async function startFaults(upstream: string): Promise<Faults> {
  const planned = new Map<string, { fault: Fault; times: number }>();
  const happenings = new Map<string, () => Promise<unknown>>();
  const calls: string[] = [];
  const abandoned: string[] = [];

  const next = (action: string): Fault | undefined => {
    const plan = planned.get(action);
    if (plan === undefined || plan.times === 0) return undefined;
    plan.times--;
    return plan.fault;
  };
  const forward = (request: IncomingMessage, response: ServerResponse, fault: Fault | undefined) => {
    const { method, headers, url = "" } = request;
    const onward = send(new URL(url, upstream), { method, headers }, async (answer) => {
      const whole = await buffer(answer);
      if (fault === "lost") {
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      if (fault === undefined) response.end(whole);
      else response.write(whole.subarray(0, whole.length >> 1), () => fault === "cut" && response.destroy());
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  };
  const server = createServer(async (request, response) => {
    const action = actionOf(request);
    calls.push(action);
    const happens = happenings.get(action);
    happenings.delete(action);
    await happens?.();
    const fault = next(action);
    if (fault === "hangs") {
      response.on("close", () => abandoned.push(action));
      return;
    }
    if (fault !== "breaks" && fault !== "conflicts" && fault !== "denied") return forward(request, response, fault);
    await buffer(request);
    const service = request.headers["x-amz-target"] === undefined ? "s3" : "dynamodb";
    const [status, body] = answers[fault][service];
    response.writeHead(status, { "content-type": service === "s3" ? "application/xml" : "application/x-amz-json-1.0" });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;

  return {
    url: `http://127.0.0.1:${port}`,
    before: (action, happens) => happenings.set(action, happens),
    calls,
    abandoned,
    on: (action, fault, times = Number.POSITIVE_INFINITY) => planned.set(action, { fault, times }),
    clear() {
      planned.clear();
      happenings.clear();
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
