import { type Deadline, deadlineExceeded } from "../core/deadline.ts";
import { Configuration, KafkaUnavailable } from "../core/errors.ts";
import type { ClusterIdentity } from "../core/model.ts";
import {
  type Connection,
  type Connector,
  createConnector,
  type KafkaSecurity,
  REQUEST_TIMEOUT_MS,
} from "./connection.ts";
import { NoAnswer, problemFrom } from "./problems.ts";
import { TimedOut, within } from "./retry.ts";
import type { Api } from "./wire/api.ts";
import { type Broker, type ClusterMetadata, metadata } from "./wire/metadata.ts";

/** Where a cluster is, and how to talk to it. */
export interface KafkaConfig {
  /** The deployment's name for the cluster. */
  readonly clusterName: string;
  /** `host:port`, at least one. */
  readonly bootstrapServers: readonly string[];
  readonly security: KafkaSecurity;
  readonly clientId?: string;
}

const BOOTSTRAP_LIMIT_MS = 12_000;
const CONNECT_LIMIT_MS = 10_000;
/** How long the other bootstrap servers may take to say of which cluster they are. */
const GRACE_MS = 250;

/**
 * Connects to a cluster: every bootstrap server is tried at once, and the first that answers is enough.
 *
 * @throws KafkaUnavailable that says what each server did, 12 s later at most, and before the deadline
 * @throws Configuration for a server that is not `host:port`
 */
export async function connectCluster(config: KafkaConfig, deadline: Deadline): Promise<Cluster> {
  const wrong = config.bootstrapServers.filter((server) => !/^(\[[^\]]+\]|[^:]+):\d{1,5}$/.test(server));
  if (wrong.length > 0 || config.bootstrapServers.length === 0) {
    throw new Configuration(`the bootstrap servers must be host:port, not ${JSON.stringify(wrong.join(","))}.`);
  }
  const cluster = new Cluster(config, deadline);
  try {
    await cluster.bootstrap();
    return cluster;
  } catch (error) {
    cluster.close();
    throw error;
  }
}

/** A connection that is being opened, or was. */
interface Opening {
  readonly promise: Promise<Connection>;
  connection?: Connection;
}

/**
 * A Kafka cluster for the time of one invocation: brokers by their ids, a connection to each that is used, the
 * coordinators known so far. Nothing is retried here. When the deadline passes, every request in flight fails with
 * DeadlineExceeded, and so does every later one.
 */
export class Cluster {
  readonly deadline: Deadline;
  /** The coordinators that were found, by group: a cache for `perCoordinator`. */
  readonly coordinators = new Map<string, number>();
  readonly #config: KafkaConfig;
  readonly #connector: Connector;
  readonly #requests = new Map<string, number>();
  readonly #addresses = new Map<number, string>();
  readonly #openings = new Map<string, Opening>();
  readonly #end = new AbortController();
  readonly #onDeadline = () => this.#endWith(deadlineExceeded(`Kafka cluster ${this.#config.clusterName} was in use`));
  #clusterId: string | null = null;
  #turn = 0;

  /** Opens nothing; `connectCluster` is what to call. */
  constructor(config: KafkaConfig, deadline: Deadline) {
    this.#config = config;
    this.deadline = deadline;
    this.#connector = createConnector(config.security, config.clientId ?? "offset-rollback");
    if (deadline.signal.aborted) this.#onDeadline();
    else deadline.signal.addEventListener("abort", this.#onDeadline, { once: true });
  }

  /** The deployment's name of the cluster, and Kafka's own id. */
  get identity(): ClusterIdentity {
    return { name: this.#config.clusterName, clusterId: this.#clusterId };
  }

  /** How many requests were sent so far, by the name of their API. */
  get requests(): ReadonlyMap<string, number> {
    return this.#requests;
  }

  /** The ids of the brokers that the last Metadata answer had. */
  get nodes(): readonly number[] {
    return [...this.#addresses.keys()];
  }

  /**
   * Tries the bootstrap servers, all at once. The first answer is enough, but whoever answers soon after it must be of
   * the same cluster: a list that mixes clusters is a mistake that nothing later would show.
   *
   * @throws KafkaUnavailable when none gives an answer, or two belong to different clusters
   */
  async bootstrap(): Promise<void> {
    const limit = Math.min(BOOTSTRAP_LIMIT_MS, this.deadline.remainingMs() * 0.8);
    const servers = [...new Set(this.#config.bootstrapServers)];
    const verdicts = new Map(servers.map((server) => [server, `${server} did not answer Metadata in time`]));
    let foreign: KafkaUnavailable | undefined;
    const attempts = servers.map(async (server) => {
      try {
        const answer = await this.#sendTo(server, metadata, { topics: [] });
        if (answer.brokers.length === 0) throw new NoAnswer(server, "knows of no brokers yet", true);
        foreign ??= this.#foreign(answer);
        if (foreign === undefined && this.#addresses.size === 0) this.#learn(answer);
      } catch (error) {
        verdicts.set(server, problemFrom(error).message);
        throw error;
      }
    });
    await within(Promise.any(attempts), limit, this.#end.signal).catch(() => {});
    if (this.#addresses.size > 0) {
      await within(Promise.allSettled(attempts), GRACE_MS, this.#end.signal).catch(() => {});
      if (foreign !== undefined) throw foreign;
      return;
    }
    if (this.deadline.remainingMs() === 0) throw deadlineExceeded("the brokers were being connected to");
    throw new KafkaUnavailable(
      `no broker of cluster ${this.#config.clusterName} gave an answer: ${[...verdicts.values()].join("; ")}. ` +
        "Look at the bootstrap servers, the security protocol, and the network between (subnets, security groups).",
    );
  }

  /**
   * Sends a request to a broker. All of it, connecting included, takes `timeoutMs` at most (15 s, and never longer): by
   * then there is an answer, or the connection is dropped.
   *
   * @throws NoAnswer when it could not be reached, hung up, took too long, or gave an answer that is none
   * @throws KafkaUnavailable when it does not speak the API, or refuses the credentials
   * @throws DeadlineExceeded when the time was over before
   */
  async send<Request, Answer>(
    node: number,
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs?: number,
  ): Promise<Answer> {
    const address = this.#addresses.get(node);
    if (address === undefined) throw new NoAnswer(`broker ${node}`, "is not among the brokers of the cluster", false);
    return this.#sendTo(address, api, request, timeoutMs);
  }

  /**
   * Sends a request to any broker of the cluster that answers; connections that stand come first, and take turns. Only
   * where none of the known brokers answers are the bootstrap servers asked who the brokers are now. All of it takes
   * `timeoutMs` at most; so that there is time for the others, each broker is given half of what is left. Throws as
   * `send`.
   */
  async ask<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<Answer> {
    const end = performance.now() + timeoutMs;
    const share = () => (end - performance.now()) / 2;
    try {
      return await this.#askKnown(api, request, share);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      for (const server of this.#config.bootstrapServers) {
        try {
          this.#learn(await this.#sendTo(server, metadata, { topics: [] }, share()));
          return await this.#askKnown(api, request, share);
        } catch (failure) {
          if (!(failure instanceof NoAnswer)) throw failure;
        }
      }
      throw error;
    }
  }

  async #askKnown<Request, Answer>(api: Api<Request, Answer>, request: Request, share: () => number): Promise<Answer> {
    const known = [...this.#addresses.values()];
    const turn = this.#turn++ % Math.max(1, known.length);
    const rotated = [...known.slice(turn), ...known.slice(0, turn)];
    const stands = (address: string) => this.#openings.get(address)?.connection?.alive === true;
    let failure = new NoAnswer(this.#config.clusterName, "has no broker that is known", false);
    for (const address of [...rotated.filter(stands), ...rotated.filter((address) => !stands(address))]) {
      try {
        return await this.#sendTo(address, api, request, share());
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Brokers and topics as one broker sees them: `node`, or any. Brokers and addresses are remembered. Throws as `send`. */
  async metadata(topics: readonly string[], node?: number, timeoutMs?: number): Promise<ClusterMetadata> {
    const request = { topics };
    return this.#learn(
      await (node === undefined
        ? this.ask(metadata, request, timeoutMs)
        : this.send(node, metadata, request, timeoutMs)),
    );
  }

  /** Remembers where a broker is. */
  learn({ nodeId, host, port }: Broker): void {
    this.#addresses.set(nodeId, host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  }

  /** Ends every connection at once. Requests in flight fail. */
  close(): void {
    this.#endWith(new KafkaUnavailable(`the connection to cluster ${this.#config.clusterName} was closed.`));
  }

  #endWith(reason: Error): void {
    this.deadline.signal.removeEventListener("abort", this.#onDeadline);
    this.#end.abort(reason);
    for (const { connection } of this.#openings.values()) connection?.close(reason);
  }

  #learn(answer: ClusterMetadata): ClusterMetadata {
    const foreign = this.#foreign(answer);
    if (foreign !== undefined) throw foreign;
    if (answer.brokers.length > 0) {
      this.#clusterId = answer.clusterId;
      this.#addresses.clear();
      for (const broker of answer.brokers) this.learn(broker);
    }
    return answer;
  }

  /** The error of an answer that comes from another cluster than those before it. */
  #foreign({ clusterId }: ClusterMetadata): KafkaUnavailable | undefined {
    if (this.#clusterId === null || clusterId === this.#clusterId) return undefined;
    return new KafkaUnavailable(
      `the bootstrap servers belong to different clusters: one says ${this.#clusterId}, another ${clusterId}. ` +
        "Name servers of one cluster only.",
    );
  }

  async #sendTo<Request, Answer>(
    address: string,
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<Answer> {
    const end = performance.now() + Math.max(0, Math.min(timeoutMs, REQUEST_TIMEOUT_MS));
    const leftMs = () => end - performance.now();
    const unconnected = new NoAnswer(address, "did not accept the connection in time", false);
    const connection = await within(this.#connectionTo(address), leftMs(), this.#end.signal).catch((error) => {
      this.#end.signal.throwIfAborted();
      throw error instanceof TimedOut ? unconnected : error;
    });
    if (leftMs() <= 0) throw unconnected;
    this.#requests.set(api.name, (this.#requests.get(api.name) ?? 0) + 1);
    return connection.send(api, request, leftMs());
  }

  #connectionTo(address: string): Promise<Connection> {
    const known = this.#openings.get(address);
    if (known !== undefined && known.connection?.alive !== false) return known.promise;
    const opening: Opening = { promise: this.#open(address) };
    this.#openings.set(address, opening);
    opening.promise.then(
      (connection) => {
        opening.connection = connection;
        if (this.#end.signal.aborted) connection.close(this.#end.signal.reason);
      },
      () => {
        if (this.#openings.get(address) === opening) this.#openings.delete(address);
      },
    );
    return opening.promise;
  }

  async #open(address: string): Promise<Connection> {
    this.#end.signal.throwIfAborted();
    const limit = Math.min(CONNECT_LIMIT_MS, this.deadline.remainingMs() * 0.7);
    try {
      return await this.#connector.connect(address, limit, this.#end.signal);
    } catch (error) {
      this.#end.signal.throwIfAborted();
      throw error;
    }
  }
}
