import { z } from "zod";

/** An object. Unknown fields are rejected, with a list of the known ones. */
export const fields = <Shape extends z.ZodRawShape>(what: string, shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown ${issue.keys.length === 1 ? "field" : "fields"} ${issue.keys.map((key) => `"${key}"`).join(", ")}: remove or rename; known fields are ${Object.keys(shape).join(", ")}`
        : `must be ${what}: an object with ${Object.keys(shape).join(", ")}`,
  });

export const text = (pattern: RegExp, what: string) => z.string(`must be ${what}`).regex(pattern, `must be ${what}`);
export const list = <Item extends z.ZodType>(item: Item, what: string) =>
  z
    .array(item, `must be a list of ${what}`)
    .min(1, `must have at least one of ${what}; if the field is optional, it can be omitted`);
export const distinct = <Item extends z.ZodType>(item: Item, what: string) =>
  list(item, what).check(({ value, issues }) => {
    for (const [index, one] of value.entries()) {
      if (value.indexOf(one) === index) continue;
      issues.push({ code: "custom", path: [index], input: one, message: "is a duplicate: remove one of them" });
    }
  });
export const flag = (what: string, byDefault: boolean) =>
  z.boolean(`must be true or false: ${what}`).default(byDefault);
export const whole = (min: number, max: number, what: string) => {
  const message = `must be ${what}: a whole number from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
};
export const arn = (service: string, rest: string, what: string) =>
  text(new RegExp(`^arn:aws[a-z-]*:${service}:[a-z0-9-]+:\\d{12}:${rest}$`), what);

/** Checks across fields even if one of them has a problem, to report all problems at once. */
export const always = { when: () => true };
export const has = (value: unknown, key: string): boolean =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key);
