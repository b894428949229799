import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { type Cluster, connectCluster } from "../../../functions/shared/kafka/connection/cluster.ts";
import type { Api } from "../../../functions/shared/kafka/wire/api.ts";
import { Reader, Writer } from "../../../functions/shared/kafka/wire/bytes.ts";
import {
  consumerGroupDescribe,
  describeGroups,
  findCoordinator,
  findOneCoordinator,
  listGroups,
} from "../../../functions/shared/kafka/wire/groups.ts";
import { listOffsets, metadata } from "../../../functions/shared/kafka/wire/metadata.ts";
import {
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetFetchOfOne,
} from "../../../functions/shared/kafka/wire/offsets.ts";
import { within } from "../../support/deadline.ts";

/** The answer of OffsetFetch for one group; `undefined` omits the group. */
type FetchAnswer = { code?: number; offsets?: Record<string, bigint | { code: number }> } | undefined;

/**
 * A broker with scripted answers, for states that a test cannot produce on a real broker. Each topic has one partition, 0.
 */
export interface FakeBroker {
  clusterId: string;
  /** Whether it accepts one group per request only, as brokers before 3.0 do. */
  old: boolean;
  /** Listed groups: classic and empty, unless another field says otherwise. */
  groups: string[];
  /** Groups that are described as Dead, with the number of ListGroups answers that still have them. */
  dead: Record<string, number>;
  /** Groups with one member, with the topics that are assigned to it. */
  members: Record<string, readonly string[]>;
  /** Groups of type `consumer` with a member, with the error code of their description. */
  consumers: Record<string, number>;
  /** Groups of type `share`. Their offsets cannot be read, as on a broker of 4.0. */
  shares: string[];
  /** Error codes of topics in Metadata; 0 for other topics. */
  topicCodes: Record<string, number>;
  /** The numbers of partitions of topics in one Metadata answer after another: 0 for an unknown topic; 1 for other topics. */
  partitionCounts: Record<string, number[]>;
  /** The leader epoch of `__consumer_offsets` by the number of the Metadata request for that topic. */
  epoch: (request: number) => number;
  fetch: (group: string, topics: readonly string[] | null) => FetchAnswer;
  /** Error codes of a commit by topic; other topics are omitted. Null closes the connection instead of answering. */
  commit: (group: string) => Record<string, number> | null;
  /** The same for a deletion of commits. */
  remove: (group: string) => Record<string, number> | null;
  /** How long a commit takes. */
  commitMs: number;
  /** Whether requests of an API are never answered. */
  silent: (api: Api<never, unknown> | undefined) => boolean;
  /** The ports of the other brokers of its cluster, with the ids 2, 3, … */
  peers: number[];
  /** The host in every answer about a coordinator. */
  coordinator: () => string;
  /** Replaces the answer to a request, by API key. The frame includes its size. */
  spoil: (frame: Buffer, key: number) => Buffer;
  /** Called when a connection is closed. */
  onClose: () => void;
}

type Request = { key: number; reader: Reader };

const apis: readonly Api<never, unknown>[] = [
  metadata,
  findCoordinator,
  listGroups,
  listOffsets,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  describeGroups,
  consumerGroupDescribe,
];
const probe = /^offset-rollback-probe-/;

/** Starts a fake broker and connects to it. Both are closed when the test ends. */
export async function fakeBroker(script: Partial<FakeBroker>, ms = 5_000): Promise<Cluster> {
  return connectTo([await startFakeBroker(script)], ms);
}

/** Connects to fake brokers until the test ends. */
export async function connectTo(bootstrapServers: string[], ms = 5_000): Promise<Cluster> {
  const cluster = await connectCluster(
    { clusterName: "fake", bootstrapServers, security: { protocol: "PLAINTEXT" } },
    within(ms),
  );
  onTestFinished(() => cluster.close());
  return cluster;
}

/** Starts a fake broker until the test ends, and returns its address. */
export async function startFakeBroker(script: Partial<FakeBroker>): Promise<string> {
  const broker: FakeBroker = {
    clusterId: "fake-cluster-id",
    old: false,
    groups: [],
    dead: {},
    members: {},
    consumers: {},
    shares: [],
    topicCodes: {},
    partitionCounts: {},
    epoch: () => 0,
    fetch: () => ({}),
    commit: () => ({}),
    commitMs: 0,
    remove: () => ({}),
    silent: () => false,
    peers: [],
    coordinator: () => "127.0.0.1",
    spoil: (frame) => frame,
    onClose: () => {},
    ...script,
  };
  const sockets: Socket[] = [];
  let offsetsTopicRequests = 0;
  let lists = 0;
  let busyUntil = 0;
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}).on("close", () => broker.onClose()));
    let received = Buffer.alloc(0);
    socket.on("data", (data) => {
      received = Buffer.concat([received, data]);
      while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
        const frame = received.subarray(4, 4 + received.readInt32BE(0));
        received = received.subarray(4 + frame.length);
        const reader = new Reader(frame);
        const key = reader.int16();
        reader.int16();
        const correlation = reader.int32();
        reader.classicString();
        if (broker.silent(apis.find((api) => api.key === key))) continue;
        const body = answerTo({ key, reader });
        if (body === null) {
          socket.destroy();
          return;
        }
        const head = Buffer.alloc(8);
        head.writeInt32BE(4 + body.length, 0);
        head.writeInt32BE(correlation, 4);
        const answer = broker.spoil(Buffer.concat([head, body]), key);
        if (key === offsetCommit.key && broker.commitMs > 0) {
          busyUntil = Math.max(busyUntil, performance.now()) + broker.commitMs;
          setTimeout(() => socket.write(answer), busyUntil - performance.now());
        } else {
          socket.write(answer);
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const answerTo = ({ key, reader }: Request): Buffer | null => {
    const writer = new Writer();
    if (key === 18) {
      writer.int16(0);
      const older = new Map([findOneCoordinator, offsetFetchOfOne].map((api) => [api.key, api.versions]));
      writer.classicArray(apis, (api) => {
        const [min, max] = (broker.old && older.get(api.key)) || api.versions;
        writer.int16(api.key);
        writer.int16(min);
        writer.int16(max);
      });
      writer.int32(0);
      return writer.bytes();
    }
    if (key === offsetDelete.key) {
      const codes = broker.remove(reader.classicString());
      if (codes === null) return null;
      writer.int16(0);
      writer.int32(0);
      writer.classicArray(Object.entries(codes), ([topic, code]) => {
        writer.classicString(topic);
        writer.classicArray([0], (partition) => {
          writer.int32(partition);
          writer.int16(code);
        });
      });
      return writer.bytes();
    }
    reader.skipTags();
    writer.noTags();
    writer.int32(0);
    if (key === metadata.key) {
      const topics = reader.array(() => {
        reader.uuid();
        const topic = reader.string();
        reader.skipTags();
        return topic;
      });
      writeMetadata(
        writer,
        broker,
        topics,
        port,
        topics.includes("__consumer_offsets") ? offsetsTopicRequests++ : offsetsTopicRequests,
      );
    } else if (key === listGroups.key) {
      lists++;
      writer.int16(0);
      const { groups, consumers, shares, dead } = broker;
      writer.array(
        [...groups, ...shares, ...Object.keys(consumers)].filter((group) => lists <= (dead[group] ?? lists)),
        (group) => {
          const stable = group in broker.members || group in consumers;
          for (const text of [
            group,
            "consumer",
            stable ? "Stable" : "Empty",
            shares.includes(group) ? "share" : group in consumers ? "consumer" : "classic",
          ])
            writer.string(text);
          writer.noTags();
        },
      );
      writer.noTags();
    } else if (key === findCoordinator.key && broker.old) {
      writer.int16(0);
      writer.nullableString(null);
      writer.int32(1);
      writer.string(broker.coordinator());
      writer.int32(port);
      writer.noTags();
    } else if (key === findCoordinator.key) {
      reader.int8();
      const groups = reader.array(() => reader.string());
      writer.array(groups, (group) => {
        writer.string(group);
        writer.int32(1);
        writer.string(broker.coordinator());
        writer.int32(port);
        writer.int16(0);
        writer.nullableString(null);
        writer.noTags();
      });
      writer.noTags();
    } else if (key === offsetFetch.key) {
      if (broker.old) writeFetchOfOne(writer, reader, broker);
      else writeFetch(writer, reader, broker);
    } else if (key === offsetCommit.key) {
      const codes = broker.commit(reader.string());
      if (codes === null) return null;
      writer.array(Object.entries(codes), ([topic, code]) => {
        writer.string(topic);
        writer.array([0], (partition) => {
          writer.int32(partition);
          writer.int16(code);
          writer.noTags();
        });
        writer.noTags();
      });
      writer.noTags();
    } else if (key === describeGroups.key) {
      writer.array(
        reader.array(() => reader.string()),
        (group) => {
          const topics = broker.members[group];
          writer.int16(0);
          writer.string(group);
          const isDead = group in broker.dead || !broker.groups.includes(group);
          writer.string(isDead ? "Dead" : topics === undefined ? "Empty" : "Stable");
          writer.string("consumer");
          writer.string("range");
          writer.array(topics === undefined || isDead ? [] : [topics], (assigned) => {
            for (let i = 0; i < 5; i++) writer.string("");
            writeAssignment(writer, assigned);
            writer.noTags();
          });
          writer.int32(0);
          writer.noTags();
        },
      );
      writer.noTags();
    } else if (key === consumerGroupDescribe.key) {
      writer.array(
        reader.array(() => reader.string()),
        (group) => {
          writer.int16(broker.consumers[group] ?? 69);
          writer.nullableString(null);
          writer.string(group);
          writer.string("");
          writer.int32(0);
          writer.int32(0);
          writer.string("");
          writer.array([], () => {});
          writer.int32(0);
          writer.noTags();
        },
      );
      writer.noTags();
    } else if (key === listOffsets.key) {
      writer.array([], () => {});
      writer.noTags();
    }
    return writer.bytes();
  };

  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${port}`;
}

/** ConsumerProtocolAssignment, which brokers handle as bytes. */
function writeAssignment(writer: Writer, topics: readonly string[]) {
  const assignment = new Writer();
  assignment.int16(3);
  assignment.classicArray(topics, (topic) => {
    assignment.classicString(topic);
    assignment.classicArray([0], (partition) => assignment.int32(partition));
  });
  assignment.int32(-1);
  writer.array([...assignment.bytes()], (byte) => writer.int8((byte << 24) >> 24));
}

function writeMetadata(writer: Writer, broker: FakeBroker, topics: readonly string[], port: number, request: number) {
  writer.array([port, ...broker.peers].entries().toArray(), ([i, portOfNode]) => {
    writer.int32(i + 1);
    writer.string("127.0.0.1");
    writer.int32(portOfNode);
    writer.nullableString(null);
    writer.noTags();
  });
  writer.nullableString(broker.clusterId);
  writer.int32(1);
  writer.array(topics, (topic) => {
    const partitions = broker.partitionCounts[topic]?.shift() ?? 1;
    const code = broker.topicCodes[topic] ?? (partitions === 0 ? 3 : 0);
    writer.int16(code);
    writer.nullableString(topic);
    writer.uuid(null);
    writer.boolean(false);
    writer.array([...Array(code === 0 ? partitions : 0).keys()], (partition) => {
      writer.int16(0);
      writer.int32(partition);
      writer.int32(1);
      writer.int32(topic === "__consumer_offsets" ? broker.epoch(request) : 0);
      for (let i = 0; i < 3; i++) writer.array([1], (node) => writer.int32(node));
      writer.noTags();
    });
    writer.int32(0);
    writer.noTags();
  });
  writer.noTags();
}

function writeFetch(writer: Writer, reader: Reader, broker: FakeBroker) {
  const requests = reader.array(() => {
    const requested = readRequested(reader);
    reader.skipTags();
    return requested;
  });
  const answers = requests.flatMap(({ group, topics }) => {
    const answer = fetchAnswerOf(broker, group, topics);
    return answer === undefined ? [] : [{ group, answer }];
  });
  writer.array(answers, ({ group, answer }) => {
    writer.string(group);
    writeFetched(writer, answer);
  });
  writer.noTags();
}

function writeFetchOfOne(writer: Writer, reader: Reader, broker: FakeBroker) {
  const { group, topics } = readRequested(reader);
  writeFetched(writer, fetchAnswerOf(broker, group, topics) ?? {});
}

const fetchAnswerOf = (broker: FakeBroker, group: string, topics: readonly string[] | null) =>
  broker.fetch(group, topics) ?? (probe.test(group) ? {} : undefined);

function readRequested(reader: Reader) {
  const group = reader.string();
  const topics: string[] = [];
  const length = reader.uvarint();
  for (let i = 1; i < length; i++) {
    topics.push(reader.string());
    reader.array(() => reader.int32());
    reader.skipTags();
  }
  return { group, topics: length === 0 ? null : topics };
}

function writeFetched(writer: Writer, { code, offsets }: NonNullable<FetchAnswer>) {
  writer.array(Object.entries(offsets ?? {}), ([topic, offset]) => {
    writer.string(topic);
    writer.array([0], (partition) => {
      writer.int32(partition);
      writer.int64(typeof offset === "bigint" ? offset : -1n);
      writer.int32(-1);
      writer.nullableString("");
      writer.int16(typeof offset === "bigint" ? 0 : offset.code);
      writer.noTags();
    });
    writer.noTags();
  });
  writer.int16(code ?? 0);
  writer.noTags();
}
