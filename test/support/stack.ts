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
import { createTopic, produce, someValues } from "./topics.ts";

/** The deployed stack for a test file: its functions, its API, its Kafka and Kafka's own tools. */
export function openStack() {
  const { outputs, kafka: descriptor, cloud } = inject("stack");
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
    outputs,
    cloud,
    kafka,
    kafkaJs,
    settings,
    tools: createConsole(kafka),

    unsigned: client.unsigned,

    /** Invokes a function; its answer must be as the API documents say. */
    async invoke(verb: string, request: unknown): Promise<Answer> {
      return requireDocumented(verb, request, await client.invoke(verb, request));
    },

    /** Calls the API; its answer must be as the API documents say. */
    async http(method: string, path: string, body?: unknown): Promise<HttpAnswer> {
      return requireDocumentedHttp(method, path, await client.http(method, path, body));
    },

    /** Invokes a function that must succeed, and gives its result, which must be as the API documents say. */
    async call<const V extends string, const R>(verb: V, request: R): Promise<ResultOf<V, R>> {
      const answer = await client.invoke(verb, request);
      if (answer.error !== undefined) throw new Error(`${verb} failed: ${answer.error.message}`);
      return documentedResult(verb, request, answer.result);
    },

    /** Invokes a function that must fail, and gives its error. Both emulators keep the message; its name leads it. */
    async failure(verb: string, request: unknown): Promise<{ name: string; message: string }> {
      const answer = requireDocumented(verb, request, await client.invoke(verb, request));
      if (answer.error === undefined) throw new Error(`${verb} succeeded: ${JSON.stringify(answer.result)}`);
      return { name: answer.error.message.split(":")[0] ?? "", message: answer.error.message };
    },

    /** Creates a topic, of an own name where none is given, with this many records in each partition. */
    async topic(partitions = 3, recordsEach = 20, topic = `t-${randomUUID().slice(0, 8)}`): Promise<string> {
      await withCluster(settings, within(60_000), (cluster) =>
        createTopic(kafkaJs, cluster, { topic, partitions, replicas: 1 }),
      );
      await produce(kafkaJs, topic, partitions, someValues(partitions * recordsEach));
      return topic;
    },

    /** Commits for empty groups, as our own adapter does; Kafka's tools tell whether it did. */
    async commit(commits: Commits): Promise<void> {
      expectAccepted(await withCluster(settings, within(20_000), (cluster) => commitOffsets(cluster, commits)));
    },

    /** What kafka-consumer-groups says a group has committed: offsets by topic-partition. */
    async committed(group: string): Promise<Record<string, bigint | null>> {
      const { partitions } = await createConsole(kafka).describe(group);
      return Object.fromEntries(partitions.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]));
    },
  };
}

/** A name of its own for a test's group. */
export const uniqueGroup = (what = "g"): string => `${what}-${randomUUID().slice(0, 8)}`;

/** Commits of one group: offsets by partition of one topic. */
export function commitsOn(group: string, topic: string, offsets: readonly bigint[]): Commits {
  return new Map([
    [
      group,
      new Map(offsets.map((offset, partition) => [`${topic}-${partition}`, { offset, metadata: "", leaderEpoch: 0 }])),
    ],
  ]);
}
