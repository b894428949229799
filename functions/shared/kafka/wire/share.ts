import type { Api } from "./api.ts";
import { errorCodes } from "./codes.ts";
import { groupDescription, noTopics, readAssignment } from "./groups.ts";
import {
  type CommitRequest,
  type FetchedGroup,
  type FetchedOffset,
  type FetchGroup,
  type PartitionCode,
  writeFetch,
} from "./offsets.ts";

/** Groups of type `share` (KIP-932). A group with a topic that the principal may not describe has only code 29. */
export const shareGroupDescribe = groupDescription(
  { key: 77, name: "ShareGroupDescribe", versions: [1, 1], since: "4.1", protocolType: "share" },
  noTopics,
  (reader, topics) => {
    reader.skipBytes(2); // member_id, rack_id
    reader.int32(); // member_epoch
    reader.skipBytes(2); // client_id, client_host
    for (const topic of reader.array(() => reader.string())) topics.add(topic); // subscribed_topic_names
    readAssignment(reader, topics);
  },
);

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
    writer.structures(groups, (asked) => writeFetch(writer, asked));
  },
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    return reader.structures(() => {
      const group = reader.string();
      const offsets: FetchedOffset[] = [];
      reader.structures(() => {
        const topic = reader.string();
        reader.uuid(); // topic_id
        reader.structures(() => {
          const [partition, offset] = [reader.int32(), reader.int64()];
          reader.int32(); // leader_epoch of the partition: it does not belong to the offset
          if (version >= 1) reader.int64(); // lag
          offsets.push({ topic, partition, offset, leaderEpoch: -1, metadata: "", code: reader.int16() });
          reader.skipBytes(); // error_message
        });
      });
      const code = reader.int16();
      reader.skipBytes(); // error_message
      return { group, code, offsets };
    });
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
    writer.structures(topics, ({ topic, partitions }) => {
      writer.string(topic);
      writer.structures(partitions, ({ partition, offset }) => {
        writer.int32(partition);
        writer.int64(offset);
      });
    });
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.skipBytes(); // error_message
    const partitions: PartitionCode[] = [];
    reader.structures(() => {
      const topic = reader.string();
      reader.uuid(); // topic_id
      reader.structures(() => {
        partitions.push({ topic, partition: reader.int32(), code: reader.int16() });
        reader.skipBytes(); // error_message
      });
    });
    return { code, partitions };
  },
  async fallback() {
    return { code: errorCodes.UNSUPPORTED_VERSION, partitions: [] };
  },
};
