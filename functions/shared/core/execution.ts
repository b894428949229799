import type { ScheduleRun } from "./model.ts";

/** EventBridge Scheduler replaces these in a schedule's input; the emulators do not. */
const isPlaceholder = (text: string) => text.startsWith("<aws.scheduler.");

/**
 * What identifies the run of a schedule: all its deliveries have one snapshot. It is its name and the time that it was due:
 * the scheduler gives each attempt of one run an execution id of its own. Undefined where the scheduler gave no time.
 */
export const executionOf = ({ name, scheduledTime }: ScheduleRun): string | undefined =>
  isPlaceholder(scheduledTime) ? undefined : JSON.stringify([name, scheduledTime]);
