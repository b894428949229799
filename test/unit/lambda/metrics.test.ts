import { afterEach, describe, expect, test, vi } from "vitest";
import * as z from "zod/mini";
import {
  GroupNotFound,
  InvalidRequest,
  KafkaUnavailable,
  RollbackIncomplete,
} from "../../../functions/shared/core/errors.ts";
import { type Measurement, metrics } from "../../../functions/shared/core/metrics.ts";
import type { Invocation, Result } from "../../../functions/shared/lambda/handler.ts";
import { errorMeasurements } from "../../../functions/shared/lambda/metrics.ts";
import { compose } from "../../../functions/shared/operation.ts";
import { apiContext, context, proxyEvent } from "../../support/events.ts";

const storage = { storeResult: async () => ({ url: "", expiresInSeconds: 0 }) };
const request = z.looseObject({});
const handlerOf = (run: (invocation: Invocation) => Promise<Result>) =>
  compose({ name: "test", request, run: (_, invocation) => run(invocation) }, () => ({ storage }));

/** The lines in the embedded metric format that a call writes to stdout. */
async function linesOf(run: (invocation: Invocation) => Promise<Result>, event: unknown = {}) {
  const written = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  const logged = [vi.spyOn(console, "info"), vi.spyOn(console, "error"), vi.spyOn(console, "warn")];
  for (const log of logged) log.mockImplementation(() => {});
  const answer = await Promise.resolve(
    handlerOf(run)(event, Object(event).httpMethod ? apiContext() : context()),
  ).catch((error: unknown) => error);
  const lines = written.mock.calls.map(([line]) => String(line)).filter((line) => line.includes("_aws"));
  vi.restoreAllMocks();
  return { answer, lines: lines.map((line) => JSON.parse(line)) };
}

const snapshotOf = (schedule: string): Measurement[] => [
  { name: "Snapshots", value: 1, by: { status: "complete" } },
  { name: "Snapshots", value: 1, by: { schedule, status: "complete" } },
  { name: "SnapshotGroups", value: 3, by: { schedule } },
  { name: "SnapshotDuration", value: 1_250, by: { schedule } },
];

afterEach(() => vi.unstubAllEnvs());

describe("the metrics of an invocation", () => {
  test("are lines in the embedded metric format, one for each set of dimensions", async () => {
    vi.stubEnv("DEPLOYMENT_NAME", "blue-offset-rollback");
    const { answer, lines } = await linesOf(async ({ measure }) => {
      measure(snapshotOf("hourly"));
      return { done: true };
    });
    expect(answer).toEqual({ done: true });
    const service = "blue-offset-rollback";
    const emf = (Dimensions: string[], ...Metrics: { Name: string; Unit: string }[]) => ({
      Timestamp: expect.any(Number),
      CloudWatchMetrics: [{ Namespace: "OffsetRollback", Dimensions: [Dimensions], Metrics }],
    });
    const taken = { Name: "Snapshots", Unit: "Count" };
    expect(lines).toEqual([
      { _aws: emf(["service", "status"], taken), service, status: "complete", Snapshots: 1 },
      {
        _aws: emf(["service", "schedule", "status"], taken),
        ...{ service, schedule: "hourly", status: "complete", Snapshots: 1 },
      },
      {
        _aws: emf(
          ["service", "schedule"],
          { Name: "SnapshotGroups", Unit: "Count" },
          { Name: "SnapshotDuration", Unit: "Milliseconds" },
        ),
        ...{ service, schedule: "hourly", SnapshotGroups: 3, SnapshotDuration: 1_250 },
      },
    ]);
  });

  test.each<[string, unknown]>([
    ["a direct invocation", {}],
    ["the API", proxyEvent({})],
  ])("include the errors of %s, and what was measured before", async (_, event) => {
    vi.stubEnv("DEPLOYMENT_NAME", "offset-rollback");
    const { lines } = await linesOf(async ({ measure }) => {
      measure([{ name: "Rollbacks", value: 1, by: { outcome: "interrupted" } }]);
      throw new KafkaUnavailable("no broker answers");
    }, event);
    expect(lines.map(({ _aws, service, ...rest }) => rest)).toEqual([
      { outcome: "interrupted", Rollbacks: 1 },
      { error: "KafkaUnavailable", Errors: 1 },
      { Faults: 1 },
    ]);
  });

  test("leave out values of dimensions that CloudWatch does not accept", async () => {
    vi.stubEnv("DEPLOYMENT_NAME", "offset-rollback");
    const { lines } = await linesOf(async ({ measure }) => {
      for (const name of ["schön", " ", "x".repeat(251), "a\nb"]) measure(snapshotOf(name).slice(1));
      measure(snapshotOf("hourly").slice(2));
      return {};
    });
    expect(lines.map(({ schedule }) => schedule)).toEqual(["hourly"]);
  });

  test("do not change an answer when they cannot be written", async () => {
    vi.stubEnv("DEPLOYMENT_NAME", "offset-rollback");
    const { answer, lines } = await linesOf(async ({ measure }) => {
      measure(JSON.parse('[{"name": "NotInTheTable", "value": 1, "by": {}}]'));
      return { done: true };
    });
    expect({ answer, lines }).toEqual({ answer: { done: true }, lines: [] });
  });

  test("are not written outside of a deployment", async () => {
    vi.stubEnv("DEPLOYMENT_NAME", undefined);
    const { lines } = await linesOf(async ({ measure }) => {
      measure(snapshotOf("hourly"));
      return {};
    });
    expect(lines).toEqual([]);
  });

  test("have each an error of a schedule's request as a failed snapshot, even one whose request is wrong", async () => {
    vi.stubEnv("DEPLOYMENT_NAME", "offset-rollback");
    const fail = async () => {
      throw new InvalidRequest("typo");
    };
    const ofSchedule = await linesOf(fail, { schedule: { name: "hourly" }, grops: [] });
    expect(ofSchedule.lines.map(({ _aws, service, ...rest }) => rest)).toEqual([
      { error: "InvalidRequest", Errors: 1 },
      { FailedScheduledSnapshots: 1 },
    ]);
    for (const request of [{ grops: [] }, { schedule: "a filter of list" }]) {
      const { lines } = await linesOf(fail, request);
      expect(lines.map(({ _aws, service, ...rest }) => rest)).toEqual([{ error: "InvalidRequest", Errors: 1 }]);
    }
  });
});

test("an error counts as a fault only if its caller cannot correct it, and it is not counted elsewhere", () => {
  const namesOf = (...args: Parameters<typeof errorMeasurements>) => errorMeasurements(...args).map(({ name }) => name);
  expect(namesOf(new KafkaUnavailable("x"), false)).toEqual(["Errors", "Faults"]);
  expect(namesOf(new GroupNotFound("x"), false)).toEqual(["Errors"]);
  expect(namesOf(new RollbackIncomplete("x"), false)).toEqual(["Errors"]);
  expect(namesOf(new GroupNotFound("x"), true)).toEqual(["Errors", "FailedScheduledSnapshots"]);
});

test("the table of metrics has names and units that CloudWatch knows, and no metric without a meaning", () => {
  for (const [name, { unit, means, by }] of Object.entries(metrics)) {
    expect(name).toMatch(/^[A-Z][A-Za-z]+$/);
    expect(["Count", "Seconds", "Milliseconds"]).toContain(unit);
    expect(means.length).toBeGreaterThan(0);
    expect(by.length).toBeGreaterThan(0);
  }
});
