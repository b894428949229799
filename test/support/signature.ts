import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** A request as it was received: nothing in it is decoded. */
export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

/** Whose signatures are accepted, for what, and when. */
export interface Verifier {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
  readonly now: Date;
}

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Uint8Array, text: string) => createHmac("sha256", key).update(text).digest();

/** Percent-encodes all but the unreserved characters of RFC 3986. */
const encoded = (text: string) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** Each segment as it was sent, encoded once more: so do all services but S3. */
const canonicalPath = (path: string) => path.split("/").map(encoded).join("/");

/** Names and values encoded, sorted by name, then by value. */
function canonicalQuery(query: string): string {
  const parameters = query.split("&").filter((part) => part !== "");
  const pairs = parameters.map((part) => {
    const end = part.includes("=") ? part.indexOf("=") : part.length;
    return [part.slice(0, end), part.slice(end + 1)].map((text) => encoded(decodeURIComponent(text)));
  });
  const compare = (a = "", b = "") => (a < b ? -1 : a > b ? 1 : 0);
  const sorted = pairs.sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  return sorted.map((pair) => pair.join("=")).join("&");
}

const form =
  /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8}\/[^/,]+\/[^/,]+\/aws4_request), ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;

const instant = (time: string) =>
  Date.parse(time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));

/**
 * Why a service would refuse the signature of a request; undefined if it would accept it. Calculated from AWS's description of
 * Signature Version 4 alone, with no client's code:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export function refusalOf({ method, url, headers, body }: ReceivedRequest, verifier: Verifier): string | undefined {
  const header = (name: string) => [headers[name] ?? []].flat().join(",").trim().replace(/ +/g, " ");
  const [, keyId, scope = "", signed = "", signature = ""] = form.exec(header("authorization")) ?? [];
  if (keyId === undefined) return "Missing Authentication Token";
  if (keyId !== verifier.accessKeyId) return "The security token included in the request is invalid.";
  const time = header("x-amz-date");
  const expected = [time.slice(0, 8), verifier.region, verifier.service, "aws4_request"];
  if (scope !== expected.join("/")) return `Credential should be scoped to ${expected.join("/")}, not ${scope}.`;
  if (!(Math.abs(verifier.now.getTime() - instant(time)) <= 5 * 60_000)) return `Signature expired: ${time}.`;
  const names = signed.split(";");
  const required = ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-amz-"))];
  const unsigned = required.filter((name) => !names.includes(name));
  if (unsigned.length > 0) return `'${unsigned.join("' or '")}' must be a 'SignedHeader' in the AWS Authorization.`;

  const queryAt = url.includes("?") ? url.indexOf("?") : url.length;
  const canonical = [
    method,
    canonicalPath(url.slice(0, queryAt)),
    canonicalQuery(url.slice(queryAt + 1)),
    ...names.map((name) => `${name}:${header(name)}`),
    "",
    signed,
    sha256(body),
  ].join("\n");
  const toSign = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = expected.reduce<string | Uint8Array>(hmac, `AWS4${verifier.secretAccessKey}`);
  if (timingSafeEqual(hmac(key, toSign), Buffer.from(signature, "hex"))) return undefined;
  return (
    "The request signature we calculated does not match the signature you provided. The Canonical String for this request " +
    `should have been\n'${canonical}'`
  );
}
