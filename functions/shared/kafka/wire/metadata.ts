import type { Api } from "./api.ts";

/** A broker and its advertised address. */
export interface Broker {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

/** A partition in a Metadata answer; `leader` is −1 without a leader. */
export interface PartitionMetadata {
  readonly code: number;
  readonly partition: number;
  readonly leader: number;
  readonly leaderEpoch: number;
}

/** A topic in a Metadata answer. */
export interface TopicMetadata {
  readonly code: number;
  readonly topic: string;
  readonly topicId: string | null;
  readonly partitions: readonly PartitionMetadata[];
}

/** One broker's view of the cluster. */
export interface ClusterMetadata {
  readonly brokers: readonly Broker[];
  readonly clusterId: string | null;
  readonly topics: readonly TopicMetadata[];
}

/** Brokers, cluster id and the requested topics. Never creates a topic. Topic ids exist from v10 on (KIP-516). */
export const metadata: Api<{ readonly topics: readonly string[] }, ClusterMetadata> = {
  key: 3,
  name: "Metadata",
  versions: [10, 12],
  since: "2.8",
  flexible: true,
  encode(writer, { topics }, version) {
    writer.structures(topics, (topic) => {
      writer.uuid(null);
      writer.nullableString(topic);
    });
    writer.boolean(false); // allow_auto_topic_creation
    if (version === 10) writer.boolean(false); // include_cluster_authorized_operations
    writer.boolean(false); // include_topic_authorized_operations
  },
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    const brokers = reader.structures(() => {
      const broker = { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
      reader.skipBytes(); // rack
      return broker;
    });
    const clusterId = reader.nullableString();
    reader.int32(); // controller_id
    const topics = reader.structures(() => {
      const topic = {
        code: reader.int16(),
        topic: reader.nullableString() ?? "",
        topicId: reader.uuid(),
        internal: reader.boolean(),
        partitions: reader.structures(() => {
          const partition = {
            code: reader.int16(),
            partition: reader.int32(),
            leader: reader.int32(),
            leaderEpoch: reader.int32(),
          };
          for (let i = 0; i < 3; i++) reader.array(() => reader.int32()); // replicas, in sync, offline
          return partition;
        }),
      };
      reader.int32(); // topic_authorized_operations
      return topic;
    });
    if (version === 10) reader.int32(); // cluster_authorized_operations
    return { brokers, clusterId, topics };
  },
};

/** Which end of a log to read: the first readable offset, or the offset of the next record. */
export const logEnd = { earliest: -2n, latest: -1n } as const;

/** A ListOffsets request: one end of the logs of partitions that one broker leads. */
export interface ListOffsetsRequest {
  readonly end: (typeof logEnd)[keyof typeof logEnd];
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

/** One end of one log; `offset` is valid only if `code` is 0. */
export interface ListedOffset {
  readonly topic: string;
  readonly partition: number;
  readonly code: number;
  readonly offset: bigint;
}

/** Log start and end offsets under `read_uncommitted`, as Kafka's own tools show them. */
export const listOffsets: Api<ListOffsetsRequest, readonly ListedOffset[]> = {
  key: 2,
  name: "ListOffsets",
  versions: [6, 7],
  since: "2.8",
  flexible: true,
  encode(writer, { end, topics }) {
    writer.int32(-1); // replica_id: a client
    writer.int8(0); // isolation_level: read uncommitted
    writer.structures(topics, ({ topic, partitions }) => {
      writer.string(topic);
      writer.structures(partitions, (partition) => {
        writer.int32(partition);
        writer.int32(-1); // current_leader_epoch: not checked
        writer.int64(end);
      });
    });
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const offsets: ListedOffset[] = [];
    reader.structures(() => {
      const topic = reader.string();
      reader.structures(() => {
        const [partition, code] = [reader.int32(), reader.int16()];
        reader.int64(); // timestamp
        offsets.push({ topic, partition, code, offset: reader.int64() });
        reader.int32(); // leader_epoch of the record
      });
    });
    return offsets;
  },
};

/** Leader epochs of partitions that one broker leads. */
export interface LeaderEpochsRequest {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly leaderEpoch: number }[];
  }[];
}

/** Where a leader epoch ended: at the offset of the first record of a later one. −1 if the leader does not know. */
export interface LeaderEpochEnd {
  readonly topic: string;
  readonly partition: number;
  readonly code: number;
  readonly endOffset: bigint;
}

/** Where the records of leader epochs, and of earlier ones, end in the present logs (KIP-101, KIP-320). */
export const offsetForLeaderEpoch: Api<LeaderEpochsRequest, readonly LeaderEpochEnd[]> = {
  key: 23,
  name: "OffsetForLeaderEpoch",
  versions: [4, 4],
  since: "2.7",
  flexible: true,
  encode(writer, { topics }) {
    writer.int32(-1); // replica_id: a client
    writer.structures(topics, ({ topic, partitions }) => {
      writer.string(topic);
      writer.structures(partitions, ({ partition, leaderEpoch }) => {
        writer.int32(partition);
        writer.int32(-1); // current_leader_epoch: not checked
        writer.int32(leaderEpoch);
      });
    });
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const ends: LeaderEpochEnd[] = [];
    reader.structures(() => {
      const topic = reader.string();
      reader.structures(() => {
        const [code, partition] = [reader.int16(), reader.int32()];
        reader.int32(); // leader_epoch: the latest one that is not above the requested one
        ends.push({ topic, partition, code, endOffset: reader.int64() });
      });
    });
    return ends;
  },
};
