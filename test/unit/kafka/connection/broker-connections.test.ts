import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { NoAnswer } from "../../../../functions/shared/kafka/calls/problems.ts";
import { BrokerConnections } from "../../../../functions/shared/kafka/connection/broker-connections.ts";
import type { Connection } from "../../../../functions/shared/kafka/connection/connection.ts";

/** A connection that is counted, and that a test can lose. */
interface Counted extends Connection {
  readonly name: number;
  /** Items that were done on it. */
  done: number;
  lose(): void;
}

/** A broker that takes `takes` connections at a time; opening one takes a turn of the event loop, or until `gate`. */
function brokerOf({
  most = 32,
  takes = Number.POSITIVE_INFINITY,
  gate = turn,
}: {
  most?: number;
  takes?: number;
  gate?: () => Promise<unknown>;
}) {
  const broker = {
    opened: [] as Counted[],
    attempts: 0,
    opening: 0,
    /** The most that were being opened at a time, for each that stood. */
    haste: 0,
    signals: [] as (AbortSignal | undefined)[],
    takes,
    standing: () => broker.opened.filter(({ alive }) => alive),
  };
  const open = async (signal?: AbortSignal) => {
    broker.attempts++;
    broker.opening++;
    broker.signals.push(signal);
    if (broker.attempts > 1) broker.haste = Math.max(broker.haste, broker.opening / broker.standing().length);
    await gate();
    broker.opening--;
    if (broker.standing().length >= broker.takes) throw new NoAnswer("broker", "closed the connection", false);
    const connection = countedConnection(broker.opened.length);
    broker.opened.push(connection);
    return connection;
  };
  return { broker, connections: new BrokerConnections(open, most) };
}

function countedConnection(name: number): Counted {
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

/** Does the items of some work, each in two turns, and counts them where they were done. */
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
      const counted = broker.opened.find((one) => one === used);
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

  it("has two items in flight on each", async () => {
    const { broker, connections } = brokerOf({ most: 5 });
    const { work, most } = workOn(broker);
    await connections.spread(items(500), work);
    expect(most()).toBe(10);
  });

  it("opens as many as the number of items justifies", async () => {
    const { broker, connections } = brokerOf({});
    const { work, done } = workOn(broker);
    await connections.spread(items(100), work);
    expect(done.length).toBe(100);
    expect(broker.opened.length).toBeGreaterThan(3);
    expect(broker.opened.length).toBeLessThanOrEqual(100 / 8);
  });

  it("never opens more at once than are open", async () => {
    const { broker, connections } = brokerOf({ gate: () => turn().then(() => turn()) });
    const { work } = workOn(broker);
    await connections.spread(items(4_000), async (item, connection) => {
      if (item === 2_000) for (const one of broker.opened.slice(1)) one.lose();
      await work(item, connection);
    });
    expect(broker.opened.length).toBe(32 + 31);
    expect(broker.haste).toBe(1);
  });

  it.each([1, 4])("continues with %i if the broker accepts no more, and tries no further", async (takes) => {
    const { broker, connections } = brokerOf({ takes });
    const { work, done, failed } = workOn(broker);
    await connections.spread(items(1_000), work);
    expect([done.length, failed.length]).toEqual([1_000, 0]);
    expect(broker.opened.length).toBe(takes);
    expect(broker.attempts).toBeLessThanOrEqual(2 * takes);
  });

  it("does not wait for one that is still opening, and closes it", async () => {
    const never = new Promise(() => {});
    let opening = 0;
    const { broker, connections } = brokerOf({ gate: () => (opening++ === 0 ? turn() : never) });
    const { work, done } = workOn(broker);
    await connections.spread(items(500), work);
    expect(done.length).toBe(500);
    expect(broker.signals.map((signal) => signal?.aborted)).toEqual([undefined, true]);
  });

  it("closes an open one only after the work is done", async () => {
    const late = Promise.withResolvers<void>();
    let opening = 0;
    const { broker, connections } = brokerOf({ gate: () => (opening++ === 0 ? turn() : late.promise) });
    await connections.spread(items(500), workOn(broker).work);
    late.resolve();
    await expect.poll(() => broker.opened.map(({ alive }) => alive)).toEqual([true, false]);
  });

  it("opens another in place of a lost one", async () => {
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

  it("continues with the next if the first is lost and the broker accepts no new one", async () => {
    const { broker, connections } = brokerOf({ takes: 3 });
    const { work, done, failed } = workOn(broker);
    await connections.spread(items(1_000), async (item, connection) => {
      if (item === 300) {
        broker.opened[0]?.lose();
        broker.takes = 0;
      }
      await work(item, connection);
    });
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(done.length + failed.length).toBe(1_000);
    expect(broker.standing().map(({ name }) => name)).toEqual([1]);
    expect(await connections.first()).toBe(broker.opened[1]);
  });

  it("starts no more items if the broker is unreachable, and throws that", async () => {
    const { broker, connections } = brokerOf({ takes: 0 });
    const { work, done, failed } = workOn(broker);
    await expect(connections.spread(items(60), work)).rejects.toThrow("closed the connection");
    expect(done).toEqual([]);
    expect(failed.length).toBeLessThanOrEqual(2);
    expect(broker.attempts).toBeLessThanOrEqual(2);
  });

  it("starts no more items if the work throws, and throws that", async () => {
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

  it("is an open one, rather than one that is still opening", async () => {
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

  it("is tried again after it could not be opened", async () => {
    const { broker, connections } = brokerOf({ takes: 0 });
    await expect(connections.first()).rejects.toThrow("closed the connection");
    broker.takes = 1;
    expect(await connections.first()).toBe(broker.opened[0]);
  });
});
