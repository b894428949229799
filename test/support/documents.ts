import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import type * as z from "zod/mini";
import type { operations, Verb } from "../../functions/operations.ts";
import type { RollbackResult } from "../../functions/rollback/schema.ts";
import type { pageResult, recordResult } from "../../functions/rollbacks/schema.ts";
import { encodeJson, type Json } from "../../functions/shared/core/json/json.ts";
import type { DryRunResult } from "../../functions/shared/planning/schema.ts";
import type { DocumentResult, FileFormat, FormatResult } from "../../functions/show/schema.ts";
import type { DryRunResult as SnapshotDryRun, SnapshotResult } from "../../functions/snapshot/schema.ts";
import type { Answer, HttpAnswer } from "../../localstack/client.ts";

/** A result as a client reads it: integers beyond 2^53 are `bigint`. */
type Read<T> = bigint extends T ? T | number : T extends object ? { [Key in keyof T]: Read<T[Key]> } : T;

/** The result of an operation, which depends on the request. */
export type ResultOf<V extends string, Request> = V extends "rollback"
  ? Read<Request extends { dry_run: true } ? DryRunResult : RollbackResult>
  : V extends "snapshot"
    ? Read<Request extends { dry_run: true } ? SnapshotDryRun : SnapshotResult>
    : V extends "rollbacks"
      ? Read<z.output<Request extends { rollback_id: string } ? typeof recordResult : typeof pageResult>>
      : V extends "show"
        ? Read<Request extends { format: FileFormat } ? FormatResult : DocumentResult>
        : V extends Verb
          ? Read<z.output<(typeof operations)[V]["result"]>>
          : unknown;

/** The OpenAPI document, changed so that objects with fields that it does not name are invalid. */
const openapi = Object(
  JSON.parse(readFileSync(join(import.meta.dirname, "../../functions/openapi.json"), "utf8"), (_key, value: unknown) =>
    typeof value === "object" && value !== null && "properties" in value && !("additionalProperties" in value)
      ? { ...value, unevaluatedProperties: false }
      : value,
  ),
);
openapi.$id = "openapi.json";
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).addSchema(openapi);
const routes = Object.entries<object>(openapi.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => ({
    method,
    pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
    pointer: `paths/${path.replaceAll("/", "~1")}/${method}`,
  })),
);
const errorNames: readonly string[] = openapi.components.schemas.Error.properties.error.anyOf[0].enum;

/** The value as `JSON.parse` reads it: large integers are numbers. */
const asParsed = (value: unknown): unknown => JSON.parse(encodeJson(isJson(value) ? value : String(value)));
const isJson = (value: unknown): value is Json => value !== undefined;

/** Whether a value is valid against a schema of the document. `T` must be the type of that schema. */
function isValid<T>($ref: string, value: unknown): value is T {
  return ajv.validate({ $ref: `openapi.json#/${$ref}` }, asParsed(value));
}

const failure = (what: string, value: unknown) =>
  new Error(`${what} is not as documented: ${ajv.errorsText()}: ${encodeJson(isJson(value) ? value : null)}`);

const isStored = (result: unknown) => typeof result === "object" && result !== null && "omitted" in result;

/**
 * The result of an operation, checked against the API documents. A stored result (its small fields and a link) is checked, too.
 *
 * @throws Error if the result differs from its schema
 */
export function documentedResult<const V extends string, const R>(
  verb: V,
  _request: R,
  result: unknown,
): ResultOf<V, R> {
  const name = isStored(result) ? "StoredResult" : `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Result`;
  if (isValid<ResultOf<V, R>>(`components/schemas/${name}`, result)) return result;
  throw failure(`The result of ${verb}`, result);
}

/** Requires that the answer to a direct invocation is documented: a result of the verb, or an error with a known name. */
export function requireDocumented(verb: string, request: unknown, answer: Answer): Answer {
  if (answer.error === undefined) documentedResult(verb, request, answer.result);
  else if (!errorNames.includes(answer.error.message.split(":")[0] ?? "")) {
    throw new Error(`The error of ${verb} has no documented name: ${answer.error.message}`);
  }
  return answer;
}

/** Requires that an HTTP answer is documented. Answers of API Gateway itself, which have only a `message`, are not checked. */
export function requireDocumentedHttp(method: string, path: string, answer: HttpAnswer): HttpAnswer {
  const [pathWithoutQuery = ""] = path.split("?");
  const route = routes.find((known) => known.method === method.toLowerCase() && known.pattern.test(pathWithoutQuery));
  const { status, body } = answer;
  const isFromApiGateway = typeof body !== "object" || body === null || ("message" in body && !("error" in body));
  if (route === undefined || isFromApiGateway) return answer;
  if (isValid(`${route.pointer}/responses/${status}/content/application~1json/schema`, body)) return answer;
  throw failure(`The answer ${status} to ${method} ${path}`, body);
}
