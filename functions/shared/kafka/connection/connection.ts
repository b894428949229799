import type { Socket } from "node:net";
import type { Logger } from "kafkajs";
import KafkaJsBroker from "kafkajs/src/broker/index.js";
import type KafkaJsConnection from "kafkajs/src/network/connection.js";
import KafkaJsPool from "kafkajs/src/network/connectionPool.js";
import { KafkaAuthentication, KafkaCertificate, KafkaUnavailable, OperationError } from "../../core/errors.ts";
import { NoAnswer } from "../calls/problems.ts";
import { TimedOut, withTimeout } from "../calls/retry.ts";
import { type Api, commonVersion, decodeAnswer, encodeRequest, type VersionRange } from "../wire/api.ts";
import { MalformedAnswer } from "../wire/bytes.ts";
import {
  type Credentials,
  codeOf,
  type KafkaSecurity,
  openSocket,
  saslOptions,
  securityFailure,
  splitAddress,
} from "./security.ts";

/** A connection to one broker. Any number of requests may be in flight; the broker answers them in order. */
export interface Connection {
  /** False after it was closed or lost, for good. */
  readonly alive: boolean;
  /** Whether both sides support a version of an API. */
  supports(api: Api<never, unknown>): boolean;
  /**
   * Sends a request in the highest version that both sides support. If the answer takes longer than `timeoutMs`, or the
   * broker sends nothing for 15 s, the connection is closed: answers come in order, and no request may take effect later.
   *
   * @throws NoAnswer if the connection was lost or closed, or the answer is late or malformed
   * @throws KafkaUnavailable if the broker supports none of the codec's versions
   */
  send<Request, Answer>(api: Api<Request, Answer>, request: Request, timeoutMs: number): Promise<Answer>;
  /** Closes it at once. Requests in flight fail with `reason`. */
  close(reason: Error): void;
}

const CONNECT_TIMEOUT_MS = 5_000;

const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;

/** How long a broker may send nothing while a request waits. A large answer may take longer in all. */
export const QUIET_TIMEOUT_MS = 15_000;

/** After this fraction of its time a request is no longer written. */
const WRITE_FRACTION = 0.25;

/** Opens connections with one configuration. */
export interface Connector {
  /**
   * Rejected credentials are read once more; if they changed, the new ones are tried.
   *
   * @throws NoAnswer with what the broker did
   * @throws KafkaAuthentication if it rejected the credentials, KafkaCertificate if its certificate is not trusted
   * @throws the errors of reading the credentials
   */
  connect(address: string, timeoutMs: number, signal: AbortSignal): Promise<Connection>;
}

const ignore = () => {};
const logs = { setLogLevel: ignore, error: ignore, warn: ignore, info: ignore, debug: ignore };
const logger: Logger = { namespace: () => logger, ...logs };

/** The connector of a configuration. Opens no connection yet. */
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
      requestTimeout: QUIET_TIMEOUT_MS,
      enforceRequestTimeout: false, // it counts the whole time
      socketFactory: ({ host, port, onConnect }) => {
        const socket = openSocket({ host, port }, protocol, using, () => {
          opened = true;
          onConnect();
        });
        sockets.push(socket);
        return socket;
      },
    });
    const traffic: Traffic = { writeDeadlines: new Map(), receivedAt: 0 };
    for (const connection of pool.pool) patchKafkajs(connection, sockets, traffic);
    const logins = pool.pool.map(watchLogin);
    const broker = new KafkaJsBroker({ connectionPool: pool, logger });
    const destroy = (reason: Error) => {
      for (const socket of sockets) socket.destroy(reason);
    };
    try {
      await withTimeout(broker.connect(), timeoutMs, signal);
    } catch (thrown) {
      destroy(new Error("the connection could not be opened"));
      if (thrown instanceof OperationError || thrown instanceof NoAnswer) throw thrown;
      const { error = thrown, mechanisms } = logins[0] ?? {};
      const reached = broker.versions !== null ? "answer" : opened ? "socket" : "nothing";
      const failed = { address, protocol, credentials: using, error, reached, mechanisms } as const;
      const secured = await securityFailure(failed);
      if (secured !== undefined) throw secured;
      const late = sockets.at(-1)?.connecting ? notAccepted : "accepted the connection and did not answer in time";
      throw new NoAnswer(address, error instanceof TimedOut ? late : reasonOf(error), false, error);
    }
    return openConnection(address, pool, broker, sockets, traffic, destroy);
  };
  return {
    async connect(address, timeoutMs, signal) {
      const end = performance.now() + timeoutMs;
      const known = (await credentials?.()) ?? {};
      try {
        return await open(address, known, timeoutMs, signal);
      } catch (rejection) {
        const isRejected = rejection instanceof KafkaAuthentication || rejection instanceof KafkaCertificate;
        if (!isRejected || credentials === undefined) throw rejection;
        const now = await withTimeout(credentials(known), end - performance.now(), signal).catch((error: unknown) => {
          throw error instanceof TimedOut ? rejection : error;
        });
        if (now === known) throw rejection;
        return open(address, now, end - performance.now(), signal);
      }
    },
  };
}

/** A request was not written in time, and not sent. */
class WriteTooLate extends Error {}

/** What is known of the bytes of a connection, in milliseconds of the monotonic clock. */
interface Traffic {
  /** Until when each request may be written, by kafkajs' name of the request. */
  readonly writeDeadlines: Map<string, number>;
  /** When the broker sent something the last time. */
  receivedAt: number;
}

/**
 * Repairs two faults of kafkajs 2.2.4, and checks the time right before the write to the socket: a process that was
 * frozen after a request was permitted, as Lambda freezes functions, must not send the request late.
 */
function patchKafkajs(connection: KafkaJsConnection, sockets: readonly Socket[], traffic: Traffic): void {
  // Bytes that are no Kafka answer make its decoder throw in a socket event, which would end the process.
  const processData = connection.processData.bind(connection);
  connection.processData = (data) => {
    traffic.receivedAt = performance.now();
    try {
      processData(data);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      for (const socket of sockets) socket.destroy(cause);
    }
  };
  // Without pending requests it sets a timer with a negative time again and again: an endless loop every 1 ms.
  const queue = connection.requestQueue;
  const schedule = queue.scheduleCheckPendingRequests.bind(queue);
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) schedule();
  };
  const push = queue.push.bind(queue);
  queue.push = (request) => {
    const sendRequest = () => {
      const deadline = traffic.writeDeadlines.get(request.entry.apiName);
      if (deadline !== undefined && performance.now() > deadline) throw new WriteTooLate();
      request.sendRequest();
    };
    push({ ...request, sendRequest });
  };
}

/** Records the error and the broker's mechanisms of a login: kafkajs replaces the one and hides the other. */
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
  traffic: Traffic,
  destroy: (reason: Error) => void,
): Connection {
  let alive = true;
  let sent = 0;
  let closeReason: Error | undefined;
  const lost = () => {
    alive = false; // never used again: kafkajs would open another connection without these checks
  };
  const lose = (reason: Error) => {
    lost();
    destroy(reason);
  };
  for (const socket of sockets) socket.once("error", lost).once("end", lost).once("close", lost);
  const close = (reason: Error) => {
    closeReason ??= reason;
    lose(reason);
  };
  return {
    get alive() {
      return alive;
    },
    close,
    supports: (api) => commonVersion(api, broker.versions?.[api.key]) !== undefined,
    async send(api, request, timeoutMs) {
      if (!alive) throw new NoAnswer(address, "closed the connection", false, closeReason);
      const range = broker.versions?.[api.key];
      const version = commonVersion(api, range);
      if (version === undefined) throw unsupported(address, api, range);
      const apiName = `${api.name} ${++sent}`; // unique
      const started = performance.now();
      traffic.writeDeadlines.set(apiName, started + timeoutMs * WRITE_FRACTION);
      const bytes = encodeRequest(api, version, request);
      const encoded = { buf: bytes, buffer: bytes };
      try {
        const answer = pool.send({
          request: { apiKey: api.key, apiVersion: version, apiName, encode: async () => encoded },
          response: {
            decode: async (payload) => payload,
            parse: async (payload) => decodeAnswer(api, version, payload),
          },
          logResponseError: false,
        });
        return await whileReceiving(answer, timeoutMs, traffic);
      } catch (error) {
        if (error instanceof WriteTooLate) {
          lose(error);
          throw new NoAnswer(address, `was not sent ${api.name}: it was too late to write it`, false, closeReason);
        }
        if (closeReason !== undefined)
          throw new NoAnswer(address, "had not answered before closing", true, closeReason);
        if (error instanceof MalformedAnswer) throw malformed(address, api, error);
        const seconds = Math.round((performance.now() - started) / 100) / 10;
        const what = error instanceof TimedOut ? `did not answer ${api.name} in ${seconds} s` : reasonOf(error);
        lose(new Error(what));
        throw new NoAnswer(address, what, true, error);
      } finally {
        traffic.writeDeadlines.delete(apiName);
      }
    },
  };
}

/** The answer, if it arrives in time and the broker is never quiet for too long. Throws TimedOut. */
async function whileReceiving<T>(answer: Promise<T>, timeoutMs: number, traffic: Traffic): Promise<T> {
  const started = performance.now();
  const leftMs = () =>
    Math.min(started + timeoutMs, Math.max(started, traffic.receivedAt) + QUIET_TIMEOUT_MS) - performance.now();
  for (;;) {
    try {
      return await withTimeout(answer, leftMs());
    } catch (error) {
      if (!(error instanceof TimedOut) || leftMs() <= 0) throw error;
    }
  }
}

function malformed(address: string, api: Api<never, unknown>, cause: MalformedAnswer): NoAnswer {
  const what = `sent a malformed answer to ${api.name}: ${cause.message}`;
  return new NoAnswer(address, what, true, new KafkaUnavailable(`the broker ${address} ${what}.`, { cause }));
}

function unsupported(address: string, api: Api<never, unknown>, range: VersionRange | undefined): KafkaUnavailable {
  const supports = range === undefined ? "does not support it" : `supports ${range.minVersion}–${range.maxVersion}`;
  const [min, max] = api.versions;
  return new KafkaUnavailable(
    `${api.name} is required in version ${min === max ? min : `${min}–${max}`}; the broker ${address} ${supports}. ` +
      `Kafka ${api.since} or newer is required.`,
  );
}

const notAccepted = "did not accept the connection in time";
const socketErrors = new Map([
  ["ECONNREFUSED", "refused the connection"],
  ["ECONNRESET", "reset the connection"],
  ["ENOTFOUND", "cannot be resolved"],
  ["EAI_AGAIN", "cannot be resolved"],
]);

/** What the broker did, from kafkajs' error. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  const known = socketErrors.get(code);
  if (known !== undefined) return `${known} (${code})`;
  if (error.name === "KafkaJSConnectionClosedError") return "closed the connection without an answer";
  if (error.message === "Connection timeout") return notAccepted;
  return `failed: ${error.message}`;
}
