import { type Deadline, deadlineIn } from "../shared/core/deadline.ts";
import { OperationError } from "../shared/core/errors.ts";
import type { LiveState, Snapshot } from "../shared/core/model.ts";
import { type RetentionRisk, retentionRisk, riskWarnings } from "../shared/core/retention-risk.ts";
import { sentence } from "../shared/core/text.ts";
import type { Storage } from "../shared/storage/storage.ts";

/** The last complete snapshot of the schedule, if there is one that could be read, and warnings if not. */
interface LookedBack {
  readonly last: Snapshot | undefined;
  readonly warnings: readonly string[];
}

/** How long reading the last snapshot may take: it is less important than taking the next one. */
const LOOKING_BACK_MS = 10_000;

/** Reads the topics of the last complete snapshot of a schedule. Never fails: what went wrong is a warning. */
export async function lookBack(
  snapshots: Pick<Storage["snapshots"], "lastOfSchedule">,
  schedule: string,
  deadline: Deadline,
): Promise<LookedBack> {
  const limit = deadlineIn(Math.min(LOOKING_BACK_MS, deadline.remainingMs() / 4), deadline.signal);
  try {
    return await snapshots.lastOfSchedule(schedule, limit);
  } catch (error) {
    const reason = error instanceof OperationError ? error.what : String(error);
    return {
      last: undefined,
      warnings: [sentence(`The last snapshot of schedule ${schedule} could not be read: ${reason}`)],
    };
  } finally {
    limit.stop();
  }
}

/** The retention risk of what was captured, with its warnings. */
export function assessRisk(
  live: Pick<LiveState, "cluster" | "commits" | "observed">,
  now: number,
  { last, warnings }: LookedBack,
  hours: number,
): RetentionRisk & { readonly warnings: readonly string[] } {
  const isSame = last !== undefined && last.cluster.clusterId === live.cluster.clusterId;
  const earlier = isSame ? { time: Date.parse(last.createdAt), topics: last.observed.topics } : undefined;
  const risk = retentionRisk(live.commits, { time: now, topics: live.observed.topics }, earlier, hours);
  const unforecast = warnings.map(
    (warning) => `${warning} So it is not known which saved offsets will be below the log start soon.`,
  );
  return { ...risk, warnings: [...unforecast, ...riskWarnings(risk, hours)] };
}
