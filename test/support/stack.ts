import { randomUUID } from "node:crypto";
import { inject } from "vitest";
import type { Commits } from "../../functions/shared/core/model.ts";
import { withCluster } from "../../functions/shared/kafka/connection/access.ts";
import { commitOffsets } from "../../functions/shared/kafka/groups/write-commits.ts";
import { type Answer, createClient, type HttpAnswer } from "../../localstack/client.ts";
import { createConsole } from "../../localstack/console.ts";
import { openKafka } from "../../localstack/kafka.ts";
import { within } from "./deadline.ts";
import { documentedResult, type ResultOf, requireDocumented, requireDocumentedHttp } from "./documents.ts";
import { kafkaClient } from "./kafka-client.ts";
import { expectAccepted } from "./outcomes.ts";
import { createTopic, distinctValues, produce } from "./topics.ts";

/** The deployed stack: its functions, its API, its Kafka and Kafka's own tools. */
export function openStack() {
  const { name, outputs, kafka: descriptor, cloud } = inject("stack");
  const kafka = openKafka(descriptor);
  const client = createClient(outputs, cloud);
  const kafkaJs = kafkaClient(kafka.bootstrapServers);
  const settings = {
    clusterName: "local",
    bootstrapServers: kafka.bootstrapServers.split(","),
    protocol: "PLAINTEXT" as const,
    sasl: undefined,
  };
  return {
    name,
    outputs,
    cloud,
    kafka,
    kafkaJs,
    settings,
    tools: createConsole(kafka),

    unsigned: client.unsigned,

    /** Invokes a function. Its answer must match the API documents. */
    async invoke(verb: string, request: unknown): Promise<Answer> {
      return requireDocumented(verb, request, await client.invoke(verb, request));
    },

    /** Calls the API. Its answer must match the API documents. */
    async http(method: string, path: string, body?: unknown): Promise<HttpAnswer> {
      return requireDocumentedHttp(method, path, await client.http(method, path, body));
    },

    /** Invokes a function that must succeed, and returns its result, which must match the API documents. */
    async call<const V extends string, const R>(verb: V, request: R): Promise<ResultOf<V, R>> {
      const answer = await client.invoke(verb, request);
      if (answer.error !== undefined) throw new Error(`${verb} failed: ${answer.error.message}`);
      return documentedResult(verb, request, answer.result);
    },

    /** Invokes a function that must fail, and returns its error. The name is read from the message, which both emulators keep. */
    async failure(verb: string, request: unknown): Promise<{ name: string; message: string }> {
      const answer = requireDocumented(verb, request, await client.invoke(verb, request));
      if (answer.error === undefined) throw new Error(`${verb} succeeded: ${JSON.stringify(answer.result)}`);
      return { name: answer.error.message.split(":")[0] ?? "", message: answer.error.message };
    },

    /** The last 4 kB of what a function logs in an invocation. */
    logOf: client.logOf,

    /** Creates a topic, by default with a unique name, with this many records in each partition. */
    async topic(partitions = 3, recordsEach = 20, topic = `t-${randomUUID().slice(0, 8)}`): Promise<string> {
      await withCluster(settings, within(60_000), (cluster) =>
        createTopic(kafkaJs, cluster, { topic, partitions, replicas: 1 }),
      );
      await produce(kafkaJs, topic, partitions, distinctValues(partitions * recordsEach));
      return topic;
    },

    /** Commits offsets of groups without members. */
    async commit(commits: Commits): Promise<void> {
      expectAccepted(await withCluster(settings, within(20_000), (cluster) => commitOffsets(cluster, commits)));
    },

    /** The offsets of a group by topic-partition, as kafka-consumer-groups prints them. */
    async committed(group: string): Promise<Record<string, bigint | null>> {
      const { partitions } = await createConsole(kafka).describe(group);
      return Object.fromEntries(partitions.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]));
    },
  };
}

/** A group name that no other test uses. */
export const uniqueGroup = (prefix = "g"): string => `${prefix}-${randomUUID().slice(0, 8)}`;

/** Commits of one group on one topic: offsets of partitions 0, 1, …, with leader epoch 0 and empty metadata. */
export function commitsOn(group: string, topic: string, offsets: readonly bigint[]): Commits {
  return new Map([
    [
      group,
      new Map(offsets.map((offset, partition) => [`${topic}-${partition}`, { offset, metadata: "", leaderEpoch: 0 }])),
    ],
  ]);
}
