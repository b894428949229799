import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { AwsClient } from "aws4fetch";

/** What belongs to one connection or is made anew. */
const dropped = new Set([
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "authorization",
  "accept-encoding",
]);

const headersOf = ({ rawHeaders }: IncomingMessage) => {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = "", value = ""] = rawHeaders.slice(i, i + 2);
    if (!dropped.has(name.toLowerCase())) headers.append(name, value);
  }
  return headers;
};

/** A proxy that signs. */
export interface SigningProxy extends AsyncDisposable {
  readonly url: string;
  /** How many requests were answered. */
  readonly answered: () => number;
  /** Answers of 500 and more, as text. */
  readonly failures: readonly string[];
}

/** The methods of the API. API Gateway answers 403 to others, which `fetch` cannot all send. */
const methods = new Set(["GET", "POST", "DELETE", "PUT"]);
const noSuchMethod = { error: "MISSING_AUTHENTICATION_TOKEN", message: "", details: null, request_id: "" };

/** A proxy on this machine that signs each request and sends it on: for clients that cannot sign. */
export async function startSigningProxy(target: string, region: string): Promise<SigningProxy> {
  const failures: string[] = [];
  let answered = 0;
  const signer = new AwsClient({
    ...{ accessKeyId: "test", secretAccessKey: "test", region, service: "execute-api", retries: 0 },
  });
  const server = createServer((request, response) => {
    const answer = async () => {
      const { method = "GET", url = "/" } = request;
      if (!methods.has(method)) {
        response.writeHead(403, { "content-type": "application/json" }).end(JSON.stringify(noSuchMethod));
        return;
      }
      const body = await buffer(request);
      const sent = await signer.fetch(`${target}${url}`, {
        ...{ method, headers: headersOf(request), signal: AbortSignal.timeout(30_000), redirect: "manual" },
        ...(body.byteLength > 0 && method !== "GET" && method !== "HEAD" && { body }),
      });
      response.writeHead(sent.status, { "content-type": sent.headers.get("content-type") ?? "" });
      const answer = Buffer.from(await sent.arrayBuffer());
      answered++;
      if (sent.status >= 500) failures.push(`${method} ${url} ${body} → ${sent.status} ${answer}`);
      response.end(answer);
    };
    answer().catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = isTcp(address) ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    answered: () => answered,
    failures,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

const isTcp = (address: ReturnType<ReturnType<typeof createServer>["address"]>): address is AddressInfo =>
  typeof address === "object" && address !== null;
