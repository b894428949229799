import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import type { CloudDescriptor } from "../../localstack/cloud.ts";
import type { Outputs } from "../../localstack/deploy.ts";
import { refusalOf } from "./signature.ts";

/** A call that the gateway received. */
export interface Received {
  readonly call: string;
  readonly status: number;
  /** Why it refused the signature. */
  readonly refusal: string | undefined;
  readonly answer: string;
}

/**
 * Stands before the API of a deployed stack, and refuses what API Gateway refuses and the emulators accept: a signature that is
 * not that of the request as it was sent. Its URL ends with a stage, as on AWS.
 */
export async function openGateway({ api_url, region }: Outputs, { environment }: CloudDescriptor) {
  const { AWS_ACCESS_KEY_ID: accessKeyId = "", AWS_SECRET_ACCESS_KEY: secretAccessKey = "" } = environment;
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    const body = await buffer(request);
    const verifier = { accessKeyId, secretAccessKey, region, service: "execute-api", now: new Date() };
    const refusal = refusalOf({ method, url, headers, body }, verifier);
    const forward = async () => {
      const passed = ["authorization", "content-type", "x-amz-date"].flatMap((name) => {
        const value = headers[name];
        return typeof value === "string" ? [[name, value] as const] : [];
      });
      const init = { method, headers: Object.fromEntries(passed), ...(body.length > 0 && { body }) };
      const answered = await fetch(`${api_url}${url.slice("/v1".length)}`, init);
      return { status: answered.status, text: await answered.text() };
    };
    const { status, text } = refusal === undefined ? await forward() : { status: 403, text: refusal };
    received.push({ call: `${method} ${url}`, status, refusal, answer: text });
    response.writeHead(status, { "content-type": "application/json" }).end(text);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the gateway has no port");
  return {
    apiUrl: `http://127.0.0.1:${address.port}/v1`,
    /** The calls since this was asked the last time. */
    received: () => received.splice(0),
    close: () => new Promise<unknown>((done) => server.close(done)),
  };
}
