import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { NoAnswer } from "../../../../functions/shared/kafka/calls/problems.ts";
import { BrokerConnections } from "../../../../functions/shared/kafka/connection/broker-connections.ts";
import type { Connection } from "../../../../functions/shared/kafka/connection/connection.ts";

/** A connection that counts its items, and that a test can break. */
interface CountedConnection extends Connection {
  readonly name: number;
  /** Items that were processed on it. */
  done: number;
  lose(): void;
}

/** A broker that accepts `accepts` connections at a time. Opening one accepts a turn of the event loop, or waits for `gate`. */
function brokerOf({
  most = 32,
  accepts = Number.POSITIVE_INFINITY,
  gate = turn,
}: {
  most?: number;
  accepts?: number;
  gate?: () => Promise<unknown>;
}) {
  const broker = {
    opened: [] as CountedConnection[],
    attempts: 0,
    opening: 0,
    /** The largest ratio of connections being opened to open connections. */
    haste: 0,
    signals: [] as (AbortSignal | undefined)[],
    accepts,
    standing: () => broker.opened.filter(({ alive }) => alive),
  };
  const open = async (signal?: AbortSignal) => {
    broker.attempts++;
    broker.opening++;
    broker.signals.push(signal);
    if (broker.attempts > 1) broker.haste = Math.max(broker.haste, broker.opening / broker.standing().length);
    await gate();
    broker.opening--;
    if (broker.standing().length >= broker.accepts) throw new NoAnswer("broker", "closed the connection", false);
    const connection = countedConnection(broker.opened.length);
    broker.opened.push(connection);
    return connection;
  };
  return { broker, connections: new BrokerConnections(open, most) };
}

function countedConnection(name: number): CountedConnection {
  const connection = {
    name,
    alive: true,
    done: 0,
    supports: () => true,
    send: () => Promise.reject(new Error("nothing is sent here")),
    lose() {
      connection.alive = false;
    },
    close: () => connection.lose(),
  };
  return connection;
}

const items = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Processes items in two turns of the event loop each, and counts them on the connection that they used. */
function workOn(broker: ReturnType<typeof brokerOf>["broker"]) {
  const done: number[] = [];
  const failed: number[] = [];
  let most = 0;
  let under = 0;
  const work = async (item: number, connection: () => Promise<Connection>) => {
    most = Math.max(most, ++under);
    try {
      const used = await connection();
      await turn();
      await turn();
      const counted = broker.opened.find((opened) => opened === used);
      if (counted === undefined || !counted.alive) failed.push(item);
      else {
        counted.done++;
        done.push(item);
      }
    } catch {
      failed.push(item);
    } finally {
      under--;
    }
  };
  return { done, failed, work, most: () => most };
}

describe("spread", () => {
  it.each([0, 1, 15])("stays on the first connection with %i items", async (n) => {
    const { broker, connections } = brokerOf({});
    const { work, done } = workOn(broker);
    await connections.spread(items(n), work);
    expect(done.length).toBe(n);
    expect(broker.attempts).toBe(Math.min(n, 1));
  });

  it.each([
    [1, 1],
    [3, 3],
    [32, 32],
  ])("opens up to %i, does every item once, and closes all but the first", async (most, opened) => {
    const { broker, connections } = brokerOf({ most });
    const first = await connections.first();
    const { work, done } = workOn(broker);
    await connections.spread(items(2_000), work);
    expect(done.toSorted((a, b) => a - b)).toEqual(items(2_000));
    expect(broker.opened.length).toBe(opened);
    expect(Math.min(...broker.opened.map((one) => one.done))).toBeGreaterThan(2_000 / most / 2);
    expect(broker.standing()).toEqual([first]);
    expect(await connections.first()).toBe(first);
  });

  it("has two items in flight on each connection", async () => {
    const { broker, connections } = brokerOf({ most: 5 });
    const { work, most } = workOn(broker);
    await connections.spread(items(500), work);
    expect(most()).toBe(10);
  });

  it("opens connections in proportion to the number of items", async () => {
    const { broker, connections } = brokerOf({});
    const { work, done } = workOn(broker);
    await connections.spread(items(100), work);
    expect(done.length).toBe(100);
    expect(broker.opened.length).toBeGreaterThan(3);
    expect(broker.opened.length).toBeLessThanOrEqual(100 / 8);
  });

  it("never opens more connections at once than are open", async () => {
    const { broker, connections } = brokerOf({ gate: () => turn().then(() => turn()) });
    const { work } = workOn(broker);
    await connections.spread(items(4_000), async (item, connection) => {
      if (item === 2_000) for (const connection of broker.opened.slice(1)) connection.lose();
      await work(item, connection);
    });
    expect(broker.opened.length).toBe(32 + 31);
    expect(broker.haste).toBe(1);
  });

  it.each([1, 4])(
    "continues with %i connections if the broker accepts no more, and does not try again",
    async (accepts) => {
      const { broker, connections } = brokerOf({ accepts });
      const { work, done, failed } = workOn(broker);
      await connections.spread(items(1_000), work);
      expect([done.length, failed.length]).toEqual([1_000, 0]);
      expect(broker.opened.length).toBe(accepts);
      expect(broker.attempts).toBeLessThanOrEqual(2 * accepts);
    },
  );

  it("does not wait for a connection that is still opening, and closes it", async () => {
    const never = new Promise(() => {});
    let opening = 0;
    const { broker, connections } = brokerOf({ gate: () => (opening++ === 0 ? turn() : never) });
    const { work, done } = workOn(broker);
    await connections.spread(items(500), work);
    expect(done.length).toBe(500);
    expect(broker.signals.map((signal) => signal?.aborted)).toEqual([undefined, true]);
  });

  it("closes a connection only after the work is done", async () => {
    const late = Promise.withResolvers<void>();
    let opening = 0;
    const { broker, connections } = brokerOf({ gate: () => (opening++ === 0 ? turn() : late.promise) });
    await connections.spread(items(500), workOn(broker).work);
    late.resolve();
    await expect.poll(() => broker.opened.map(({ alive }) => alive)).toEqual([true, false]);
  });

  it("opens another connection in place of a lost one", async () => {
    const { broker, connections } = brokerOf({ most: 4 });
    const { work, done, failed } = workOn(broker);
    await connections.spread(items(1_000), async (item, connection) => {
      if (item === 300) broker.standing().at(-1)?.lose();
      await work(item, connection);
    });
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(done.length + failed.length).toBe(1_000);
    expect(broker.opened.length).toBe(5);
  });

  it("continues with the next connection if the first is lost and the broker accepts no new one", async () => {
    const { broker, connections } = brokerOf({ accepts: 3 });
    const { work, done, failed } = workOn(broker);
    await connections.spread(items(1_000), async (item, connection) => {
      if (item === 300) {
        broker.opened[0]?.lose();
        broker.accepts = 0;
      }
      await work(item, connection);
    });
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(done.length + failed.length).toBe(1_000);
    expect(broker.standing().map(({ name }) => name)).toEqual([1]);
    expect(await connections.first()).toBe(broker.opened[1]);
  });

  it("starts no more items if the broker is unreachable, and throws its error", async () => {
    const { broker, connections } = brokerOf({ accepts: 0 });
    const { work, done, failed } = workOn(broker);
    await expect(connections.spread(items(60), work)).rejects.toThrow("closed the connection");
    expect(done).toEqual([]);
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(broker.attempts).toBeLessThanOrEqual(2);
  });

  it("starts no more items if the work throws, and throws its error", async () => {
    const { broker, connections } = brokerOf({});
    const { work, done } = workOn(broker);
    const failure = new Error("an internal error");
    const spread = connections.spread(items(5_000), async (item, connection) => {
      if (item === 1_000) throw failure;
      await work(item, connection);
    });
    await expect(spread).rejects.toBe(failure);
    const begun = done.length;
    await turn();
    await turn();
    expect(done.length - begun).toBeLessThanOrEqual(64);
    expect(done.length).toBeLessThanOrEqual(1_000 + 64);
    expect(broker.standing().length).toBe(1);
  });
});

describe("first", () => {
  it("is the same connection for all callers, and a new one after it is lost", async () => {
    const { broker, connections } = brokerOf({});
    expect(connections.alive).toBe(false);
    const [a, b] = await Promise.all([connections.first(), connections.first()]);
    expect([a, connections.alive]).toEqual([b, true]);
    broker.opened[0]?.lose();
    expect(connections.alive).toBe(false);
    expect(await connections.first()).toBe(broker.opened[1]);
  });

  it("is an open connection rather than one that is still opening", async () => {
    const never = new Promise(() => {});
    const { broker, connections } = brokerOf({ gate: () => (broker.attempts === 3 ? never : turn()) });
    const { work } = workOn(broker);
    let next: Connection | undefined;
    await connections.spread(items(1_000), async (item, connection) => {
      if (item === 900) {
        broker.opened[0]?.lose();
        broker.opened[1]?.lose();
        next = await connections.first();
      }
      await work(item, connection);
    });
    expect(next).toBe(broker.opened[2]);
  });

  it("is opened again after it could not be opened", async () => {
    const { broker, connections } = brokerOf({ accepts: 0 });
    await expect(connections.first()).rejects.toThrow("closed the connection");
    broker.accepts = 1;
    expect(await connections.first()).toBe(broker.opened[0]);
  });
});
