import { join } from "node:path";
import { parseArgs } from "node:util";
import { newestKafka } from "../../localstack/choice.ts";
import { localDir, main, type Say } from "../../localstack/process.ts";
import { type BenchCloud, withCloud } from "./bed.ts";
import { benchColdStart } from "./cold-start.ts";
import { benchDeployed } from "./deployed.ts";
import { benchFar } from "./far.ts";
import { createLedger, type Ledger } from "./figures.ts";
import { benchHistory } from "./history.ts";
import { benchPrune } from "./prune.ts";
import { benchReads } from "./reads.ts";
import { benchReindex } from "./reindex.ts";
import { benchRollback } from "./rollback.ts";
import { benchScale } from "./scale.ts";
import { benchTransactions } from "./transactions.ts";

/** Most figures are measured on the newest Kafka. Brokers of 4.1.1 delay each append, so that one connection is slow. */
const kafkaVersion = newestKafka;
const lingeringVersion = "4.1.1";

/** The parameters of a section. */
interface Run {
  readonly ledger: Ledger;
  readonly cloud: BenchCloud;
  /** Small sizes and few rounds: these show whether the bench works, but not how fast the program is. */
  readonly quick: boolean;
  /** Also with 100,000 groups, which takes some more minutes. */
  readonly large: boolean;
  readonly say: Say;
}

const brokersIn = (brokers: number) => (brokers === 1 ? "1 broker" : `${brokers} brokers`);

/** The sections, by the names for `--only`. */
const sections: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  async reads({ ledger, cloud, quick, say }) {
    for (const brokers of [1, 3] as const) {
      const figures = ledger.section(`Snapshots, Kafka ${kafkaVersion}, ${brokersIn(brokers)}`);
      await benchReads(figures, { version: kafkaVersion, brokers, cloud, quick, say });
    }
  },
  async rollback({ ledger, cloud, quick, say }) {
    const beds = [
      { version: lingeringVersion, brokers: 1 },
      { version: kafkaVersion, brokers: 1 },
      { version: kafkaVersion, brokers: 3 },
    ] as const;
    for (const bed of beds) {
      const figures = ledger.section(`Rollbacks, Kafka ${bed.version}, ${brokersIn(bed.brokers)}`);
      const slowRivals = !quick && bed.version === kafkaVersion && bed.brokers === 1;
      await benchRollback(figures, { ...bed, cloud, quick, slowRivals, say });
    }
  },
  async deployed({ ledger, cloud, quick, say }) {
    await benchDeployed(ledger.section("Deployed function"), cloud, quick, say);
  },
  async far({ ledger, quick, say }) {
    await benchFar(ledger.section("Brokers that are far away"), quick, say);
  },
  async transactions({ ledger, quick, say }) {
    await benchTransactions(ledger.section("Exactly-once groups"), quick, say);
  },
  async scale({ ledger, cloud, quick, large, say }) {
    await benchScale(ledger.section("Time and memory by size"), cloud, { quick, withLarge: large }, say);
  },
  async history({ ledger, cloud, quick, say }) {
    await benchHistory(ledger.section("History"), cloud, quick, say);
  },
  async reindex({ ledger, cloud, quick, say }) {
    await benchReindex(ledger.section("Reindex"), cloud, quick, say);
  },
  async prune({ ledger, cloud, quick, say }) {
    await benchPrune(ledger.section("Prune"), cloud, quick, say);
  },
  async "cold-start"({ ledger, quick }) {
    await benchColdStart(ledger.section("Cold start"), quick);
  },
};

function chosenSections(only: readonly string[]): string[] {
  const unknown = only.filter((name) => !Object.hasOwn(sections, name));
  if (unknown.length === 0) return only.length === 0 ? Object.keys(sections) : [...only];
  throw new Error(`There is no section ${unknown.join(", ")}: the sections are ${Object.keys(sections).join(", ")}`);
}

const options = {
  /** Names of sections, separated by commas. */
  only: { type: "string", default: "" },
  quick: { type: "boolean", default: false },
  large: { type: "boolean", default: false },
} as const;

/**
 * `npm run bench -- [--only reads,rollback] [--quick] [--large]`. The exit code is 1 if a target was missed or a
 * section failed; the other sections are still measured.
 */
await main(async (say) => {
  const { only, quick, large } = parseArgs({ options }).values;
  const chosen = chosenSections(only === "" ? [] : only.split(","));
  const started = performance.now();
  const ledger = createLedger(say);
  const failures: string[] = [];
  await withCloud(say, async (cloud) => {
    for (const name of chosen) {
      try {
        await sections[name]?.({ ledger, cloud, quick, large, say });
      } catch (error) {
        failures.push(`${name} failed: ${error instanceof Error ? error.stack : error}`);
        say(failures.at(-1) ?? "");
      }
    }
  });
  const file = join(localDir, "bench.json");
  const minutes = (performance.now() - started) / 60_000;
  const versions = { kafka: [kafkaVersion, lingeringVersion], adminClient: newestKafka };
  ledger.write(file, { versions, sections: chosen, quick, minutes, failures });
  const missed = ledger.report().map(({ name }) => `missed: ${name}`);
  say(`\nIt took ${minutes.toFixed(1)} minutes. Raw results: ${file}`);
  if (failures.length + missed.length > 0) throw new Error([...failures, ...missed].join("\n"));
});
