import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyJars, fetchJars, jarsOf } from "../../localstack/kafka-tools.ts";
import { localDir, makeOnce, run, type Say } from "../../localstack/process.ts";

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
  await makeOnce(compiler.folder, async (folder) => {
    const goal = ["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"];
    const args = [...goal, `-Dartifact=org.eclipse.jdt:ecj:${compiler.version}`, `-DoutputDirectory=${folder}`];
    await run({ command: "mvn", args, env: process.env }, join(localDir, "install-ecj.log"), 300_000, say);
  });
  await fetchJars(version, say);
  mkdirSync(classes, { recursive: true });
  const ecj = ["-XX:TieredStopAtLevel=1", "-jar", join(compiler.folder, `ecj-${compiler.version}.jar`)];
  const options = ["-17", "-proc:none", "-cp", classPath, "-d", classes];
  const program = { command: "java", args: [...ecj, ...options, file], env: process.env };
  await run(program, join(classes, "compile.log"), 60_000, say);
}
