import type { Connection } from "./connection.ts";

/** Items in flight on each connection during `spread`, so that the broker need not wait for the next one. */
const IN_FLIGHT = 2;
/** How many items must remain for each connection, a new one included, before another is opened. */
const ITEMS_PER_CONNECTION = 8;

/** A connection that is opening or open. */
interface Opening {
  readonly promise: Promise<Connection>;
  connection?: Connection;
}

const isAlive = ({ connection }: Opening) => connection?.alive === true;

/**
 * The connections to one broker: the first for all requests, in order, and more while `spread` has work for them.
 * Nothing is retried.
 */
export class BrokerConnections {
  readonly #open: (signal?: AbortSignal) => Promise<Connection>;
  readonly #most: number;
  readonly #openings = new Set<Opening>();

  /** @param most connections at a time */
  constructor(open: (signal?: AbortSignal) => Promise<Connection>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  /** Whether one is open. */
  get alive(): boolean {
    return [...this.#openings].some(isAlive);
  }

  /** The first open connection, or a new one. Throws as `open` does. */
  first(): Promise<Connection> {
    const known = this.#notLost();
    return (known.find(isAlive) ?? known[0] ?? this.#add()).promise;
  }

  /**
   * Does the work for each item, in any order, a few at a time on each connection. A broker processes one request of a
   * connection at a time. While many items remain, more connections are opened, at most as many at once as are open.
   * After one cannot be opened, no further one is tried. A lost connection is not used again; `first` continues. If
   * `first` cannot be opened, the broker is unreachable and no further item is started. At the end, others are closed.
   *
   * @param work gets a connection, which may be lost; if it throws, no further item is started
   * @throws what `work` or opening `first` threw
   */
  async spread<T>(
    items: readonly T[],
    work: (item: T, connection: () => Promise<Connection>) => Promise<void>,
  ): Promise<void> {
    const queue = items.values();
    const ended = new AbortController();
    const lanes: Promise<unknown>[] = [];
    const added: Opening[] = [];
    let remaining = items.length;
    let openFailed = false;

    const workOn = async (connection: () => Promise<Connection>, isUsable: () => boolean) => {
      while (isUsable() && !ended.signal.aborted) {
        const { done, value } = queue.next();
        if (done) return;
        remaining--;
        await work(value, connection);
        addConnection();
      }
    };
    const addLane = (connection: () => Promise<Connection>, isUsable: () => boolean) => {
      const lane = Promise.all(Array.from({ length: IN_FLIGHT }, () => workOn(connection, isUsable)));
      lane.catch((error: unknown) => ended.abort(error));
      lanes.push(lane);
    };
    const addConnection = () => {
      const known = this.#notLost();
      const alive = known.filter(isAlive).length;
      const enoughItems = remaining >= ITEMS_PER_CONNECTION * (known.length + 1);
      if (!enoughItems || openFailed || known.length >= this.#most || known.length >= 2 * alive) return;
      const another = this.#add(ended.signal);
      added.push(another);
      another.promise.then(
        (connection) => {
          const isUsable = () => connection.alive;
          if (ended.signal.aborted) connection.close(new Error("no longer needed"));
          else addLane(() => another.promise, isUsable);
        },
        () => {
          openFailed = true;
        },
      );
    };

    const first = () =>
      this.first().catch((error: unknown) => {
        ended.abort(error);
        throw error;
      });
    addLane(first, () => true);
    try {
      for (const lane of lanes) await lane; // lanes may be added
      ended.signal.throwIfAborted(); // with the error of opening `first`
    } finally {
      ended.abort();
      const first = this.#notLost().find(isAlive);
      for (const one of added) if (one !== first) one.connection?.close(new Error("no longer needed"));
    }
  }

  /** Closes all at once. Requests in flight fail with `reason`. */
  close(reason: Error): void {
    for (const { connection } of this.#openings) connection?.close(reason);
  }

  #notLost(): readonly Opening[] {
    for (const opening of this.#openings) if (opening.connection?.alive === false) this.#openings.delete(opening);
    return [...this.#openings];
  }

  #add(signal?: AbortSignal): Opening {
    const opening: Opening = { promise: this.#open(signal) };
    this.#openings.add(opening);
    opening.promise.then(
      (connection) => {
        opening.connection = connection;
      },
      () => this.#openings.delete(opening),
    );
    return opening;
  }
}
