import { InvokeCommand, LambdaClient, type LogType } from "@aws-sdk/client-lambda";
import { AwsClient } from "aws4fetch";
import { parseJson } from "../functions/shared/core/json/json.ts";
import type { CloudDescriptor } from "./cloud.ts";
import type { Outputs } from "./deploy.ts";

/** What a direct invocation answered: a result, or a Lambda function error. Integers beyond 2^53 are bigint. */
export type Answer =
  | { readonly result: unknown; readonly error?: undefined }
  | { readonly error: { readonly type: string; readonly message: string } };

/** What the API answered. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** A deployed stack, as its clients see it. */
export interface Client {
  /** Invokes a function directly, as `aws lambda invoke` does. */
  invoke(verb: string, request: unknown): Promise<Answer>;
  /** The last 4 kB of what a function logs when it is invoked directly. */
  logOf(verb: string, request: unknown): Promise<string>;
  /** Calls the REST API with a signed request; the path begins with a slash and may have a query. */
  http(method: string, path: string, body?: unknown): Promise<HttpAnswer>;
  /** The same without signature: the API must refuse it. */
  unsigned(method: string, path: string): Promise<number>;
}

const field = (value: unknown, name: string): string => {
  const entry: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  return typeof entry === "string" ? entry : "";
};

/**
 * A result with its link as this machine reaches it: functions in Docker know LocalStack by the address of its container,
 * to which Docker Desktop has no way from outside.
 */
function withReachableLink(result: unknown, endpointUrl: string): unknown {
  const link = field(result, "result_url");
  if (link === "") return result;
  const { pathname, search } = new URL(link);
  return { ...Object(result), result_url: `${endpointUrl}${pathname}${search}` };
}

/** A client of a stack in the local cloud. */
export function createClient(outputs: Outputs, { environment, region }: CloudDescriptor): Client {
  const credentials = {
    accessKeyId: environment.AWS_ACCESS_KEY_ID ?? "test",
    secretAccessKey: environment.AWS_SECRET_ACCESS_KEY ?? "test",
  };
  // A second try would be a second invocation: none is made, and a rollback may take its 900 s.
  const lambda = new LambdaClient({
    endpoint: outputs.endpoint_url,
    region,
    credentials,
    maxAttempts: 1,
    requestHandler: { requestTimeout: 905_000 },
  });
  const signer = new AwsClient({ ...credentials, region, service: "execute-api", retries: 0 });

  const answerOf = async (response: Response): Promise<HttpAnswer> => {
    const text = await response.text();
    try {
      return { status: response.status, body: withReachableLink(parseJson(text), outputs.endpoint_url) };
    } catch {
      return { status: response.status, body: text };
    }
  };

  const send = (verb: string, request: unknown, LogType: LogType = "None") => {
    const FunctionName = outputs.functions[verb];
    if (FunctionName === undefined) throw new Error(`the stack has no function for ${verb}`);
    return lambda.send(new InvokeCommand({ FunctionName, LogType, Payload: JSON.stringify(request) }));
  };

  return {
    async invoke(verb, request) {
      const { FunctionError, Payload } = await send(verb, request);
      const answer = parseJson(Payload?.transformToString() ?? "null");
      if (FunctionError === undefined) return { result: withReachableLink(answer, outputs.endpoint_url) };
      return { error: { type: field(answer, "errorType"), message: field(answer, "errorMessage") } };
    },
    async logOf(verb, request) {
      const { LogResult = "" } = await send(verb, request, "Tail");
      return Buffer.from(LogResult, "base64").toString();
    },
    async http(method, path, body) {
      const init =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
      const signal = AbortSignal.timeout(60_000);
      return answerOf(await signer.fetch(`${outputs.api_url}${path}`, { method, signal, ...init }));
    },
    unsigned: async (method, path) => (await fetch(`${outputs.api_url}${path}`, { method })).status,
  };
}
