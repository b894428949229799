import { spawnSync } from "node:child_process";
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

/** The newest Kafka that the tests know: what is started unless KAFKA_VERSION says otherwise. */
export const newestKafka = "4.3.1";

/** The version of the brokers that are started, and of Kafka's tools. */
export const kafkaVersionOf = ({ KAFKA_VERSION }: NodeJS.ProcessEnv): string => KAFKA_VERSION || newestKafka;

/** What processes need, and the Debian packages that have it. */
interface Prerequisite {
  readonly what: string;
  readonly packages: string;
  isHere(env: NodeJS.ProcessEnv): boolean;
}

const prerequisites = {
  java: { what: "Java 17 or newer (`java`)", packages: "openjdk-17-jre-headless", isHere: hasJava },
  maven: { what: "Maven (`mvn`)", packages: "maven", isHere: hasMaven },
  python: {
    what: "Python 3.10 or newer with its venv module (`python3`)",
    packages: "python3 python3-venv",
    isHere: (env) => findPython(env) !== undefined,
  },
} as const satisfies Record<string, Prerequisite>;

/**
 * Decides once, for Kafka and the local cloud together, where they come from, and checks that everything needed is there.
 * It starts nothing: call it first.
 *
 * LOCAL_AWS=ministack is processes, LOCAL_AWS=localstack is Docker; without it, processes where Java, Maven and Python are
 * there, else Docker. KAFKA_BOOTSTRAP_SERVERS and AWS_ENDPOINT_URL name what is used instead of starting it.
 *
 * @throws with all that is missing or contradicts itself, a line each, and what to do
 */
export async function choose(wanted: Wanted, env: NodeJS.ProcessEnv = process.env): Promise<Choice> {
  const facts = await look(wanted, env);
  const { asked, brokers, kafkaVersion, givenKafka, endpointUrl, forProcesses, noDocker, emulator } = facts;
  const orElse = forProcesses.length > 0 && asked !== "ministack" && noDocker === undefined;
  const way = asked === "localstack" || orElse ? "docker" : "processes";
  const problems = [...problemsOfSettings(facts), ...problemsOf(facts, way)];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return {
    way,
    kafkaVersion,
    brokers: brokers === "3" ? 3 : 1,
    givenKafka,
    givenCloud: endpointUrl === undefined || emulator === undefined ? undefined : { endpointUrl, ...emulator },
  };
}

/** What the environment asks for, and what is there. */
async function look(wanted: Wanted, env: NodeJS.ProcessEnv) {
  const { LOCAL_AWS: asked = "", KAFKA_BROKERS: brokers = "" } = env;
  const endpointUrl = (wanted.cloud && env.AWS_ENDPOINT_URL?.replace(/\/+$/, "")) || undefined;
  const missing = (...names: (keyof typeof prerequisites)[]) =>
    names.map((name) => prerequisites[name]).filter(({ isHere }) => !isHere(env));
  const forBrokers = wanted.kafka || wanted.brokerProcesses ? missing("java", "maven") : [];
  const forCloud = wanted.cloud && endpointUrl === undefined ? missing("python") : [];
  const forProcesses = [...forBrokers, ...forCloud];
  const mayBeDocker = asked === "localstack" || (asked !== "ministack" && forProcesses.length > 0);
  return {
    wanted,
    asked,
    brokers,
    kafkaVersion: kafkaVersionOf(env),
    givenKafka: (wanted.kafka && env.KAFKA_BOOTSTRAP_SERVERS) || undefined,
    endpointUrl,
    /** What brokers as processes lack, and what all processes do. */
    forBrokers,
    forProcesses,
    /** Why Docker cannot be used; not looked for where processes serve. */
    noDocker: mayBeDocker ? dockerProblem(env) : undefined,
    /** The emulator that answers at `endpointUrl`. */
    emulator: endpointUrl === undefined ? undefined : await emulatorAt(endpointUrl),
  };
}
type Facts = Awaited<ReturnType<typeof look>>;

function problemsOfSettings({ asked, brokers, kafkaVersion, endpointUrl, emulator }: Facts): string[] {
  return [
    !["", "localstack", "ministack"].includes(asked) && `LOCAL_AWS is localstack or ministack, not "${asked}".`,
    !["", "1", "3"].includes(brokers) && `KAFKA_BROKERS is 1 or 3, not "${brokers}".`,
    !/^\d+\.\d+\.\d+$/.test(kafkaVersion) &&
      `KAFKA_VERSION must be a release such as ${newestKafka}, not "${kafkaVersion}".`,
    endpointUrl !== undefined &&
      emulator === undefined &&
      `No local cloud answers at ${endpointUrl} (AWS_ENDPOINT_URL). Start it, or unset AWS_ENDPOINT_URL.`,
  ].filter((problem) => problem !== false);
}

/** What keeps a way from working: something that it lacks, or two parts that cannot reach one another. */
function problemsOf(facts: Facts, way: Way): string[] {
  const { wanted, givenKafka, endpointUrl, kafkaVersion, forBrokers, forProcesses, noDocker, emulator } = facts;
  const inDocker = way === "docker";
  const startsKafka = wanted.kafka === true && givenKafka === undefined;
  const onLoopback = givenKafka !== undefined && isLoopback(givenKafka);
  const processesInstead =
    forProcesses.length > 0 ? `${lackOf(forProcesses)}, to run all as processes` : "Set LOCAL_AWS=ministack";
  const dockerInstead =
    noDocker === undefined
      ? "set LOCAL_AWS=localstack, which uses Docker"
      : `start a Docker engine with Compose 2 (now: ${noDocker})`;
  return [
    !inDocker && forProcesses.length > 0 && `${lackOf(forProcesses)}, or ${dockerInstead}.`,
    inDocker &&
      noDocker !== undefined &&
      `LOCAL_AWS=localstack needs a Docker engine with Compose 2 (now: ${noDocker}). Start one, or set LOCAL_AWS=ministack, ` +
        "which needs Java 17, Maven and Python 3.10.",
    inDocker &&
      wanted.brokerProcesses === true &&
      forBrokers.length > 0 &&
      `Some tests start brokers as processes, also beside Docker. ${lackOf(forBrokers)}.`,
    inDocker &&
      startsKafka &&
      isBefore(kafkaVersion, FIRST_IMAGE) &&
      `There is no Docker image of Kafka ${kafkaVersion}, only of ${FIRST_IMAGE} and newer. ${processesInstead}.`,
    // A container's loopback is its own: neither the host's, nor where Docker publishes ports on the host.
    inDocker &&
      onLoopback &&
      `Functions and Kafka's tools in Docker cannot reach Kafka at ${givenKafka} (KAFKA_BOOTSTRAP_SERVERS): there, that is ` +
        `the container itself. ${processesInstead}, or unset KAFKA_BOOTSTRAP_SERVERS.`,
    emulator?.inDocker === true &&
      (onLoopback || startsKafka) &&
      `The emulator at ${endpointUrl} (AWS_ENDPOINT_URL) runs in Docker and the functions in containers of it, which cannot ` +
        `reach ${givenKafka === undefined ? "a Kafka that is started here" : `Kafka at ${givenKafka}`}. ` +
        "Unset AWS_ENDPOINT_URL, or name brokers in KAFKA_BOOTSTRAP_SERVERS that containers reach.",
  ].filter((problem) => problem !== false);
}

const lackOf = (missing: readonly Prerequisite[]): string => {
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
function hasMaven(env: NodeJS.ProcessEnv): boolean {
  return spawnSync("sh", ["-c", "command -v mvn"], { env, stdio: "ignore" }).status === 0;
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
