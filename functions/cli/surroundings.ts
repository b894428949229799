import { AwsClient } from "aws4fetch";
import * as z from "zod/mini";
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
  await findings.make("schedules", async () => {
    const groups = await resourcesOf("AWS::Scheduler::ScheduleGroup");
    const found = (await Promise.all(groups.map((group) => schedulesOf(ask, group)))).flat();
    const ours = found.filter(({ Target }) => Target.Arn.endsWith(`:${deployment.functions.snapshot}`));
    if (ours.length === 0) throw new NotChecked("the deployment has no schedule that takes snapshots");
    schedules = ours;
    return `${count(ours.length, "schedule")} of snapshots`;
  });
  for (const schedule of schedules) {
    await findings.make(`schedule ${schedule.Name}`, () => aboutSchedule(schedule, call));
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
    const page = scheduleList.parse(JSON.parse(await ask("scheduler", `/schedules?${query}`)));
    for (const { Name } of page.Schedules) {
      const path = `/schedules/${encodeURIComponent(Name)}?groupName=${encodeURIComponent(group)}`;
      found.push(wholeSchedule.parse(JSON.parse(await ask("scheduler", path))));
    }
    if (!page.NextToken) return found;
    token = page.NextToken;
  }
}

const scheduled = z.looseObject({
  snapshots: z.array(z.looseObject({ snapshot_id: z.string(), created_at: z.string() })),
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
  return `enabled; ${what}`;
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

interface AlarmState {
  readonly name: string;
  readonly state: string;
  readonly description: string;
  readonly notifies: boolean;
}

/** Alarms that one request may name. */
const MOST_ALARMS = 100;

async function alarmsOf(ask: Ask, names: readonly string[]): Promise<AlarmState[]> {
  const found: AlarmState[] = [];
  for (let start = 0; start < names.length; start += MOST_ALARMS) {
    const some = names.slice(start, start + MOST_ALARMS);
    const body = new URLSearchParams({ Action: "DescribeAlarms", Version: "2010-08-01", MaxRecords: `${MOST_ALARMS}` });
    for (const [i, name] of some.entries()) body.set(`AlarmNames.member.${i + 1}`, name);
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const xml = await ask("monitoring", "/", { method: "POST", headers, body: String(body) });
    found.push(...alarmsIn(xml));
  }
  const gone = names.filter((name) => !found.some((alarm) => alarm.name === name));
  if (gone.length > 0) {
    throw new Failed(`CloudWatch does not have ${listSome(gone, String, 10)}, which the stack made.`, [
      "Deploy the stack again.",
    ]);
  }
  return found;
}

/** The alarms in an answer in XML. Names and descriptions of this stack need no escapes. */
function alarmsIn(xml: string): AlarmState[] {
  return outerMembers(xml).map((alarm) => {
    const text = (tag: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(alarm)?.[1] ?? "";
    const actions = /<AlarmActions>(.*?)<\/AlarmActions>/s.exec(alarm)?.[1] ?? "";
    return {
      name: text("AlarmName"),
      state: text("StateValue"),
      description: text("AlarmDescription"),
      notifies: text("ActionsEnabled") !== "false" && actions.includes("<member>"),
    };
  });
}

/** The elements of the outer lists: elements of lists inside them have the same tag. */
function outerMembers(xml: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: tag, index } of xml.matchAll(/<\/?member>/g)) {
    if (tag === "<member>" && depth++ === 0) start = index + tag.length;
    if (tag === "</member>" && --depth === 0) found.push(xml.slice(start, index));
  }
  return found;
}

/** Which alarms ring. */
function aboutStates(alarms: readonly AlarmState[]): string {
  const ringing = alarms.filter(({ state }) => state === "ALARM");
  if (ringing.length > 0) {
    const names = listSome(ringing, ({ name }) => name, 10);
    throw new Failed(
      `${ringing.length} of ${count(alarms.length, "alarm")} ring: ${names}.`,
      ringing.slice(0, 10).map(({ name, description }) => `${name}: ${description}`),
    );
  }
  const unknown = alarms.filter(({ state }) => state !== "OK").length;
  return `${count(alarms.length, "alarm")}, none rings${unknown === 0 ? "" : `; ${unknown} have no data yet`}`;
}

/** Whether somebody learns of them. */
function aboutActions(alarms: readonly AlarmState[]): string {
  const silent = alarms.filter(({ notifies }) => !notifies);
  if (silent.length === alarms.length)
    throw new NotChecked("no alarm notifies anybody: alarms.topic_arn is not in the config");
  if (silent.length > 0) {
    throw new Failed(`${listSome(silent, ({ name }) => name, 10)} notify nobody, and the other alarms do.`, [
      "Enable their actions, or deploy the stack again.",
    ]);
  }
  return "all alarms have actions; whether a message arrives shows only when one rings";
}
