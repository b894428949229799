import { once } from "node:events";
import { createServer, type IncomingMessage, request as send } from "node:http";
import * as z from "zod";

/** A statement of a policy, as CloudFormation has it, with its resources as ARNs. */
export interface Statement {
  readonly effect: "Allow" | "Deny";
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  /** By operator and key, as in IAM. */
  readonly conditions: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

/** What a request asks for: one or more actions, each on a resource. */
interface Asked {
  readonly action: string;
  readonly resource: string;
  /** The values of condition keys. */
  readonly context: Readonly<Record<string, readonly string[]>>;
}

/** What a function answered. */
export type Invoked =
  | { readonly result: string }
  | { readonly error: { readonly name: string; readonly message: string } };

/** What the cloud knows of who calls it. */
export interface Enforced {
  /** The statements of who has this access key; undefined: nobody has it. */
  policyOf(accessKeyId: string): readonly Statement[] | undefined;
  /** Runs a function. */
  invoke(functionName: string, payload: string): Promise<Invoked>;
}

const account = "000000000000";
const region = "us-east-1";
export const arnOf = {
  object: (bucket: string, key: string) => `arn:aws:s3:::${bucket}/${key}`,
  bucket: (bucket: string) => `arn:aws:s3:::${bucket}`,
  table: (table: string) => `arn:aws:dynamodb:${region}:${account}:table/${table}`,
  function: (name: string) => `arn:aws:lambda:${region}:${account}:function:${name}`,
};

/**
 * A cloud that enforces IAM before another one that does not: each request needs a statement of its caller's policy, whose access key
 * signs it. A refusal has the form and the words of AWS. Lambda's Invoke runs functions in this process.
 */
export async function startEnforcingCloud(behind: string, { policyOf, invoke }: Enforced) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    try {
      const { status, headers, body: answer } = await answerTo(request, body);
      response.writeHead(status, headers).end(answer);
    } catch (error) {
      // What this cloud cannot judge must fail the test, not pass.
      response.writeHead(418).end(String(error));
    }
  });

  const answerTo = async (request: IncomingMessage, body: Buffer) => {
    const [, accessKeyId = "", service = ""] =
      /Credential=([^/]+)\/\d+\/[^/]+\/([^/]+)\//.exec(request.headers.authorization ?? "") ?? [];
    const policy = policyOf(accessKeyId);
    if (policy === undefined) throw new Error(`nobody has the access key ${accessKeyId}`);
    const asked = askedFor(service, request, body);
    const refused = asked.find((each) => !isAllowed(policy, each));
    if (refused !== undefined) return refusal(service, accessKeyId, refused);
    const { pathname } = new URL(request.url ?? "/", behind);
    if (service === "lambda") return invoked(await invoke(functionIn(pathname), String(body)));
    const answer = await forwarded(behind, request, body);
    // S3 hides whether an object exists from who may not list the bucket.
    const [object] = asked;
    if (service === "s3" && answer.status === 404 && object?.action === "s3:GetObject") {
      const list = { action: "s3:ListBucket", resource: object.resource.replace(/\/.*$/s, ""), context: {} };
      if (!isAllowed(policy, list)) return refusal(service, accessKeyId, list);
    }
    return answer;
  };

  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** Sends a request on as it is, and returns the answer as it is. */
async function forwarded(behind: string, { method, url, headers }: IncomingMessage, body: Buffer) {
  const sent = send(`${behind}${url}`, { ...(method && { method }), headers });
  sent.end(body);
  const [answer]: IncomingMessage[] = await once(sent, "response");
  if (answer === undefined) throw new Error("no answer");
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks) };
}

const functionIn = (path: string) => /\/functions\/([^/]+)\/invocations$/.exec(path)?.[1] ?? "";

function invoked(answer: Invoked) {
  if ("result" in answer) return { status: 200, headers: {}, body: answer.result };
  const { name, message } = answer.error;
  const body = JSON.stringify({ errorType: name, errorMessage: message });
  return { status: 200, headers: { "x-amz-function-error": "Unhandled" }, body };
}

const keyed = z.looseObject({ pk: z.looseObject({ S: z.string() }) });
const tableRequest = z.looseObject({
  TableName: z.optional(z.string()),
  Key: z.optional(keyed),
  Item: z.optional(keyed),
  ExpressionAttributeValues: z.optional(z.record(z.string(), z.looseObject({ S: z.optional(z.string()) }))),
  TransactItems: z.optional(z.array(z.record(z.string(), z.unknown()))),
});

/** The rights that a request needs. Throws for a request that it does not know. */
function askedFor(service: string, { method = "", url = "/", headers }: IncomingMessage, body: Buffer): Asked[] {
  const { pathname, searchParams } = new URL(url, "http://cloud");
  const [, operation = ""] = String(headers["x-amz-target"] ?? "").split(".");
  const json = (): unknown => JSON.parse(String(body));
  switch (service) {
    case "s3": {
      const [bucket = "", ...key] = decodeURIComponent(pathname.slice(1)).split("/");
      if (searchParams.get("list-type") === "2") {
        const context = { "s3:prefix": [searchParams.get("prefix") ?? ""] };
        return [{ action: "s3:ListBucket", resource: arnOf.bucket(bucket), context }];
      }
      const action = { GET: "s3:GetObject", HEAD: "s3:GetObject", PUT: "s3:PutObject", DELETE: "s3:DeleteObject" }[
        method
      ];
      if (action === undefined || key.length === 0) break;
      const condition = headers["if-none-match"];
      const context = condition === undefined ? {} : { "s3:if-none-match": [condition] };
      return [{ action, resource: arnOf.object(bucket, key.join("/")), context }];
    }
    case "dynamodb":
      return rowsAsked(operation, json());
    case "secretsmanager": {
      const { SecretId } = z.looseObject({ SecretId: z.string() }).parse(json());
      return [{ action: `secretsmanager:${operation}`, resource: SecretId, context: {} }];
    }
    case "lambda":
      return [{ action: "lambda:InvokeFunction", resource: arnOf.function(functionIn(pathname)), context: {} }];
    case "scheduler":
      return [
        {
          action: pathname === "/schedules" ? "scheduler:ListSchedules" : "scheduler:GetSchedule",
          resource: "*",
          context: {},
        },
      ];
    case "monitoring":
      return [{ action: `cloudwatch:${operation}`, resource: "*", context: {} }];
    case "cloudformation":
      return [
        { action: `cloudformation:${new URLSearchParams(String(body)).get("Action")}`, resource: "*", context: {} },
      ];
  }
  throw new Error(`a request that this cloud cannot judge: ${service} ${method} ${url} ${operation}`);
}

function rowsAsked(operation: string, request: unknown): Asked[] {
  const { TableName, Key, Item, ExpressionAttributeValues, TransactItems } = tableRequest.parse(request);
  if (TransactItems !== undefined) {
    return TransactItems.flatMap((part) =>
      Object.entries(part).flatMap(([kind, write]) => rowsAsked(`${kind}Item`, write)),
    );
  }
  const row = (Item ?? Key)?.pk.S ?? ExpressionAttributeValues?.[":pk"]?.S;
  if (TableName === undefined || row === undefined) throw new Error(`no row in ${operation}`);
  const context = { "dynamodb:LeadingKeys": [row] };
  return [{ action: `dynamodb:${operation}`, resource: arnOf.table(TableName), context }];
}

/** Whether policies allow what is asked: a statement allows it, and none denies it. */
function isAllowed(policy: readonly Statement[], asked: Asked): boolean {
  const matching = policy.filter(
    ({ actions, resources, conditions }) =>
      actions.some((action) => isLike(asked.action, action)) &&
      resources.some((resource) => resource === "*" || isLike(asked.resource, resource)) &&
      Object.entries(conditions).every(([operator, keys]) =>
        Object.entries(keys).every(([key, values]) => holds(operator, asked.context[key], values)),
      ),
  );
  return matching.some(({ effect }) => effect === "Allow") && matching.every(({ effect }) => effect === "Allow");
}

/** Throws for an operator that it does not know. */
function holds(operator: string, actual: readonly string[] | undefined, values: readonly string[]): boolean {
  const among = (value: string) => values.some((pattern) => isLike(value, pattern));
  switch (operator) {
    case "ForAllValues:StringEquals":
    case "ForAllValues:StringLike":
      return (actual ?? []).every(among);
    case "StringEquals":
    case "StringLike":
      return actual?.some(among) ?? false;
    case "Null":
      return values.includes(String(actual === undefined));
  }
  throw new Error(`a condition that this cloud cannot judge: ${operator}`);
}

/** Whether a text matches a pattern of IAM: `*` is any text, slashes included, and `?` one character. */
export const isLike = (text: string, pattern: string): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
    "s",
  ).test(text);

/** The answer of AWS to who lacks a right. */
function refusal(service: string, accessKeyId: string, { action, resource }: Asked) {
  const user = `User: arn:aws:sts::${account}:assumed-role/${accessKeyId}/${accessKeyId}`;
  const on = service === "s3" ? `"${resource}"` : resource;
  const message = `${user} is not authorized to perform: ${action} on resource: ${on} because no identity-based policy allows the ${action} action`;
  if (service === "s3") {
    const xml = `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>${message.replaceAll('"', "&quot;")}</Message></Error>`;
    return { status: 403, headers: { "content-type": "application/xml" }, body: xml };
  }
  if (service === "cloudformation") {
    const xml = `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>${message}</Message></Error></ErrorResponse>`;
    return { status: 403, headers: { "content-type": "text/xml" }, body: xml };
  }
  return {
    status: service === "dynamodb" || service === "secretsmanager" ? 400 : 403,
    headers: { "content-type": "application/x-amz-json-1.0", "x-amzn-errortype": "AccessDeniedException" },
    body: JSON.stringify({ __type: "com.amazon.coral.service#AccessDeniedException", Message: message, message }),
  };
}
