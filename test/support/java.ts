import { mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { parseJson } from "../../functions/shared/core/json/json.ts";
import { copyJars, fetchJars, jarsOf } from "../../localstack/kafka-tools.ts";
import { localDir, makeOnce, run, type Say, start } from "../../localstack/process.ts";

/**
 * Fetches the jars that a Kafka Connect worker and the file connectors of a version need, unless they were fetched before.
 * Returns the class path of these jars, without the version's other jars.
 */
export async function fetchConnect(version: string, say: Say): Promise<string> {
  await fetchJars(version, say);
  return copyJars({ name: "kafka-connect", version, profiles: "connect", megabytes: 33 }, say);
}

/** Fetches the jars of Kafka Streams of a version, unless they were fetched before. Returns their class path. */
export function fetchStreams(version: string, say: Say): Promise<string> {
  return copyJars({ name: "kafka-streams", version, profiles: "streams", megabytes: 24 }, say);
}

const compiler = { version: "3.33.0", folder: join(localDir, "ecj-3.33.0") };

/**
 * Compiles a Java file that uses the jars of a version, or those of another class path. It needs a Java runtime only, without
 * javac.
 */
export async function compileJava(
  version: string,
  file: string,
  classes: string,
  say: Say,
  classPath = `${jarsOf(version)}/kafka-clients-${version}.jar`,
): Promise<void> {
  await fetchJars(version, say);
  await compile(file, classes, say, classPath);
}

/** Compiles a Java file that uses the jars of this class path. */
async function compile(file: string, classes: string, say: Say, classPath: string): Promise<void> {
  await makeOnce(compiler.folder, async (folder) => {
    const goal = ["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"];
    const args = [...goal, `-Dartifact=org.eclipse.jdt:ecj:${compiler.version}`, `-DoutputDirectory=${folder}`];
    await run({ command: "mvn", args, env: process.env }, join(localDir, "install-ecj.log"), 300_000, say);
  });
  mkdirSync(classes, { recursive: true });
  const ecj = ["-XX:TieredStopAtLevel=1", "-jar", join(compiler.folder, `ecj-${compiler.version}.jar`)];
  const options = ["-17", "-proc:none", "-cp", classPath, "-d", classes];
  const program = { command: "java", args: [...ecj, ...options, file], env: process.env };
  await run(program, join(classes, "compile.log"), 60_000, say);
}

const trinoVersion = "435";

/**
 * Runs queries on Trino's engine, in a process of its own, on a table `bodies` with these paths and lines. Its jars are fetched
 * unless they were fetched before. Gives the rows of each query.
 */
export async function runInTrino(
  bodies: readonly (readonly [path: string, line: string])[],
  queries: readonly { readonly sql: string; readonly parameters: readonly string[] }[],
  say: Say,
): Promise<readonly (readonly (readonly unknown[])[])[]> {
  const sources = join(import.meta.dirname, "trino");
  const pom = join(sources, "pom.xml");
  const jars = await copyJars({ name: "trino", version: trinoVersion, pom, megabytes: 90 }, say);
  const classes = join(localDir, "trino-classes");
  const folder = dirname(jars);
  const classPath = readdirSync(folder)
    .map((jar) => join(folder, jar))
    .join(":");
  await compile(join(sources, "Queries.java"), classes, say, classPath);
  const program = {
    command: "java",
    args: ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", `${classes}:${jars}`, "Queries"],
    env: process.env,
  };
  const child = start(program);
  child.stdin.end(JSON.stringify({ bodies, queries }));
  const { stdout, stderr, exitCode } = await child;
  if (exitCode !== 0) throw new Error(`Trino ended with ${exitCode}: ${stderr.slice(-4_000)}`);
  return answers.parse(parseJson(stdout.trimEnd().split("\n").at(-1) ?? "")); // a library warns in lines before it
}

const answers = z.array(z.array(z.array(z.unknown())));
