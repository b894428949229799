/**
 * The parts of kafkajs 2.2.4 (pinned) that carry requests and answers: framing, correlation and SASL. They are imported
 * one by one: its unused clients are a third of what a cold start would load. Only `connection.ts` imports them.
 */
declare module "kafkajs/src/network/connection.js" {
  import type { ISocketFactory, Logger, Mechanism } from "kafkajs";

  export interface Options {
    readonly host: string;
    readonly port: number;
    readonly clientId: string;
    readonly logger: Logger;
    /** A built-in mechanism, in upper or lower case, or another. */
    readonly sasl?: { readonly mechanism: string; readonly username: string; readonly password: string } | Mechanism;
    /** Both in milliseconds. */
    readonly connectionTimeout: number;
    readonly requestTimeout: number;
    readonly enforceRequestTimeout: boolean;
    readonly socketFactory: ISocketFactory;
  }

  export interface Protocol<Decoded, Answer> {
    readonly request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<Encoder> };
    readonly response: { decode(payload: Buffer): Promise<Decoded>; parse(decoded: Decoded): Promise<Answer> };
    readonly logResponseError?: boolean;
  }

  /** What kafkajs reads of an encoded request. */
  export interface Encoder {
    readonly buf: Buffer;
    readonly buffer: Buffer;
  }

  export default class Connection {
    /** Also sends kafkajs' own requests; the answer to SaslHandshake lists the broker's mechanisms. */
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
