import type { Api } from "./api.ts";
import { errorCodes } from "./codes.ts";
import { type DescribedGroup, encodeDescribe, readAssignment } from "./groups.ts";
import {
  type CommitRequest,
  type FetchedGroup,
  type FetchedOffset,
  type FetchGroup,
  type PartitionCode,
  writeFetch,
} from "./offsets.ts";

/** Groups of type `share` (KIP-932). A group with a topic that the principal may not describe has only code 29. */
export const shareGroupDescribe: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 77,
  name: "ShareGroupDescribe",
  versions: [1, 1],
  since: "4.1",
  flexible: true,
  encode: encodeDescribe,
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const described = reader.array(() => {
      const code = reader.int16();
      reader.skipBytes(); // error_message
      const group = reader.string();
      const state = reader.string();
      reader.int32(); // group_epoch
      reader.int32(); // assignment_epoch
      reader.skipBytes(); // assignor_name
      const topics = new Set<string>();
      const members = reader.array(() => {
        for (let i = 0; i < 2; i++) reader.skipBytes(); // member_id, rack_id
        reader.int32(); // member_epoch
        for (let i = 0; i < 2; i++) reader.skipBytes(); // client_id, client_host
        for (const topic of reader.array(() => reader.string())) topics.add(topic); // subscribed_topic_names
        readAssignment(reader, topics);
        reader.skipTags();
      }).length;
      reader.int32(); // authorized_operations
      reader.skipTags();
      return { group, code, state, members, topics: [...topics] };
    });
    reader.skipTags();
    return described;
  },
};

/**
 * The start offsets of share groups, where delivery starts. Deliveries beyond them are not reported. A request for all
 * topics silently omits those that the principal may not describe. Brokers without this API count as code 35.
 */
export const describeShareGroupOffsets: Api<readonly FetchGroup[], readonly FetchedGroup[]> = {
  key: 90,
  name: "DescribeShareGroupOffsets",
  versions: [0, 1],
  since: "4.1",
  flexible: true,
  encode(writer, groups) {
    writer.array(groups, (asked) => {
      writeFetch(writer, asked);
      writer.noTags();
    });
    writer.noTags();
  },
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    const groups = reader.array(() => {
      const group = reader.string();
      const offsets: FetchedOffset[] = [];
      reader.array(() => {
        const topic = reader.string();
        reader.uuid(); // topic_id
        reader.array(() => {
          const [partition, offset] = [reader.int32(), reader.int64()];
          reader.int32(); // leader_epoch of the partition: it does not belong to the offset
          if (version >= 1) reader.int64(); // lag
          offsets.push({ topic, partition, offset, leaderEpoch: -1, metadata: "", code: reader.int16() });
          reader.skipBytes(); // error_message
          reader.skipTags();
        });
        reader.skipTags();
      });
      const answered = { group, code: reader.int16(), offsets };
      reader.skipBytes(); // error_message
      reader.skipTags();
      return answered;
    });
    reader.skipTags();
    return groups;
  },
  async fallback(groups) {
    return groups.map(({ group }) => ({ group, code: errorCodes.UNSUPPORTED_VERSION, offsets: [] }));
  },
};

/**
 * Sets start offsets of a share group; −1 is uninitialized. The coordinator accepts it only without members, and
 * creates a missing group. Brokers without this API count as code 35.
 */
export const alterShareGroupOffsets: Api<
  CommitRequest,
  { readonly code: number; readonly partitions: readonly PartitionCode[] }
> = {
  key: 91,
  name: "AlterShareGroupOffsets",
  versions: [0, 0],
  since: "4.1",
  flexible: true,
  encode(writer, { group, topics }) {
    writer.string(group);
    writer.array(topics, ({ topic, partitions }) => {
      writer.string(topic);
      writer.array(partitions, ({ partition, offset }) => {
        writer.int32(partition);
        writer.int64(offset);
        writer.noTags();
      });
      writer.noTags();
    });
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.skipBytes(); // error_message
    const partitions: PartitionCode[] = [];
    reader.array(() => {
      const topic = reader.string();
      reader.uuid(); // topic_id
      reader.array(() => {
        partitions.push({ topic, partition: reader.int32(), code: reader.int16() });
        reader.skipBytes(); // error_message
        reader.skipTags();
      });
      reader.skipTags();
    });
    reader.skipTags();
    return { code, partitions };
  },
  async fallback() {
    return { code: errorCodes.UNSUPPORTED_VERSION, partitions: [] };
  },
};
