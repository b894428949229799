import { type Deadline, deadlineExceeded } from "../../core/deadline.ts";
import { Configuration, KafkaUnavailable, OperationError } from "../../core/errors.ts";
import type { ClusterIdentity } from "../../core/model.ts";
import { NoAnswer, toProblem } from "../calls/problems.ts";
import { inParallel, TimedOut, withTimeout } from "../calls/retry.ts";
import type { Api } from "../wire/api.ts";
import { type Broker, type ClusterMetadata, metadata } from "../wire/metadata.ts";
import { BrokerConnections } from "./broker-connections.ts";
import { type Connection, type Connector, createConnector, QUIET_TIMEOUT_MS } from "./connection.ts";
import type { KafkaSecurity } from "./security.ts";

/** How to connect to a cluster. */
export interface KafkaConfig {
  /** The deployment's name for the cluster. */
  readonly clusterName: string;
  /** `host:port`, at least one. */
  readonly bootstrapServers: readonly string[];
  readonly security: KafkaSecurity;
  /** The number of connections to one broker at a time; 32 by default. */
  readonly connectionsPerBroker?: number | undefined;
}

const BOOTSTRAP_LIMIT_MS = 12_000;
const CONNECT_LIMIT_MS = 10_000;
const CONNECTIONS_PER_BROKER = 32;
/** Requests in flight to an old broker, which accepts one group per request. */
const IN_FLIGHT = 100;
/** How long to wait for the cluster ids of the other bootstrap servers. */
const GRACE_MS = 250;

/**
 * Connects to a cluster: tries every bootstrap server at once, and needs one answer.
 *
 * @throws KafkaUnavailable with what each server did, after 12 s at most, and before the deadline
 * @throws KafkaAuthentication or KafkaCertificate if no server answered and one failed for that reason
 * @throws Configuration for a server that is not `host:port`
 */
export async function connectCluster(config: KafkaConfig, deadline: Deadline): Promise<Cluster> {
  const malformed = config.bootstrapServers.filter((server) => !/^(\[[^\]]+\]|[^:]+):\d{1,5}$/.test(server));
  if (malformed.length > 0 || config.bootstrapServers.length === 0) {
    throw new Configuration(`the bootstrap servers must be host:port, not ${JSON.stringify(malformed.join(","))}.`);
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

/** Sends requests to one broker, as `Cluster.send`; the caller limits the time. */
export type Sender = Pick<Connection, "send">;

/**
 * A Kafka cluster during one invocation: addresses of brokers, connections, and coordinators known so far. Nothing is
 * retried here. After the deadline, requests in flight and later ones fail with DeadlineExceeded.
 */
export class Cluster {
  readonly deadline: Deadline;
  /** The known coordinators by group: a cache for `perCoordinator`. */
  readonly coordinators = new Map<string, number>();
  /** Since when a group has no coordinator, of `performance.now()`. */
  readonly withoutCoordinator = new Map<string, number>();
  readonly #config: KafkaConfig;
  readonly #connector: Connector;
  readonly #requests = new Map<string, number>();
  readonly #addresses = new Map<number, string>();
  readonly #connections = new Map<string, BrokerConnections>();
  readonly #end = new AbortController();
  readonly #onDeadline = () => this.#endWith(deadlineExceeded(`using Kafka cluster ${this.#config.clusterName}`));
  #clusterId: string | null = null;
  #turn = 0;

  /** Opens nothing; call `connectCluster` instead. */
  constructor(config: KafkaConfig, deadline: Deadline) {
    this.#config = config;
    this.deadline = deadline;
    this.#connector = createConnector(config.security, "offset-rollback");
    if (deadline.signal.aborted) this.#onDeadline();
    else deadline.signal.addEventListener("abort", this.#onDeadline, { once: true });
  }

  /** The deployment's name of the cluster, and its id in Kafka. */
  get identity(): ClusterIdentity {
    return { name: this.#config.clusterName, clusterId: this.#clusterId };
  }

  /** The number of requests sent so far, by API name. */
  get requests(): ReadonlyMap<string, number> {
    return this.#requests;
  }

  /** The ids of the brokers in the last Metadata answer. */
  get nodes(): readonly number[] {
    return [...this.#addresses.keys()];
  }

  /**
   * Tries all bootstrap servers at once. One answer is enough, but servers that answer soon after it must belong to the
   * same cluster: nothing later would detect a mixed list.
   *
   * @throws KafkaUnavailable if none answers, or two belong to different clusters
   * @throws KafkaAuthentication or KafkaCertificate if none answers and one failed for that reason
   */
  async bootstrap(): Promise<void> {
    const limit = Math.min(BOOTSTRAP_LIMIT_MS, this.deadline.remainingMs() * 0.8);
    const servers = [...new Set(this.#config.bootstrapServers)];
    const failures = new Map(servers.map((server) => [server, `${server} did not answer Metadata in time`]));
    const specific: OperationError[] = [];
    let otherCluster: KafkaUnavailable | undefined;
    const attempts = servers.map(async (server) => {
      try {
        const answer = await this.#sendTo(server, metadata, { topics: [] });
        if (answer.brokers.length === 0) throw new NoAnswer(server, "does not list any brokers yet", true);
        otherCluster ??= this.#errorOfOtherCluster(answer);
        if (otherCluster === undefined && this.#addresses.size === 0) this.#remember(answer);
      } catch (error) {
        failures.set(server, toProblem(error).message);
        if (error instanceof OperationError && !(error instanceof KafkaUnavailable)) specific.push(error);
        throw error;
      }
    });
    await withTimeout(Promise.any(attempts), limit, this.#end.signal).catch(() => {});
    if (this.#addresses.size > 0) {
      await withTimeout(Promise.allSettled(attempts), GRACE_MS, this.#end.signal).catch(() => {});
      if (otherCluster !== undefined) throw otherCluster;
      return;
    }
    if (this.deadline.remainingMs() === 0) throw deadlineExceeded("connecting to the brokers");
    if (specific[0] !== undefined) throw specific[0]; // a rejection is more specific than a time-out
    throw new KafkaUnavailable(
      `no broker of cluster ${this.#config.clusterName} answered: ${[...failures.values()].join("; ")}. ` +
        "Check the bootstrap servers, the security protocol and the network (subnets, security groups).",
    );
  }

  /**
   * Sends a request to a broker, or several equivalent ones to a broker that supports only older versions. All of it,
   * connecting included, takes at most `timeoutMs`; connecting takes at most 15 s, and so long may a broker send nothing
   * of an answer. Then the connection is closed.
   *
   * @throws NoAnswer if the broker is unreachable, closes the connection, takes too long or sends a malformed answer
   * @throws KafkaUnavailable if the broker does not support the API
   * @throws KafkaAuthentication if it rejects the credentials, KafkaCertificate if its certificate is not trusted
   * @throws DeadlineExceeded if the deadline has passed
   */
  async send<Request, Answer>(
    node: number,
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs?: number,
  ): Promise<Answer> {
    return this.#sendTo(this.#addressOf(node), api, request, timeoutMs);
  }

  /**
   * Does the work for each item at one broker, in any order, over as many connections as the number of items, the
   * configuration and the broker allow; at least the one that `send` uses. Requests have the limits and errors of
   * `send`. If the work throws or the broker is unreachable, no further item is started and the error is thrown.
   */
  async spread<T>(node: number, items: readonly T[], work: (item: T, broker: Sender) => Promise<void>): Promise<void> {
    const address = this.#addressOf(node);
    await this.#connectionsTo(address).spread(items, (item, connection) =>
      work(item, { send: (api, request, timeoutMs) => this.#sendTo(address, api, request, timeoutMs, connection) }),
    );
  }

  #addressOf(node: number): string {
    const address = this.#addresses.get(node);
    if (address === undefined) throw new NoAnswer(`broker ${node}`, "is not in the cluster's list of brokers", false);
    return address;
  }

  /**
   * Sends a request to any broker that answers: first to connected brokers, in rotation, then to the others. If no
   * known broker answers, the bootstrap servers give the current list of brokers. All of it takes at most `timeoutMs`;
   * each broker gets half of the remaining time. Throws as `send`.
   */
  async sendToAny<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<Answer> {
    const end = performance.now() + timeoutMs;
    const share = () => (end - performance.now()) / 2;
    try {
      return await this.#tryKnown(api, request, share);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      for (const server of this.#config.bootstrapServers) {
        try {
          this.#remember(await this.#sendTo(server, metadata, { topics: [] }, share()));
          return await this.#tryKnown(api, request, share);
        } catch (failure) {
          if (!(failure instanceof NoAnswer)) throw failure;
        }
      }
      throw error;
    }
  }

  async #tryKnown<Request, Answer>(api: Api<Request, Answer>, request: Request, share: () => number): Promise<Answer> {
    const known = [...this.#addresses.values()];
    const turn = this.#turn++ % Math.max(1, known.length);
    const rotated = [...known.slice(turn), ...known.slice(0, turn)];
    const isConnected = (address: string) => this.#connections.get(address)?.alive === true;
    let failure = new NoAnswer(this.#config.clusterName, "has no known broker", false);
    for (const address of [...rotated.filter(isConnected), ...rotated.filter((address) => !isConnected(address))]) {
      try {
        return await this.#sendTo(address, api, request, share());
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Brokers and topics as `node` or any broker sees them. Remembers the brokers' addresses. Throws as `send`. */
  async metadata(topics: readonly string[], node?: number, timeoutMs?: number): Promise<ClusterMetadata> {
    if (node === undefined) return this.#remember(await this.sendToAny(metadata, { topics }, timeoutMs));
    return this.#remember(await this.send(node, metadata, { topics }, timeoutMs));
  }

  /** Remembers a broker's address. */
  rememberBroker({ nodeId, host, port }: Broker): void {
    this.#addresses.set(nodeId, host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  }

  /** Closes every connection at once. Requests in flight fail. */
  close(): void {
    this.#endWith(new KafkaUnavailable(`the connection to cluster ${this.#config.clusterName} was closed.`));
  }

  #endWith(reason: Error): void {
    this.deadline.signal.removeEventListener("abort", this.#onDeadline);
    this.#end.abort(reason);
    for (const connections of this.#connections.values()) connections.close(reason);
  }

  #remember(answer: ClusterMetadata): ClusterMetadata {
    const otherCluster = this.#errorOfOtherCluster(answer);
    if (otherCluster !== undefined) throw otherCluster;
    if (answer.brokers.length > 0) {
      this.#clusterId = answer.clusterId;
      this.#addresses.clear();
      for (const broker of answer.brokers) this.rememberBroker(broker);
    }
    return answer;
  }

  /** The error if an answer comes from another cluster than earlier answers. */
  #errorOfOtherCluster({ clusterId }: ClusterMetadata): KafkaUnavailable | undefined {
    if (this.#clusterId === null || clusterId === this.#clusterId) return undefined;
    return new KafkaUnavailable(
      `the bootstrap servers belong to different clusters: ${this.#clusterId} and ${clusterId}. ` +
        "List servers of one cluster only (cluster.bootstrap_servers).",
    );
  }

  async #sendTo<Request, Answer>(
    address: string,
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs = Number.POSITIVE_INFINITY,
    open = () => this.#connectionsTo(address).first(),
  ): Promise<Answer> {
    const started = performance.now();
    const leftMs = () => started + Math.max(0, timeoutMs) - performance.now();
    const notConnected = () => new NoAnswer(address, "did not accept the connection in time", false);
    const opening = withTimeout(open(), Math.min(leftMs(), QUIET_TIMEOUT_MS), this.#end.signal);
    const connection = await opening.catch((error) => {
      this.#end.signal.throwIfAborted();
      throw error instanceof TimedOut ? notConnected() : error;
    });
    if (leftMs() <= 0) throw notConnected();
    if (api.fallback !== undefined && !connection.supports(api)) {
      return api.fallback(request, (one, requests) => this.#sendAll(address, one, requests, started + timeoutMs));
    }
    this.#requests.set(api.name, (this.#requests.get(api.name) ?? 0) + 1);
    return connection.send(api, request, leftMs());
  }

  /** All of them end by `end`. */
  async #sendAll<Request, Answer>(
    address: string,
    api: Api<Request, Answer>,
    requests: readonly Request[],
    end: number,
  ): Promise<(readonly [Request, Answer])[]> {
    const answered: (readonly [Request, Answer])[] = [];
    await inParallel([...requests.entries()], IN_FLIGHT, async ([i, request]) => {
      answered[i] = [request, await this.#sendTo(address, api, request, end - performance.now())];
    });
    return answered;
  }

  #connectionsTo(address: string): BrokerConnections {
    const most = this.#config.connectionsPerBroker ?? CONNECTIONS_PER_BROKER;
    const known = this.#connections.get(address);
    const connections = known ?? new BrokerConnections((signal) => this.#open(address, signal), most);
    this.#connections.set(address, connections);
    return connections;
  }

  async #open(address: string, signal = this.#end.signal): Promise<Connection> {
    this.#end.signal.throwIfAborted();
    const limit = Math.min(CONNECT_LIMIT_MS, this.deadline.remainingMs() * 0.7);
    try {
      const connection = await this.#connector.connect(address, limit, AbortSignal.any([signal, this.#end.signal]));
      if (this.#end.signal.aborted) connection.close(this.#end.signal.reason);
      return connection;
    } catch (error) {
      this.#end.signal.throwIfAborted();
      throw error;
    }
  }
}
