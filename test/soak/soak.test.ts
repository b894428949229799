import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, inject, onTestFinished, test } from "vitest";
import * as z from "zod";
import { envNames } from "../../functions/shared/lambda/env.ts";
import { openKafka } from "../../localstack/kafka.ts";
import { readAnswer } from "../faults/support/answers.ts";
import { testArchive } from "../integration/storage/fixture.ts";
import { within } from "../support/deadline.ts";
import { Ledger } from "./ledger.ts";
import { PREFIX, startWorld } from "./world.ts";

const MINUTES = Number(process.env.SOAK_MINUTES);
const EVERY_MS = 2_000;
/** What an invocation has. */
const REMAINING_MS = 25_000;
/** Errors that say that Kafka, or the time, was in the way. */
const HONEST = ["KafkaUnavailable", "DeadlineExceeded"];
const MB = 2 ** 20;

const held = z.object({
  rss: z.number(),
  heap: z.number(),
  files: z.number(),
  sockets: z.number(),
  /** Those of the sockets that are connections to brokers. */
  connections: z.number(),
  timers: z.number(),
});
const reply = z.object({ answer: z.string(), ms: z.number(), held });

/** What a function holds on to when it has answered and its garbage was collected. */
type Held = z.output<typeof held>;

const parts = ["rss", "heap", "files", "sockets", "connections", "timers"] as const;

/** By how much that may be more in the last quarter than in the second. */
const GROWTH: Held = { rss: 40 * MB, heap: 8 * MB, files: 3, sockets: 3, connections: 0, timers: 3 };

/** A snapshot that was tried. */
interface Attempt {
  readonly ms: number;
  /** What became of it: `complete`, or the name of the error. */
  readonly outcome: string;
  readonly held: Held;
}

const kept = testArchive();

test("snapshots are complete and true, or an error, and leave nothing behind", async () => {
  const kafka = openKafka(inject("kafka"));
  const ledger = new Ledger();
  const world = await startWorld(kafka, ledger);
  const takeSnapshot = startFunction(kafka.bootstrapServers);
  const attempts: Attempt[] = [];
  const lies: string[] = [];
  const odd: string[] = [];
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  try {
    for (let minute = 1; minute <= MINUTES && lies.length < 50; minute++) {
      const first = attempts.length;
      while (elapsed() < minute * 60_000) {
        const before = ledger.before();
        const { answer, ms, held } = await takeSnapshot();
        const { result, error } = readAnswer(answer);
        const { status, snapshot_id } = Object(result);
        attempts.push({ ms, outcome: error?.name ?? String(status), held });
        if (error === undefined) {
          const snapshot = await kept.archive.load(String(snapshot_id), within());
          lies.push(...ledger.lies(snapshot, before).map((lie) => `${snapshot_id}: ${lie}`));
        } else if (!HONEST.includes(error.name)) {
          odd.push(error.message);
        }
        if (ms > REMAINING_MS) odd.push(`an answer after ${Math.round(ms)} ms`);
        ledger.forget(before);
        await delay(Math.max(0, EVERY_MS - ms));
      }
      console.log(`minute ${minute}: ${told(attempts.slice(first))}`);
    }
  } finally {
    await world.stop();
  }
  const { topics, deaths, restarts } = world.happened;
  console.log(
    `soak of ${MINUTES} minutes: ${told(attempts)}; ${ledger.acknowledged} commits, ${topics} topics came and went, ` +
      `${deaths} consumers died, ${restarts} brokers restarted; ${lies.length} lies`,
  );
  expect.soft(lies).toEqual([]);
  expect.soft(odd).toEqual([]);
  expect.soft(attempts.filter(({ outcome }) => outcome === "complete").length).toBeGreaterThan(attempts.length / 2);
  expect.soft(Math.min(topics, deaths, restarts)).toBeGreaterThan(0);
  expect.soft(attempts.filter(({ held }) => held.connections > 0)).toEqual([]);
  const [settled, end] = [quarter(attempts, 1), quarter(attempts, 3)];
  const grown = parts.filter((part) => end[part] - settled[part] > GROWTH[part]);
  expect(grown, `${JSON.stringify(settled)} became ${JSON.stringify(end)}`).toEqual([]);
}, 0);

/** The snapshot function in a process of its own, warm until the test ends; each call is an invocation. */
function startFunction(bootstrapServers: string): () => Promise<z.output<typeof reply>> {
  const { endpointUrl, environment } = inject("cloud");
  const child = fork(fileURLToPath(import.meta.resolve("./warm-function.ts")), {
    execArgv: [],
    env: {
      ...process.env,
      ...environment,
      AWS_ENDPOINT_URL: endpointUrl,
      AWS_ENDPOINT_URL_S3: endpointUrl,
      [envNames.bucket]: kept.config.bucket,
      [envNames.bucketPrefix]: kept.config.prefix,
      [envNames.table]: kept.config.table,
      [envNames.clusterName]: "local",
      [envNames.bootstrapServers]: bootstrapServers,
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the function ended with ${code}`);
  });
  ended.catch(() => {});
  return async () => {
    const answered = once(child, "message");
    child.send({ event: { groups: [`${PREFIX}*`] }, remainingMs: REMAINING_MS });
    const [message] = await Promise.race([answered, ended]);
    return reply.parse(message);
  };
}

const middle = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

/** What was held in the middle of the attempts. */
function heldIn(attempts: readonly Attempt[]): Held {
  const of = (part: keyof Held) => middle(attempts.map(({ held }) => held[part]));
  const [sockets, connections] = [of("sockets"), of("connections")];
  return { rss: of("rss"), heap: of("heap"), files: of("files"), sockets, connections, timers: of("timers") };
}

/** What was held in a quarter of the time: 0, 1, 2 or 3. */
const quarter = (attempts: readonly Attempt[], number: number) =>
  heldIn(attempts.slice(Math.floor((attempts.length * number) / 4), Math.floor((attempts.length * (number + 1)) / 4)));

/** What became of attempts, in a line. */
function told(attempts: readonly Attempt[]): string {
  const outcomes = Map.groupBy(attempts, ({ outcome }) => outcome);
  const counted = [...outcomes].map(([outcome, { length }]) => `${length} ${outcome}`).join(", ");
  const times = attempts.map(({ ms }) => ms);
  const { rss, heap, files, sockets, timers } = heldIn(attempts);
  return (
    `${attempts.length} snapshots, ${counted}; ${Math.round(middle(times))} ms, at most ${Math.round(Math.max(...times))}; ` +
    `${Math.round(rss / MB)} MB resident, ${Math.round(heap / MB)} MB heap, ${files} files, ${sockets} sockets, ${timers} timers`
  );
}
