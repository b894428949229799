import { Bag, Unseen } from "../expected.ts";
import type { Blocker } from "./blockers.ts";
import { actionWords, type Plan, type Step } from "./plan.ts";
import { uncommittedDocument } from "./uncommitted.ts";
import { documentOf, perKey, placeOf } from "./world.ts";

const stepDocument = ({ action, from, to, asked, done, replayed, skipped, uncommitted }: Step) => ({
  action,
  from: documentOf(from),
  to: documentOf(to),
  asked: asked && documentOf(asked),
  done,
  replayed,
  skipped,
  uncommitted: uncommitted && uncommittedDocument(uncommitted),
});

const sumOf = (parts: readonly (bigint | null)[]) =>
  parts.reduce((sum, part) => (sum === null || part === null ? null : sum + part), 0n);

const blockerDocument = (blocker: Blocker) => ({ ...blocker, message: /\S\.$/ });

export const extraDocument = ({ extra }: Plan) =>
  new Bag(
    extra.map(({ group, key, commit, uncommitted }) => ({
      ...{ group, ...placeOf(key), commit: documentOf(commit) },
      uncommitted: uncommittedDocument(uncommitted),
    })),
  );

export const digestOf = ({ digest }: Plan) => new Unseen("digest", digest);

/** The blockers of what the plan leaves out; `skipped` is the former name of the field. */
export const leftOutDocument = ({ leftOutBlockers }: Plan) => ({
  left_out: new Bag(leftOutBlockers.map(blockerDocument)),
  skipped: new Bag(leftOutBlockers.map(blockerDocument)),
});

/** A plan, as dry runs and `rollbacks` show it. */
export const planDocument = (plan: Plan) => ({
  snapshot_id: plan.snapshotId,
  plan_digest: digestOf(plan),
  blockers: new Bag(plan.blockers.map(blockerDocument)),
  ...leftOutDocument(plan),
  warnings: new Bag(plan.warnings),
  groups: perKey(plan.groups, ({ source, type, state, leftOut, steps }) => ({
    source,
    type,
    state,
    left_out: leftOut || undefined,
    replayed: sumOf([...steps.values()].map(({ replayed }) => replayed)),
    skipped: sumOf([...steps.values()].map(({ skipped }) => skipped)),
    partitions: perKey(steps, stepDocument),
  })),
  extra: extraDocument(plan),
});

/** The kinds of blockers that totals count. */
const kindWords = [
  "group_not_empty",
  "cluster_mismatch",
  "topic_missing",
  "partition_missing",
  "topic_recreated",
  "below_log_start",
  "above_log_end",
  "log_truncated",
  "range_unknown",
  "pending_transaction",
  "not_captured",
  "unsupported_type",
  "moved_since",
];

const counts = (words: readonly string[], found: readonly string[]) =>
  Object.fromEntries(words.map((word) => [word, found.filter((other) => other === word).length]));

/** The answer to a dry run. */
export const dryRun = (plan: Plan) => {
  const groups = [...plan.groups.values()];
  const steps = groups.flatMap((group) => [...group.steps.values()]);
  const totals = {
    groups: groups.length,
    partitions: steps.length,
    replayed: sumOf(steps.map(({ replayed }) => replayed)),
    skipped: sumOf(steps.map(({ skipped }) => skipped)),
    actions: counts(
      actionWords,
      steps.map(({ action }) => action),
    ),
    blockers: counts(
      kindWords,
      plan.blockers.map(({ kind }) => kind),
    ),
  };
  return { dry_run: true, totals, ...planDocument(plan) };
};

/** What a summary of an answer shows: all of it, since histories are small, and the groups that failed. */
export function summaryOf(answer: unknown): unknown {
  const { groups, groups_failed } = Object(answer);
  if (groups_failed === undefined) return { ...Object(answer), omitted: {} };
  const failed = [...groups].flatMap(([group, { status, error }]) =>
    status === "failed" || status === "partial_success" ? [{ group, status, error }] : [],
  );
  return { ...Object(answer), failed_groups: new Bag(failed), omitted: {} };
}
