import { expect, test } from "vitest";
import { retention } from "../../functions/shared/lambda/retention.ts";
import { example, local } from "./configs.ts";
import { functionOf, render, rightsOf, templateOf } from "./support.ts";

const msk = templateOf(example());
const dailyOf = (template: typeof msk) =>
  Object.values(template.findResources("AWS::Scheduler::Schedule"))
    .map(({ Properties }) => Properties)
    .filter(({ Target }) => render(Target.Arn) === "<prune>");

test("prune is called once a day, deletes, and may do nothing else by its schedule", () => {
  const [daily = expect.fail("no schedule"), ...others] = dailyOf(msk);
  expect(others).toEqual([]);
  expect(daily).toMatchObject({ ScheduleExpression: "cron(15 3 * * ? *)", State: "ENABLED", Target: { Input: "{}" } });
  expect(rightsOf(msk, daily.Target.RoleArn)).toEqual(["lambda:InvokeFunction <prune>"]);
});

test("the function reads the rules as the config has them", () => {
  const { RETENTION } = functionOf(msk, "prune").Environment.Variables;
  const { schedules, safety_days: safetyDays, manual_days: manualDays } = example().retention;
  expect(retention({ RETENTION })).toEqual({ schedules, safetyDays, manualDays });
});

test("the function has the rules of schedules that were removed, too", () => {
  const [hourly, nightly] = [{ daily: 7 }, { keep_last: 1 }];
  const schedules = [{ name: "hourly", expression: "rate(1 hour)" }];
  const config = { ...local(), schedules, retention: { schedules: { hourly }, retired: { nightly } } };
  const { RETENTION } = functionOf(templateOf(config), "prune").Environment.Variables;
  expect(retention({ RETENTION })).toMatchObject({ schedules: { hourly, nightly } });
});

test("nothing is deleted by rule unless the config says so", () => {
  const plain = templateOf(local());
  expect(dailyOf(plain)).toEqual([]);
  expect(functionOf(plain, "prune").Environment.Variables).not.toHaveProperty("RETENTION");
});
