import { Reader, Writer } from "./bytes.ts";

/** A codec for a range of versions of one Kafka API. */
export interface Api<Request, Answer> {
  readonly key: number;
  readonly name: string;
  /** The versions that this codec supports. */
  readonly versions: readonly [min: number, max: number];
  /** The first Kafka release that supports the lowest of them. */
  readonly since: string;
  /** Whether these versions are flexible (KIP-482): headers and bodies then end with tagged fields. */
  readonly flexible: boolean;
  /** Both are for the body without the tagged fields at its end. */
  encode(writer: Writer, request: Request, version: number): void;
  decode(reader: Reader, version: number): Answer;
  /** Gets the same answer from a broker that supports none of these versions. Absent if no other way exists. */
  fallback?(request: Request, sendAll: SendAll): Promise<Answer>;
}

/** Sends requests to one broker in parallel and returns each with its answer, in order. Throws the first failure. */
export type SendAll = <Request, Answer>(
  api: Api<Request, Answer>,
  requests: readonly Request[],
) => Promise<(readonly [Request, Answer])[]>;

/** The versions of one API that a broker supports. */
export interface VersionRange {
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** The highest version that both sides support; undefined if there is none. */
export function commonVersion(
  api: Pick<Api<never, unknown>, "versions">,
  broker: VersionRange | undefined,
): number | undefined {
  if (broker === undefined) return undefined;
  const version = Math.min(api.versions[1], broker.maxVersion);
  return version >= Math.max(api.versions[0], broker.minVersion) ? version : undefined;
}

/** A request after its client id: the rest of the header, and the body. */
export function encodeRequest<Request>(api: Api<Request, unknown>, version: number, request: Request): Buffer {
  const writer = new Writer();
  if (api.flexible) writer.noTags();
  api.encode(writer, request, version);
  if (api.flexible) writer.noTags();
  return writer.bytes();
}

/**
 * Decodes an answer after its correlation id.
 *
 * @throws MalformedAnswer unless it is exactly one answer of this version
 */
export function decodeAnswer<Answer>(api: Api<never, Answer>, version: number, bytes: Buffer): Answer {
  const reader = new Reader(bytes);
  if (api.flexible) reader.skipTags();
  const answer = api.decode(reader, version);
  if (api.flexible) reader.skipTags();
  reader.end();
  return answer;
}
