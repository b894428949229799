import { connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** The requests that tests wait for, by their keys. */
const apiKeys = {
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  DescribeGroups: 15,
  ListGroups: 16,
  ApiVersions: 18,
  OffsetDelete: 47,
  ConsumerGroupDescribe: 69,
} as const;

/** The name of a request of Kafka's protocol. */
export type ApiName = keyof typeof apiKeys;

/**
 * What the way to a broker is like. `refuses`: every connection is reset at once, and so are new ones; `black hole`:
 * connections are accepted, stand, and swallow everything in both directions, those that stood before too; a delay
 * holds up each request, and each answer, that long.
 */
export type Weather = "fine" | "refuses" | "black hole" | { readonly delayMs: number };

/** Which request or answer is meant: the n-th from now on of an API (`nth` counts from 1), at one broker or any. */
export interface Moment {
  readonly api: ApiName;
  readonly nth?: number;
  /** Before the request reaches the broker, which is the default, or before its answer reaches the client. */
  readonly at?: "request" | "answer";
  readonly broker?: number;
  /** All of them from the n-th on, each in turn. */
  readonly every?: boolean;
}

/**
 * What becomes of a request or an answer: `reset` drops it and resets its connection; a frame, with its four bytes of
 * length, takes its place.
 */
export type Fate = undefined | "reset" | Buffer;

/** Something that is to happen at a moment. */
export interface Happening {
  /** Whether the moment has come. */
  readonly happened: boolean;
  /** Resolves when it has been done; never, where the moment does not come. */
  readonly done: Promise<void>;
}

/** Proxies before all brokers: what is sent through them can be watched, held up and cut off. */
export interface KafkaProxy {
  /** Where clients start: the brokers name the proxies as their addresses, too. */
  readonly bootstrapServers: string;
  /** How many requests of an API have reached a proxy since `clear`. */
  seen(api: ApiName): number;
  /**
   * Does something at a moment. The request or answer is held up until it is done, and with it everything behind it on
   * its connection. Where it says `reset`, that one is dropped and its connection reset: a request that never came, or
   * an answer that was lost. Where it gives another frame, that one goes on in its place.
   */
  when(moment: Moment, act: (broker: number, frame: Buffer) => Fate | Promise<Fate>): Happening;
  /** From now on, for one broker or for all. Connections that a black hole swallowed something of do not come back. */
  weather(weather: Weather, broker?: number): void;
  /** Resets all connections that stand, to one broker or all. New ones work. */
  reset(broker?: number): void;
  /** Fine weather everywhere, nothing more to happen, nothing seen. */
  clear(): void;
  close(): Promise<void>;
}

interface Watch {
  readonly moment: Moment;
  passed: number;
  act(broker: number, frame: Buffer): Promise<Fate>;
}

interface Gate {
  weather: Weather;
  readonly pairs: Set<Pair>;
}

/** A client's connection and its continuation to the broker. */
interface Pair {
  readonly client: Socket;
  swallowed: boolean;
  reset(): void;
}

/** Starts a proxy before each broker: it listens where the broker says that it is. */
export async function startKafkaProxy(
  brokers: readonly { readonly id: number; readonly listen: number; readonly broker: number }[],
): Promise<KafkaProxy> {
  const watches = new Set<Watch>();
  const seen = new Map<number, number>();
  const gates = new Map<number, Gate>(brokers.map(({ id }) => [id, { weather: "fine", pairs: new Set() }]));
  const chosen = (broker: number | undefined) =>
    [...gates].filter(([id]) => broker === undefined || broker === id).map(([, gate]) => gate);

  const passes = async (broker: number, key: number, at: "request" | "answer", frame: Buffer) => {
    let fate: Fate;
    for (const watch of watches) {
      const { api, nth = 1, at: when = "request", broker: where, every = false } = watch.moment;
      if (apiKeys[api] !== key || when !== at || (where ?? broker) !== broker || ++watch.passed < nth) continue;
      if (!every) watches.delete(watch);
      fate = (await watch.act(broker, frame)) ?? fate;
    }
    return fate;
  };

  const servers = await Promise.all(
    brokers.map(async ({ id, listen, broker: port }) => {
      const gate = gates.get(id);
      if (gate === undefined) throw new Error(`there is no broker ${id}`);
      const server = createServer({ noDelay: true }, (client) => join(client, id, port, gate));
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(listen, "127.0.0.1", resolve));
      return server;
    }),
  );

  const join = (client: Socket, id: number, port: number, gate: Gate) => {
    const inFlight: number[] = [];
    const upstream = connect({ host: "127.0.0.1", port, noDelay: true });
    const pair: Pair = {
      client,
      swallowed: false,
      reset() {
        client.resetAndDestroy();
        upstream.destroy();
      },
    };
    const swallows = () => {
      if (gate.weather === "black hole") pair.swallowed = true;
      return pair.swallowed;
    };
    /** Carries frames from one socket to another in their order: `pass` names the API of each. */
    const carry = (from: Socket, to: Socket, at: "request" | "answer", keyOf: (frame: Buffer) => number) => {
      let line: Promise<void> = Promise.resolve();
      from.on(
        "data",
        framesOf((frame) => {
          if (swallows()) return;
          const key = keyOf(frame);
          const due = performance.now() + (typeof gate.weather === "object" ? gate.weather.delayMs : 0);
          line = line.then(async () => {
            const wait = due - performance.now();
            if (wait > 0) await delay(wait);
            const fate = await passes(id, key, at, frame);
            if (fate === "reset") pair.reset();
            else if (!swallows() && to.writable) to.write(fate ?? frame);
          });
        }),
      );
      return () => line;
    };
    carry(client, upstream, "request", (frame) => {
      const key = frame.readInt16BE(4);
      seen.set(key, (seen.get(key) ?? 0) + 1);
      inFlight.push(key);
      return key;
    });
    const answered = carry(upstream, client, "answer", () => inFlight.shift() ?? -1);

    gate.pairs.add(pair);
    client.on("error", () => {});
    client.on("close", () => {
      gate.pairs.delete(pair);
      upstream.destroy();
    });
    upstream.on("error", () => {});
    upstream.on("close", () => answered().then(() => swallows() || client.resetAndDestroy()));
    if (gate.weather === "refuses") pair.reset();
  };

  const weather = (next: Weather, broker?: number) => {
    for (const gate of chosen(broker)) {
      gate.weather = next;
      for (const pair of gate.pairs) if (next === "refuses" || (next !== "black hole" && pair.swallowed)) pair.reset();
    }
  };
  return {
    bootstrapServers: brokers.map(({ listen }) => `127.0.0.1:${listen}`).join(","),
    seen: (api) => seen.get(apiKeys[api]) ?? 0,
    when(moment, act) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const happening = { happened: false, done: promise };
      watches.add({
        moment,
        passed: 0,
        async act(broker, frame) {
          happening.happened = true;
          const fate = await act(broker, frame);
          resolve();
          return fate;
        },
      });
      return happening;
    },
    weather,
    reset(broker) {
      for (const gate of chosen(broker)) for (const pair of gate.pairs) pair.reset();
    },
    clear() {
      weather("fine");
      watches.clear();
      seen.clear();
    },
    async close() {
      for (const gate of gates.values()) for (const pair of gate.pairs) pair.reset();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

/** Cuts a stream into Kafka's frames: four bytes of length, then that many. */
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
