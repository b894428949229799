import { AwsClient } from "aws4fetch";
import * as z from "zod/mini";
import type { Verb } from "../operations.ts";
import { longestGap } from "../shared/core/longest-gap.ts";
import { count, listSome } from "../shared/core/text.ts";
import type { Deployment } from "./deployment.ts";
import { Failed, type Findings, NotChecked } from "./findings.ts";
import { readAnswer } from "./invoke.ts";
import type { Sample } from "./proofs.ts";

/** A signed request to a service of AWS, with the caller's credentials. Throws Failed with what AWS says where it refuses. */
type Ask = (service: string, path: string, init?: RequestInit) => Promise<string>;

interface Resource {
  readonly type: string;
  readonly name: string;
}

/** Checks what the stack has around its functions, with the caller's own rights: schedules and alarms. */
export async function checkSurroundings(
  findings: Findings,
  deployment: Deployment,
  call: Sample["call"],
): Promise<void> {
  const { stack } = deployment;
  let resources: readonly Resource[] | undefined;
  const resourcesOf = async (type: string) => {
    if (stack === undefined) throw new NotChecked("the name of the stack is not known: run `npm run local:up` again");
    resources ??= await resourcesOfStack(deployment, stack);
    return resources.filter((resource) => resource.type === type).map(({ name }) => name);
  };
  const ask = await asking(deployment);
  let schedules: readonly Schedule[] = [];
  let prunes: readonly Schedule[] = [];
  await findings.make("schedules", async () => {
    const groups = await resourcesOf("AWS::Scheduler::ScheduleGroup");
    const found = (await Promise.all(groups.map((group) => schedulesOf(ask, group)))).flat();
    const of = (verb: Verb) => found.filter(({ Target }) => Target.Arn.endsWith(`:${deployment.functions[verb]}`));
    [schedules, prunes] = [of("snapshot"), of("prune")];
    if (schedules.length === 0) throw new NotChecked("the deployment has no schedule that takes snapshots");
    return `${count(schedules.length, "schedule")} of snapshots`;
  });
  for (const schedule of schedules) {
    await findings.make(`schedule ${schedule.Name}`, () => aboutSchedule(schedule, call));
  }
  for (const { Name, State, ScheduleExpression } of prunes) {
    await findings.make(`schedule ${Name} of prune`, async () => {
      if (State === "ENABLED")
        return `enabled (${ScheduleExpression}); the alarm prune-incomplete rings where it does not succeed`;
      throw new Failed(`It is ${State.toLowerCase()}, and deletes no snapshots (${ScheduleExpression}).`, [
        "Enable it in EventBridge Scheduler, where it was disabled. To have no runs, remove `retention` from the config and deploy the stack again.",
      ]);
    });
  }
  let alarms: readonly AlarmState[] | undefined;
  await findings.make("alarms", async () => {
    const names = await resourcesOf("AWS::CloudWatch::Alarm");
    if (names.length === 0) throw new NotChecked("the deployment has no alarms");
    alarms = await alarmsOf(ask, names);
    return aboutStates(alarms);
  });
  await findings.make("notifications", async () => {
    if (alarms === undefined) throw new NotChecked("no alarm is known: see alarms");
    return aboutActions(alarms);
  });
}

async function resourcesOfStack({ client }: Deployment, StackName: string): Promise<Resource[]> {
  const { CloudFormationClient, paginateListStackResources } = await import("@aws-sdk/client-cloudformation");
  const found: Resource[] = [];
  try {
    for await (const page of paginateListStackResources({ client: new CloudFormationClient(client) }, { StackName })) {
      for (const { ResourceType = "", PhysicalResourceId = "" } of page.StackResourceSummaries ?? []) {
        found.push({ type: ResourceType, name: PhysicalResourceId });
      }
    }
  } catch (cause) {
    throw new Failed(`The resources of the stack ${StackName} cannot be listed: ${said(cause)}`);
  }
  return found;
}

const said = (cause: unknown) => (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause));

/** These services have no client of their own here: a whole client for three requests would double the size of the command. */
async function asking({ client }: Deployment): Promise<Ask> {
  const { LambdaClient } = await import("@aws-sdk/client-lambda");
  const { config } = new LambdaClient(client);
  return async (service, path, init) => {
    try {
      const [{ accessKeyId, secretAccessKey, sessionToken }, region] = await Promise.all([
        config.credentials(),
        config.region(),
      ]);
      const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
      const endpoint = client.endpoint ?? process.env.AWS_ENDPOINT_URL ?? `https://${service}.${region}.${domain}`;
      const signer = new AwsClient({
        accessKeyId,
        secretAccessKey,
        ...(sessionToken && { sessionToken }),
        region,
        service,
      });
      const response = await signer.fetch(`${endpoint.replace(/\/$/, "")}${path}`, {
        signal: AbortSignal.timeout(10_000),
        ...init,
      });
      const text = await response.text();
      if (response.ok) return text;
      const message = /"[Mm]essage"\s*:\s*"((?:[^"\\]|\\.)*)"|<Message>([^<]*)</.exec(text);
      throw new Failed(
        `${service} answered HTTP ${response.status}: ${message?.[1] ?? message?.[2] ?? text.slice(0, 300)}`,
      );
    } catch (error) {
      if (error instanceof Failed) throw error;
      throw new Failed(`${service} cannot be asked: ${said(error)}`);
    }
  };
}

/** @throws Failed for an answer that is not what this version reads */
function read<T>(schema: z.ZodMiniType<T>, text: string, service: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new Failed(`The answer of ${service} is not what this version reads: ${text.slice(0, 300)}`);
  }
}

const listedSchedule = z.looseObject({ Name: z.string(), Target: z.looseObject({ Arn: z.string() }) });
const scheduleList = z.looseObject({
  Schedules: z.array(listedSchedule),
  NextToken: z.optional(z.nullable(z.string())),
});
const wholeSchedule = z.looseObject({
  Name: z.string(),
  State: z.string(),
  ScheduleExpression: z.string(),
  CreationDate: z.optional(z.number()),
  Target: z.looseObject({ Arn: z.string(), Input: z.optional(z.string()) }),
});
type Schedule = z.output<typeof wholeSchedule>;

async function schedulesOf(ask: Ask, group: string): Promise<Schedule[]> {
  const found: Schedule[] = [];
  for (let token = ""; ; ) {
    const query = new URLSearchParams({ ScheduleGroup: group, ...(token && { NextToken: token }) });
    const page = read(scheduleList, await ask("scheduler", `/schedules?${query}`), "Scheduler");
    for (const { Name } of page.Schedules) {
      const path = `/schedules/${encodeURIComponent(Name)}?groupName=${encodeURIComponent(group)}`;
      found.push(read(wholeSchedule, await ask("scheduler", path), "Scheduler"));
    }
    if (!page.NextToken) return found;
    token = page.NextToken;
  }
}

const scheduled = z.looseObject({
  snapshots: z.array(
    z.looseObject({ snapshot_id: z.string(), created_at: z.string(), groups: z.int(), offsets: z.int() }),
  ),
});

/** Whether a schedule runs: its newest complete snapshot is at most twice as old as its runs are apart. */
async function aboutSchedule(schedule: Schedule, call: Sample["call"]): Promise<string> {
  const { Name, State, ScheduleExpression, CreationDate } = schedule;
  if (State !== "ENABLED") {
    throw new Failed(`It is ${State.toLowerCase()}, and takes no snapshots (${ScheduleExpression}).`, [
      `Set "enabled": true for schedule ${Name} in the config, and deploy the stack again.`,
    ]);
  }
  const answer = await call("list", { schedule: Name, status: "complete", limit: 1 });
  const [newest] = readAnswer(scheduled, answer, "list").snapshots;
  const gap = longestGap(ScheduleExpression);
  const most = gap === undefined ? undefined : 2 * gap;
  const seconds = (since: number) => Math.max(0, Math.round((Date.now() - since) / 1_000));
  if (newest === undefined) {
    const isNew = CreationDate !== undefined && (most === undefined || seconds(CreationDate * 1_000) < most);
    if (isNew || gap === undefined) {
      throw new NotChecked(`it is enabled (${ScheduleExpression}), and has taken no complete snapshot yet`);
    }
    throw new Failed(`It is enabled (${ScheduleExpression}), and has taken no complete snapshot.`, nextOf(Name));
  }
  const age = seconds(Date.parse(newest.created_at));
  const what = `${newest.snapshot_id}, its newest complete snapshot, was taken ${duration(age)} ago (${ScheduleExpression})`;
  if (most !== undefined && age > most) throw new Failed(`${what}: that is more than twice its period.`, nextOf(Name));
  if (newest.offsets === 0) {
    throw new Failed(
      `${what}: it has ${count(newest.groups, "group")} and no offset. No group that the schedule selects has commits, or the ` +
        "Kafka principal may not describe it.",
      [
        `offset-rollback show ${newest.snapshot_id}`,
        `Compare the groups of schedule ${Name} in the config with Kafka's.`,
      ],
    );
  }
  return `enabled; ${what}, with ${count(newest.groups, "group")} and ${count(newest.offsets, "offset")}`;
}

const nextOf = (name: string) => [
  `offset-rollback list --schedule ${name}`,
  "The alarm snapshot-failed, its runbook section, and the queue of lost snapshots say why: infra/README.md.",
];

function duration(seconds: number): string {
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
  ] as const;
  const [size, unit] = units.find(([size]) => seconds >= 2 * size) ?? [1, "s"];
  return `${Math.floor(seconds / size)} ${unit}`;
}

const describedAlarms = z.looseObject({
  MetricAlarms: z.array(
    z.looseObject({
      AlarmName: z.string(),
      AlarmDescription: z.optional(z.nullable(z.string())),
      StateValue: z.string(),
      ActionsEnabled: z.boolean(),
      AlarmActions: z.array(z.string()),
    }),
  ),
});
type AlarmState = z.output<typeof describedAlarms>["MetricAlarms"][number];

/** Alarms that one request may name. */
const MOST_ALARMS = 100;

async function alarmsOf(ask: Ask, names: readonly string[]): Promise<AlarmState[]> {
  const found: AlarmState[] = [];
  const headers = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "GraniteServiceVersion20100801.DescribeAlarms",
  };
  for (let start = 0; start < names.length; start += MOST_ALARMS) {
    const body = JSON.stringify({ AlarmNames: names.slice(start, start + MOST_ALARMS), MaxRecords: MOST_ALARMS });
    const answer = await ask("monitoring", "/", { method: "POST", headers, body });
    found.push(...read(describedAlarms, answer, "CloudWatch").MetricAlarms);
  }
  const gone = names.filter((name) => !found.some(({ AlarmName }) => AlarmName === name));
  if (gone.length > 0) {
    throw new Failed(`CloudWatch does not have ${listSome(gone, String, 10)}, which the stack made.`, [
      "Deploy the stack again.",
    ]);
  }
  return found;
}

/** Which alarms ring. */
function aboutStates(alarms: readonly AlarmState[]): string {
  const ringing = alarms.filter(({ StateValue }) => StateValue === "ALARM");
  if (ringing.length > 0) {
    const names = listSome(ringing, ({ AlarmName }) => AlarmName, 10);
    throw new Failed(
      `${ringing.length} of ${count(alarms.length, "alarm")} ring: ${names}.`,
      ringing.slice(0, 10).map(({ AlarmName, AlarmDescription }) => `${AlarmName}: ${AlarmDescription ?? ""}`),
    );
  }
  const unknown = alarms.filter(({ StateValue }) => StateValue !== "OK").length;
  return `${count(alarms.length, "alarm")}, none rings${unknown === 0 ? "" : `; ${unknown} have no data yet`}`;
}

/** Whether alarms have actions. */
function aboutActions(alarms: readonly AlarmState[]): string {
  const silent = alarms.filter(({ ActionsEnabled, AlarmActions }) => !ActionsEnabled || AlarmActions.length === 0);
  if (silent.length === alarms.length)
    throw new NotChecked("no alarm notifies anybody: alarms.topic_arn is not in the config");
  if (silent.length > 0) {
    throw new Failed(
      `${listSome(silent, ({ AlarmName }) => AlarmName, 10)} have no action, and the other alarms have one.`,
      ["Enable their actions, or deploy the stack again."],
    );
  }
  return "all alarms have actions; whether a message arrives shows only when one rings";
}
