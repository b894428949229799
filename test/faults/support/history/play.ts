import type { Cluster } from "../../../../functions/shared/kafka/connection/cluster.ts";
import { SeenValues } from "../expected.ts";
import type { FaultHarness } from "../harness.ts";
import { perKey } from "../model/world.ts";
import { withOutside } from "../outside.ts";
import type { Offsets } from "../truth.ts";
import { compare, expectedCommits } from "./compare.ts";
import { type Dice, diceOf, repeat } from "./dice.ts";
import {
  changeTopic,
  commit,
  commitSome,
  commitsOn,
  createTopic,
  deleteCommits,
  deleteGroup,
  dropRemovedGroups,
  endTransaction,
  joinOrLeave,
  leave,
  transact,
} from "./kafka-steps.ts";
import { anyRollback } from "./requests.ts";
import { askAgain, askRollback, freeLease, listRollbacks, resume, rollBackAsPlanned, undo } from "./rollback-steps.ts";
import { type History, namesOf, type Run } from "./run.ts";
import {
  compareSnapshots,
  compareWithLive,
  deleteSnapshot,
  holdSnapshot,
  listSnapshots,
  takeSnapshot,
} from "./snapshot-steps.ts";

type Step = (run: Run, dice: Dice) => Promise<unknown>;

/**
 * Plays a history: its numbers choose the steps. Each step is a change in Kafka or a request to a function. After each step,
 * the answer and the commits of every group are compared with the model.
 *
 * @param count counts answers, blockers and outcomes by name
 * @returns the offsets of the groups at the end
 * @throws Error with the differences and the steps so far
 */
export async function play(faults: FaultHarness, history: History, count: (what: string) => void): Promise<Offsets> {
  const lines: string[] = [];
  const playOn = (cluster: Cluster) =>
    withOutside(faults.kafka.bootstrapServers, cluster, async (outside) => {
      const run: Run = {
        faults,
        cluster,
        outside,
        seen: new SeenValues(),
        name: history.name,
        names: namesOf(history),
        began: new Date(),
        world: { topics: new Map(), groups: new Map(), snapshots: [], rollbacks: [], taken: 0 },
        creations: 0,
        requested: [],
        digests: [],
        log: (line) => lines.push(line),
        count,
      };
      try {
        await playSteps(run, history.steps);
      } finally {
        await leave(run);
        await endTransaction(run, "abort");
        await freeLease(run);
      }
      return perKey(expectedCommits(run), (commits) => perKey(commits, ({ offset }) => offset));
    });
  try {
    return await faults.onCluster(playOn, 300_000);
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}\n\nThe history:\n${lines.join("\n")}`, { cause });
  }
}

async function playSteps(run: Run, [first = 0, ...rest]: readonly number[]): Promise<void> {
  const opening = diceOf(first);
  for (const topic of run.names.topics.slice(0, 2)) await createTopic(run, topic, 3, 6);
  await commit(run, commitsOn(run, opening, run.names.groups.slice(0, 4)));
  await takeSnapshot(run, opening);
  for (const seed of rest) {
    const dice = diceOf(seed);
    await dropRemovedGroups(run);
    await dice.pick(stepKinds)(run, dice);
    await compare(run);
    if (dice.oneIn(3)) await endTransaction(run, dice.pick(["commit", "abort"]));
  }
}

const stepKinds: readonly Step[] = [
  ...repeat<Step>((run, dice) => askRollback(run, dice, anyRollback(run, dice)), 12),
  ...repeat(rollBackAsPlanned, 3),
  ...repeat(undo, 3),
  ...repeat(askAgain, 5),
  ...repeat(resume, 3),
  ...repeat(takeSnapshot, 3),
  compareWithLive,
  compareSnapshots,
  listSnapshots,
  listRollbacks,
  deleteSnapshot,
  holdSnapshot,
  ...repeat(commitSome, 9),
  ...repeat(deleteCommits, 2),
  deleteGroup,
  ...repeat(changeTopic, 5),
  ...repeat(joinOrLeave, 2),
  ...repeat(transact, 2),
];
