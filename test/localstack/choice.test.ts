import { createServer } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { choose, newestKafka, type Wanted } from "../../localstack/choice.ts";
import { type Commands, pathWith, working } from "./commands.ts";

const { java, mvn, python3, docker } = working;
const processes = { java, mvn, python3 };
const both: Wanted = { kafka: true, cloud: true };

const decide = (commands: Commands, env: NodeJS.ProcessEnv = {}, wanted = both) =>
  choose(wanted, { PATH: pathWith(commands), ...env });

const refusal = (commands: Commands, env: NodeJS.ProcessEnv = {}, wanted = both): Promise<string> =>
  decide(commands, env, wanted).then(
    (choice) => `chose ${choice.way}`,
    (error: Error) => error.message,
  );

/** Starts an emulator with these answers, and returns its URL. */
async function emulator(answers: Readonly<Record<string, object>>): Promise<string> {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ""];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

const health = { services: { s3: "available" } };
const localstack = (isDocker: boolean) =>
  emulator({ "/_localstack/health": health, "/_localstack/info": { version: "4.14.0", is_docker: isDocker } });
const ministack = () => emulator({ "/_localstack/health": health, "/_ministack/health": health });

describe("the choice between processes and Docker, for Kafka and the cloud alike", () => {
  it.each<[string, Commands, NodeJS.ProcessEnv, string]>([
    ["processes if Java, Maven and Python exist", processes, {}, "processes"],
    ["processes even if there is a Docker engine", { ...processes, docker }, {}, "processes"],
    ["processes if LOCAL_AWS requests them", { ...processes, docker }, { LOCAL_AWS: "ministack" }, "processes"],
    ["Docker if LOCAL_AWS requests it", { ...processes, docker }, { LOCAL_AWS: "localstack" }, "docker"],
    ["Docker if there is no Java", { mvn, python3, docker }, {}, "docker"],
    ["Docker if Java is too old", { ...processes, java: `echo 'java version "1.8.0_412"' >&2`, docker }, {}, "docker"],
    ["Docker if Java does not run", { ...processes, java: "exit 1", docker }, {}, "docker"],
    ["Docker if there is no Maven", { java, python3, docker }, {}, "docker"],
    ["Docker if there is no Python", { java, mvn, docker }, {}, "docker"],
    ["Docker if no Python is new enough", { java, mvn, python3: "exit 1", docker }, {}, "docker"],
    ["processes for an old Kafka", { ...processes, docker }, { KAFKA_VERSION: "2.8.2" }, "processes"],
    [
      "processes with an external Kafka on this machine",
      { ...processes, docker },
      { KAFKA_BOOTSTRAP_SERVERS: "127.0.0.1:9092" },
      "processes",
    ],
    [
      "Docker with an external Kafka that containers can reach",
      { docker },
      { KAFKA_BOOTSTRAP_SERVERS: "kafka.test:9092" },
      "docker",
    ],
  ])("is %s", async (_, commands, env, way) => {
    expect(await decide(commands, env)).toMatchObject({ way });
  });

  it("requires only commands that are going to be used", async () => {
    expect(await decide({ python3 }, {}, { cloud: true })).toMatchObject({ way: "processes" });
    expect(await decide({ java, mvn }, {}, { kafka: true })).toMatchObject({ way: "processes" });
    const AWS_ENDPOINT_URL = await ministack();
    expect(await decide({ java, mvn }, { AWS_ENDPOINT_URL })).toMatchObject({ way: "processes" });
  });

  it("uses the versions and addresses of the environment", async () => {
    const AWS_ENDPOINT_URL = await localstack(false);
    const env = {
      KAFKA_VERSION: "3.9.1",
      KAFKA_BROKERS: "3",
      KAFKA_BOOTSTRAP_SERVERS: "127.0.0.1:1",
      AWS_ENDPOINT_URL,
    };
    expect(await decide(processes, env)).toMatchObject({
      kafkaVersion: "3.9.1",
      brokers: 3,
      givenKafka: "127.0.0.1:1",
      givenCloud: { endpointUrl: AWS_ENDPOINT_URL, flavour: "localstack" },
    });
    expect(await decide(processes, { AWS_ENDPOINT_URL: `${await ministack()}/` })).toMatchObject({
      kafkaVersion: newestKafka,
      brokers: 1,
      givenKafka: undefined,
      givenCloud: { flavour: "ministack" },
    });
  });
});

describe("a report of everything that is missing", () => {
  it("has all packages, and the reason why Docker cannot be used", async () => {
    expect(await refusal({})).toBe(
      "Java 17 or newer (`java`), Maven (`mvn`), and Python 3.10 or newer with its venv module (`python3`) are missing: " +
        "install them (apt-get install -y openjdk-17-jre-headless maven python3 python3-venv), or start a Docker engine with " +
        "Compose 2 (now: there is no `docker` command).",
    );
  });

  const engine = `echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1`;
  const composeOf = (text: string) =>
    `case "$1" in version) echo 5.4.2 ;; compose) echo "${text}" ;; *) exit 1 ;; esac`;
  it.each<[string, string, string]>([
    ["an engine that does not run", engine, "no Docker engine answers: Cannot connect to the Docker daemon"],
    ["a client without an engine", "echo", "no Docker engine answers"],
    ["podman-compose", composeOf("podman-compose version 1.5.0"), "not Docker's Compose 2"],
    ["Compose 1", composeOf("docker-compose version 1.29.2, build 5becea4c"), "not Docker's Compose 2"],
    ["no Compose", `[ "$1" = version ] && echo 28.2.2`, "`docker compose` is missing"],
  ])("does not accept %s as Docker", async (_, command, why) => {
    expect(await refusal({ docker: command })).toContain(why);
    expect(await refusal({ ...processes, docker: command }, { LOCAL_AWS: "localstack" })).toMatch(
      /^LOCAL_AWS=localstack needs a Docker engine with Compose 2 \(now: .*\)\. .* or set LOCAL_AWS=ministack/,
    );
    expect(await refusal({ ...processes, docker: command, podman: command })).toBe("chose processes");
  });

  it("names the commands that LOCAL_AWS=ministack lacks, and Docker as the alternative", async () => {
    expect(await refusal({ java, docker }, { LOCAL_AWS: "ministack" })).toMatch(
      /^Maven .* and Python .* are missing.*or set LOCAL_AWS=localstack, which uses Docker\.$/,
    );
  });

  it("names Java if tests start brokers as processes beside Docker", async () => {
    const wanted = { kafka: true, brokerProcesses: true };
    expect(await refusal({ docker }, {}, wanted)).toMatch(/^Some tests start brokers as processes.*Java.*Maven/);
    expect(await refusal({ java, mvn, docker }, { LOCAL_AWS: "localstack" }, wanted)).toBe("chose docker");
  });

  it("has a line for each wrong setting", async () => {
    const env = {
      LOCAL_AWS: "local-stack",
      KAFKA_BROKERS: "2",
      KAFKA_VERSION: "latest",
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
    };
    const lines = (await refusal({ java }, env)).split("\n");
    expect(lines).toEqual([
      'LOCAL_AWS is localstack or ministack, not "local-stack".',
      'KAFKA_BROKERS is 1 or 3, not "2".',
      `KAFKA_VERSION must be a release such as ${newestKafka}, not "latest".`,
      expect.stringMatching(/^No local cloud answers at http:\/\/127\.0\.0\.1:1 \(AWS_ENDPOINT_URL\)/),
      expect.stringMatching(/^Maven /),
    ]);
  });
});

describe("before anything is started, the choice refuses", () => {
  const asked = { LOCAL_AWS: "localstack" };

  it.each(["127.0.0.1:9092", "localhost:9092", "kafka.test:9092,127.0.1.1:9092", "[::1]:9092", "me.localhost:9092"])(
    "a Kafka at %s for functions in Docker",
    async (KAFKA_BOOTSTRAP_SERVERS) => {
      const message = await refusal({ ...processes, docker }, { ...asked, KAFKA_BOOTSTRAP_SERVERS });
      expect(message).toContain(`cannot reach Kafka at ${KAFKA_BOOTSTRAP_SERVERS}`);
      expect(message).toContain("Set LOCAL_AWS=ministack");
      expect(await refusal({ docker }, { KAFKA_BOOTSTRAP_SERVERS })).toContain("Java 17 or newer (`java`)");
      const AWS_ENDPOINT_URL = await ministack(); // nothing is started, but the tools run in Docker
      expect(await refusal({ docker }, { KAFKA_BOOTSTRAP_SERVERS, AWS_ENDPOINT_URL })).toContain(
        "Kafka's tools in Docker",
      );
    },
  );

  it("any Kafka on this machine for functions of an emulator in Docker", async () => {
    const AWS_ENDPOINT_URL = await localstack(true);
    const reason = `The emulator at ${AWS_ENDPOINT_URL} (AWS_ENDPOINT_URL) runs in Docker`;
    for (const env of [{}, asked, { KAFKA_BOOTSTRAP_SERVERS: "localhost:9092" }]) {
      expect(await refusal({ ...processes, docker }, { AWS_ENDPOINT_URL, ...env })).toContain(reason);
    }
    const elsewhere = { AWS_ENDPOINT_URL, KAFKA_BOOTSTRAP_SERVERS: "kafka.test:9092" };
    expect(await refusal({ ...processes, docker }, elsewhere)).toBe("chose processes");
  });

  it("no Kafka in Docker if the emulator is a process", async () => {
    const AWS_ENDPOINT_URL = await localstack(false);
    expect(await refusal({ docker }, { AWS_ENDPOINT_URL })).toBe("chose docker");
  });

  it("a Kafka older than its images", async () => {
    const KAFKA_VERSION = "2.8.2";
    expect(await refusal({ ...processes, docker }, { ...asked, KAFKA_VERSION })).toMatch(
      /^There is no Docker image of Kafka 2\.8\.2.*Set LOCAL_AWS=ministack\.$/,
    );
    expect(await refusal({ mvn, python3, docker }, { KAFKA_VERSION })).toMatch(
      /^There is no Docker image of Kafka 2\.8\.2.*Java 17.*openjdk-17-jre-headless/,
    );
  });
});
