import * as z from "zod/mini";
import { type Retention, retentionRules } from "../core/retention.ts";
import { type Environment, parse } from "./config.ts";

/**
 * What a deployment forgets; undefined: nothing.
 *
 * @throws Configuration for a value that is no such thing
 */
export function retention(environment: Environment = process.env): Retention | undefined {
  const fromJson = z.transform((text: string, { issues }) => {
    try {
      return JSON.parse(text);
    } catch {
      issues.push({ code: "custom", input: text, message: "must be JSON" });
      return z.NEVER;
    }
  });
  const atLeastOne = z.int().check(z.minimum(1));
  const rules = z.strictObject(Object.fromEntries(retentionRules.map((rule) => [rule, z.optional(atLeastOne)])));
  const forgotten = z.strictObject({
    schedules: z.record(z.string(), rules),
    safety_days: atLeastOne,
    manual_days: z.optional(atLeastOne),
  });
  const forgetting = z.object({ retention: z.optional(z.pipe(z.pipe(z.string(), fromJson), forgotten)) });
  const { retention } = parse(z.object({ forgetting }), environment).forgetting;
  return (
    retention && {
      schedules: retention.schedules,
      safetyDays: retention.safety_days,
      manualDays: retention.manual_days,
    }
  );
}
