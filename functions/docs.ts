import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import * as z from "zod";
import type { $ZodType } from "zod/v4/core";
import packageJson from "../package.json" with { type: "json" };
import { operations } from "./operations.ts";
import type { Route } from "./shared/lambda/documentation.ts";
import { statuses } from "./shared/lambda/http.ts";
import { groupMap } from "./shared/lambda/request-fields.ts";
import { int64 } from "./shared/lambda/result-fields.ts";

/*
 * `npm run docs` writes the API documents from the schemas; `npm run check` fails (`--check`) where they are stale.
 */

type Schema = { [key: string]: unknown };
type Properties = { [name: string]: Schema };

/** Schemas that JSON Schema has no form for, and what stands for them. */
const special = new Map<$ZodType, Schema>([
  [int64, { type: "integer", format: "int64" }],
  [groupMap, { type: "object", additionalProperties: { type: "string", minLength: 1 }, minProperties: 1 }],
]);

const propertiesOf = (schema: Schema): Properties => Object(schema.properties);

/** The alternatives of a schema: itself, or each of its union. */
const alternatives = (schema: Schema): Schema[] => (Array.isArray(schema.anyOf) ? schema.anyOf : [schema]);

function jsonSchema(schema: $ZodType, io: "input" | "output"): Schema {
  const { $schema: _, ...document }: Schema = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override({ zodSchema, jsonSchema }) {
      const substitute = special.get(zodSchema);
      if (substitute !== undefined) {
        for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key);
        Object.assign(jsonSchema, substitute);
      }
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) Reflect.deleteProperty(jsonSchema, "minimum");
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) Reflect.deleteProperty(jsonSchema, "maximum");
      // Later versions may add fields to a result, but refuse unknown ones in a request.
      if (io === "output" && jsonSchema.additionalProperties === false) {
        Reflect.deleteProperty(jsonSchema, "additionalProperties");
      }
    },
  });
  for (const alternative of alternatives(document)) {
    for (const [name, { description }] of Object.entries(propertiesOf(alternative))) {
      if (typeof description !== "string") throw new Error(`the field ${name} has no description: see \`described\``);
    }
  }
  return document;
}

/** What an answer over HTTP is when the result is over 5 MB. */
const storedResult: Schema = {
  type: "object",
  description:
    "The small fields of a result over 5 MB, the number of entries of each field that was left out, and a link to the whole.",
  properties: {
    omitted: { type: "object", additionalProperties: { type: "integer" } },
    result_url: { type: "string", description: "Everyone who has the link can read the result until it expires." },
    expires_in_seconds: { type: "integer" },
    result_error: { type: "string", description: "Why the whole result could not be stored." },
  },
  required: ["omitted"],
  additionalProperties: true,
  anyOf: [{ required: ["result_url", "expires_in_seconds"] }, { required: ["result_error"] }],
};

const errorSchema: Schema = {
  type: "object",
  properties: {
    error: { enum: Object.keys(statuses), description: "The name of the error." },
    message: { type: "string", description: "The name, what happened, what was changed, and the next step." },
    details: { type: ["object", "null"], description: "The problems of a request, a plan, or a result." },
    request_id: { type: "string", description: "The id of the invocation, under which its log can be found." },
  },
  required: ["error", "message", "details", "request_id"],
};

const json = (schema: Schema, example?: unknown) => ({
  "application/json": { schema, ...(example !== undefined && { example }) },
});
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const capitalized = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** A field of a request as a parameter: lists are repeated, times and snapshots are texts. */
function parameterSchema({ type, minimum, maximum, default: preset, enum: values }: Schema): Schema {
  if (type === "array") return { type: "array", items: { type: "string" } };
  return Object.fromEntries(
    Object.entries({ type: type ?? "string", minimum, maximum, default: preset, enum: values }).filter(
      ([, value]) => value !== undefined,
    ),
  );
}

function pathItem(verb: string, { method, path }: Route, request: Schema, about: AnyDocumentation): Schema {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const fieldOf = (name: string) => (name === "snapshot_id" ? (about.snapshotField ?? name) : name);
  const pathFields = new Set(inPath.map(fieldOf));
  const others = Object.entries(propertiesOf(request)).filter(([name]) => !pathFields.has(name));
  const parameters = [
    ...inPath.map((name) => ({
      name,
      in: "path",
      required: true,
      description: `${propertiesOf(request)[fieldOf(name)]?.description}${name === "snapshot_id" && verb !== "delete" ? " A time is written `at:<time>`." : ""}`,
      schema: { type: "string" },
    })),
    ...(method === "POST"
      ? []
      : others.map(([name, property]) => ({
          name,
          in: "query",
          required: false,
          description: property.description,
          schema: parameterSchema(property),
        }))),
  ];
  const example = Object.fromEntries(Object.entries(about.example.request).filter(([name]) => !pathFields.has(name)));
  const body = {
    type: "object",
    properties: Object.fromEntries(others),
    additionalProperties: false,
  };
  const failures = Map.groupBy(Object.entries(statuses), ([, status]) => status);
  return {
    operationId: inPath.includes("rollback_id") ? "showRollback" : verb,
    summary: about.summary,
    parameters,
    ...(method === "POST" && { requestBody: { required: false, content: json(body, example) } }),
    responses: {
      200: {
        description: "The result.",
        content: json({ anyOf: [ref(`${capitalized(verb)}Result`), ref("StoredResult")] }, about.example.result),
      },
      ...Object.fromEntries(
        [...failures].map(([status, names]) => [
          status,
          { description: names.map(([name]) => name).join(", "), content: json(ref("Error")) },
        ]),
      ),
    },
  };
}

/** What the schema of any operation says beside it. */
interface AnyDocumentation {
  readonly summary: string;
  readonly routes: readonly Route[];
  readonly snapshotField?: string;
  readonly example: { readonly request: object; readonly result: unknown };
}

/** The documents, by their paths inside of `functions/`. */
export function documents(): ReadonlyMap<string, Schema> {
  const files = new Map<string, Schema>();
  const schemas: Schema = { Error: errorSchema, StoredResult: storedResult };
  const paths: { [path: string]: Schema } = {};
  for (const [verb, { request, result, documentation }] of Object.entries(operations)) {
    const about: AnyDocumentation = documentation;
    const asked = jsonSchema(request, "input");
    const answered = jsonSchema(result, "output");
    const head = { $schema: "https://json-schema.org/draft/2020-12/schema", description: about.summary };
    files.set(`${verb}/request.schema.json`, { ...head, title: `A request of ${verb}`, ...asked });
    files.set(`${verb}/result.schema.json`, { ...head, title: `The result of ${verb}`, ...answered });
    schemas[`${capitalized(verb)}Result`] = answered;
    for (const route of about.routes) {
      paths[route.path] = {
        ...paths[route.path],
        [route.method.toLowerCase()]: pathItem(verb, route, asked, about),
      };
    }
  }
  files.set("openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Kafka offset rollback",
      version: packageJson.version,
      description:
        "Snapshots and rollbacks of the offsets that Kafka consumer groups have committed. Every request is signed with IAM " +
        "(Signature Version 4). API Gateway itself answers 403 to a caller without the right, and 504 after 29 s. Offsets are " +
        "64-bit integers, exact in JSON.",
    },
    servers: [
      {
        url: "https://{api_id}.execute-api.{region}.amazonaws.com/v1",
        variables: { api_id: { default: "api-id" }, region: { default: "eu-west-1" } },
      },
    ],
    security: [{ sigv4: [] }],
    paths,
    components: {
      securitySchemes: {
        sigv4: {
          type: "apiKey",
          name: "Authorization",
          in: "header",
          "x-amazon-apigateway-authtype": "awsSigv4",
        },
      },
      schemas,
    },
  });
  return files;
}

function main(check: boolean): void {
  const stale: string[] = [];
  for (const [name, document] of documents()) {
    const path = join(import.meta.dirname, name);
    const text = `${JSON.stringify(document, null, 2)}\n`;
    if (!check) writeFileSync(path, text);
    else if (current(path) !== text) stale.push(relative(process.cwd(), path));
  }
  if (stale.length === 0) return;
  console.error(`${stale.join(", ")}: not what the schemas say now. Run \`npm run docs\` and commit the result.`);
  process.exitCode = 1;
}

function current(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

if (import.meta.main) main(process.argv.includes("--check"));
