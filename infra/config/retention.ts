import { z } from "zod";
import { type RetentionRules, retentionRules } from "../../functions/shared/core/retention.ts";
import { always, fields, has, whole } from "./fields.ts";

const rule = (what: string) => whole(1, 10_000, what).optional();

const rules = fields("the rules of a schedule", {
  keep_last: rule("how many of the last snapshots are kept"),
  hourly: rule("of how many hours the newest snapshot is kept"),
  daily: rule("of how many days the newest snapshot is kept"),
  weekly: rule("of how many weeks the newest snapshot is kept"),
  monthly: rule("of how many months the newest snapshot is kept"),
  within_days: rule("of how many days before the newest snapshot all snapshots are kept"),
} satisfies Record<keyof RetentionRules, z.ZodType>).superRefine((it, problems) => {
  if (retentionRules.some((name) => has(it, name))) return;
  const message = `must have one of ${retentionRules.join(", ")}: without any, only the newest complete snapshot would be kept; to keep all, remove the schedule from retention`;
  problems.addIssue({ code: "custom", message });
}, always);

const rulesByName = z
  .record(z.string(), rules, "must be an object with the rules of schedules, by their names")
  .default({});

/** A function's environment has at most 4 kB. */
const longest = 2_500;

/** What is forgotten. Absent: nothing. */
export const retention = fields("what is forgotten", {
  /** By their names. The snapshots of others are kept for good. */
  schedules: rulesByName,
  /** Of schedules that the config has no more. */
  retired: rulesByName,
  safety_days: whole(1, 3650, "how many days safety snapshots are kept, and rollbacks can be undone").default(30),
  /** Absent: for good. */
  manual_days: whole(
    1,
    36_500,
    "how many days snapshots are kept that neither a schedule nor a rollback has taken",
  ).optional(),
}).superRefine((it, problems) => {
  if (JSON.stringify(it ?? null).length <= longest) return;
  const message = `is too long for the environment of a function: at most ${longest} characters as JSON; remove schedules whose snapshots may be kept for good`;
  problems.addIssue({ code: "custom", message });
}, always);
