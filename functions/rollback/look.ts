import type { Plan } from "../shared/core/rollback/plan.ts";
import { partitionsOf, planResume } from "../shared/core/rollback/resume.ts";
import type { Cluster } from "../shared/kafka/connection/cluster.ts";
import * as planning from "../shared/planning/look.ts";
import type { JournalRecord } from "../shared/storage/journal-record.ts";
import { plannedRollback } from "./earlier.ts";
import type { Call } from "./request.ts";

/** What a rollback works with while it is connected to Kafka. */
export interface Job extends Call {
  readonly cluster: Cluster;
  /** How long this call waited for groups to be empty. */
  readonly waitedSeconds: number;
  /** Called before the first commit: from there on a failure may leave some groups moved. */
  onCommit(record: JournalRecord): void;
}

/** What is to be planned: a rollback to the part of a snapshot, or the rest of a rollback that an earlier call began. */
export type Goal = planning.Destination | { readonly resume: JournalRecord };

type Look = planning.Look;

/** Observes the groups of a goal and plans. */
export const look = async (job: Job, goal: Goal): Promise<Look> =>
  "resume" in goal ? lookAgain(job, goal.resume) : planning.lookAt(job, goal);

/** The same with all that is to be known of a new rollback beside its plan. */
export const withAllWarnings = async (job: Job, goal: Goal, look: Look): Promise<Look> =>
  "resume" in goal ? look : planning.withAllWarnings(job, goal, look);

/** Observes what an earlier call has planned, and plans the rest of it: in `strict`, no blocked group is left out. */
export async function lookAgain(job: Job, record: JournalRecord): Promise<Look & { readonly strict: Plan }> {
  const planned = await plannedRollback(job, record);
  const live = await planning.observeTargets(job.cluster, planned.origin, partitionsOf(planned.plan));
  const plan = planResume(planned, live, job.wanted.skip_blocked);
  const warnings = [...new Set([...plan.warnings, ...live.warnings])];
  return { live, plan: { ...plan, warnings }, strict: planResume(planned, live, false) };
}
