import { type AclEntry, AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { LiveState } from "../../../functions/shared/core/model.ts";
import { type Cluster, connectCluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import { capture, observe, readCommits } from "../../../functions/shared/kafka/groups/capture.ts";
import { readOffsetsRetention } from "../../../functions/shared/kafka/groups/retention.ts";
import { commitOffsets, deleteOffsets } from "../../../functions/shared/kafka/groups/write-commits.ts";
import { topicsNamed } from "../../../functions/shared/storage/index-entry.ts";
import { authorizerOf } from "../../../localstack/brokers.ts";
import { kafkaVersionOf } from "../../../localstack/choice.ts";
import { type Kafka, startKafka } from "../../../localstack/kafka.ts";
import { freePorts, freshStateDir, removeState } from "../../../localstack/process.ts";
import { within } from "../../support/deadline.ts";
import { joinedConsumer } from "../../support/members.ts";
import {
  administer,
  at,
  classic,
  configOf,
  connect,
  independentClient,
  select,
  since,
  topicOf,
  unique,
} from "./support.ts";

// A separate broker with an authorizer. It is a process even if the others run in Docker, because only processes can get one.
// Clients that log in have only the rights that they were granted; clients that do not log in have every right.
let kafka: Kafka;
let login = "";
let principals: string[] = Array.from({ length: 20 }, (_, i) => `principal-${i}`);
const stateDir = freshStateDir("authorization");

beforeAll(async () => {
  const [port] = await freePorts(1);
  login = `127.0.0.1:${port}`;
  const users = principals.map((name) => `user_${name}="secret"`).join(" ");
  kafka = await startKafka({
    brokers: 1,
    way: "processes",
    stateDir,
    say: () => {},
    extraProperties: (own) => ({
      listeners: `${own.listeners},LOGIN://${login}`,
      "advertised.listeners": `${own["advertised.listeners"]},LOGIN://${login}`,
      "listener.security.protocol.map": `${own["listener.security.protocol.map"]},LOGIN:SASL_PLAINTEXT`,
      "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
      "listener.name.login.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required ${users};`,
      "authorizer.class.name": authorizerOf(kafkaVersionOf(process.env)),
      "super.users": "User:ANONYMOUS",
    }),
  });
});

afterAll(async () => {
  await kafka?.stop();
  removeState(stateDir);
});

const operations = {
  DESCRIBE: AclOperationTypes.DESCRIBE,
  READ: AclOperationTypes.READ,
  DELETE: AclOperationTypes.DELETE,
} as const;
const resources = { group: AclResourceTypes.GROUP, topic: AclResourceTypes.TOPIC } as const;

/** An operation, and the group or topic that it is allowed on; `*` means all. */
type Right = readonly [operation: keyof typeof operations, resource: keyof typeof resources, name: string];

const aclOf = (principal: string, [operation, resource, name]: Right): AclEntry => ({
  principal: `User:${principal}`,
  host: "*",
  operation: operations[operation],
  permissionType: AclPermissionTypes.ALLOW,
  resourceType: resources[resource],
  resourceName: name,
  resourcePatternType: ResourcePatternTypes.LITERAL,
});

/** A connection of an unused principal with these rights only. */
async function connectWith(...rights: Right[]): Promise<Cluster> {
  const [principal, ...others] = principals;
  if (principal === undefined) throw new Error("there are too few principals");
  principals = others;
  await administer(async (admin) => {
    if (rights.length === 0) return;
    await admin.createAcls({ acl: rights.map((right) => aclOf(principal, right)) });
    const granted = async () => {
      const { resources: found } = await admin.describeAcls({
        resourceType: AclResourceTypes.ANY,
        resourcePatternType: ResourcePatternTypes.ANY,
        principal: `User:${principal}`,
        operation: AclOperationTypes.ANY,
        permissionType: AclPermissionTypes.ANY,
      });
      return found.reduce((sum, { acls }) => sum + acls.length, 0);
    };
    await expect.poll(granted, { timeout: 20_000 }).toBe(rights.length);
  }, kafka.bootstrapServers);
  const credentials = async () => ({ login: { mechanism: "PLAIN", username: principal, password: "secret" } as const });
  const config = { ...configOf(login), security: { protocol: "SASL_PLAINTEXT", credentials } as const };
  const cluster = await connectCluster(config, within(30_000));
  onTestFinished(() => cluster.close());
  return cluster;
}

/** A connection without log-in, which has every right. */
const connectAsSuperUser = () => connect(50_000, kafka.bootstrapServers);

/** A group with a commit at offset 1 on each of two topics. */
async function groupOnTwoTopics() {
  const cluster = await connectAsSuperUser();
  const [open, hidden] = [await topicOf(1, 1, kafka.bootstrapServers), await topicOf(1, 1, kafka.bootstrapServers)];
  const group = unique("group");
  const commits = at([`${open}-0`, 1], [`${hidden}-0`, 1]);
  await commitOffsets(cluster, new Map([[group, commits]]));
  return { group, open, hidden, commits, partitions: [`${open}-0`, `${hidden}-0`] as const };
}

const hiddenWarning = (topic: string, namedBy: string) =>
  `Commits may be missing: the principal lacks DESCRIBE on topic "${topic}", which ${namedBy}. Kafka silently omits ` +
  "commits on such topics. Grant DESCRIBE on them.";

const hiddenWarnings = ({ warnings }: LiveState) =>
  warnings.filter((text) => text.startsWith("Commits may be missing"));

const namesOf = ({ commits, observed }: LiveState) => topicsNamed({ consumerGroups: commits, observed });

describe("a principal without DESCRIBE on a group", () => {
  it("reads other groups, and gets an error with the missing right in captures, observations and reads", async () => {
    const [hiddenGroup, openGroup] = [await groupOnTwoTopics(), await groupOnTwoTopics()];
    const cluster = await connectWith(["DESCRIBE", "group", openGroup.group], ["DESCRIBE", "topic", "*"]);
    const both = new Map([hiddenGroup, openGroup].map(({ group, commits }) => [group, commits]));
    const right = `DESCRIBE on group "${hiddenGroup.group}"`;
    const refusal = { group: hiddenGroup.group, error: "KafkaAuthorization", message: expect.stringContaining(right) };

    const captured = await capture(cluster, select(hiddenGroup.group, openGroup.group));
    const observed = await observe(cluster, both);
    const { commits, errors } = await readCommits(cluster, new Map([[hiddenGroup.group, hiddenGroup.partitions]]));

    for (const state of [captured, observed]) {
      expect(state.errors).toEqual([refusal]);
      expect(state.commits).toEqual(new Map([[openGroup.group, openGroup.commits]]));
      expect(state.missing.size).toBe(0);
    }
    expect(captured.warnings).toEqual([]);
    expect([errors, commits.size]).toEqual([[refusal], 0]);
  });

  it("finds no group by a pattern, and gets a warning that there may be groups", async () => {
    const { group } = await groupOnTwoTopics();
    const cluster = await connectWith(["DESCRIBE", "topic", "*"]);
    const state = await capture(cluster, select(`${group}*`));
    expect(state.commits.size + state.errors.length).toBe(0);
    expect(state.warnings).toEqual([
      expect.stringContaining("No group matches"),
      expect.stringContaining("patterns cannot match the others"),
    ]);
  });
});

describe("a principal without DESCRIBE on a topic", () => {
  it("gets a warning if the last snapshot names the topic, and in each later snapshot", async () => {
    const { group, open, hidden } = await groupOnTwoTopics();
    const before = await capture(await connectAsSuperUser(), select(group));
    const cluster = await connectWith(["DESCRIBE", "group", group], ["DESCRIBE", "topic", open]);

    const first = await capture(cluster, select(group), { formerTopics: async () => namesOf(before) });
    const second = await capture(cluster, select(group), { formerTopics: async () => namesOf(first) });

    expect(hiddenWarnings(before)).toEqual([]);
    for (const state of [first, second]) {
      expect(state.errors).toEqual([]);
      expect(state.commits.get(group)).toEqual(at([`${open}-0`, 1]));
      expect(hiddenWarnings(state)).toEqual([hiddenWarning(hidden, "the last snapshot contains")]);
      expect(state.observed.topics.get(hidden)).toBeNull();
      expect(namesOf(state)).toEqual([open, hidden].sort());
    }
  });

  it("gets a warning if a member of the group is assigned the topic", async () => {
    const { group, open, hidden } = await groupOnTwoTopics();
    await joinedConsumer(independentClient(kafka.bootstrapServers), group, [open, hidden]);
    const cluster = await connectWith(["DESCRIBE", "group", group], ["DESCRIBE", "topic", open]);

    const state = await capture(cluster, select(group));

    expect(hiddenWarnings(state)).toEqual([hiddenWarning(hidden, `members of group "${group}" read`)]);
    expect(state.observed.groups.get(group)).toMatchObject({ type: classic(), state: "Stable", members: 1 });
    expect(state.commits.get(group)).toEqual(at([`${open}-0`, 1]));
  });

  since("4.0", "the consumer protocol (KIP-848)").it(
    "reads an unknown number of members of a consumer group, with a warning that names the right",
    async () => {
      const { group, open, hidden } = await groupOnTwoTopics();
      const consumer = kafka.startTool("org.apache.kafka.tools.consumer.ConsoleConsumer", [
        ...["--group", group],
        ...["--include", `${open}|${hidden}`, "--command-property", "group.protocol=consumer"],
      ]);
      onTestFinished(() => consumer.kill());
      const superUser = await connectAsSuperUser();
      const stateOf = async (cluster: Cluster) => (await capture(cluster, select(group))).observed.groups.get(group);
      await expect.poll(() => stateOf(superUser), { timeout: 40_000 }).toMatchObject({ type: "consumer", members: 1 });
      const cluster = await connectWith(["DESCRIBE", "group", group], ["DESCRIBE", "topic", open]);

      // The broker reports the member before it has resolved the member's topic pattern.
      await expect.poll(() => stateOf(cluster), { timeout: 40_000 }).toMatchObject({ type: "consumer", members: null });
      const state = await capture(cluster, select(group));
      expect(state.warnings.join()).toContain(
        `"${group}": the principal needs DESCRIBE on every topic that the group reads; otherwise Kafka also omits their commits`,
      );
    },
  );

  it("gets an error when a rollback of the topic is observed, before any commit", async () => {
    const { group, open, commits } = await groupOnTwoTopics();
    const cluster = await connectWith(["READ", "group", group], ["READ", "topic", open]);
    const state = await observe(cluster, new Map([[group, commits]]));
    expect(state.errors).toMatchObject([{ group, error: "KafkaAuthorization" }]);
    expect(state.errors[0]?.message).toContain("DESCRIBE on topic");
    expect(state.commits.has(group)).toBe(false);
  });
});

describe("a principal without DESCRIBE on a topic of a share group", () => {
  since("4.2", "share groups (KIP-932)").it(
    "gets a warning in a capture, and an error if the topic is named",
    async () => {
      const superUser = await connectAsSuperUser();
      const { open, hidden } = await groupOnTwoTopics();
      const group = unique("share");
      const offsets = new Map([[group, at([`${open}-0`, 1], [`${hidden}-0`, 1])]]);
      const shareGroups = new Set([group]);
      await commitOffsets(superUser, offsets, { shareGroups });
      const cluster = await connectWith(["READ", "group", group], ["READ", "topic", open]);

      const state = await capture(cluster, select(group), { formerTopics: async () => [hidden] });
      const observed = await observe(cluster, offsets);
      const outcomes = (await commitOffsets(cluster, offsets, { shareGroups })).get(group);

      expect(state.errors).toEqual([]);
      expect(state.commits.get(group)).toEqual(at([`${open}-0`, 1]));
      expect(hiddenWarnings(state)).toEqual([hiddenWarning(hidden, "the last snapshot contains")]);
      expect(observed.errors).toMatchObject([{ group, error: "KafkaAuthorization" }]);
      expect(observed.errors[0]?.message).toContain(`the principal needs DESCRIBE on topic "${hidden}"`);
      expect(outcomes?.get(`${open}-0`)).toEqual({ kind: "accepted" });
      expect(outcomes?.get(`${hidden}-0`)).toMatchObject({ kind: "refused", error: "KafkaAuthorization" });
    },
  );
});

describe("the sufficient rights", () => {
  it("to read without warnings: DESCRIBE on the groups and on all topics", async () => {
    const { group, commits, open, hidden } = await groupOnTwoTopics();
    const cluster = await connectWith(["DESCRIBE", "group", "*"], ["DESCRIBE", "topic", "*"]);
    const state = await capture(cluster, select(`${group}*`), { formerTopics: async () => [open, hidden] });
    expect(state.commits).toEqual(new Map([[group, commits]]));
    expect([...state.warnings, ...state.errors]).toEqual([]);
    expect(state.observed.topics.get(open)?.partitions.get(0)).toMatchObject({ logStartOffset: 0n, logEndOffset: 1n });
  });

  it("to read with a warning that the list may be incomplete: DESCRIBE on the groups and their topics only", async () => {
    const { group, commits, open, hidden } = await groupOnTwoTopics();
    const cluster = await connectWith(
      ["DESCRIBE", "group", "*"],
      ["DESCRIBE", "topic", open],
      ["DESCRIBE", "topic", hidden],
    );
    const state = await capture(cluster, select(`${group}*`), { formerTopics: async () => [open, hidden] });
    expect(state.commits).toEqual(new Map([[group, commits]]));
    expect(state.warnings).toEqual([
      expect.stringContaining('the principal lacks DESCRIBE on topic "__consumer_offsets"'),
    ]);
  });

  it.each([
    ["commit", commitOffsets, "READ"],
    [
      "delete",
      (cluster: Cluster, keys: Map<string, ReadonlyMap<string, unknown>>) => deleteAll(cluster, keys),
      "DELETE",
    ],
  ] as const)("to %s: READ on the topic, and on the group READ or DELETE", async (_, write, right) => {
    const { group, open, hidden, commits, partitions } = await groupOnTwoTopics();
    const all = new Map([[group, commits]]);
    const outcomesWith = async (...rights: Right[]) => (await write(await connectWith(...rights), all)).get(group);
    const needs = (what: string) => ({
      kind: "refused",
      error: "KafkaAuthorization",
      message: expect.stringContaining(`the principal needs ${what}`),
    });

    const onGroup = await outcomesWith(["DESCRIBE", "group", group], ["READ", "topic", "*"]);
    const onTopic = await outcomesWith([right, "group", group], ["DESCRIBE", "topic", hidden], ["READ", "topic", open]);
    const both = await outcomesWith([right, "group", group], ["READ", "topic", open], ["READ", "topic", hidden]);

    for (const key of partitions) expect(onGroup?.get(key)).toEqual(needs(`${right} on group "${group}"`));
    expect(onTopic?.get(`${hidden}-0`)).toEqual(needs(`READ on topic "${hidden}"`));
    expect(onTopic?.get(`${open}-0`)).toEqual({ kind: "accepted" });
    for (const key of partitions) expect(both?.get(key)).toEqual({ kind: "accepted" });
  });
});

const deleteAll = (cluster: Cluster, commits: ReadonlyMap<string, ReadonlyMap<string, unknown>>) =>
  deleteOffsets(cluster, new Map([...commits].map(([group, keys]) => [group, keys.keys()])));

describe("the retention of offsets", () => {
  it("is read from one broker, and needs DESCRIBE_CONFIGS on the cluster", async () => {
    const cluster = await connectAsSuperUser();
    expect(await readOffsetsRetention(cluster)).toEqual({ done: 7 * 24 * 60 });
    expect(cluster.requests.get("DescribeConfigs")).toBe(1);
    expect(await readOffsetsRetention(await connectWith())).toEqual({
      failed: { error: "KafkaAuthorization", message: "the principal needs DESCRIBE_CONFIGS on the cluster" },
    });
  });
});
