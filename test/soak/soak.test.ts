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
/** The remaining time of an invocation. */
const REMAINING_MS = 25_000;
/** Errors that are expected while brokers restart. */
const EXPECTED_ERRORS = ["KafkaUnavailable", "DeadlineExceeded"];
const MB = 2 ** 20;

const resources = z.object({
  rss: z.number(),
  heap: z.number(),
  files: z.number(),
  sockets: z.number(),
  /** The number of sockets that are connections to brokers. */
  connections: z.number(),
  timers: z.number(),
});
const reply = z.object({ answer: z.string(), ms: z.number(), held: resources });

/** The resources that a function holds after its answer and a garbage collection. */
type Resources = z.output<typeof resources>;

const parts = ["rss", "heap", "files", "sockets", "connections", "timers"] as const;

/** How much more of them the function may hold in the last quarter of the time than in the second. */
const GROWTH: Resources = { rss: 40 * MB, heap: 8 * MB, files: 3, sockets: 3, connections: 0, timers: 3 };

/** One invocation of `snapshot`. */
interface Attempt {
  readonly ms: number;
  /** The status of the snapshot, or the name of the error. */
  readonly outcome: string;
  readonly held: Resources;
}

const storage = testArchive();

test("snapshots are complete and correct or fail with an expected error, and resources do not grow", async () => {
  const kafka = openKafka(inject("kafka"));
  const ledger = new Ledger();
  const world = await startWorld(kafka, ledger);
  const takeSnapshot = startFunction(kafka.bootstrapServers);
  const attempts: Attempt[] = [];
  const errors: string[] = [];
  const unexpected: string[] = [];
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  try {
    for (let minute = 1; minute <= MINUTES && errors.length < 50; minute++) {
      const first = attempts.length;
      while (elapsed() < minute * 60_000) {
        const before = ledger.before();
        const { answer, ms, held } = await takeSnapshot();
        const { result, error } = readAnswer(answer);
        const { status, snapshot_id } = Object(result);
        attempts.push({ ms, outcome: error?.name ?? String(status), held });
        if (error === undefined) {
          const snapshot = await storage.archive.load(String(snapshot_id), within());
          errors.push(...ledger.errorsOf(snapshot, before).map((text) => `${snapshot_id}: ${text}`));
        } else if (!EXPECTED_ERRORS.includes(error.name)) {
          unexpected.push(error.message);
        }
        if (ms > REMAINING_MS) unexpected.push(`an answer after ${Math.round(ms)} ms`);
        ledger.forget(before);
        await delay(Math.max(0, EVERY_MS - ms));
      }
      console.log(`minute ${minute}: ${summaryOf(attempts.slice(first))}`);
    }
  } finally {
    await world.stop();
  }
  const { topics, deaths, restarts } = world.happened;
  console.log(
    `soak of ${MINUTES} minutes: ${summaryOf(attempts)}; ${ledger.acknowledged} commits, ${topics} topics came and went, ` +
      `${deaths} consumers died, ${restarts} brokers restarted; ${errors.length} errors in snapshots`,
  );
  expect.soft(errors).toEqual([]);
  expect.soft(unexpected).toEqual([]);
  expect.soft(attempts.filter(({ outcome }) => outcome === "complete").length).toBeGreaterThan(attempts.length / 2);
  expect.soft(Math.min(topics, deaths, restarts)).toBeGreaterThan(0);
  expect.soft(attempts.filter(({ held }) => held.connections > 0)).toEqual([]);
  const [settled, end] = [quarter(attempts, 1), quarter(attempts, 3)];
  const grown = parts.filter((part) => end[part] - settled[part] > GROWTH[part]);
  expect(grown, `${JSON.stringify(settled)} became ${JSON.stringify(end)}`).toEqual([]);
}, 0);

/** Starts the snapshot function in a process that stays warm until the test ends. Each call is an invocation. */
function startFunction(bootstrapServers: string): () => Promise<z.output<typeof reply>> {
  const { endpointUrl, environment } = inject("cloud");
  const child = fork(fileURLToPath(import.meta.resolve("./warm-function.ts")), {
    execArgv: [],
    env: {
      ...process.env,
      ...environment,
      AWS_ENDPOINT_URL: endpointUrl,
      AWS_ENDPOINT_URL_S3: endpointUrl,
      [envNames.bucket]: storage.config.bucket,
      [envNames.bucketPrefix]: storage.config.prefix,
      [envNames.table]: storage.config.table,
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

const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

/** The median resources of attempts. */
function medianResources(attempts: readonly Attempt[]): Resources {
  const medianOf = (part: keyof Resources) => median(attempts.map(({ held }) => held[part]));
  const [sockets, connections] = [medianOf("sockets"), medianOf("connections")];
  return {
    rss: medianOf("rss"),
    heap: medianOf("heap"),
    files: medianOf("files"),
    sockets,
    connections,
    timers: medianOf("timers"),
  };
}

/** The median resources in a quarter of the time: 0, 1, 2 or 3. */
const quarter = (attempts: readonly Attempt[], number: number) =>
  medianResources(
    attempts.slice(Math.floor((attempts.length * number) / 4), Math.floor((attempts.length * (number + 1)) / 4)),
  );

/** The outcomes, times and resources of attempts, in one line. */
function summaryOf(attempts: readonly Attempt[]): string {
  const outcomes = Map.groupBy(attempts, ({ outcome }) => outcome);
  const counted = [...outcomes].map(([outcome, { length }]) => `${length} ${outcome}`).join(", ");
  const times = attempts.map(({ ms }) => ms);
  const { rss, heap, files, sockets, timers } = medianResources(attempts);
  return (
    `${attempts.length} snapshots, ${counted}; ${Math.round(median(times))} ms, at most ${Math.round(Math.max(...times))}; ` +
    `${Math.round(rss / MB)} MB resident, ${Math.round(heap / MB)} MB heap, ${files} files, ${sockets} sockets, ${timers} timers`
  );
}
