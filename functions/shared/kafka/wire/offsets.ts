import type { Api } from "./api.ts";
import type { Reader, Writer } from "./bytes.ts";

/** Partitions of one topic. */
export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

/** Which commits of a group to fetch: all (`topics` null), or those of the partitions named. */
export interface FetchGroup {
  readonly group: string;
  readonly topics: readonly TopicPartitions[] | null;
}

/** A commit on the wire: offset −1 is no commit, epoch −1 is no epoch. Kafka stores any other offset as it was committed. */
export interface FetchedOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly code: number;
}

/** The commits of one group; empty if `code` is not 0. */
export interface FetchedGroup {
  readonly group: string;
  readonly code: number;
  readonly offsets: readonly FetchedOffset[];
}

type FetchOne = Api<FetchGroup, Omit<FetchedGroup, "group">>;
type FetchMany = Api<readonly FetchGroup[], readonly FetchedGroup[]>;

const fetchOne = (requireStable: boolean): FetchOne => ({
  key: 9,
  name: "OffsetFetch",
  versions: [7, 7],
  since: "2.5",
  flexible: true,
  encode(writer, asked) {
    writeFetch(writer, asked);
    writer.boolean(requireStable);
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    return readFetched(reader);
  },
});

const fetchMany = (requireStable: boolean): FetchMany => ({
  key: 9,
  name: "OffsetFetch",
  versions: [8, 8],
  since: "3.0",
  flexible: true,
  encode(writer, groups) {
    writer.structures(groups, (asked) => writeFetch(writer, asked));
    writer.boolean(requireStable);
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    return reader.structures(() => ({ group: reader.string(), ...readFetched(reader) }));
  },
  async fallback(groups, ask) {
    return (await ask(fetchOne(requireStable), groups)).map(([{ group }, fetched]) => ({ group, ...fetched }));
  },
});

/** The commits of one group, for brokers before 3.0: as `offsetFetch`. */
export const offsetFetchOfOne: FetchOne = fetchOne(true);

/**
 * Commits of many groups of one coordinator (KIP-709); brokers before 3.0 get one request per group. Stable commits
 * only (KIP-447): while a transaction has an offset commit pending, the partition's code is 88. A request for all
 * topics silently omits those that the principal may not describe. A missing group has no offsets and no error.
 */
export const offsetFetch: FetchMany = fetchMany(true);

/** The same with the last commit of each partition, whether another one is pending or not. */
export const lastOffsetFetch: FetchMany = fetchMany(false);

/** One group of a request. */
export function writeFetch(writer: Writer, { group, topics }: FetchGroup): void {
  writer.string(group);
  writer.nullableArray(topics, ({ topic, partitions }) => {
    writer.string(topic);
    writer.array(partitions, (partition) => writer.int32(partition));
    writer.noTags();
  });
}

/** Reads one group of an answer. */
function readFetched(reader: Reader): Omit<FetchedGroup, "group"> {
  const offsets: FetchedOffset[] = [];
  reader.structures(() => {
    const topic = reader.string();
    reader.structures(() => {
      offsets.push({
        topic,
        partition: reader.int32(),
        offset: reader.int64(),
        leaderEpoch: reader.int32(),
        metadata: reader.nullableString() ?? "",
        code: reader.int16(),
      });
    });
  });
  return { code: reader.int16(), offsets };
}

/** A commit to send. */
export interface CommitPartition {
  readonly partition: number;
  readonly offset: bigint;
  /** −1 for none. */
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** Commits to send for one group. */
export interface CommitRequest {
  readonly group: string;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly CommitPartition[] }[];
}

/** The result of a commit or a deletion on one partition. */
export interface PartitionCode {
  readonly topic: string;
  readonly partition: number;
  readonly code: number;
}

/** Commits from outside the group: generation −1, no member. Coordinators accept them only without members. */
export const offsetCommit: Api<CommitRequest, readonly PartitionCode[]> = {
  key: 8,
  name: "OffsetCommit",
  versions: [8, 8],
  since: "2.4",
  flexible: true,
  encode(writer, { group, topics }) {
    writer.string(group);
    writer.int32(-1); // generation_id
    writer.string(""); // member_id
    writer.nullableString(null); // group_instance_id
    writer.structures(topics, ({ topic, partitions }) => {
      writer.string(topic);
      writer.structures(partitions, ({ partition, offset, leaderEpoch, metadata }) => {
        writer.int32(partition);
        writer.int64(offset);
        writer.int32(leaderEpoch);
        writer.string(metadata);
      });
    });
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const codes: PartitionCode[] = [];
    reader.structures(() => {
      const topic = reader.string();
      reader.structures(() => {
        codes.push({ topic, partition: reader.int32(), code: reader.int16() });
      });
    });
    return codes;
  },
};

/** Deletions of commits of one group (KIP-496). */
export const offsetDelete: Api<
  { readonly group: string; readonly topics: readonly TopicPartitions[] },
  { readonly code: number; readonly partitions: readonly PartitionCode[] }
> = {
  key: 47,
  name: "OffsetDelete",
  versions: [0, 0],
  since: "2.4",
  flexible: false,
  encode(writer, { group, topics }) {
    writer.classicString(group);
    writer.classicArray(topics, ({ topic, partitions }) => {
      writer.classicString(topic);
      writer.classicArray(partitions, (partition) => writer.int32(partition));
    });
  },
  decode(reader) {
    const code = reader.int16();
    reader.int32(); // throttle_time_ms
    const partitions: PartitionCode[] = [];
    reader.classicArray(() => {
      const topic = reader.classicString();
      reader.classicArray(() => {
        partitions.push({ topic, partition: reader.int32(), code: reader.int16() });
      });
    });
    return { code, partitions };
  },
};
