import { createClient } from "../../localstack/client.ts";
import { deploy, localDeployment } from "../../localstack/deploy.ts";
import { freshStateDir, removeState, type Say } from "../../localstack/process.ts";
import { type BenchCloud, expectTotal, PARTITIONS, withBed } from "./bed.ts";
import { expectSame, type Figures, ratioOf } from "./figures.ts";
import { adminClientProcess } from "./rivals.ts";

const GROUPS = 3_000;
const BROKERS = 3;

/** Compares the warm deployed function with an AdminClient process that is started at the same moment. */
export async function benchDeployed(figures: Figures, { cloud }: BenchCloud, quick: boolean, say: Say): Promise<void> {
  await withBed({ brokers: BROKERS, say }, async (bed) => {
    await bed.commit(GROUPS);
    const stateDir = freshStateDir("bench-deployed");
    try {
      const { kafka } = bed;
      const outputs = await deploy({
        cloud,
        stackName: "OffsetRollback",
        deployment: localDeployment(kafka, cloud),
        bootstrapServers: kafka.bootstrapServers,
        stateDir,
        say,
      });
      const client = createClient(outputs, cloud);
      const snapshot = async () => {
        const started = performance.now();
        const answer = await client.invoke("snapshot", { groups: ["*"] });
        const ms = performance.now() - started;
        if (answer.error !== undefined) throw new Error(`the deployed snapshot failed: ${answer.error.message}`);
        const { status, groups, offsets } = Object(answer.result);
        expectSame(
          "the deployed snapshot",
          `${status} ${groups} ${offsets}`,
          `complete ${GROUPS} ${GROUPS * PARTITIONS}`,
        );
        return ms;
      };
      const listing = await adminClientProcess(kafka, stateDir, "offsets", GROUPS);
      const ours: number[] = [];
      const theirs: number[] = [];
      const alone: number[] = [];
      for (let warmUp = 0; warmUp < 3; warmUp++) await snapshot();
      for (let round = 0; round < (quick ? 3 : 9); round++) {
        alone.push(await snapshot());
        const [answered, listed] = await Promise.all([snapshot(), listing()]);
        expectTotal("the AdminClient's process", listed, bed.shape, GROUPS);
        ours.push(answered);
        theirs.push(listed.ms);
      }
      const won = ours.filter((ms, round) => ms < (theirs[round] ?? 0)).length;
      const beside = { what: "the process", rounds: theirs };
      const row = { brokers: BROKERS, groups: GROUPS };
      figures.row({
        ...row,
        what: "deployed snapshot, warm, at the same time",
        rounds: ours,
        beside,
        note: `first in ${won} of ${ours.length}`,
      });
      figures.row({ ...row, what: "AdminClient's process: start of the JVM, offsets only", rounds: theirs });
      figures.row({ ...row, what: "deployed snapshot, warm, alone", rounds: alone });
      const name = "deployed snapshot of 3,000 groups, beside an AdminClient's process started at the same moment";
      figures.target({ name, value: ratioOf(ours, theirs), limit: 1, unit: "×" });
    } finally {
      removeState(stateDir);
    }
  });
}
