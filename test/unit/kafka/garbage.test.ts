import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { OperationError } from "../../../functions/shared/core/errors.ts";
import { NoAnswer } from "../../../functions/shared/kafka/calls/problems.ts";
import { createConnector } from "../../../functions/shared/kafka/connection/connection.ts";
import { capture } from "../../../functions/shared/kafka/groups/capture.ts";
import { Reader, Writer } from "../../../functions/shared/kafka/wire/bytes.ts";
import { connectTo, startFakeBroker } from "./fake-broker.ts";

const TIME_MS = 800;
/** How much longer a call may take on a busy machine. */
const SLACK_MS = 8_000;
/** Few runs, and no shrinking, which would take longer than the test. */
const fewRuns = { numRuns: 4, endOnFailure: true, timeout: 20_000 };

const noise = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength }).map((bytes) => Buffer.from(bytes));
const sized = (frame: Buffer) => {
  frame.writeInt32BE(frame.length - 4, 0);
  return frame;
};
const withSize = (frame: Buffer, size: number) => {
  frame.writeInt32BE(size, 0);
  return frame;
};

/** Changes of a frame, which consists of its size and a correlation id (four bytes each) and an answer. */
const spoil: fc.Arbitrary<(frame: Buffer) => Buffer> = fc.oneof(
  noise(200).map((bytes) => () => bytes),
  noise(200).map((bytes) => (frame: Buffer) => sized(Buffer.concat([frame.subarray(0, 8), bytes]))),
  noise(8).map((bytes) => (frame: Buffer) => sized(Buffer.concat([frame, bytes]))),
  noise(8).map((bytes) => (frame: Buffer) => Buffer.concat([frame, bytes])),
  fc.tuple(fc.nat(), noise(5)).map(([at, bytes]) => (frame: Buffer) => {
    const start = Math.min(frame.length, 8 + (at % frame.length));
    return sized(Buffer.concat([frame.subarray(0, start), bytes, frame.subarray(start + bytes.length)]));
  }),
  fc
    .constantFrom(-0x80000000, -5, -4, -1, 0, 1, 3, 4, 5, 0x7fffffff)
    .map((size) => (frame: Buffer) => withSize(Buffer.from(frame), size)),
  fc.nat().map((at) => (frame: Buffer) => frame.subarray(0, at % frame.length)),
  fc.constant((frame: Buffer) => Buffer.concat([frame, frame])),
  fc.integer().map((id) => (frame: Buffer) => {
    const changed = Buffer.from(frame);
    changed.writeInt32BE(id, 4);
    return changed;
  }),
);

/** Runs all calls at once, and requires that each ends in time. */
async function requireInTime(works: readonly (() => Promise<void>)[]): Promise<void> {
  const started = performance.now();
  await Promise.all(works.map((work) => work()));
  expect(performance.now() - started).toBeLessThan(TIME_MS + SLACK_MS);
}

describe("a broker that sends garbage", () => {
  const api = fc.constantFrom(18, 3, 16, 10, 9, 2, 15);
  const anyGarbage = fc.record({ api, spoil, times: fc.constantFrom(1, Number.POSITIVE_INFINITY) });

  it("results in a state or a named error, in time", { timeout: 120_000 }, async () => {
    const readThrough = async ({ api, spoil, times }: { api: number; spoil(frame: Buffer): Buffer; times: number }) => {
      let left = times;
      const address = await startFakeBroker({
        groups: ["g", "h"],
        members: { h: ["t"] },
        fetch: () => ({ offsets: { t: 7n } }),
        spoil: (frame, key) => (key === api && left-- > 0 ? spoil(frame) : frame),
      });
      try {
        const cluster = await connectTo([address], TIME_MS);
        const state = await capture(cluster, { groups: ["*"], exclude: [] });
        for (const { error } of state.errors) expect(error).toMatch(/^\w+$/);
        cluster.close();
      } catch (error) {
        if (!(error instanceof OperationError)) throw error;
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(anyGarbage, { minLength: 25, maxLength: 25 }), (garbage) =>
        requireInTime(garbage.map((spoiled) => () => readThrough(spoiled))),
      ),
      fewRuns,
    );
  });
});

describe("a login answered with garbage", () => {
  const authBytes = fc.oneof(
    noise(60),
    fc
      .constantFrom("", "r=x,s=,i=0", "r=,s=AA==,i=4096", "e=other-error", "v=AAAA", "r=x")
      .map((text) => Buffer.from(text)),
  );
  const anyLogin = fc.record({
    mechanism: fc.constantFrom("PLAIN" as const, "SCRAM-SHA-256" as const, "SCRAM-SHA-512" as const),
    api: fc.constantFrom(17, 36),
    spoil: fc.oneof(
      spoil,
      fc.constant((frame: Buffer) => frame),
    ),
    authBytes,
    /** Before KIP-152, a login was not framed like requests. */
    framed: fc.boolean(),
  });

  it("ends in time, with a named error and closed sockets", { timeout: 120_000 }, async () => {
    const logIn = async (spoiled: SpoiledLogin) => {
      const server = await startLogin(spoiled);
      const login = { mechanism: spoiled.mechanism, username: "u", password: "p" };
      const connector = createConnector({ protocol: "SASL_PLAINTEXT", credentials: async () => ({ login }) }, "test");
      try {
        const connection = await connector.connect(server.address, TIME_MS, new AbortController().signal);
        connection.close(new Error("the test has ended"));
      } catch (error) {
        if (!(error instanceof OperationError) && !(error instanceof NoAnswer)) throw error;
      }
      await vi.waitFor(() => expect(server.open.size).toBe(0), 5_000);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(anyLogin, { minLength: 25, maxLength: 25 }), (logins) =>
        requireInTime(logins.map((spoiled) => () => logIn(spoiled))),
      ),
      fewRuns,
    );
  });
});

interface SpoiledLogin {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly api: number;
  readonly authBytes: Buffer;
  readonly framed: boolean;
  spoil(frame: Buffer): Buffer;
}

/** A broker that answers only the requests of a login. */
async function startLogin({ mechanism, api, authBytes, framed, spoil }: SpoiledLogin) {
  const open = new Set<Socket>();
  const answerTo = (key: number): Buffer => {
    const writer = new Writer();
    if (key === 18) {
      writer.int16(0);
      writer.classicArray(framed ? [3, 17, 18, 36] : [3, 17, 18], (known) => {
        writer.int16(known);
        writer.int16(0);
        writer.int16(key === 18 ? 2 : 1);
      });
      writer.int32(0);
    } else if (key === 17) {
      writer.int16(0);
      writer.classicArray([mechanism], (name) => writer.classicString(name));
    } else {
      writer.int16(0);
      writer.int16(-1);
      writer.int32(authBytes.length);
      for (const byte of authBytes) writer.int8((byte << 24) >> 24);
      writer.int64(0n);
    }
    return writer.bytes();
  };
  const server = createServer((socket) => {
    open.add(socket.on("error", () => {}).on("close", () => open.delete(socket)));
    let loggingIn = false;
    socket.on("data", (data) => {
      const reader = new Reader(data.subarray(4));
      if (loggingIn && !framed) {
        const size = Buffer.alloc(4);
        size.writeInt32BE(authBytes.length);
        socket.write(spoil(Buffer.concat([size, authBytes, Buffer.alloc(8)])));
        return;
      }
      const key = reader.int16();
      reader.int16();
      const head = Buffer.alloc(8);
      head.writeInt32BE(reader.int32(), 4);
      loggingIn ||= key === 17;
      const frame = sized(Buffer.concat([head, answerTo(key)]));
      socket.write(key === api ? spoil(frame) : frame);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, open };
}
