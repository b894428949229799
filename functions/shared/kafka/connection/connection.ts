import type { Socket } from "node:net";
import KafkaJsBroker from "kafkajs/src/broker/index.js";
import { createLogger, LEVELS } from "kafkajs/src/loggers/index.js";
import type KafkaJsConnection from "kafkajs/src/network/connection.js";
import KafkaJsPool from "kafkajs/src/network/connectionPool.js";
import { KafkaAuthentication, KafkaCertificate, KafkaUnavailable, OperationError } from "../../core/errors.ts";
import { NoAnswer } from "../calls/problems.ts";
import { TimedOut, withTimeout } from "../calls/retry.ts";
import { type Api, commonVersion, decodeAnswer, encodeRequest, type VersionRange } from "../wire/api.ts";
import { MalformedAnswer } from "../wire/bytes.ts";
import {
  type Credentials,
  type KafkaSecurity,
  openSocket,
  saslOptions,
  securityFailure,
  splitAddress,
} from "./security.ts";

/** A connection to one broker. Any number of requests may be in flight; the broker answers them in their order. */
export interface Connection {
  /** False once it was closed or lost; it never comes back. */
  readonly alive: boolean;
  /** Whether both sides speak a version of an API. */
  supports(api: Api<never, unknown>): boolean;
  /**
   * Sends a request in the highest version that both sides speak. A connection on which an answer takes longer than
   * `timeoutMs` (15 s at most) is lost: answers come in their order, and nothing is to take effect later.
   *
   * @throws NoAnswer when the connection was lost or closed, or the answer took too long or is none
   * @throws KafkaUnavailable when the broker speaks none of our versions
   */
  send<Request, Answer>(api: Api<Request, Answer>, request: Request, timeoutMs: number): Promise<Answer>;
  /** Ends it at once: requests in flight fail with `reason`. */
  close(reason: Error): void;
}

const CONNECT_TIMEOUT_MS = 5_000;

const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;

/** How long a request may take. */
export const REQUEST_TIMEOUT_MS = 15_000;

/** The part of a request's time within which it must have been written. */
const WRITTEN_WITHIN = 0.25;

/** Opens connections of one configuration. */
export interface Connector {
  /**
   * Credentials that are refused are asked for once more; if there are others now, those are tried.
   *
   * @throws NoAnswer that says what the broker did
   * @throws KafkaAuthentication when it refused the credentials, KafkaCertificate when its certificate cannot be trusted
   * @throws whatever reading the credentials throws
   */
  connect(address: string, timeoutMs: number, signal: AbortSignal): Promise<Connection>;
}

const logger = createLogger({ level: LEVELS.NOTHING, logCreator: () => () => {} });

/** Makes the connector of a configuration. Nothing is opened yet. */
export function createConnector({ protocol, credentials }: KafkaSecurity, clientId: string): Connector {
  const open = async (address: string, using: Credentials, timeoutMs: number, signal: AbortSignal) => {
    const sockets: Socket[] = [];
    let opened = false;
    const pool = new KafkaJsPool({
      ...splitAddress(address),
      clientId,
      logger,
      ...(using.login && { sasl: saslOptions(using.login) }),
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      socketFactory: ({ host, port, onConnect }) => {
        const socket = openSocket({ host, port }, protocol, using, () => {
          opened = true;
          onConnect();
        });
        sockets.push(socket);
        return socket;
      },
    });
    const dueBy = new Map<string, number>();
    for (const connection of pool.pool) patchKafkajs(connection, sockets, dueBy);
    const logins = pool.pool.map(watchLogin);
    const broker = new KafkaJsBroker({ connectionPool: pool, logger });
    const destroy = (reason: Error) => {
      for (const socket of sockets) socket.destroy(reason);
    };
    try {
      await withTimeout(broker.connect(), timeoutMs, signal);
    } catch (thrown) {
      destroy(new Error("given up"));
      if (thrown instanceof OperationError || thrown instanceof NoAnswer) throw thrown;
      const { error = thrown, mechanisms } = logins[0] ?? {};
      const reached = broker.versions !== null ? "answer" : opened ? "socket" : "nothing";
      const failed = { address, protocol, credentials: using, error, reached, mechanisms } as const;
      throw (await securityFailure(failed)) ?? connectFailure(address, error, sockets.at(-1)?.connecting === true);
    }
    return openConnection(address, pool, broker, sockets, dueBy, destroy);
  };
  return {
    async connect(address, timeoutMs, signal) {
      const end = performance.now() + timeoutMs;
      const known = (await credentials?.()) ?? {};
      try {
        return await open(address, known, timeoutMs, signal);
      } catch (refusal) {
        const refused = refusal instanceof KafkaAuthentication || refusal instanceof KafkaCertificate;
        if (!refused || credentials === undefined) throw refusal;
        const now = await withTimeout(credentials(known), end - performance.now(), signal).catch((error: unknown) => {
          throw error instanceof TimedOut ? refusal : error;
        });
        if (now === known) throw refusal;
        return open(address, now, end - performance.now(), signal);
      }
    },
  };
}

/** A request that was about to be written when the time for that was over. */
class Overdue extends Error {}

/**
 * Two faults of kafkajs 2.2.4, put right; and a last look at the clock, since much may lie between what let a request pass
 * and the write to the socket: a process that stood still, as a frozen function does, must not send what was allowed before.
 *
 * @param dueBy until when each request may be written, by the name it has with kafkajs
 */
function patchKafkajs(
  connection: KafkaJsConnection,
  sockets: readonly Socket[],
  dueBy: ReadonlyMap<string, number>,
): void {
  // What is not an answer of Kafka's makes its decoder throw in a socket's event: that would end the process.
  const processData = connection.processData.bind(connection);
  connection.processData = (data) => {
    try {
      processData(data);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      for (const socket of sockets) socket.destroy(cause);
    }
  };
  // It sets a timer of a negative time, again and again, even when nothing is pending: a loop of 1 ms for ever.
  const queue = connection.requestQueue;
  const schedule = queue.scheduleCheckPendingRequests.bind(queue);
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule();
  };
  const push = queue.push.bind(queue);
  queue.push = (request) => {
    const sendRequest = () => {
      if (performance.now() > (dueBy.get(request.entry.apiName) ?? Number.POSITIVE_INFINITY)) throw new Overdue();
      request.sendRequest();
    };
    push({ ...request, sendRequest });
  };
}

/** What goes on in a login: kafkajs words every failure anew, and does not tell which mechanisms the broker offers. */
function watchLogin(connection: KafkaJsConnection): { error?: unknown; mechanisms?: readonly string[] } {
  const seen: { error?: unknown; mechanisms?: readonly string[] } = {};
  const send = connection.send.bind(connection);
  connection.send = async (protocol) => {
    const { request, response } = protocol;
    if (request.apiKey !== SASL_HANDSHAKE && request.apiKey !== SASL_AUTHENTICATE) return send(protocol);
    const decode = async (payload: Buffer) => {
      const answer = await response.decode(payload);
      seen.mechanisms = answer.enabledMechanisms ?? seen.mechanisms ?? [];
      return answer;
    };
    try {
      return await send({ ...protocol, response: { ...response, decode } });
    } catch (error) {
      seen.error = error;
      throw error;
    }
  };
  return seen;
}

function openConnection(
  address: string,
  pool: KafkaJsPool,
  broker: KafkaJsBroker,
  sockets: readonly Socket[],
  dueBy: Map<string, number>,
  destroy: (reason: Error) => void,
): Connection {
  let alive = true;
  let sent = 0;
  let closedFor: Error | undefined;
  const lost = () => {
    alive = false; // and must not be used again: kafkajs would open another one, of which we know nothing
  };
  for (const socket of sockets) socket.once("error", lost).once("end", lost).once("close", lost);
  const close = (reason: Error) => {
    closedFor ??= reason;
    lost();
    destroy(reason);
  };
  return {
    get alive() {
      return alive;
    },
    close,
    supports: (api) => commonVersion(api, broker.versions?.[api.key]) !== undefined,
    async send(api, request, timeoutMs) {
      if (!alive) throw new NoAnswer(address, "closed the connection", false, closedFor);
      const range = broker.versions?.[api.key];
      const version = commonVersion(api, range);
      if (version === undefined) throw unsupported(address, api, range);
      const apiName = `${api.name} ${++sent}`; // each has a name of its own
      dueBy.set(apiName, performance.now() + timeoutMs * WRITTEN_WITHIN);
      const bytes = encodeRequest(api, version, request);
      try {
        const answer = pool.send({
          request: {
            apiKey: api.key,
            apiVersion: version,
            apiName,
            encode: async () => ({ buf: bytes, buffer: bytes }),
          },
          response: {
            decode: async (payload) => payload,
            parse: async (payload) => decodeAnswer(api, version, payload),
          },
          logResponseError: false,
        });
        return await withTimeout(answer, timeoutMs);
      } catch (error) {
        if (error instanceof Overdue) {
          lost();
          destroy(error);
          throw new NoAnswer(address, `was not sent ${api.name}: it came to that too late`, false, closedFor);
        }
        if (closedFor !== undefined) throw new NoAnswer(address, "was not waited for any more", true, closedFor);
        if (error instanceof MalformedAnswer) throw malformed(address, api, error);
        const late =
          error instanceof TimedOut || (error instanceof Error && error.name === "KafkaJSRequestTimeoutError");
        const what = late ? `did not answer ${api.name} in ${Math.ceil(timeoutMs / 100) / 10} s` : reasonOf(error);
        lost();
        destroy(new Error(what));
        throw new NoAnswer(address, what, true, error);
      } finally {
        dueBy.delete(apiName);
      }
    },
  };
}

function malformed(address: string, api: Api<never, unknown>, cause: MalformedAnswer): NoAnswer {
  const what = `gave an answer to ${api.name} that is none: ${cause.message}`;
  return new NoAnswer(address, what, true, new KafkaUnavailable(`the broker ${address} ${what}.`, { cause }));
}

function unsupported(address: string, api: Api<never, unknown>, range: VersionRange | undefined): KafkaUnavailable {
  const speaks = range === undefined ? "does not speak it" : `speaks versions ${range.minVersion}–${range.maxVersion}`;
  const [min, max] = api.versions;
  return new KafkaUnavailable(
    `${api.name} is needed in version ${min === max ? min : `${min}–${max}`}, and the broker ${address} ${speaks}: ` +
      `this needs Kafka ${api.since} or newer.`,
  );
}

function connectFailure(address: string, error: unknown, connecting: boolean): NoAnswer {
  const what =
    error instanceof TimedOut
      ? connecting
        ? "did not accept the connection in time"
        : "accepted the connection and did not answer in time"
      : reasonOf(error);
  return new NoAnswer(address, what, false, error);
}

/** What a broker did, in words, as far as kafkajs' error tells. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const errno = "code" in error && typeof error.code === "string" ? error.code : undefined;
  switch (errno) {
    case "ECONNREFUSED":
      return "refused the connection (ECONNREFUSED)";
    case "ECONNRESET":
      return "reset the connection (ECONNRESET)";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `is not a name that resolves (${errno})`;
  }
  if (error.name === "KafkaJSConnectionClosedError") return "closed the connection without an answer";
  if (error.message === "Connection timeout") return "did not accept the connection in time";
  return `failed: ${error.message}`;
}
