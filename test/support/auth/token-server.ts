import { createSign, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** The audience of the tokens, unless a client asks for another; the broker checks it. */
export const audience = "kafka";

/** The secret of every client. */
export const clientSecret = "client secret & more";

/** An authorization server. */
export interface TokenServer {
  readonly tokenUrl: string;
  readonly keysUrl: string;
  stop(): Promise<void>;
}

/**
 * Starts an authorization server. Every client with the secret gets a token for `ana`. The token of the client `forger` is
 * signed with a key that the broker does not know; that of `late` has expired.
 */
export async function startTokenServer(): Promise<TokenServer> {
  const [known, unknown] = [rsa(), rsa()];
  const keys = { keys: [{ ...known.publicKey.export({ format: "jwk" }), kid: "key-1", alg: "RS256", use: "sig" }] };
  const tokenOf = (client: string, aud: string) => {
    const now = Math.floor(Date.now() / 1_000);
    const expires = client === "late" ? now - 3_600 : now + 3_600;
    const claims = { sub: "ana", aud, iat: now - 7_200, exp: expires, scope: "offsets" };
    const parts = [{ alg: "RS256", typ: "JWT", kid: "key-1" }, claims];
    const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const { privateKey } = client === "forger" ? unknown : known;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")}`;
  };
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (request.url === "/keys") return answer(200, keys);
    const [client = "", secret] = clientOf(request);
    const form = new URLSearchParams(await textOf(request));
    if (request.method !== "POST" || form.get("grant_type") !== "client_credentials") {
      return answer(400, { error: "unsupported_grant_type" });
    }
    if (secret !== clientSecret) return answer(401, { error: "invalid_client", error_description: `not "${secret}"` });
    const token = tokenOf(client, form.get("audience") ?? audience);
    answer(200, { access_token: token, token_type: "Bearer", expires_in: 3_600, scope: form.get("scope") });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  return {
    tokenUrl: `${base}/token`,
    keysUrl: `${base}/keys`,
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });

/** Client id and secret of HTTP Basic, both form-encoded (RFC 6749, 2.3.1). */
function clientOf({ headers }: IncomingMessage): string[] {
  const basic = Buffer.from(headers.authorization?.replace(/^Basic /, "") ?? "", "base64").toString();
  return basic.split(":").map((half) => new URLSearchParams(`=${half}`).get("") ?? "");
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
