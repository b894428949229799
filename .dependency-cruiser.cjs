/** The import rules of the project: one way, no cycles, each outside library in one place. */
const only = (name, library, place) => ({
  name,
  severity: "error",
  from: { path: "^functions/", pathNot: place },
  to: { path: `node_modules/${library}/` },
});

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "core-is-pure",
      comment: "core imports nothing but itself and pure functions of Node (hashing, compression, binary buffers)",
      severity: "error",
      from: { path: "^functions/shared/core/" },
      to: { pathNot: ["^functions/shared/core/", "^(node:)?(crypto|zlib|buffer)$"] },
    },
    {
      name: "adapters-know-only-core",
      severity: "error",
      from: { path: "^functions/shared/(kafka|archive|lambda)/" },
      to: { path: "^functions/", pathNot: ["^functions/shared/core/", "^functions/shared/$1/"] },
    },
    {
      name: "no-function-imports-another",
      severity: "error",
      from: { path: "^functions/([^/]+)/" },
      to: { path: "^functions/", pathNot: ["^functions/shared/", "^functions/$1/"] },
    },
    {
      name: "shared-knows-no-function",
      severity: "error",
      from: { path: "^functions/shared/" },
      to: { path: "^functions/", pathNot: "^functions/shared/" },
    },
    {
      name: "functions-stand-alone",
      severity: "error",
      from: { path: "^functions/" },
      to: { path: "^(infra|localstack|test)/" },
    },
    {
      name: "infra-takes-names-and-schemas",
      comment: "the stack knows the handlers' env names and request schemas, not what they do",
      severity: "error",
      from: { path: "^infra/" },
      to: {
        path: "^(functions|test|localstack)/",
        pathNot: "^functions/shared/lambda/env\\.ts$|^functions/[^/]+/request\\.ts$",
      },
    },
    { name: "tests-are-leaves", severity: "error", from: { pathNot: "^test/" }, to: { path: "^test/" } },
    only("kafkajs-in-kafka", "kafkajs", "^functions/shared/kafka/"),
    only("kafkajs-internals-in-connection", "kafkajs/src", "^functions/shared/kafka/connection\\.ts$"),
    only("aws-in-archive", "@aws-sdk/(client-s3|client-dynamodb|s3-request-presigner)", "^functions/shared/archive/"),
    only("middy-in-lambda", "@middy", "^functions/shared/lambda/"),
    only("powertools-in-lambda", "@aws-lambda-powertools", "^functions/shared/lambda/"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
    exclude: { path: "(^|/)(cdk\\.out|\\.local)/" },
  },
};
