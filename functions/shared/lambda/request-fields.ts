import * as z from "zod";
import type { Selector } from "../core/selectors.ts";

const MAX_SELECTORS = 10_000;
/** Each pattern is tried on each name. */
const MAX_PATTERNS = 200;

const wellFormed = (value: string) => value.isWellFormed();
const notText = "has half of a surrogate pair, which no name in Kafka can contain";
const notSelector = 'must be a name, a pattern with * or ?, or {"name": "a literal name"}; not empty';
const nameOf = (selector: Selector) => (typeof selector === "string" ? selector : selector.name);

const selector = z
  .union([z.string(), z.strictObject({ name: z.string() })], { error: notSelector })
  .refine((value) => nameOf(value) !== "", { error: notSelector })
  .refine((value) => nameOf(value).length <= 32_767, { error: "is longer than any name in Kafka" })
  .refine((value) => wellFormed(nameOf(value)), { error: notText });

/** Groups, or topics, by name or pattern. An empty list would select nothing, so it is refused. */
export const selectors = z
  .array(selector)
  .min(1, { error: "names nothing: leave it out to mean all, or name at least one" })
  .max(MAX_SELECTORS)
  .refine((list) => list.filter((entry) => typeof entry === "string" && /[*?]/.test(entry)).length <= MAX_PATTERNS, {
    error: `has more than ${MAX_PATTERNS} patterns; names have no such limit`,
  });

/** Topics by name or pattern. */
export const topicSelectors = selectors.superRefine((list: readonly Selector[], context) => {
  list.forEach((entry, i) => {
    const [name, allowed] = typeof entry === "string" ? [entry, /^[\w.*?-]{1,249}$/] : [entry.name, /^[\w.-]{1,249}$/];
    if (!allowed.test(name)) {
      context.addIssue({
        code: "custom",
        path: [i],
        message: `${JSON.stringify(name)} cannot be a topic: letters, digits, ".", "_" and "-", at most 249 of them`,
      });
    }
  });
});

const ID = /^[A-Za-z0-9:._-]{1,128}$/;

/** A snapshot's id. Only the characters are checked here; whether it exists is the archive's to say. */
export const snapshotId = z.string().refine((id) => ID.test(id) && !id.includes(".."), {
  error: 'is not the id of a snapshot, which looks like "snapshot-2025-01-15T10:30:00Z"',
});

/** A moment: ISO 8601 with a zone, `2025-01-15T10:30:00Z`. */
export const time = z.iso
  .datetime({ offset: true, error: "must be a time such as 2025-01-15T10:30:00Z" })
  .transform((value) => new Date(value));

/** A snapshot: its id, `"latest"`, or `{"at": time}` for the newest at or before a time. */
export const snapshotRef = z.union([snapshotId, z.strictObject({ at: time })], {
  error: 'must be a snapshot\'s id ("snapshot-2025-01-15T10:30:00Z"), "latest", or {"at": "2025-01-15T10:30:00Z"}',
});

/** A free text of people, kept with the snapshot. */
export const description = z.string().max(1024).refine(wellFormed, { error: notText });

/** A short text that a service gives, such as an execution's id. */
export const label = (most: number) => z.string().min(1).max(most).refine(wellFormed, { error: notText });
