import { Reader, Writer } from "./bytes.ts";

/** One of Kafka's APIs, as we speak it: a codec for a range of its versions. */
export interface Api<Request, Answer> {
  readonly key: number;
  readonly name: string;
  /** The versions that this codec speaks. */
  readonly versions: readonly [min: number, max: number];
  /** The first Kafka release that speaks the lowest of them. */
  readonly since: string;
  /** Whether these versions are flexible (KIP-482), so that headers have tagged fields too. */
  readonly flexible: boolean;
  encode(writer: Writer, request: Request, version: number): void;
  decode(reader: Reader, version: number): Answer;
  /** Has the same of a broker that speaks none of these versions, in another way. Absent where there is none. */
  fallback?(request: Request, sendAll: SendAll): Promise<Answer>;
}

/** Sends requests to one broker, many at a time, and gives each with its answer, in their order. Fails as the first that does. */
export type SendAll = <Request, Answer>(
  api: Api<Request, Answer>,
  requests: readonly Request[],
) => Promise<(readonly [Request, Answer])[]>;

/** The versions of one API that a broker speaks. */
export interface VersionRange {
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** The highest version that both sides speak; undefined where there is none. */
export function commonVersion(
  api: Pick<Api<never, unknown>, "versions">,
  broker: VersionRange | undefined,
): number | undefined {
  if (broker === undefined) return undefined;
  const version = Math.min(api.versions[1], broker.maxVersion);
  return version >= Math.max(api.versions[0], broker.minVersion) ? version : undefined;
}

/** A request from behind its client id on: the rest of the header, and the body. */
export function encodeRequest<Request>(api: Api<Request, unknown>, version: number, request: Request): Buffer {
  const writer = new Writer();
  if (api.flexible) writer.noTags();
  api.encode(writer, request, version);
  return writer.bytes();
}

/**
 * An answer from behind its correlation id on.
 *
 * @throws MalformedAnswer for anything but exactly one answer of this version
 */
export function decodeAnswer<Answer>(api: Api<never, Answer>, version: number, bytes: Buffer): Answer {
  const reader = new Reader(bytes);
  if (api.flexible) reader.skipTags();
  const answer = api.decode(reader, version);
  reader.end();
  return answer;
}
