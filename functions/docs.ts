import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { buildSync } from "esbuild";
import * as z from "zod";
import packageJson from "../package.json" with { type: "json" };
import { examples } from "./examples.ts";
import { operations, type Verb, verbs } from "./operations.ts";
import { fieldOf, type Route } from "./shared/lambda/documentation.ts";
import { statuses } from "./shared/lambda/http.ts";

/*
 * `npm run docs` writes the API documents from the schemas, and the page of HTML reports from its sources; `npm run check`
 * fails (`--check`) where they are stale.
 */

type Schema = { [key: string]: unknown };

/** The fields of an object, by name. */
const fieldsOf = ({ properties }: Schema): [string, Schema][] => Object.entries(Object(properties));

function jsonSchema(schema: z.core.$ZodType, io: "input" | "output"): Schema {
  const { $schema: _, ...document }: Schema = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override({ jsonSchema }) {
      const remove = (key: string) => Reflect.deleteProperty(jsonSchema, key);
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) remove("minimum");
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) remove("maximum");
      // Later versions may add fields to a result, but refuse unknown ones in a request.
      if (io === "output" && jsonSchema.additionalProperties === false) remove("additionalProperties");
    },
  });
  const alternatives: Schema[] = Array.isArray(document.anyOf) ? document.anyOf : [document];
  for (const [name, { description }] of alternatives.flatMap(fieldsOf)) {
    if (typeof description !== "string") throw new Error(`the field ${name} has no description: see \`described\``);
  }
  return document;
}

const omitted = z.record(z.string(), z.int()).describe("The number of entries of each field that were left out.");
const storedResult = z
  .union([
    z.looseObject({ omitted }).describe('What is answered for `"detail": "summary"`.'),
    z.looseObject({
      omitted,
      result_url: z.string().describe("Everyone who has the link can read the result until it expires."),
      expires_in_seconds: z.int().describe("How long the link can be used."),
    }),
    z.looseObject({ omitted, result_error: z.string().describe("Why the whole result could not be stored.") }),
  ])
  .describe("What is answered for a result over 5 MB, its small fields and a link to the whole; or a summary.");

const error = z.object({
  error: z
    .union([z.enum(Object.keys(statuses)), z.string().regex(/^[A-Z0-9_]+$/)])
    .describe(
      "The name of the error; where API Gateway itself refused the request, its reason, such as ACCESS_DENIED.",
    ),
  message: z.string().describe("The name, what happened, what was changed, and the next step."),
  details: z.looseObject({}).nullable().describe("The problems of a request, a plan, or a result."),
  request_id: z.string().describe("The id of the invocation, under which its log can be found; or API Gateway's own."),
});

const accepted = z.object({
  rollback_id: z.string().describe("The id of the request."),
  status_url: z.string().describe("What to GET: 404 until its function runs, for at most 60 s, and then its record."),
  request_id: z.string().describe("The id of the request at API Gateway, which the last line of its log has, too."),
});

const json = (schema: Schema, example?: unknown) => ({ "application/json": { schema, example } });
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const resultName = (verb: string) => `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Result`;

const failures = Object.fromEntries(
  [...Map.groupBy(Object.entries(statuses), ([, status]) => status)].map(([status, errors]) => [
    status,
    { description: errors.map(([name]) => name).join(", "), content: json(ref("Error")) },
  ]),
);

/** What API Gateway answers by itself, in the same form. */
const gatewayStatuses = {
  403: "The caller has no right, or there is no such path.",
  413: "The request is larger than 10 MB.",
  429: "Requests came faster than the API allows.",
};
const gatewayFailures = Object.fromEntries(
  Object.entries(gatewayStatuses).map(([status, description]) => [
    status,
    { description, content: json(ref("Error")) },
  ]),
);

/** The schema of a parameter of a query: lists are repeated, and so are entries of maps; times and snapshots are texts. */
function querySchema({ type = "string", minimum, maximum, default: preset, enum: values }: Schema): Schema {
  if (type === "array") return { type, items: { type: "string" } };
  if (type === "object")
    return { type: "array", items: { type: "string", pattern: "^[^:]+:." }, example: ["key:value"] };
  return { type, minimum, maximum, default: preset, enum: values };
}

/** What a method does that is answered before it runs. */
function laterObject(verb: Verb, later: NonNullable<Route["later"]>): Schema {
  const schema = jsonSchema(later, "input");
  const named = new Set(fieldsOf(schema).map(([name]) => name));
  const known = Object.entries(examples[verb].request).filter(([name]) => named.has(name));
  const example = { ...Object.fromEntries(known), rollback_id: "restore-orders-1" };
  later.parse(example);
  const { 400: invalid, 500: internal, 504: late } = failures;
  return {
    operationId: `${verb}Later`,
    summary:
      `${operations[verb].summary} Answered at once; it runs for up to 15 minutes. Repeat the request with the same rollback_id ` +
      "if it was not found after 60 s.",
    parameters: [],
    requestBody: { required: true, content: json(schema, example) },
    responses: {
      202: {
        description: "API Gateway has handed the request to the function.",
        content: json(ref("Accepted"), {
          rollback_id: example.rollback_id,
          status_url: `https://api-id.execute-api.eu-west-1.amazonaws.com/v1/rollbacks/${example.rollback_id}`,
          request_id: "5ad92cd3-28f3-4d0b-a3d7-0a6f4f2d8a51",
        }),
      },
      400: invalid,
      ...gatewayFailures,
      415: { description: "The body is not application/json.", content: json(ref("Error")) },
      500: internal,
      504: late,
    },
  };
}

/** What a method of a path does. What the path does not name of the request is in the body of a POST or PUT, else in the query. */
function operationObject(verb: Verb, { method, path, later }: Route, request: Schema): Schema {
  if (later !== undefined) return laterObject(verb, later);
  const operation = operations[verb];
  const snapshotField = "snapshotField" in operation ? operation.snapshotField : "snapshot_id";
  const directOnly = new Set<string>("directOnly" in operation ? operation.directOnly : []);
  const fields = new Map(fieldsOf(request).filter(([name]) => !directOnly.has(name)));
  const parameters: Schema[] = [];
  for (const [, name = ""] of path.matchAll(/\{(\w+)\}/g)) {
    const field = fieldOf(name, snapshotField);
    const time =
      name === "snapshot_id" && fields.get(field)?.anyOf !== undefined ? " A time is written `at:<time>`." : "";
    const description =
      name === "group" ? "The group: its name, percent-encoded." : `${fields.get(field)?.description}${time}`;
    parameters.push({ name, in: "path", required: true, description, schema: { type: "string" } });
    fields.delete(field);
  }
  const body = { type: "object", properties: Object.fromEntries(fields), additionalProperties: false };
  const example = Object.entries(examples[verb].request).filter(([name]) => fields.has(name));
  const query = [...fields].map(([name, field]) => ({
    name,
    in: "query",
    required: false,
    description: field.description,
    schema: querySchema(field),
  }));
  const result = { anyOf: [ref(resultName(verb)), ref("StoredResult")] };
  return {
    operationId: path.includes("{rollback_id}") ? "showRollback" : verb,
    summary: operation.summary,
    ...(method === "POST" || method === "PUT"
      ? { parameters, requestBody: { required: false, content: json(body, Object.fromEntries(example)) } }
      : { parameters: [...parameters, ...query] }),
    responses: {
      200: { description: "The result.", content: json(result, examples[verb].result) },
      ...failures,
      ...gatewayFailures,
    },
  };
}

const documents = new Map<string, Schema>();
const schemas: Schema = {
  Error: jsonSchema(error, "output"),
  StoredResult: jsonSchema(storedResult, "output"),
  Accepted: jsonSchema(accepted, "output"),
};
const paths: { [path: string]: Schema } = {};
for (const verb of verbs) {
  const { request, result, summary, routes } = operations[verb];
  request.parse(examples[verb].request);
  result.parse(examples[verb].result);
  const asked = jsonSchema(request, "input");
  const answered = jsonSchema(result, "output");
  const head = { $schema: "https://json-schema.org/draft/2020-12/schema", description: summary };
  documents.set(`${verb}/request.schema.json`, { ...head, title: `A request of ${verb}`, ...asked });
  documents.set(`${verb}/result.schema.json`, { ...head, title: `The result of ${verb}`, ...answered });
  schemas[resultName(verb)] = answered;
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationObject(verb, route, asked) };
  }
}
documents.set("openapi.json", {
  openapi: "3.1.0",
  info: {
    title: "Kafka offset rollback",
    version: packageJson.version,
    description:
      "Snapshots and rollbacks of the offsets that Kafka consumer groups have committed. Every request is signed with IAM " +
      "(Signature Version 4). API Gateway itself answers 403 to a caller without the right, and 504 after 29 s, in the form of " +
      "all errors. Offsets are 64-bit integers, exact in JSON.",
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
      sigv4: { type: "apiKey", name: "Authorization", in: "header", "x-amazon-apigateway-authtype": "awsSigv4" },
    },
    schemas,
  },
});

/**
 * The script and the style of HTML reports, from `shared/report/page/`, as one module: bundles of functions and of the command
 * line have them as they have any other code. Equal sources give equal text on every machine.
 */
function pageModule(): string {
  const licence = readFileSync(join(import.meta.dirname, "../node_modules/uplot/LICENSE"), "utf8").trim();
  const { outputFiles } = buildSync({
    absWorkingDir: join(import.meta.dirname, "shared/report/page"),
    entryPoints: ["main.ts", "page.css"],
    bundle: true,
    minify: true,
    write: false,
    outdir: ".",
    format: "iife",
    target: "es2024",
    tsconfigRaw: {},
    banner: { js: `/* Includes uPlot.\n${licence} */` },
  });
  const constants = outputFiles.flatMap(({ path, contents, text }) => {
    const name = extname(path) === ".css" ? "style" : "script";
    const hash = createHash("sha256").update(contents).digest("base64");
    return [`export const ${name} = ${JSON.stringify(text)};`, `export const ${name}Hash = "sha256-${hash}";`];
  });
  return `// Generated from page/ by \`npm run docs\`.\n${constants.join("\n")}\n`;
}

const texts = new Map([...documents].map(([name, document]) => [name, `${JSON.stringify(document, null, 2)}\n`]));
texts.set("shared/report/page.generated.ts", pageModule());

const stale: string[] = [];
for (const [name, text] of texts) {
  const path = join(import.meta.dirname, name);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) stale.push(relative(process.cwd(), path));
}
if (stale.length > 0) {
  console.error(`${stale.join(", ")}: not what their sources say now. Run \`npm run docs\` and commit the result.`);
  process.exitCode = 1;
}
