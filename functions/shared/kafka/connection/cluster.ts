import { type Deadline, deadlineExceeded } from "../../core/deadline.ts";
import { Configuration, KafkaUnavailable, OperationError } from "../../core/errors.ts";
import type { ClusterIdentity } from "../../core/model.ts";
import { NoAnswer, toProblem } from "../calls/problems.ts";
import { inParallel, TimedOut, withTimeout } from "../calls/retry.ts";
import type { Api } from "../wire/api.ts";
import { type Broker, type ClusterMetadata, metadata } from "../wire/metadata.ts";
import { BrokerConnections } from "./broker-connections.ts";
import { type Connection, type Connector, createConnector, REQUEST_TIMEOUT_MS } from "./connection.ts";
import type { KafkaSecurity } from "./security.ts";

/** Where a cluster is, and how to talk to it. */
export interface KafkaConfig {
  /** The deployment's name for the cluster. */
  readonly clusterName: string;
  /** `host:port`, at least one. */
  readonly bootstrapServers: readonly string[];
  readonly security: KafkaSecurity;
  readonly clientId?: string;
  /** How many connections to one broker there may be at a time; 32 where it does not say. */
  readonly connectionsPerBroker?: number | undefined;
}

const BOOTSTRAP_LIMIT_MS = 12_000;
const CONNECT_LIMIT_MS = 10_000;
const CONNECTIONS_PER_BROKER = 32;
/** How many requests are on their way at a time where a broker takes one group a request. */
const IN_FLIGHT = 100;
/** How long the other bootstrap servers may take to say of which cluster they are. */
const GRACE_MS = 250;

/**
 * Connects to a cluster: every bootstrap server is tried at once, and the first that answers is enough.
 *
 * @throws KafkaUnavailable that says what each server did, 12 s later at most, and before the deadline
 * @throws KafkaAuthentication or KafkaCertificate when no server gave an answer, and one failed for that
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

/** What sends requests to one broker: as `Cluster.send`, without a limit of its own. */
export type Sender = Pick<Connection, "send">;

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
  readonly #connections = new Map<string, BrokerConnections>();
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
   * @throws KafkaAuthentication or KafkaCertificate when none gives an answer, and one failed for that
   */
  async bootstrap(): Promise<void> {
    const limit = Math.min(BOOTSTRAP_LIMIT_MS, this.deadline.remainingMs() * 0.8);
    const servers = [...new Set(this.#config.bootstrapServers)];
    const verdicts = new Map(servers.map((server) => [server, `${server} did not answer Metadata in time`]));
    const named: OperationError[] = [];
    let foreign: KafkaUnavailable | undefined;
    const attempts = servers.map(async (server) => {
      try {
        const answer = await this.#sendTo(server, metadata, { topics: [] });
        if (answer.brokers.length === 0) throw new NoAnswer(server, "knows of no brokers yet", true);
        foreign ??= this.#foreign(answer);
        if (foreign === undefined && this.#addresses.size === 0) this.#learn(answer);
      } catch (error) {
        verdicts.set(server, toProblem(error).message);
        if (error instanceof OperationError && !(error instanceof KafkaUnavailable)) named.push(error);
        throw error;
      }
    });
    await withTimeout(Promise.any(attempts), limit, this.#end.signal).catch(() => {});
    if (this.#addresses.size > 0) {
      await withTimeout(Promise.allSettled(attempts), GRACE_MS, this.#end.signal).catch(() => {});
      if (foreign !== undefined) throw foreign;
      return;
    }
    if (this.deadline.remainingMs() === 0) throw deadlineExceeded("the brokers were being connected to");
    if (named[0] !== undefined) throw named[0]; // a refusal says more than the silence of others
    throw new KafkaUnavailable(
      `no broker of cluster ${this.#config.clusterName} gave an answer: ${[...verdicts.values()].join("; ")}. ` +
        "Look at the bootstrap servers, the security protocol, and the network between (subnets, security groups).",
    );
  }

  /**
   * Sends a request to a broker, or several that come to the same where the broker speaks older versions only. All of it,
   * connecting included, takes `timeoutMs` at most (15 s), and one request 15 s at most: by then there is an answer, or the
   * connection is dropped.
   *
   * @throws NoAnswer when it could not be reached, hung up, took too long, or gave an answer that is none
   * @throws KafkaUnavailable when it does not speak the API
   * @throws KafkaAuthentication when it refuses the credentials, KafkaCertificate when its certificate cannot be trusted
   * @throws DeadlineExceeded when the time was over before
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
   * Does some work at one broker for each item, in no order, over as many connections as its amount is worth and the
   * configuration and the broker allow: one at the least, the one that `send` uses. No request of the work takes longer
   * than with `send`, and throws as there; where the work itself throws, or the broker cannot be reached, nothing more is
   * begun, and that is thrown.
   */
  async spread<T>(node: number, items: readonly T[], work: (item: T, broker: Sender) => Promise<void>): Promise<void> {
    const address = this.#addressOf(node);
    await this.#connectionsTo(address).spread(items, (item, connection) =>
      work(item, { send: (api, request, timeoutMs) => this.#sendTo(address, api, request, timeoutMs, connection) }),
    );
  }

  #addressOf(node: number): string {
    const address = this.#addresses.get(node);
    if (address === undefined) throw new NoAnswer(`broker ${node}`, "is not among the brokers of the cluster", false);
    return address;
  }

  /**
   * Sends a request to any broker of the cluster that answers; connections that stand come first, and take turns. Only
   * where none of the known brokers answers are the bootstrap servers asked who the brokers are now. All of it takes
   * `timeoutMs` at most; so that there is time for the others, each broker is given half of what is left. Throws as
   * `send`.
   */
  async sendToAny<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<Answer> {
    const end = performance.now() + timeoutMs;
    const share = () => (end - performance.now()) / 2;
    try {
      return await this.sendToKnown(api, request, share);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      for (const server of this.#config.bootstrapServers) {
        try {
          this.#learn(await this.#sendTo(server, metadata, { topics: [] }, share()));
          return await this.sendToKnown(api, request, share);
        } catch (failure) {
          if (!(failure instanceof NoAnswer)) throw failure;
        }
      }
      throw error;
    }
  }

  async sendToKnown<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    share: () => number,
  ): Promise<Answer> {
    const known = [...this.#addresses.values()];
    const turn = this.#turn++ % Math.max(1, known.length);
    const rotated = [...known.slice(turn), ...known.slice(0, turn)];
    const stands = (address: string) => this.#connections.get(address)?.alive === true;
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
        ? this.sendToAny(metadata, request, timeoutMs)
        : this.send(node, metadata, request, timeoutMs)),
    );
  }

  /** Remembers where a broker is. */
  rememberBroker({ nodeId, host, port }: Broker): void {
    this.#addresses.set(nodeId, host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  }

  /** Ends every connection at once. Requests in flight fail. */
  close(): void {
    this.#endWith(new KafkaUnavailable(`the connection to cluster ${this.#config.clusterName} was closed.`));
  }

  #endWith(reason: Error): void {
    this.deadline.signal.removeEventListener("abort", this.#onDeadline);
    this.#end.abort(reason);
    for (const connections of this.#connections.values()) connections.close(reason);
  }

  #learn(answer: ClusterMetadata): ClusterMetadata {
    const foreign = this.#foreign(answer);
    if (foreign !== undefined) throw foreign;
    if (answer.brokers.length > 0) {
      this.#clusterId = answer.clusterId;
      this.#addresses.clear();
      for (const broker of answer.brokers) this.rememberBroker(broker);
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
    open = () => this.#connectionsTo(address).first(),
  ): Promise<Answer> {
    const started = performance.now();
    const end = started + Math.max(0, Math.min(timeoutMs, REQUEST_TIMEOUT_MS));
    const leftMs = () => end - performance.now();
    const unconnected = () => new NoAnswer(address, "did not accept the connection in time", false);
    const connection = await withTimeout(open(), leftMs(), this.#end.signal).catch((error) => {
      this.#end.signal.throwIfAborted();
      throw error instanceof TimedOut ? unconnected() : error;
    });
    if (leftMs() <= 0) throw unconnected();
    if (api.fallback !== undefined && !connection.supports(api)) {
      return api.fallback(request, (one, requests) => this.#sendAll(address, one, requests, started + timeoutMs));
    }
    this.#requests.set(api.name, (this.#requests.get(api.name) ?? 0) + 1);
    return connection.send(api, request, leftMs());
  }

  /** Each request takes 15 s at most, and all of them until `end`. */
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
