/**
 * The parts of kafkajs 2.2.4, to which it is pinned, that carry our own requests and answers: framing, correlation and
 * SASL. They are taken one by one, since its clients, which are never used, are a third of what a cold start loads of it.
 * Only `connection.ts` imports them.
 */
declare module "kafkajs/src/loggers/index.js" {
  import type { Logger, logCreator } from "kafkajs";

  export const LEVELS: { readonly NOTHING: 0 };
  export function createLogger(options: { level: 0; logCreator: logCreator }): Logger;
}

declare module "kafkajs/src/network/connection.js" {
  import type { ISocketFactory, Logger, Mechanism, SASLOptions } from "kafkajs";

  export interface Options {
    readonly host: string;
    readonly port: number;
    readonly clientId: string;
    readonly logger: Logger;
    readonly sasl?: SASLOptions | Mechanism;
    /** In milliseconds, as the other. */
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly socketFactory: ISocketFactory;
  }

  export interface Protocol<Decoded, Answer> {
    readonly request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<Encoder> };
    readonly response: { decode(payload: Buffer): Promise<Decoded>; parse(decoded: Decoded): Promise<Answer> };
    readonly logResponseError?: boolean;
  }

  /** All that is looked at in what `encode` gives. */
  export interface Encoder {
    readonly buf: Buffer;
    readonly buffer: Buffer;
  }

  export default class Connection {
    /** Of the requests that it makes itself, SaslHandshake is answered with the mechanisms that the broker offers. */
    send(protocol: Protocol<{ readonly enabledMechanisms?: readonly string[] }, unknown>): Promise<unknown>;
    processData(data: Buffer): void;
    readonly requestQueue: {
      readonly pending: readonly unknown[];
      scheduleCheckPendingRequests(): void;
      /** Calls `sendRequest`, which writes to the socket. */
      push(request: { readonly entry: { readonly apiName: string }; sendRequest(): void }): void;
    };
  }
}

declare module "kafkajs/src/network/connectionPool.js" {
  import type Connection from "kafkajs/src/network/connection.js";
  import type { Options, Protocol } from "kafkajs/src/network/connection.js";

  export default class ConnectionPool {
    constructor(options: Options);
    /** The first serves everything but Fetch, the second only Fetch. */
    readonly pool: readonly Connection[];
    send<Decoded, Answer>(protocol: Protocol<Decoded, Answer>): Promise<Answer>;
  }
}

declare module "kafkajs/src/broker/index.js" {
  import type { Logger } from "kafkajs";
  import type ConnectionPool from "kafkajs/src/network/connectionPool.js";

  export default class Broker {
    constructor(options: { readonly connectionPool: ConnectionPool; readonly logger: Logger });
    /** Opens the connection, asks for ApiVersions, authenticates. No retries. */
    connect(): Promise<void>;
    readonly versions: Readonly<{
      [apiKey: number]: { readonly minVersion: number; readonly maxVersion: number } | undefined;
    }> | null;
  }
}
