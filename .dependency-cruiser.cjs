/** The import rules of the project: one way, no cycles, each outside library in one place. */
const only = (name, library, place) => ({
  name,
  severity: "error",
  from: { path: "^functions/", pathNot: place },
  to: { path: `node_modules/${library}/` },
});

/** Code in `room` imports, of this project, nothing but itself and `allowed`. */
const room = (name, path, ...allowed) => ({
  name,
  severity: "error",
  from: { path },
  to: { path: "^(functions|infra|localstack|test)/", pathNot: [path, ...allowed] },
});

const shared = "^functions/shared";
const core = `${shared}/core/`;
const kafka = `${shared}/kafka`;

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-cycles-between-folders",
      severity: "error",
      scope: "folder",
      from: { path: "^(functions|infra|localstack)/" },
      to: { circular: true },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "core-is-pure",
      comment:
        "core imports nothing but itself and pure functions of Node (hashing, compression, binary buffers, promises)",
      severity: "error",
      from: { path: core },
      to: { pathNot: [core, "^(node:)?(crypto|zlib|buffer|util)$"] },
    },
    room("json-stands-alone", `${core}json/`),
    {
      name: "rollback-is-above-core",
      comment: "what all operations share knows nothing of plans",
      severity: "error",
      from: { path: `${core}[^/]+$` },
      to: { path: `${core}rollback/` },
    },
    room("report-knows-only-core", `${shared}/report/`, core),
    {
      name: "formats-are-above-core",
      comment: "what all operations share knows nothing of the formats of other tools, and neither do plans",
      severity: "error",
      from: { path: `${core}([^/]+|rollback/.+)$` },
      to: { path: `${core}formats/` },
    },
    room("formats-know-core", `${core}formats/`, `${core}([^/]+|json/.+)$`),
    room("kafka-1-wire", `${kafka}/wire/`, core),
    room("kafka-2-calls", `${kafka}/calls/`, core, `${kafka}/wire/`),
    room("kafka-3-connection", `${kafka}/connection/`, core, `${kafka}/(wire|calls)/`),
    room("kafka-4-groups", `${kafka}/groups/`, core, `${kafka}/(wire|calls|connection)/`),
    room("storage-knows-only-core", `${shared}/storage/`, core),
    room("lambda-knows-only-core", `${shared}/lambda/`, core),
    room("planning-is-below-handlers", `${shared}/planning/`, core, `${shared}/(kafka|lambda|storage)/`),
    room("operation-is-the-root", `${shared}/operation\\.ts$`, core, `${shared}/(lambda|storage)/`),
    {
      name: "no-function-imports-another",
      severity: "error",
      from: { path: "^functions/([^/]+)/", pathNot: "^functions/cli/" },
      to: { path: "^functions/", pathNot: ["^functions/shared/", "^functions/$1/"] },
    },
    room(
      "cli-is-a-client",
      "^functions/cli/",
      "^functions/(operations|examples|[^/]+/schema)\\.ts$",
      core,
      `${shared}/report/`,
      `${shared}/lambda/(documentation|request-fields|result-fields)\\.ts$`,
    ),
    {
      name: "functions-stand-alone",
      severity: "error",
      from: { path: "^functions/" },
      to: { path: "^(infra|localstack|test)/" },
    },
    {
      name: "infra-takes-names-and-schemas",
      comment:
        "the stack knows the handlers' env names, metrics, rules of retention and request schemas, and how far apart runs are, not what they do",
      severity: "error",
      from: { path: "^infra/" },
      to: {
        path: "^(functions|test|localstack)/",
        pathNot:
          "^functions/shared/(lambda/env|core/(metrics|longest-gap|retention))\\.ts$|^functions/([^/]+/schema|operations)\\.ts$",
      },
    },
    { name: "tests-are-leaves", severity: "error", from: { pathNot: "^test/" }, to: { path: "^test/" } },
    only("uplot-in-the-page", "uplot", `${shared}/report/page/`),
    only("terminal-widths-in-report", "(string-width|wrap-ansi)", `${shared}/report/`),
    only("kafkajs-in-kafka", "kafkajs", `${kafka}/`),
    only("kafkajs-internals-in-connection", "kafkajs/src", `${kafka}/connection/connection\\.ts$`),
    only("aws-in-storage", "@aws-sdk/(client-s3|client-dynamodb|s3-request-presigner)", `${shared}/storage/`),
    only("middy-in-lambda", "@middy", `${shared}/lambda/`),
    only("powertools-in-lambda", "@aws-lambda-powertools", `${shared}/lambda/`),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
    exclude: { path: "(^|/)(cdk\\.out|\\.local)/" },
  },
};
