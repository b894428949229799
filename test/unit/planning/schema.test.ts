import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { request as plan } from "../../../functions/plan/schema.ts";
import { request as rollback } from "../../../functions/rollback/schema.ts";
import { InvalidRequest } from "../../../functions/shared/core/errors.ts";
import { parseRequest } from "../../../functions/shared/lambda/handler.ts";
import { groupsOf, policyOf } from "../../../functions/shared/planning/schema.ts";

const id = "snapshot-2025-01-15T10:30:00Z";

/** What a request is read as, or what is wrong with it. */
function outcomeOf(schema: typeof plan | typeof rollback, request: object) {
  try {
    const asked = parseRequest(schema, request);
    return { policy: policyOf(asked), groups: groupsOf(asked), topics: asked.topics, snapshot: asked.snapshot_id };
  } catch (error) {
    if (error instanceof InvalidRequest) return error.details?.problems;
    throw error;
  }
}

const anyRequest = fc.record(
  {
    snapshot_id: fc.constantFrom<unknown[]>(id, "latest", { at: "2025-01-15T10:30:00Z" }, "a/b"),
    groups: fc.constantFrom<unknown[]>(["orders-*"], [{ name: "a*b" }], [], "orders"),
    topics: fc.constantFrom<unknown[]>(["orders:0,3"], ["orders:x"]),
    exact: fc.constantFrom<unknown[]>(true, false, "yes"),
    uncommitted: fc.constantFrom("keep", "delete", "log_start", "snapshot_end", "other"),
    out_of_range: fc.constantFrom("refuse", "clamp", "skip", "other"),
    skip_blocked: fc.constantFrom<unknown[]>(true, false, 1),
    plan_digest: fc.constantFrom("a".repeat(64), "abc"),
    group_map: fc.constantFrom<unknown[]>({ a: "b" }, {}, { "a*": "b*" }),
    detail: fc.constantFrom("full", "summary", "none"),
  },
  { requiredKeys: ["snapshot_id"] },
);

describe("a request for a plan", () => {
  test("is read as the dry run of a rollback is, and refused for the same reasons", () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        expect(outcomeOf(plan, request)).toEqual(outcomeOf(rollback, { ...request, dry_run: true }));
      }),
      { numRuns: 300 },
    );
  });

  test.each(["dry_run", "verify", "wait_for_empty_seconds", "rollback_id", "requested_by", "description", "resume"])(
    "has no field %s, which only an execution or the journal needs",
    (field) => {
      expect(Object.keys(rollback.shape)).toContain(field);
      expect(outcomeOf(plan, { snapshot_id: id, [field]: "a" })).toEqual([expect.stringContaining(field)]);
    },
  );

  test("must name a snapshot", () => {
    expect(outcomeOf(plan, { groups: ["a"] })).toEqual([expect.stringMatching(/^snapshot_id: /)]);
  });
});
