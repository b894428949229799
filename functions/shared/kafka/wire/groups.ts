import type { Api } from "./api.ts";
import type { Broker } from "./metadata.ts";

/** A group as the broker that coordinates it lists it. Brokers before 3.8 do not tell the type. */
export interface ListedGroup {
  readonly group: string;
  readonly protocolType: string;
  readonly state: string;
  readonly type: string | null;
}

/** The groups that one broker coordinates: those that the principal may describe, without a word about the others. */
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

/** Where a group's coordinator is; the broker counts only where `code` is 0. */
export interface FoundCoordinator extends Broker {
  readonly group: string;
  readonly code: number;
}

/** The coordinators of many groups in one request (KIP-699). */
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
};

/** State and number of members of a group, as its coordinator describes it. */
export interface DescribedGroup {
  readonly group: string;
  readonly code: number;
  readonly state: string;
  readonly members: number;
}

/** Classic groups. One that does not exist, or is not classic, is `Dead` without members and without an error. */
export const describeGroups: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 15,
  name: "DescribeGroups",
  versions: [5, 5],
  since: "2.4",
  flexible: true,
  encode(writer, groups) {
    writer.array(groups, (group) => writer.string(group));
    writer.boolean(false); // include_authorized_operations
    writer.noTags();
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const described = reader.array(() => {
      const code = reader.int16();
      const group = reader.string();
      const state = reader.string();
      reader.skipBytes(); // protocol_type
      reader.skipBytes(); // protocol_data
      const members = reader.array(() => {
        for (let i = 0; i < 6; i++) reader.skipBytes(); // ids, host, metadata, assignment
        reader.skipTags();
      }).length;
      reader.int32(); // authorized_operations
      reader.skipTags();
      return { group, code, state, members };
    });
    reader.skipTags();
    return described;
  },
};

/** Groups of type `consumer` (KIP-848). */
export const consumerGroupDescribe: Api<readonly string[], readonly DescribedGroup[]> = {
  key: 69,
  name: "ConsumerGroupDescribe",
  versions: [0, 1],
  since: "3.7",
  flexible: true,
  encode(writer, groups) {
    writer.array(groups, (group) => writer.string(group));
    writer.boolean(false); // include_authorized_operations
    writer.noTags();
  },
  decode(reader, version) {
    const skipAssignment = () => {
      reader.array(() => {
        reader.uuid();
        reader.skipBytes(); // topic_name
        reader.array(() => reader.int32());
        reader.skipTags();
      });
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
      reader.skipBytes(); // assignor_name
      const members = reader.array(() => {
        for (let i = 0; i < 3; i++) reader.skipBytes(); // member_id, instance_id, rack_id
        reader.int32(); // member_epoch
        reader.skipBytes(); // client_id
        reader.skipBytes(); // client_host
        reader.array(() => reader.skipBytes()); // subscribed_topic_names
        reader.skipBytes(); // subscribed_topic_regex
        skipAssignment(); // present
        skipAssignment(); // target
        if (version >= 1) reader.int8(); // member_type
        reader.skipTags();
      }).length;
      reader.int32(); // authorized_operations
      reader.skipTags();
      return { group, code, state, members };
    });
    reader.skipTags();
    return described;
  },
};
