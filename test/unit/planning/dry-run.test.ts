import { expect, test } from "vitest";
import type { Commits } from "../../../functions/shared/core/model.ts";
import { restrict } from "../../../functions/shared/core/restrict.ts";
import { planRollback } from "../../../functions/shared/core/rollback/planning.ts";
import { requireSeen } from "../../../functions/shared/planning/dry-run.ts";
import { at, liveOf, refuse, snapshotOf } from "../../support/states.ts";

const groupsAt = (offsets: Readonly<Record<string, bigint>>): Commits =>
  new Map(Object.entries(offsets).map(([group, offset]) => [group, new Map([["t-0", at(offset)]])]));
const snapshot = snapshotOf(groupsAt({ a: 5n }));
const plan = planRollback(snapshot, restrict(snapshot, {}), liveOf(groupsAt({ a: 9n }), new Map()), refuse);

test("a plan that changed is PlanChanged, with the number of its blockers and the next step", () => {
  expect(() => requireSeen({ plan_digest: "0".repeat(64) }, plan)).toThrow(
    /^PlanChanged: .* Blockers now: 1\. Nothing was changed\. Make a new dry run, read it, then send its plan_digest\.$/,
  );
});

test("a plan that was seen, or of which nothing was said, is accepted", () => {
  expect(() => requireSeen({ plan_digest: plan.digest }, plan)).not.toThrow();
  expect(() => requireSeen({}, plan)).not.toThrow();
});
