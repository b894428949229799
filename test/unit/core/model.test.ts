import { describe, expect, test } from "vitest";
import {
  countOffsets,
  leastPartitions,
  placeOf,
  sameCommit,
  splitTopicPartition,
  statusOf,
  topicPartition,
  topicsOf,
} from "../../../functions/shared/core/model.ts";
import { at } from "../../support/states.ts";

describe("the key of a partition", () => {
  test.each([
    ["orders-0", "orders", 0],
    ["orders-12", "orders", 12],
    ["a-1-2", "a-1", 2],
    ["t-10", "t", 10],
    ["o-2147483647", "o", 2147483647],
  ])("%s is of topic %s, partition %i", (key, topic, partition) => {
    expect(splitTopicPartition(key)).toEqual({ topic, partition });
    expect(placeOf(key)).toEqual({ topic, partition });
    expect(topicPartition(topic, partition)).toBe(key);
  });

  const wrong = ["orders", "-0", "orders-", "orders-01", "orders-x", "orders-1x", "orders-x1", "o-2147483648", "0", ""];
  test.each(wrong)("is not %j: splitTopicPartition gives undefined, and placeOf throws", (key) => {
    expect(splitTopicPartition(key)).toBeUndefined();
    expect(() => placeOf(key)).toThrow(`${key} is not the key of a partition`);
  });
});

describe("leastPartitions", () => {
  test("is one more than the highest partition of each topic, over all groups", () => {
    const of = (...keys: string[]) => new Map(keys.map((key) => [key, null]));
    expect(leastPartitions([of("t-3", "t-0"), of("t-1", "u-0"), of()])).toEqual(
      new Map([
        ["t", 4],
        ["u", 1],
      ]),
    );
  });
});

describe("topicsOf", () => {
  test("names each topic once, over all groups", () => {
    const of = (...keys: string[]) => new Map(keys.map((key) => [key, null]));
    expect(topicsOf(new Map(Object.entries({ a: of("t-0", "t-1"), b: of("t-0", "u-0"), c: of() })))).toEqual(
      new Set(["t", "u"]),
    );
  });
});

describe("sameCommit", () => {
  test("compares offset, metadata and leader epoch", () => {
    expect(sameCommit(at(1n, "m", 2), at(1n, "m", 2))).toBe(true);
    expect(sameCommit(at(1n, "m", 2), at(2n, "m", 2))).toBe(false);
    expect(sameCommit(at(1n, "m", 2), at(1n, "", 2))).toBe(false);
    expect(sameCommit(at(1n, "m", 2), at(1n, "m", 3))).toBe(false);
    expect(sameCommit(at(1n, "m", 2), at(1n, "m"))).toBe(false);
  });

  test("finds no commit equal only to no commit", () => {
    expect(sameCommit(null, null)).toBe(true);
    expect(sameCommit(null, at(0n))).toBe(false);
    expect(sameCommit(at(0n), null)).toBe(false);
  });
});

describe("a snapshot", () => {
  test("has the status partial if a group could not be read or listed, and complete otherwise", () => {
    expect(statusOf({ errors: [] })).toBe("complete");
    expect(statusOf({ errors: [{ group: "g", error: "KafkaUnavailable", message: "no answer" }] })).toBe("partial");
    expect(statusOf({ errors: [], unlisted: { offsetsPartitions: [5], message: "no leader of 5" } })).toBe("partial");
  });

  test("has as many offsets as its groups together", () => {
    const partitions = new Map(["t-0", "t-1"].map((key) => [key, at(0n)]));
    expect(countOffsets(new Map(Object.entries({ a: partitions, b: partitions, c: new Map() })))).toBe(4);
  });
});
