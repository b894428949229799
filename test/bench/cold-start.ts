import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Verb, verbs } from "../../functions/operations.ts";
import { buildHandler, buildModule, nodeOptions } from "../../infra/operation-function.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";
import { loadedAtOnce } from "../support/loaded-at-once.ts";
import { type Figures, inTurns, median, ratioOf } from "./figures.ts";
import { runProcess } from "./one-process.ts";

/**
 * The libraries that the functions use, without their own code. S3's client is among them. The functions load it on first use:
 * `list` does not need it, and all others load it in their first call. `with S3` includes that time.
 */
const awsClients = `
  import { DynamoDBClient, DeleteItemCommand, GetItemCommand, PutItemCommand, QueryCommand, TransactWriteItemsCommand,
    UpdateItemCommand } from "@aws-sdk/client-dynamodb";
  import { S3Client, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
  export const handler = [DynamoDBClient, DeleteItemCommand, GetItemCommand, PutItemCommand, QueryCommand,
    TransactWriteItemsCommand, UpdateItemCommand, S3Client, DeleteObjectCommand, GetObjectCommand, HeadObjectCommand,
    PutObjectCommand];`;
const kafkaConnections = `
  export { default as Broker } from "kafkajs/src/broker/index.js";
  export { createLogger } from "kafkajs/src/loggers/index.js";
  export { default as ConnectionPool } from "kafkajs/src/network/connectionPool.js";`;
const kafkaVerbs: ReadonlySet<Verb> = new Set(["snapshot", "verify", "rollback"]);

/** Loads each function's bundle in new processes, in turns with a bundle of the libraries that it uses. */
export async function benchColdStart(figures: Figures, quick: boolean): Promise<void> {
  const folder = freshStateDir("bench-bundles");
  try {
    const archiveOnly = buildLibraries(awsClients, join(folder, "archive"));
    const withKafka = buildLibraries(`${awsClients}\n${kafkaConnections}`, join(folder, "kafka"));
    for (const verb of verbs) {
      const bundle = join(folder, verb, "index.mjs");
      const { bytes } = loadedAtOnce(buildHandler(verb, bundle), bundle);
      const modules = [`${verb}/handler.ts`, "shared/storage/bodies.ts"].map((file) => join(functions, file));
      const withS3 = buildLibraries(
        modules.map((file) => `export * from "${file}";`).join("\n"),
        join(folder, `${verb}-s3`),
      );
      const kafka = kafkaVerbs.has(verb);
      const libraries = kafka ? withKafka : archiveOnly;
      const load = (file: string) => async () => (await runProcess({ bundle: file, node: nodeOptions(verb) })).loadMs;
      const how = quick ? { rounds: 3, warmUps: 1 } : { rounds: 15, warmUps: 2 };
      const contestants = { bundle: load(bundle), libraries: load(libraries.file), withS3: load(withS3.file) };
      const times = await inTurns(contestants, how);
      const beside = {
        what: kafka ? "AWS clients and kafkajs' connections" : "AWS clients",
        rounds: times("libraries"),
      };
      const ms = (name: keyof typeof contestants) => `${median(times(name)).toFixed(0)} ms`;
      const ratio = ratioOf(times("withS3"), times("libraries")).toFixed(2);
      const note = `${kB(bytes)}; with S3 ${ms("withS3")}, ${ratio} ×; the libraries ${kB(libraries.bytes)}, ${ms("libraries")}`;
      figures.row({ what: `load ${verb}`, rounds: times("bundle"), beside, note });
      const name = `loading ${verb}, beside the libraries that it works with`;
      figures.target({ name, value: ratioOf(times("bundle"), times("libraries")), limit: 1.2, unit: "×" });
    }
  } finally {
    removeState(folder);
  }
}

const functions = join(import.meta.dirname, "../../functions");
const kB = (bytes: number) => `${Math.round(bytes / 1000)} kB`;

/** Bundles the libraries in the same way as the functions. */
function buildLibraries(contents: string, folder: string) {
  mkdirSync(folder);
  const entry = join(folder, "libraries.js");
  writeFileSync(entry, contents);
  const file = join(folder, "index.mjs");
  return { file, ...loadedAtOnce(buildModule(entry, file), file) };
}
