import type { Api } from "./api.ts";
import { MalformedAnswer, Reader, type Writer } from "./bytes.ts";
import { errorCodes } from "./codes.ts";
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
  },
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    const groups = reader.structures(() => ({
      group: reader.string(),
      protocolType: reader.string(),
      state: reader.string(),
      type: version >= 5 ? reader.string() : null,
    }));
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
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const code = reader.int16();
    reader.skipBytes(); // error_message
    return { nodeId: reader.int32(), host: reader.string(), port: reader.int32(), code };
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
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    return reader.structures(() => {
      const group = reader.string();
      const broker = { nodeId: reader.int32(), host: reader.string(), port: reader.int32() };
      const code = reader.int16();
      reader.skipBytes(); // error_message
      return { group, ...broker, code };
    });
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
  /** As in a list of groups. */
  readonly protocolType: string;
  readonly members: number;
  /** The protocol that the members have agreed on; empty for none. Only classic groups have one. */
  readonly protocol: string;
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
    return reader.structures(() => {
      const [code, group, state] = [reader.int16(), reader.string(), reader.string()];
      const protocolType = reader.nullableString() ?? "";
      const protocol = reader.string();
      const assignments = reader.structures(() => {
        reader.skipBytes(5); // member_id, group_instance_id, client_id, client_host, member_metadata
        return reader.bytes();
      });
      reader.int32(); // authorized_operations
      const topics = protocolType === "consumer" ? assignments.flatMap(assignedTopics) : [];
      return { group, code, state, protocolType, members: assignments.length, protocol, topics: [...new Set(topics)] };
    });
  },
};

/** Which groups to describe. */
function encodeDescribe(writer: Writer, groups: readonly string[]): void {
  writer.array(groups, (group) => writer.string(group));
  writer.boolean(false); // include_authorized_operations
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

/**
 * The description of groups of one of the newer types, which differ in their members. A broker without the API has no
 * groups of that type.
 *
 * @param protocolType what lists of groups say for groups of this type
 * @param readTopics reads what stands before the members, and gives the topics that it names
 * @param readMember reads a member, and adds its topics
 */
export const groupDescription = (
  { protocolType, ...api }: Pick<Api<never, unknown>, "key" | "name" | "versions" | "since"> & { protocolType: string },
  readTopics: (reader: Reader) => readonly string[],
  readMember: (reader: Reader, topics: Set<string>, version: number) => void,
): Api<readonly string[], readonly DescribedGroup[]> => ({
  ...api,
  flexible: true,
  encode: encodeDescribe,
  decode(reader, version) {
    reader.int32(); // throttle_time_ms
    return reader.structures(() => {
      const code = reader.int16();
      reader.skipBytes(); // error_message
      const [group, state] = [reader.string(), reader.string()];
      reader.int32(); // group_epoch
      reader.int32(); // assignment_epoch
      const topics = new Set(readTopics(reader));
      const members = reader.structures(() => readMember(reader, topics, version)).length;
      reader.int32(); // authorized_operations
      return { group, code, state, protocolType, members, protocol: "", topics: [...topics] };
    });
  },
  fallback: async (groups) =>
    groups.map((group) => ({
      group,
      code: errorCodes.GROUP_ID_NOT_FOUND,
      state: "",
      protocolType,
      members: 0,
      protocol: "",
      topics: [],
    })),
});

/** No topics: only the name of the assignor stands before the members of consumer and share groups. */
export function noTopics(reader: Reader): readonly string[] {
  reader.skipBytes();
  return [];
}

/** Adds the topics assigned to a member. */
export function readAssignment(reader: Reader, topics: Set<string>): void {
  reader.structure(() =>
    reader.structures(() => {
      reader.uuid();
      topics.add(reader.string());
      reader.array(() => reader.int32());
    }),
  );
}

/** Groups of type `consumer` (KIP-848). Code 29 as in `shareGroupDescribe`. */
export const consumerGroupDescribe = groupDescription(
  { key: 69, name: "ConsumerGroupDescribe", versions: [0, 1], since: "3.7", protocolType: "consumer" },
  noTopics,
  (reader, topics, version) => {
    reader.skipBytes(3); // member_id, instance_id, rack_id
    reader.int32(); // member_epoch
    reader.skipBytes(2); // client_id, client_host
    reader.array(() => reader.skipBytes()); // subscribed_topic_names
    reader.skipBytes(); // subscribed_topic_regex
    readAssignment(reader, topics); // present
    readAssignment(reader, topics); // target
    if (version >= 1) reader.int8(); // member_type
  },
);

/** Groups of type `streams` (KIP-1071). Code 29 as in `shareGroupDescribe`. */
export const streamsGroupDescribe = groupDescription(
  { key: 89, name: "StreamsGroupDescribe", versions: [0, 0], since: "4.1", protocolType: "streams" },
  readTopology,
  (reader) => {
    reader.skipBytes(); // member_id
    reader.int32(); // member_epoch
    reader.skipBytes(4); // instance_id, rack_id, client_id, client_host
    reader.int32(); // topology_epoch
    reader.skipBytes(); // process_id
    reader.nullable(() => {
      reader.skipBytes(); // host
      reader.int16(); // port
    });
    reader.structures(() => reader.skipBytes(2)); // client_tags
    for (let i = 0; i < 2; i++) skipTaskOffsets(reader); // present, ends
    for (let i = 0; i < 2; i++) skipTasks(reader); // present, target
    reader.boolean(); // is_classic
  },
);

/** The topics that a topology reads; none if there is no topology. */
function readTopology(reader: Reader): readonly string[] {
  const topicInfos = () =>
    reader.structures(() => {
      const topic = reader.string();
      reader.int32(); // partitions
      reader.int16(); // replication_factor
      reader.structures(() => reader.skipBytes(2)); // topic_configs
      return topic;
    });
  const readSubtopology = () => {
    reader.skipBytes(); // subtopology_id
    const sources = reader.array(() => reader.string());
    reader.array(() => reader.skipBytes()); // repartition_sink_topics
    topicInfos(); // state_changelog_topics
    return [...sources, ...topicInfos()]; // with repartition_source_topics
  };
  const topics = reader.nullable(() => {
    reader.int32(); // epoch
    return reader.nullableArray(() => reader.structure(readSubtopology)).flat();
  });
  return topics ?? [];
}

function skipTaskOffsets(reader: Reader): void {
  reader.structures(() => {
    reader.skipBytes(); // subtopology_id
    reader.int32(); // partition
    reader.int64(); // offset
  });
}

function skipTasks(reader: Reader): void {
  const skipTasksOfOneKind = () =>
    reader.structures(() => {
      reader.skipBytes(); // subtopology_id
      reader.array(() => reader.int32());
    });
  reader.structure(() => {
    for (let i = 0; i < 3; i++) skipTasksOfOneKind(); // active, standby, warm-up
  });
}
