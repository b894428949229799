import { connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** The API keys of the requests that tests observe. */
const apiKeys = {
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  DescribeGroups: 15,
  ApiVersions: 18,
  OffsetDelete: 47,
  ConsumerGroupDescribe: 69,
} as const;

/** The name of an API of Kafka's protocol. */
export type ApiName = keyof typeof apiKeys;

/**
 * The state of the network before a broker.
 *
 * - `refuses`: existing and new connections are reset.
 * - `black hole`: existing and new connections stay open, and everything sent in either direction is dropped.
 * - A delay applies to each request and to each answer.
 * - A rate limits the answers of all connections together; the bytes of an answer arrive one after another.
 */
export type NetworkState =
  | "normal"
  | "refuses"
  | "black hole"
  | { readonly delayMs: number }
  | { readonly bytesPerSecond: number };

/** The n-th request or answer of an API from now on, at one broker or any; `nth` counts from 1. */
export interface Moment {
  readonly api: ApiName;
  readonly nth?: number;
  /** Before the request reaches the broker (default), or before its answer reaches the client. */
  readonly at?: "request" | "answer";
  readonly broker?: number;
  /** Every one from the n-th on. */
  readonly every?: boolean;
}

/**
 * What the proxy does with a frame: `undefined` forwards it, `reset` drops it and resets its connection, and a buffer (with its
 * four bytes of length) is forwarded instead.
 */
export type FrameAction = undefined | "reset" | Buffer;

/** An act that waits for its moment. */
export interface PendingAct {
  /** Whether the moment has come. */
  readonly happened: boolean;
  /** Resolves when the act is done; never if the moment does not come. */
  readonly done: Promise<void>;
}

/** A proxy before each broker, which can observe, delay and drop requests and answers. */
export interface KafkaProxy {
  /** The addresses of the proxies, which the brokers also advertise. */
  readonly bootstrapServers: string;
  /** The number of requests of an API that reached a proxy since `clear`. */
  seen(api: ApiName): number;
  /**
   * Runs `act` at a moment. The request or answer waits for it, and so does everything behind it on its connection. The result
   * decides about the frame. With `reset`, a request never arrives, or an answer is lost.
   */
  when(moment: Moment, act: (broker: number, frame: Buffer) => FrameAction | Promise<FrameAction>): PendingAct;
  /** Sets the network state of one broker or all. Connections from which a black hole dropped data are not usable later. */
  setNetwork(state: NetworkState, broker?: number): void;
  /** Resets all existing connections to one broker or all. New ones work. */
  reset(broker?: number): void;
  /** Sets all networks to normal, and removes all acts and counts. */
  clear(): void;
  close(): Promise<void>;
}

interface Watch {
  readonly moment: Moment;
  passed: number;
  act(broker: number, frame: Buffer): Promise<FrameAction>;
}

/** How many bytes arrive at once at a limited rate. */
const SLICE = 4_096;

interface BrokerProxy {
  network: NetworkState;
  /** When the bytes before are through, at a limited rate. */
  busyUntil: number;
  readonly pairs: Set<Pair>;
}

/** A connection of a client, and the one from the proxy to the broker. */
interface Pair {
  readonly client: Socket;
  droppedData: boolean;
  reset(): void;
}

/** Starts a proxy before each broker, on the port that the broker advertises. */
export async function startKafkaProxy(
  brokers: readonly { readonly id: number; readonly listen: number; readonly broker: number }[],
): Promise<KafkaProxy> {
  const watches = new Set<Watch>();
  const seen = new Map<number, number>();
  const proxies = new Map<number, BrokerProxy>(
    brokers.map(({ id }) => [id, { network: "normal", busyUntil: 0, pairs: new Set() }]),
  );
  const chosen = (broker: number | undefined) =>
    [...proxies].filter(([id]) => broker === undefined || broker === id).map(([, proxy]) => proxy);

  const actionAt = async (broker: number, key: number, at: "request" | "answer", frame: Buffer) => {
    let action: FrameAction;
    for (const watch of watches) {
      const { api, nth = 1, at: when = "request", broker: where, every = false } = watch.moment;
      if (apiKeys[api] !== key || when !== at || (where ?? broker) !== broker || ++watch.passed < nth) continue;
      if (!every) watches.delete(watch);
      action = (await watch.act(broker, frame)) ?? action;
    }
    return action;
  };

  const servers = await Promise.all(
    brokers.map(async ({ id, listen, broker: port }) => {
      const proxy = proxies.get(id);
      if (proxy === undefined) throw new Error(`there is no broker ${id}`);
      const server = createServer({ noDelay: true }, (client) => join(client, id, port, proxy));
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(listen, "127.0.0.1", resolve));
      return server;
    }),
  );

  const join = (client: Socket, id: number, port: number, proxy: BrokerProxy) => {
    const inFlight: number[] = [];
    const upstream = connect({ host: "127.0.0.1", port, noDelay: true });
    const pair: Pair = {
      client,
      droppedData: false,
      reset() {
        client.resetAndDestroy();
        upstream.destroy();
      },
    };
    const drops = () => {
      if (proxy.network === "black hole") pair.droppedData = true;
      return pair.droppedData;
    };
    const write = async (to: Socket, bytes: Buffer, at: "request" | "answer") => {
      for (let start = 0; start < bytes.length; ) {
        const { network } = proxy;
        const slow = at === "answer" && typeof network === "object" && "bytesPerSecond" in network;
        const slice = bytes.subarray(start, slow ? start + SLICE : bytes.length);
        if (slow) {
          const now = performance.now();
          proxy.busyUntil = Math.max(proxy.busyUntil, now) + (slice.length / network.bytesPerSecond) * 1_000;
          await delay(proxy.busyUntil - now);
        }
        if (drops() || !to.writable) return;
        to.write(slice);
        start += slice.length;
      }
    };
    /** Forwards frames from one socket to another in order. `keyOf` gives the API key of each. */
    const carry = (from: Socket, to: Socket, at: "request" | "answer", keyOf: (frame: Buffer) => number) => {
      let queue: Promise<void> = Promise.resolve();
      from.on(
        "data",
        framesOf((frame) => {
          if (drops()) return;
          const key = keyOf(frame);
          const due =
            performance.now() +
            (typeof proxy.network === "object" && "delayMs" in proxy.network ? proxy.network.delayMs : 0);
          queue = queue.then(async () => {
            const wait = due - performance.now();
            if (wait > 0) await delay(wait);
            const action = await actionAt(id, key, at, frame);
            if (action === "reset") pair.reset();
            else await write(to, action ?? frame, at);
          });
        }),
      );
      return () => queue;
    };
    carry(client, upstream, "request", (frame) => {
      const key = frame.readInt16BE(4);
      seen.set(key, (seen.get(key) ?? 0) + 1);
      inFlight.push(key);
      return key;
    });
    const answered = carry(upstream, client, "answer", () => inFlight.shift() ?? -1);

    proxy.pairs.add(pair);
    client.on("error", () => {});
    client.on("close", () => {
      proxy.pairs.delete(pair);
      upstream.destroy();
    });
    upstream.on("error", () => {});
    upstream.on("close", () => answered().then(() => drops() || client.resetAndDestroy()));
    if (proxy.network === "refuses") pair.reset();
  };

  const setNetwork = (state: NetworkState, broker?: number) => {
    for (const proxy of chosen(broker)) {
      proxy.network = state;
      for (const pair of proxy.pairs)
        if (state === "refuses" || (state !== "black hole" && pair.droppedData)) pair.reset();
    }
  };
  return {
    bootstrapServers: brokers.map(({ listen }) => `127.0.0.1:${listen}`).join(","),
    seen: (api) => seen.get(apiKeys[api]) ?? 0,
    when(moment, act) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const pending = { happened: false, done: promise };
      watches.add({
        moment,
        passed: 0,
        async act(broker, frame) {
          pending.happened = true;
          const action = await act(broker, frame);
          resolve();
          return action;
        },
      });
      return pending;
    },
    setNetwork,
    reset(broker) {
      for (const proxy of chosen(broker)) for (const pair of proxy.pairs) pair.reset();
    },
    clear() {
      setNetwork("normal");
      watches.clear();
      seen.clear();
    },
    async close() {
      for (const proxy of proxies.values()) for (const pair of proxy.pairs) pair.reset();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

/** Splits a stream into Kafka's frames: four bytes of length, then that many bytes. */
function framesOf(onFrame: (frame: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 4) {
      const end = 4 + rest.readInt32BE(0);
      if (rest.length < end) return;
      onFrame(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}
