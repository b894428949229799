import type { Connection } from "./connection.ts";

/** How many items each connection has in work while work is spread: when the broker has done one, the next is there. */
const IN_FLIGHT = 2;
/** How many items must be left for each connection, a further one included, before that is opened. */
const WORTH_A_CONNECTION = 8;

/** A connection that is being opened, or was. */
interface Opening {
  readonly promise: Promise<Connection>;
  connection?: Connection;
}

const isAlive = ({ connection }: Opening) => connection?.alive === true;
const isLost = ({ connection }: Opening) => connection?.alive === false;

/**
 * The connections to one broker. One is for everything, in its order; more are opened only while `spread` has work for
 * them. Nothing is retried.
 */
export class BrokerConnections {
  readonly #open: (signal?: AbortSignal) => Promise<Connection>;
  readonly #most: number;
  #openings: readonly Opening[] = [];

  /** @param most how many there may be at a time */
  constructor(open: (signal?: AbortSignal) => Promise<Connection>, most: number) {
    this.#open = open;
    this.#most = most;
  }

  /** Whether one stands. */
  get alive(): boolean {
    return this.#openings.some(isAlive);
  }

  /** The first one, the same for as long as it lasts; then the next that stands, or a new one. Throws as opening does. */
  first(): Promise<Connection> {
    const known = this.#kept();
    return (known.find(isAlive) ?? known[0] ?? this.#add()).promise;
  }

  /**
   * Does some work for each item, in no order, a few at a time on each connection. A broker has one request of a
   * connection in work at a time: while much is left to do, more are opened beside the first, never more at once than
   * stand. Where one cannot be opened, no further one is tried; one that is lost is done without: `first` goes on in any
   * case; and where `first` cannot be opened, nothing more is begun: the broker cannot be reached, and what is left is not
   * to find that out item by item. What was opened is closed at the end.
   *
   * @param work may use the connection that it is given, which may be lost; where it throws, nothing more is begun
   * @throws what opening `first` threw, or `work`
   */
  async spread<T>(
    items: readonly T[],
    work: (item: T, connection: () => Promise<Connection>) => Promise<void>,
  ): Promise<void> {
    const queue = items.values();
    const over = new AbortController();
    const lanes: Promise<unknown>[] = [];
    const added: Opening[] = [];
    let left = items.length;
    let openFailed = false;
    let unreached: { readonly error: unknown } | undefined;

    const workOn = async (connection: () => Promise<Connection>, lasts: () => boolean) => {
      while (lasts() && !over.signal.aborted) {
        const { done, value } = queue.next();
        if (done) return;
        left--;
        await work(value, connection);
        widen();
      }
    };
    const addLane = (connection: () => Promise<Connection>, lasts: () => boolean) => {
      const lane = Promise.all(Array.from({ length: IN_FLIGHT }, () => workOn(connection, lasts)));
      lane.catch(() => over.abort());
      lanes.push(lane);
    };
    const widen = () => {
      const known = this.#kept();
      const alive = known.filter(isAlive).length;
      const worthIt = left >= WORTH_A_CONNECTION * (known.length + 1);
      if (!worthIt || openFailed || known.length >= this.#most || known.length >= 2 * alive) return;
      const another = this.#add(over.signal);
      added.push(another);
      another.promise.then(
        (connection) => {
          if (over.signal.aborted) connection.close(new Error("it is not needed any more"));
          else
            addLane(
              () => another.promise,
              () => connection.alive,
            );
        },
        () => {
          openFailed = true;
        },
      );
    };

    const first = () =>
      this.first().catch((error: unknown) => {
        unreached = { error };
        over.abort();
        throw error;
      });
    addLane(first, () => true);
    try {
      for (const lane of lanes) await lane; // more come while it waits
      if (unreached !== undefined) throw unreached.error;
    } finally {
      over.abort();
      const first = this.#kept().find(isAlive);
      for (const one of added) if (one !== first) one.connection?.close(new Error("it is not needed any more"));
    }
  }

  /** Ends all of them at once: requests in flight fail with `reason`. */
  close(reason: Error): void {
    for (const { connection } of this.#openings) connection?.close(reason);
  }

  #kept(): readonly Opening[] {
    this.#openings = this.#openings.filter((opening) => !isLost(opening));
    return this.#openings;
  }

  #add(signal?: AbortSignal): Opening {
    const opening: Opening = { promise: this.#open(signal) };
    this.#openings = [...this.#openings, opening];
    opening.promise.then(
      (connection) => {
        opening.connection = connection;
      },
      () => {
        this.#openings = this.#openings.filter((one) => one !== opening);
      },
    );
    return opening;
  }
}
