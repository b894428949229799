import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../../functions/rollback/request.ts";
import { laterRequest, request } from "../../../functions/rollback/schema.ts";
import { request as lookUp } from "../../../functions/rollbacks/schema.ts";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";
import { groupsOf, policyOf } from "../../../functions/shared/planning/schema.ts";

const id = "snapshot-2025-01-15T10:30:00Z";
const read = (fields: object) => parseRequest(request, { snapshot_id: id, ...fields });
const problemsOf = (fields: object): unknown => {
  try {
    parseRequest(request, fields);
  } catch (error) {
    if (error instanceof InvalidRequest) return error.details?.problems;
  }
  return undefined;
};

const entries = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`g${i}`, `h${i}`]));
const patterns = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`g${i}*`, `h${i}*`]));

describe("a rollback request", () => {
  test("is refused by default if anything is blocked, and keeps extra commits", () => {
    expect(policyOf(read({}))).toEqual({ uncommitted: "keep", outOfRange: "refuse", skipBlocked: false });
  });

  test("says with exact the same as with uncommitted, and must not say both if they disagree", () => {
    expect(policyOf(read({ exact: true })).uncommitted).toBe("delete");
    expect(policyOf(read({ uncommitted: "log_start", exact: false })).uncommitted).toBe("log_start");
    for (const both of [
      { exact: true, uncommitted: "keep" },
      { exact: true, uncommitted: "snapshot_end" },
      { exact: false, uncommitted: "delete" },
    ]) {
      expect(problemsOf({ snapshot_id: id, ...both })).toEqual([
        expect.stringMatching(/^uncommitted: .*only one of them/),
      ]);
    }
    expect(problemsOf({ snapshot_id: id, exact: true, uncommitted: "delete" })).toBeUndefined();
    const fingerprint = (fields: object) => fingerprintOf(read({ groups: ["a"], ...fields }));
    expect(fingerprint({ uncommitted: "delete" })).toBe(fingerprint({ exact: true }));
    expect(fingerprint({ uncommitted: "delete", exact: true })).toBe(fingerprint({ exact: true }));
  });

  test("has the fingerprint of former versions if it sets no newer field", () => {
    expect(fingerprintOf(read({ groups: ["a"] }))).toBe(
      "7f68713d09e5d2ba59354e78b48adc99142885144178a16a31e06bb82b409bc1",
    );
    expect(fingerprintOf(read({ groups: ["a"], exact: true }))).toBe(
      "920a8891906f551e370c6d7e6b1cd651a7f88b7adefc601de638190cd6a89370",
    );
  });

  test("names a snapshot or a rollback to resume", () => {
    expect(problemsOf({})).toEqual([expect.stringMatching(/^snapshot_id: is missing/)]);
    expect(
      parseRequest(request, { resume: "r-1", wait_for_empty_seconds: 60, skip_blocked: true, detail: "summary" }),
    ).toMatchObject({
      resume: "r-1",
    });
    expect(parseRequest(request, { resume: "r-1", snapshot_id: id })).toMatchObject({ resume: "r-1" });
  });

  test("has the id of a rollback with colons, also where it is written with dashes", () => {
    const [written, rollbackId] = ["rollback-2025-01-15T11-00-00Z-1f2e3d4c", "rollback-2025-01-15T11:00:00Z-1f2e3d4c"];
    expect(read({ rollback_id: written })).toEqual(read({ rollback_id: rollbackId }));
    expect(read({ rollback_id: written }).rollback_id).toBe(rollbackId);
    expect(fingerprintOf(read({ rollback_id: written }))).toBe(fingerprintOf(read({ rollback_id: rollbackId })));
    expect(parseRequest(request, { resume: written }).resume).toBe(rollbackId);
    expect(parseRequest(laterRequest, { rollback_id: written, snapshot_id: id }).rollback_id).toBe(rollbackId);
    expect(parseRequest(lookUp, { rollback_id: written }).rollback_id).toBe(rollbackId);
    expect(read({ rollback_id: "deploy-2025-01-15T11-00-00Z" }).rollback_id).toBe("deploy-2025-01-15T11-00-00Z");
  });

  test("that resumes is refused with every field that the journal already has", () => {
    const inJournal = {
      groups: ["a"],
      topics: ["t"],
      exact: false,
      uncommitted: "keep",
      out_of_range: "skip",
      plan_digest: "0".repeat(64),
      rollback_id: "r-2",
      group_map: { a: "b" },
      description: "d",
    };
    expect(problemsOf({ resume: "r-1", snapshot_id: "latest", ...inJournal })).toHaveLength(10);
  });

  test("must name a snapshot by id if it names no groups and has no map", () => {
    for (const snapshot_id of ["latest", { at: "2025-01-15T10:30:00Z" }]) {
      expect(problemsOf({ snapshot_id })).toEqual([expect.stringContaining("must name its snapshot exactly")]);
      expect(problemsOf({ snapshot_id, groups: ["a"] })).toBeUndefined();
      expect(problemsOf({ snapshot_id, group_map: { a: "b" } })).toBeUndefined();
    }
  });

  test("rolls back the groups of the map if it names no groups", () => {
    expect(groupsOf(read({ group_map: { "a*b": "c", "42": "d" } }))).toEqual([{ name: "42" }, { name: "a*b" }]);
    expect(groupsOf(read({ group_map: { a: "b" }, groups: ["a*"] }))).toEqual(["a*"]);
    expect(groupsOf(read({ group_map: { "a*": "b*", "": "empty" } }))).toEqual(["a*", { name: "" }]);
    const odd: unknown = JSON.parse('{"__proto__": "replay"}');
    expect([...(read({ group_map: odd }).group_map ?? [])]).toEqual([["__proto__", "replay"]]);
  });

  test("may name partitions of topics, and is refused with everything that is wrong with them", () => {
    const topics = ["orders:0,3", "o*:1", { name: "billing" }];
    expect(read({ topics }).topics).toEqual(topics);
    expect(problemsOf({ snapshot_id: id, topics: ["a:0,0,x", "b", "c d:1"] })).toEqual([
      expect.stringMatching(/^topics\[0\]: partition "x" is not a number/),
      expect.stringMatching(/^topics\[0\]: partition "0" is named twice/),
      expect.stringMatching(/^topics\[2\]: "c d" cannot be a topic/),
    ]);
    const many = Array.from({ length: 5_001 }, (_, i) => i);
    expect(problemsOf({ snapshot_id: id, topics: [`orders-*:${many}`] })).toBeUndefined();
    expect(problemsOf({ snapshot_id: id, topics: [`a:${many}`, `b:${many}`] })).toEqual([
      "topics: names 10002 partitions, and at most 10000 are allowed",
    ]);
  });

  test.each<[string, object, RegExp]>([
    ["an empty map", { group_map: {} }, /^group_map: maps nothing/],
    ["a map that is a list", { group_map: ["a"] }, /^group_map: must be an object/],
    ["a group mapped to nothing", { group_map: { a: "" } }, /^group_map\.a: must be the name/],
    ["a group mapped to itself", { group_map: { a: "a" } }, /^group_map\.a: maps the group onto itself/],
    ["a pattern with two stars", { group_map: { "a*": "b*-*" } }, /^group_map\.a\*: is a pattern: use exactly one \*/],
    ["too many patterns", { group_map: patterns(201) }, /^group_map: has 201 patterns; at most 200/],
    ["too large a map", { group_map: entries(10_001) }, /^group_map: has 10001 entries; at most 10000 are allowed/],
    ["half of a surrogate pair", { group_map: { a: "\ud800" } }, /surrogate/],
    ["an unknown policy", { out_of_range: "ignore" }, /^out_of_range/],
    ["a malformed digest", { plan_digest: "abc" }, /^plan_digest: must be the plan_digest of a dry run/],
    ["too long a wait", { wait_for_empty_seconds: 841 }, /^wait_for_empty_seconds/],
    ["an id with a slash", { rollback_id: "a/b" }, /^rollback_id/],
    ["an empty requested_by", { requested_by: "" }, /^requested_by/],
  ])("is refused with the name of the field if it has %s", (_what, fields, problem) => {
    expect(problemsOf({ snapshot_id: id, ...fields })).toEqual([expect.stringMatching(problem)]);
  });

  test("is read in linear time with a map of 10,000 groups", () => {
    const started = performance.now();
    expect(read({ group_map: entries(10_000) }).group_map?.size).toBe(10_000);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  test("has a fingerprint that does not depend on caller, description, wait and form of the answer", () => {
    const first = fingerprintOf(read({ groups: ["a"] }));
    for (const same of [
      { requested_by: "ana" },
      { description: "d" },
      { wait_for_empty_seconds: 9 },
      { verify: false },
      { detail: "summary" },
      { exact: false },
      { uncommitted: "keep" },
      { out_of_range: "refuse" },
    ]) {
      expect(fingerprintOf(read({ groups: ["a"], ...same }))).toBe(first);
    }
    const others = [
      { groups: ["b"] },
      { groups: [{ name: "a" }] },
      { topics: ["t"] },
      { topics: ["t:0"] },
      { exact: true },
      { uncommitted: "log_start" },
      { uncommitted: "snapshot_end" },
      { out_of_range: "clamp" },
      { skip_blocked: true },
      { plan_digest: "0".repeat(64) },
      { rollback_id: "r" },
      { group_map: { a: "b" } },
      { group_map: { a: "c" } },
      { snapshot_id: "latest" },
      { snapshot_id: { at: "2025-01-15T10:30:00Z" } },
      { snapshot_id: { at: "2025-01-15T10:31:00Z" } },
    ].map((other) => fingerprintOf(read({ groups: ["a"], ...other })));
    expect(new Set([first, ...others]).size).toBe(others.length + 1);
  });
});
