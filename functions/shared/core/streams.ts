import type { ObservedGroup } from "./model.ts";

/** The protocol of members that are Kafka Streams applications on the classic protocol: such a group's type is `classic`. */
const STREAMS_PROTOCOL = "stream";

/** Whether a group is known to be a Kafka Streams application. */
export const isStreams = (group: ObservedGroup | undefined): boolean =>
  group?.type === "streams" || group?.protocol === STREAMS_PROTOCOL;

/**
 * Whether a topic is a repartition topic of a Kafka Streams application: its name is `<application id>-…-repartition`. Streams
 * deletes the records of these topics once they are consumed (`repartition.purge.interval.ms`).
 */
export const isRepartitionTopic = (applicationId: string, topic: string): boolean =>
  topic.startsWith(`${applicationId}-`) && topic.endsWith("-repartition");
