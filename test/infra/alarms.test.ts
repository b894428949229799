import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Match } from "aws-cdk-lib/assertions";
import { afterAll, describe, expect, test } from "vitest";
import { example, local, root } from "./configs.ts";
import { functionOf, render, rightsOf, templateOf } from "./support.ts";

const msk = templateOf(example());
const readme = readFileSync(join(root, "infra/README.md"), "utf8");
const scheduled = (...expressions: string[]) => ({
  ...local(),
  schedules: expressions.map((expression, i) => ({ name: `s${i}`, expression })),
});

/** What an alarm watches, in one line: metric, dimensions, statistic over how many seconds, what rings, what no data means. */
function alarmsOf(template: typeof msk): Record<string, string> {
  const lines = Object.values(template.findResources("AWS::CloudWatch::Alarm")).map(({ Properties: it }) => {
    expect(it).toMatchObject({ ComparisonOperator: "GreaterThanThreshold" });
    const times = it.EvaluationPeriods === 1 ? "" : `${it.EvaluationPeriods} x `;
    const of = (it.Dimensions ?? []).map((each: { Value: unknown }) => render(each.Value)).join(" ");
    const watches = `${it.Namespace} ${it.MetricName} ${of}`;
    return [
      it.AlarmName,
      `${watches}: ${it.Statistic} in ${times}${it.Period} s > ${it.Threshold}, none ${it.TreatMissingData}`,
    ];
  });
  return Object.fromEntries(lines);
}

const ours = (metric: string) => `OffsetRollback ${metric}: Sum in 300 s > 0, none notBreaching`;

describe("alarms", () => {
  test("watch what went wrong, by metrics that a mistake in a request does not change", () => {
    expect(alarmsOf(msk)).toEqual({
      "offset-snapshot-missing-hourly":
        "OffsetRollback SnapshotAge hourly offset-rollback: Maximum in 900 s > 7200, none breaching",
      "offset-snapshot-missing-before-nightly-batch":
        "OffsetRollback SnapshotAge before-nightly-batch offset-rollback: Maximum in 10800 s > 172800, none breaching",
      "offset-snapshot-partial": ours("Snapshots offset-rollback partial"),
      "offset-snapshot-failed": ours("FailedScheduledSnapshots offset-rollback"),
      "offset-rollback-unsuccessful": ours("UnsuccessfulRollbacks offset-rollback"),
      "offset-faults": ours("Faults offset-rollback"),
      "offset-slow-snapshot": "AWS/Lambda Duration <snapshot>: Maximum in 300 s > 240000, none notBreaching",
      "offset-slow-rollback": "AWS/Lambda Duration <rollback>: Maximum in 300 s > 720000, none notBreaching",
      "offset-slow-prune": "AWS/Lambda Duration <prune>: Maximum in 300 s > 720000, none notBreaching",
      "offset-throttled-prune": "AWS/Lambda Throttles <prune>: Sum in 300 s > 0, none notBreaching",
      "offset-prune-incomplete": "OffsetRollback PruneLeft offset-rollback: Maximum in 2 x 86400 s > 0, none breaching",
      "offset-throttled-snapshot": "AWS/Lambda Throttles <snapshot>: Sum in 300 s > 0, none notBreaching",
      "offset-throttled-rollback": "AWS/Lambda Throttles <rollback>: Sum in 300 s > 0, none notBreaching",
      "offset-api-5xx": "AWS/ApiGateway 5XXError offset-rollback: Sum in 300 s > 0, none notBreaching",
      "offset-snapshots-lost":
        "AWS/SQS ApproximateNumberOfMessagesVisible <SchedulesFailed>: Maximum in 300 s > 0, none notBreaching",
      "offset-rollbacks-lost":
        "AWS/SQS ApproximateNumberOfMessagesVisible <RollbacksLost>: Maximum in 300 s > 0, none notBreaching",
    });
  });

  test("watch the API's throttled requests where access logs tell them from others", () => {
    const template = templateOf({ ...local(), name_prefix: "blue-", api: { access_logs: true } });
    expect(alarmsOf(template)["blue-offset-throttled-api"]).toBe(
      "OffsetRollback/blue-offset-rollback ApiThrottled : Sum in 300 s > 0, none notBreaching",
    );
    template.hasResourceProperties("AWS::Logs::MetricFilter", { FilterPattern: '{ $.status = "429" }' });
  });

  test("notify the topic when they begin and when they end; without a topic they have no action", () => {
    const topic = ["arn:aws:sns:eu-west-1:111122223333:on-call"];
    msk.allResourcesProperties("AWS::CloudWatch::Alarm", { AlarmActions: topic, OKActions: topic });
    const none = { AlarmActions: Match.absent(), OKActions: Match.absent() };
    templateOf(local()).allResourcesProperties("AWS::CloudWatch::Alarm", none);
  });

  test("say in their descriptions which requests were lost", () => {
    const meaning = (name: string) =>
      Object.values(msk.findResources("AWS::CloudWatch::Alarm", { Properties: { AlarmName: name } })).map(
        ({ Properties }) => Properties.AlarmDescription,
      );
    expect(meaning("offset-snapshots-lost")).toEqual([expect.stringMatching(/^A scheduled snapshot failed after all/)]);
    expect(meaning("offset-rollbacks-lost")).toEqual([expect.stringMatching(/^A rollback .* failed, was refused/)]);
  });

  test("look at 5 minutes, except those that the runbook names", () => {
    const others = Object.values(msk.findResources("AWS::CloudWatch::Alarm"))
      .filter(({ Properties: { Period, EvaluationPeriods } }) => Period * EvaluationPeriods !== 300)
      .map(({ Properties }) => /#alarm-(.*)$/.exec(Properties.AlarmDescription)?.[1]);
    const [, named = ""] = /^All alarms look at 5 minutes, except (.*?)\./m.exec(readme) ?? [];
    expect([...named.matchAll(/`(.*?)`/g)].map(([, kind]) => kind)).toEqual([...new Set(others)]);
  });

  test("end their descriptions with a link to a section of the runbook, which has no other sections of alarms", () => {
    const headings = [...readme.matchAll(/^#+ (Alarm .*)$/gm)].map(([, heading = ""]) => heading);
    const anchors = headings.map((heading) => heading.toLowerCase().replaceAll(" ", "-"));
    const config = { ...example(), api: { access_logs: true } };
    const linksOf = (template: typeof msk) =>
      Object.values(template.findResources("AWS::CloudWatch::Alarm")).map(({ Properties }) => {
        expect(Properties.AlarmDescription.length).toBeLessThan(1_024);
        return / Runbook: (\S+)$/.exec(Properties.AlarmDescription)?.[1];
      });
    expect(new Set(linksOf(templateOf(config)))).toEqual(new Set(anchors.map((anchor) => `infra/README.md#${anchor}`)));
    const runbook_url = "https://wiki.example.com/offsets";
    const elsewhere = linksOf(templateOf({ ...config, alarms: { runbook_url } }));
    expect(new Set(elsewhere)).toEqual(new Set(anchors.map((anchor) => `${runbook_url}#${anchor}`)));
  });
});

describe("the age of a schedule's newest snapshot", () => {
  const checksOf = (template: typeof msk) =>
    Object.values(template.findResources("AWS::Scheduler::Schedule"))
      .map(({ Properties }) => Properties)
      .filter(({ Target }) => render(Target.Arn) === "<list>");

  test("is measured by a list of its complete snapshots, more often for a schedule that runs more often", () => {
    const checks = checksOf(msk).map(({ Name, ScheduleExpression, State, Target }) => [
      Name,
      ScheduleExpression,
      State,
      JSON.parse(Target.Input),
      Target.RetryPolicy.MaximumRetryAttempts,
    ]);
    expect(checks).toEqual([
      ["age-of-hourly", "rate(5 minutes)", "ENABLED", { schedule: "hourly", status: "complete" }, 0],
      [
        "age-of-before-nightly-batch",
        "rate(1 hour)",
        "ENABLED",
        { schedule: "before-nightly-batch", status: "complete" },
        0,
      ],
    ]);
    for (const { Target } of checksOf(msk))
      expect(rightsOf(msk, Target.RoleArn)).toEqual(["lambda:InvokeFunction <list>"]);
  });

  test("may be two of the longest times between two runs, however long these are", () => {
    const template = templateOf(scheduled("rate(7 days)", "cron(0 8 ? * MON-FRI *)", "cron(0 0 1 * ? *)"));
    expect(Object.entries(alarmsOf(template)).filter(([name]) => name.includes("missing"))).toEqual(
      [14, 6, 62].map((days, i) => [
        `offset-snapshot-missing-s${i}`,
        `OffsetRollback SnapshotAge s${i} offset-rollback: Maximum in 10800 s > ${days * 86_400}, none breaching`,
      ]),
    );
  });

  test("rings for a schedule that is not enabled, too", () => {
    const template = templateOf({
      ...local(),
      schedules: [{ name: "off", expression: "rate(1 hour)", enabled: false }],
    });
    expect(checksOf(template)).toMatchObject([{ Name: "age-of-off", State: "ENABLED" }]);
    expect(alarmsOf(template)).toHaveProperty("offset-snapshot-missing-off");
  });

  test("is not measured without schedules, nor for one that runs once", () => {
    for (const config of [local(), scheduled("cron(0 0 1 1 ? 2030)"), scheduled("at(2030-01-01T00:00:00)")]) {
      const template = templateOf(config);
      expect(checksOf(template)).toEqual([]);
      expect(Object.keys(alarmsOf(template)).filter((name) => name.includes("missing"))).toEqual([]);
    }
  });
});

describe("the dashboard", () => {
  const [dashboard] = Object.values(msk.findResources("AWS::CloudWatch::Dashboard"));
  const { widgets } = JSON.parse(render(dashboard?.Properties.DashboardBody));
  const titles: string[] = widgets.map(({ properties }: { properties: { title?: string } }) => properties.title ?? "");

  test("shows all alarms, rollbacks and errors, and each schedule", () => {
    expect(dashboard?.Properties.DashboardName).toBe("offset-rollback");
    const [status] = widgets.filter(({ type }: { type: string }) => type === "alarm");
    expect(status.properties.alarms).toHaveLength(Object.keys(alarmsOf(msk)).length);
    expect(titles).toEqual(expect.arrayContaining(["Rollbacks by outcome", "Errors by name", "Dead letters"]));
    for (const schedule of ["hourly", "before-nightly-batch"]) {
      expect(titles.filter((title) => title.startsWith(`${schedule}: `))).toHaveLength(7);
    }
  });

  test("shows every metric that no alarm watches", async () => {
    const { metrics } = await import("../../functions/shared/core/metrics.ts");
    const shown = `${JSON.stringify(widgets)} ${Object.values(alarmsOf(msk)).join(" ")}`;
    expect(Object.keys(metrics).filter((name) => !shown.includes(name))).toEqual([]);
  });

  test("links to the runbook and the logs", () => {
    const [text] = widgets.filter(({ type }: { type: string }) => type === "text");
    expect(text.properties.markdown).toContain("`infra/README.md`");
    expect(text.properties.markdown).toContain("log-group/$252Faws$252Flambda$252Foffset-rollback)");
    const elsewhere = templateOf({ ...example(), alarms: { runbook_url: "https://wiki.example.com/offsets" } });
    const [other] = Object.values(elsewhere.findResources("AWS::CloudWatch::Dashboard"));
    expect(render(other?.Properties.DashboardBody)).toContain(
      "[The runbook](https://wiki.example.com/offsets#operate)",
    );
  });
});

describe("the lines of the runbook", () => {
  const lines = readme.split("### Runbook")[1]?.split("```")[1]?.replace(/^sh\n/, "") ?? "";
  /** Does what AWS CLI v2 does with these arguments: an answer goes to the last one, and the metadata to stdout. */
  const cli = `aws() {
    echo "$*" >> asked
    case "$*" in
      "lambda invoke"*) printf '{"n": 1}' > "\${@: -1}"; echo '{"StatusCode": 200}';;
      *) echo "\${@: -1}";;
    esac
  }`;
  const folder = mkdtempSync(join(tmpdir(), "offset-rollback-runbook-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** Runs a line after those of the runbook; what the AWS CLI was asked is in `asked`. */
  const run = (line: string) => {
    writeFileSync(join(folder, "asked"), "");
    const { stdout, stderr, status } = spawnSync("bash", ["-uc", `${cli}\n${lines}\n${line}`], {
      cwd: folder,
      encoding: "utf8",
    });
    return { stdout, stderr, status, asked: readFileSync(join(folder, "asked"), "utf8") };
  };

  test("call a function, whose answer alone is on stdout and is added to a file, and wait as long as it may run", () => {
    const { asked, ...ended } = run(`echo before > incident.md; call show '{"a": 1}' >> incident.md; cat incident.md`);
    expect(ended).toEqual({ stdout: 'before\n{"n": 1}', stderr: '{"StatusCode": 200}\n', status: 0 });
    expect(asked).toMatch(/^lambda invoke --function-name offset-show .*--cli-read-timeout 905 --payload {"a": 1} /);
  });

  test("say that a call failed", () => {
    expect(run("aws() { return 254; }; call show '{}'").status).toBe(254);
  });

  test("read the errors of the last hour, or of so many hours", () => {
    const since = (line: string) => Number(/--start-time (\d+)/.exec(run(line).asked)?.[1]);
    const hoursAgo = (hours: number) => Date.now() - hours * 3_600_000;
    expect(Math.abs(since("errors prune") - hoursAgo(1))).toBeLessThan(60_000);
    expect(Math.abs(since("errors prune 48") - hoursAgo(48))).toBeLessThan(60_000);
  });

  test("find the queues by outputs of the stack, and read more than one message", () => {
    const outputs = Object.keys(msk.toJSON().Outputs).filter((name) => name.endsWith("QueueUrl"));
    expect(readme.match(/(?<=\bqueue )\w+QueueUrl/g)?.toSorted()).toEqual(outputs.toSorted());
    expect(run("queue SnapshotsLostQueueUrl").asked).toContain(
      "--stack-name OffsetRollback --query Stacks[0].Outputs[?OutputKey=='SnapshotsLostQueueUrl'].OutputValue",
    );
    expect(run("lost https://example.com/1").asked).toMatch(/--queue-url https:\S+ .*--max-number-of-messages 10 /);
  });
});

test("a function that an alarm measures has the time-out that its alarm assumes", () => {
  expect([functionOf(msk, "snapshot").Timeout, functionOf(msk, "rollback").Timeout]).toEqual([300, 900]);
});
