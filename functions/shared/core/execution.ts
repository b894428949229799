import type { ScheduleRun } from "./model.ts";

/** EventBridge Scheduler replaces these in a schedule's input; the emulators do not. */
const isPlaceholder = (text: string) => text.startsWith("<aws.scheduler.");

/** What identifies the execution of a schedule: its deliveries have one snapshot. Undefined where the scheduler gave nothing. */
export const executionOf = ({ executionId }: ScheduleRun): string | undefined =>
  isPlaceholder(executionId) ? undefined : executionId;
