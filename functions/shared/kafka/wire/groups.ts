import type { Api } from "./api.ts";
import { MalformedAnswer, Reader, type Writer } from "./bytes.ts";
import type { Broker } from "./metadata.ts";

/** A group as its coordinator lists it. Brokers before 3.8 do not send the type. */
export interface ListedGroup {
  readonly group: string;
  readonly protocolType: string;
  readonly state: string;
  readonly type: string | null;
}

/** The groups that one broker coordinates. Groups that the principal may not describe are silently omitted. */
export const listGroups: Api<null, { readonly code: number; readonly groups: readonly ListedGroup[] }> = {
  key: 16,
  name: "ListGroups",
  versions: [4, 5],
  since: "2.6",
  flexible: true,
  encode(writer, _, version) {
    writer.array([], () => {}); // states: all
    if (version >= 5) writer.array([], () => {}); // types: all
    writer.noTags();
  },
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    const groups = reader.array(() => {
      const listed = {
        group: reader.string(),
        protocolType: reader.string(),
        state: reader.string(),
        type: version >= 5 ? reader.string() : null,
      };
      reader.skipTags();
      return listed;
    });
    reader.skipTags();
    return { code, groups };
  },
};

/** A group's coordinator; the broker is valid only if `code` is 0. */
export interface FoundCoordinator extends Broker {
  readonly group: string;
  readonly code: number;
}

/** The coordinator of one group, for brokers before 3.0. */
export const findOneCoordinator: Api<string, Omit<FoundCoordinator, "group">> = {
  key: 10,
  name: "FindCoordinator",
  versions: [3, 3],
  since: "2.4",
  flexible: true,
  encode(writer, group) {
    writer.string(group);
    writer.int8(0); // key_type: groups
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.skipBytes(); // error_message
    const found = { nodeId: reader.int32(), host: reader.string(), port: reader.int32(), code };
    reader.skipTags();
    return found;
  },
};

/** The coordinators of many groups in one request (KIP-699), or in one per group before Kafka 3.0. */
export const findCoordinator: Api<readonly string[], readonly FoundCoordinator[]> = {
  key: 10,
  name: "FindCoordinator",
  versions: [4, 4],
  since: "3.0",
  flexible: true,
  encode(writer, groups) {
    writer.int8(0); // key_type: groups
    writer.array(groups, (group) => writer.string(group));
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const coordinators = reader.array(() => {
      const found = {
        group: reader.string(),
        nodeId: reader.int32(),
        host: reader.string(),
        port: reader.int32(),
        code: reader.int16(),
      };
      reader.skipBytes(); // error_message
      reader.skipTags();
      return found;
    });
    reader.skipTags();
    return coordinators;
  },
  async fallback(groups, ask) {
    return (await ask(findOneCoordinator, groups)).map(([group, found]) => ({ group, ...found }));
  },
};

/** A group as its coordinator describes it. */
export interface DescribedGroup {
  readonly group: string;
  readonly code: number;
  readonly state: string;
  readonly members: number;
  /** The topics assigned to the members, each once; for a streams group, the topics that its topology reads. */
  readonly topics: readonly string[];
}

/** Classic groups. A missing group, or one of another type, is `Dead` without members and without an error. */
export const describeGroups: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 15,
  name: "DescribeGroups",
  versions: [5, 5],
  since: "2.4",
  flexible: true,
  encode: encodeDescribe,
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const described = reader.array(() => {
      const code = reader.int16();
      const group = reader.string();
      const state = reader.string();
      const protocolType = reader.nullableString();
      reader.skipBytes(); // protocol_data
      const assignments = reader.array(() => {
        for (let i = 0; i < 5; i++) reader.skipBytes(); // ids, host, metadata
        const assignment = reader.bytes();
        reader.skipTags();
        return assignment;
      });
      reader.int32(); // authorized_operations
      reader.skipTags();
      const topics = protocolType === "consumer" ? assignments.flatMap(assignedTopics) : [];
      return { group, code, state, members: assignments.length, topics: [...new Set(topics)] };
    });
    reader.skipTags();
    return described;
  },
};

/** Which groups to describe. */
export function encodeDescribe(writer: Writer, groups: readonly string[]): void {
  writer.array(groups, (group) => writer.string(group));
  writer.boolean(false); // include_authorized_operations
  writer.noTags();
}

/** The topics of a ConsumerProtocolAssignment; none if it is malformed, because clients write it, not brokers. */
function assignedTopics(bytes: Buffer): string[] {
  const reader = new Reader(bytes);
  try {
    reader.int16(); // version: all start alike
    return reader.classicArray(() => {
      const topic = reader.classicString();
      reader.classicArray(() => reader.int32());
      return topic;
    });
  } catch (error) {
    if (error instanceof MalformedAnswer) return [];
    throw error;
  }
}

/** Adds the topics assigned to a member. */
export function readAssignment(reader: Reader, topics: Set<string>): void {
  reader.array(() => {
    reader.uuid();
    topics.add(reader.string());
    reader.array(() => reader.int32());
    reader.skipTags();
  });
  reader.skipTags();
}

/** Groups of type `consumer` (KIP-848). Code 29 as in `shareGroupDescribe`. */
export const consumerGroupDescribe: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 69,
  name: "ConsumerGroupDescribe",
  versions: [0, 1],
  since: "3.7",
  flexible: true,
  encode: encodeDescribe,
  decode(reader, version) {
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
        for (let i = 0; i < 3; i++) reader.skipBytes(); // member_id, instance_id, rack_id
        reader.int32(); // member_epoch
        reader.skipBytes(); // client_id
        reader.skipBytes(); // client_host
        reader.array(() => reader.skipBytes()); // subscribed_topic_names
        reader.skipBytes(); // subscribed_topic_regex
        readAssignment(reader, topics); // present
        readAssignment(reader, topics); // target
        if (version >= 1) reader.int8(); // member_type
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

/** Groups of type `streams` (KIP-1071). Code 29 as in `shareGroupDescribe`. */
export const streamsGroupDescribe: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 89,
  name: "StreamsGroupDescribe",
  versions: [0, 0],
  since: "4.1",
  flexible: true,
  encode: encodeDescribe,
  decode(reader) {
    const skipPair = () => {
      reader.skipBytes();
      reader.skipBytes();
      reader.skipTags();
    };
    const readTopicInfo = () => {
      const topic = reader.string();
      reader.int32(); // partitions
      reader.int16(); // replication_factor
      reader.array(skipPair); // topic_configs
      reader.skipTags();
      return topic;
    };
    const readSubtopology = () => {
      reader.skipBytes(); // subtopology_id
      const sources = reader.array(() => reader.string());
      reader.array(() => reader.skipBytes()); // repartition_sink_topics
      reader.array(readTopicInfo); // state_changelog_topics
      const repartitioned = reader.array(readTopicInfo);
      reader.skipTags();
      return [...sources, ...repartitioned];
    };
    const readTopology = () => {
      reader.int32(); // epoch
      const topics = reader.nullableArray(readSubtopology).flat();
      reader.skipTags();
      return topics;
    };
    const skipTasks = () => {
      reader.skipBytes(); // subtopology_id
      reader.array(() => reader.int32());
      reader.skipTags();
    };
    const skipTaskOffset = () => {
      reader.skipBytes(); // subtopology_id
      reader.int32(); // partition
      reader.int64(); // offset
      reader.skipTags();
    };
    const skipAssignment = () => {
      for (let i = 0; i < 3; i++) reader.array(skipTasks); // active, standby, warm-up
      reader.skipTags();
    };
    const skipMember = () => {
      reader.skipBytes(); // member_id
      reader.int32(); // member_epoch
      for (let i = 0; i < 4; i++) reader.skipBytes(); // instance_id, rack_id, client_id, client_host
      reader.int32(); // topology_epoch
      reader.skipBytes(); // process_id
      reader.nullable(() => {
        reader.skipBytes(); // host
        reader.int16(); // port
        reader.skipTags();
      });
      reader.array(skipPair); // client_tags
      reader.array(skipTaskOffset);
      reader.array(skipTaskOffset); // ends
      skipAssignment(); // present
      skipAssignment(); // target
      reader.boolean(); // is_classic
      reader.skipTags();
    };
    reader.int32(); // throttle_time_ms
    const described = reader.array(() => {
      const code = reader.int16();
      reader.skipBytes(); // error_message
      const group = reader.string();
      const state = reader.string();
      reader.int32(); // group_epoch
      reader.int32(); // assignment_epoch
      const topics = reader.nullable(readTopology) ?? [];
      const members = reader.array(skipMember).length;
      reader.int32(); // authorized_operations
      reader.skipTags();
      return { group, code, state, members, topics: [...new Set(topics)] };
    });
    reader.skipTags();
    return described;
  },
};
