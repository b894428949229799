import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { dockerProblem } from "./docker.ts";
import { isBefore } from "./kafka-tools.ts";

/** How Kafka, its tools and the local cloud are run: as processes (from Maven and PyPI), or in Docker. */
export type Way = "processes" | "docker";

/** Which of the emulators a local cloud is. */
export type Flavour = "localstack" | "ministack";

/** What a command is going to use. */
export interface Wanted {
  /** A Kafka cluster, which KAFKA_BOOTSTRAP_SERVERS may name, and Kafka's tools. */
  readonly kafka?: boolean;
  /** A local cloud, which AWS_ENDPOINT_URL may name. */
  readonly cloud?: boolean;
  /** Brokers that can only be processes, whatever else is in Docker: tests give them listeners of their own. */
  readonly brokerProcesses?: boolean;
}

/** Where Kafka and the local cloud come from. */
export interface Choice {
  readonly way: Way;
  /** Of the brokers to start, and of Kafka's tools. */
  readonly kafkaVersion: string;
  /** The number of brokers to start. */
  readonly brokers: 1 | 3;
  /** The cluster to use instead of starting one. */
  readonly givenKafka: string | undefined;
  /** The emulator to use instead of starting one. */
  readonly givenCloud: { readonly endpointUrl: string; readonly flavour: Flavour } | undefined;
}

/** The first release of which there is an image. */
const FIRST_IMAGE = "3.7";

/** The version of the brokers that are started, and of Kafka's tools. */
export const kafkaVersionOf = ({ KAFKA_VERSION }: NodeJS.ProcessEnv): string => KAFKA_VERSION || "4.3.1";

/** What processes need, and the Debian packages that have it. */
const prerequisites = {
  java: { what: "Java 17 or newer (`java`)", packages: "openjdk-17-jre-headless", isHere: hasJava },
  maven: { what: "Maven (`mvn`)", packages: "maven", isHere: hasMaven },
  python: {
    what: "Python 3.10 or newer with its venv module (`python3`)",
    packages: "python3 python3-venv",
    isHere: (env: NodeJS.ProcessEnv) => findPython(env) !== undefined,
  },
} as const;

/**
 * Decides once, for Kafka and the local cloud together, where they come from, and checks that everything needed is there.
 * It starts nothing: ask it first.
 *
 * LOCAL_AWS=ministack is processes, LOCAL_AWS=localstack is Docker; without it, processes where Java, Maven and Python are
 * there, else Docker. KAFKA_BOOTSTRAP_SERVERS and AWS_ENDPOINT_URL name what is used instead of starting it.
 *
 * @throws with all that is missing or contradicts itself, and what to do
 */
export async function choose(wanted: Wanted, env: NodeJS.ProcessEnv = process.env): Promise<Choice> {
  const { LOCAL_AWS: asked = "", KAFKA_BROKERS: brokers = "" } = env;
  const kafkaVersion = kafkaVersionOf(env);
  const givenKafka = (wanted.kafka && env.KAFKA_BOOTSTRAP_SERVERS) || undefined;
  const endpointUrl = (wanted.cloud && env.AWS_ENDPOINT_URL?.replace(/\/+$/, "")) || undefined;
  const startsKafka = wanted.kafka === true && givenKafka === undefined;
  const startsCloud = wanted.cloud === true && endpointUrl === undefined;

  const problems: string[] = [];
  if (!["", "localstack", "ministack"].includes(asked)) {
    problems.push(`LOCAL_AWS is localstack or ministack, not "${asked}".`);
  }
  if (!["", "1", "3"].includes(brokers)) problems.push(`KAFKA_BROKERS is 1 or 3, not "${brokers}".`);
  if (!/^\d+\.\d+\.\d+$/.test(kafkaVersion))
    problems.push(`KAFKA_VERSION is a release such as 4.3.1, not "${kafkaVersion}".`);

  const missing = (...names: (keyof typeof prerequisites)[]) =>
    names.map((name) => prerequisites[name]).filter(({ isHere }) => !isHere(env));
  const forBrokers = missing(...(wanted.kafka || wanted.brokerProcesses ? (["java", "maven"] as const) : []));
  const forProcesses = [...forBrokers, ...missing(...(startsCloud ? (["python"] as const) : []))];

  const prefersDocker = asked === "localstack" || (asked !== "ministack" && forProcesses.length > 0);
  const noDocker = prefersDocker ? dockerProblem(env) : undefined;
  const way: Way = prefersDocker && (asked === "localstack" || noDocker === undefined) ? "docker" : "processes";

  if (way === "processes" && forProcesses.length > 0) {
    const docker =
      noDocker === undefined
        ? "set LOCAL_AWS=localstack, which uses Docker"
        : `start a Docker engine with Compose 2 (now: ${noDocker})`;
    problems.push(`${lackOf(forProcesses)}, or ${docker}.`);
  }
  if (way === "docker" && noDocker !== undefined) {
    problems.push(
      `LOCAL_AWS=localstack needs a Docker engine with Compose 2 (now: ${noDocker}). Start one, or set LOCAL_AWS=ministack, ` +
        "which needs Java 17, Maven and Python 3.10.",
    );
  }
  if (way === "docker" && wanted.brokerProcesses && forBrokers.length > 0) {
    problems.push(`Some tests start brokers as processes, also beside Docker. ${lackOf(forBrokers)}.`);
  }
  const processesInstead =
    forProcesses.length > 0 ? `${lackOf(forProcesses)}, to run all as processes` : "Set LOCAL_AWS=ministack";
  if (way === "docker" && startsKafka && isBefore(kafkaVersion, FIRST_IMAGE)) {
    problems.push(
      `There is no Docker image of Kafka ${kafkaVersion}, only of ${FIRST_IMAGE} and newer. ${processesInstead}.`,
    );
  }

  const emulator = endpointUrl === undefined ? undefined : await emulatorAt(endpointUrl);
  if (endpointUrl !== undefined && emulator === undefined) {
    problems.push(`No local cloud answers at ${endpointUrl} (AWS_ENDPOINT_URL). Start it, or unset AWS_ENDPOINT_URL.`);
  }
  // A container's loopback is its own: functions in one reach neither the host's, nor the ports that Docker publishes on it.
  const onLoopback = givenKafka !== undefined && isLoopback(givenKafka);
  if (onLoopback && startsCloud && way === "docker") {
    problems.push(
      `LocalStack runs the functions in containers, which cannot reach Kafka at ${givenKafka} (KAFKA_BOOTSTRAP_SERVERS): ` +
        `there, that is the container itself. ${processesInstead}, or unset KAFKA_BOOTSTRAP_SERVERS.`,
    );
  }
  if (emulator?.inDocker && (onLoopback || startsKafka)) {
    problems.push(
      `The emulator at ${endpointUrl} (AWS_ENDPOINT_URL) runs in Docker and the functions in containers of it, which cannot ` +
        `reach ${givenKafka === undefined ? "a Kafka that is started here" : `Kafka at ${givenKafka}`}. ` +
        "Unset AWS_ENDPOINT_URL, or name brokers in KAFKA_BOOTSTRAP_SERVERS that containers reach.",
    );
  }

  if (problems.length > 0) throw new Error(problems.join("\n"));
  return {
    way,
    kafkaVersion,
    brokers: brokers === "3" ? 3 : 1,
    givenKafka,
    givenCloud: endpointUrl === undefined || emulator === undefined ? undefined : { endpointUrl, ...emulator },
  };
}

const lackOf = (missing: readonly { what: string; packages: string }[]): string => {
  const what = new Intl.ListFormat("en").format(missing.map((each) => each.what));
  const packages = missing.map((each) => each.packages).join(" ");
  const install = missing.length === 1 ? "is missing: install it" : "are missing: install them";
  return `${what} ${install} (apt-get install -y ${packages})`;
};

function hasJava(env: NodeJS.ProcessEnv): boolean {
  const { status, stderr } = spawnSync("java", ["-version"], { env, encoding: "utf8" });
  const [, major, minor] = /version "(\d+)(?:\.(\d+))?/.exec(stderr ?? "") ?? [];
  return status === 0 && Number(major === "1" ? minor : major) >= 17;
}

/** Only looks for it: to start it takes half a second. */
function hasMaven({ PATH = "" }: NodeJS.ProcessEnv): boolean {
  return PATH.split(":").some((folder) => {
    try {
      accessSync(join(folder, "mvn"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The command of a Python that can install MiniStack. */
export function findPython(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  return ["python3", "python3.13", "python3.12", "python3.11", "python3.10"].find(
    (command) => spawnSync(command, ["-c", check], { env, stdio: "ignore" }).status === 0,
  );
}

const isLoopback = (servers: string) =>
  servers
    .split(",")
    .some((server) => /^(localhost|.+\.localhost|127(\.\d+){3}|\[?::1\]?|0\.0\.0\.0):\d+$/.test(server.trim()));

/** Which emulator answers at an address, and whether it runs in a container, as its functions then do. */
async function emulatorAt(endpointUrl: string): Promise<{ flavour: Flavour; inDocker: boolean } | undefined> {
  const [ministack, localstack, info] = await Promise.all(
    ["_ministack/health", "_localstack/health", "_localstack/info"].map((path) => textOf(`${endpointUrl}/${path}`)),
  );
  if (ministack?.includes('"services"')) return { flavour: "ministack", inDocker: false };
  if (!localstack?.includes('"services"')) return undefined;
  return { flavour: "localstack", inDocker: /"is_docker": *true/.test(info ?? "") };
}

async function textOf(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}
