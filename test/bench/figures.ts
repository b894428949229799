import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import type { Say } from "../../localstack/process.ts";

/** One measurement: the milliseconds of each round, or values in another unit. */
export interface Row {
  readonly what: string;
  readonly brokers?: number;
  readonly groups?: number;
  readonly rounds: readonly number[];
  readonly unit?: "ms" | "MB" | "kB";
  /** Another measurement of the same run, with which this one is compared. */
  readonly beside?: { readonly what: string; readonly rounds: readonly number[] };
  readonly note?: string;
}

/** A target: the value may be at most `limit`. */
export interface Target {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  /** `×`, `ms`, `MB`. */
  readonly unit: string;
}

/** Receives the figures of a section. */
export interface Figures {
  row(row: Row): void;
  target(target: Target): void;
}

/** The figures of a run, by section. */
export interface Ledger {
  section(title: string): Figures;
  /** Prints the tables in Markdown and the targets, and returns the targets that were missed. */
  report(): readonly Target[];
  /** Writes all measurements, and the machine that they were made on, to a file. */
  write(file: string, circumstances: Readonly<Record<string, unknown>>): void;
}

export function createLedger(say: Say): Ledger {
  const sections: { title: string; rows: Row[]; targets: Target[] }[] = [];
  return {
    section(title) {
      const section = { title, rows: [] as Row[], targets: [] as Target[] };
      sections.push(section);
      say(`\n${title}`);
      return {
        row(row) {
          section.rows.push(row);
          say(`  ${row.brokers ?? ""} ${row.groups?.toLocaleString("en") ?? ""} ${row.what}: ${figure(row)}`);
        },
        target: (target) => void section.targets.push(target),
      };
    },
    report() {
      for (const { title, rows } of sections) {
        say(`\n${title}:\n\n| brokers | groups | what | median | beside | rounds | |\n|---|---|---|---|---|---|---|`);
        for (const row of rows) {
          const { brokers = "", groups, what, rounds, beside, note = "" } = row;
          const ratio = beside && `${ratioOf(rounds, beside.rounds).toFixed(2)} × ${beside.what}`;
          const cells = [
            brokers,
            groups?.toLocaleString("en") ?? "",
            what,
            figure(row),
            ratio ?? "",
            rounds.length,
            note,
          ];
          say(`| ${cells.join(" | ")} |`);
        }
      }
      const targets = sections.flatMap((section) => section.targets);
      if (targets.length > 0) say("\nTargets:\n\n| target | measured | at most | held |\n|---|---|---|---|");
      for (const target of targets) {
        const { name, value, limit, unit } = target;
        say(`| ${name} | ${value.toFixed(2)} ${unit} | ${limit} ${unit} | ${isMet(target) ? "yes" : "**no**"} |`);
      }
      return targets.filter((target) => !isMet(target));
    },
    write(file, circumstances) {
      const machine = {
        platform: `${process.platform} ${process.arch}`,
        cpus: cpus().map(({ model }) => model),
        memoryMb: Math.round(totalmem() / 2 ** 20),
        node: process.version,
      };
      const raw = sections.map(({ title, rows, targets }) => ({
        title,
        rows: rows.map((row) => ({ ...row, median: median(row.rounds) })),
        targets: targets.map((target) => ({ ...target, held: isMet(target) })),
      }));
      mkdirSync(dirname(file), { recursive: true });
      const at = new Date().toISOString();
      writeFileSync(file, `${JSON.stringify({ at, machine, ...circumstances, figures: raw }, null, 2)}\n`);
    },
  };
}

const figure = ({ rounds, unit = "ms" }: Row): string => {
  const value = median(rounds);
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ${unit}`;
};

const isMet = ({ value, limit }: Target): boolean => value <= limit;

/** The middle value; for an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

/** The median of the first values divided by the median of the second. */
export function ratioOf(some: readonly number[], others: readonly number[]): number {
  return median(some) / median(others);
}

/** The time of work in milliseconds. The work itself checks its results. */
export async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Runs contestants in turns, starting with another one in each round, and returns the milliseconds of each. */
export async function inTurns<Name extends string>(
  contestants: Readonly<Record<Name, () => Promise<number>>>,
  { rounds, warmUps }: { readonly rounds: number; readonly warmUps: number },
): Promise<(name: Name) => readonly number[]> {
  const entries = Object.entries<() => Promise<number>>(contestants);
  const measured = new Map<string, number[]>(entries.map(([name]) => [name, []]));
  for (let round = -warmUps; round < rounds; round++) {
    for (const [name, run] of round % 2 === 0 ? entries : entries.toReversed()) {
      const ms = await run();
      if (round >= 0) measured.get(name)?.push(ms);
    }
  }
  return (name) => measured.get(name) ?? [];
}

/** Throws if a client read or wrote the wrong number of offsets: its figure would be wrong. */
export function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found === expected) return;
  throw new Error(`A result of the bench is wrong: ${what} returned ${String(found)}, not ${String(expected)}.`);
}
