import * as z from "zod/mini";
import { entryProblem, groupsIn } from "../core/group-map.ts";
import { isPattern, type Selector, textOf } from "../core/selectors.ts";
import { withColons } from "../core/snapshot-id.ts";
import { splitTopic, topicProblems } from "../core/topics.ts";
import { described, optional } from "./documentation.ts";

const wellFormed = (value: string) => value.isWellFormed();
const notText = "has half of a surrogate pair, which no name in Kafka can contain";
const notSelector = 'must be a name, a pattern with * or ?, or {"name": "a literal name"}; not empty';

const selector = z.union([z.string(), z.strictObject({ name: z.string() })], { error: notSelector }).check(
  z.refine((value) => textOf(value) !== "", { error: notSelector }),
  z.refine((value) => textOf(value).length <= 32_767, { error: "is longer than any name in Kafka" }),
  z.refine((value) => wellFormed(textOf(value)), { error: notText }),
);

const lengthOf = (list: readonly Selector[]) => list.reduce((sum, entry) => sum + textOf(entry).length, 0);

/** A limit of a list. Beyond it, nothing is matched: the work grows with the product of names and patterns. */
const atMost = (most: number, what: string, measure: (list: readonly Selector[]) => number) =>
  z.superRefine((list: readonly Selector[], context) => {
    const measured = measure(list);
    if (measured <= most) return;
    const message = `has ${measured} ${what}; at most ${most} are allowed`;
    context.issues.push({ code: "custom", message, input: list, continue: false });
  });

/** Names or patterns, as `nameIn` finds them in a selector. An empty list would select nothing, so it is refused. */
const selectorsBy = (nameIn: (selector: Selector) => Selector) =>
  z.array(selector).check(
    z.minLength(1, { error: "names nothing: leave it out to mean all, or name at least one" }),
    z.maxLength(10_000),
    atMost(200, "patterns", (list) => list.filter(isPattern).length),
    atMost(5_000, "characters in patterns", (list) => lengthOf(list.filter(isPattern).map(nameIn))),
    atMost(500_000, "characters", lengthOf),
  );

/** Groups by name or pattern. */
export const selectors = selectorsBy((selector) => selector);

/** How many partitions a request may name: each is looked up. */
const MAX_PARTITIONS = 10_000;

const topicSelectors = selectorsBy((selector) => splitTopic(selector).topic).check(
  z.superRefine((list: readonly Selector[], context) => {
    const issue = (message: string, path: number[] = []) => context.addIssue({ code: "custom", path, message });
    for (const [i, entry] of list.entries()) for (const problem of topicProblems(entry)) issue(problem, [i]);
    const named = list.reduce((n, entry) => n + (splitTopic(entry).partitions?.length ?? 0), 0);
    if (named > MAX_PARTITIONS) issue(`names ${named} partitions, and at most ${MAX_PARTITIONS} are allowed`);
  }),
  // What JSON Schema says of it; the command line does not split such an element at the commas between its partitions.
  z.meta({ format: "topic-partitions" }),
);

/** What an operation is restricted to. */
export const restriction = {
  groups: optional(selectors, "Only these groups: names, or patterns with `*` and `?`."),
  topics: optional(
    topicSelectors,
    "Only commits on these topics: names, or patterns with `*` and `?`; with partitions: `orders:0,3`.",
  ),
};

/** How much of a result is answered. */
export const detail = described(
  z._default(z.enum(["full", "summary"]), "full"),
  "`summary`: an answer below 200 kB. Long lists are cut to their first entries; other large fields are left out; `omitted` " +
    "counts what is missing.",
);

/**
 * Ids become parts of keys in the bucket: none may be a step in a path. Whether they exist is not checked here. Their colons may be
 * written as dashes.
 */
const isId = (id: string) => /^[A-Za-z0-9:._-]{1,128}$/.test(id) && !id.includes("..") && id !== ".";
const id = (error: string) => z.pipe(z.string().check(z.refine(isId, { error })), z.transform(withColons));

export const snapshotId = id('is not the id of a snapshot, which looks like "snapshot-2025-01-15T10:30:00Z"');
/** With the form as a pattern, which API Gateway checks. */
export const rollbackId = z.string().check(
  z.regex(/^(?!\.$)(?!.*\.\.)[A-Za-z0-9:._-]{1,128}$/, {
    error: 'must be the id of a rollback: 1 to 128 letters, digits, ".", ":", "_" and "-", without ".."',
  }),
  z.overwrite(withColons),
);

/** A moment: ISO 8601 with a zone, `2025-01-15T10:30:00Z`. */
export const time = z.pipe(
  z.iso.datetime({ offset: true, error: "must be a time such as 2025-01-15T10:30:00Z" }),
  z.transform((value) => new Date(value)),
);

/** A snapshot: its id, `"latest"`, or `{"at": time}` for the newest at or before a time. */
export const snapshot = described(
  z.union([snapshotId, z.strictObject({ at: time })], {
    error: 'must be a snapshot\'s id ("snapshot-2025-01-15T10:30:00Z"), "latest", or {"at": "2025-01-15T10:30:00Z"}',
  }),
  "The snapshot: an id, `latest`, or the newest at or before a time.",
);

/** One snapshot by its id: `latest` and times are refused, so that what is changed or deleted is named exactly. */
export const oneSnapshot = described(
  snapshotId.check(
    z.refine((id) => id !== "latest" && !id.startsWith("at:"), {
      error: "must be the id of one snapshot: which one is the latest, or the newest at a time, may change meanwhile",
    }),
  ),
  "The id of one snapshot.",
);

/** A free text of people, kept with the snapshot. */
export const description = z.string().check(z.maxLength(1024), z.refine(wellFormed, { error: notText }));

/** A short text that a service gives, such as an execution's id. */
export const label = (most: number) =>
  z.string().check(z.minLength(1), z.maxLength(most), z.refine(wellFormed, { error: notText }));

/** How many labels a snapshot may have, and how long they may be: the index has them, and an item there is small. */
const [MAX_LABELS, LONGEST_KEY, LONGEST_VALUE] = [16, 64, 128];
/** No key has a quote or a colon: a query writes a label as `key:value`, the index as JSON. */
const isKey = (key: string) => key.length <= LONGEST_KEY && /^[A-Za-z][A-Za-z0-9._/-]*$/.test(key);
const isValue = (value: unknown) =>
  typeof value === "string" && /^\P{Cc}+$/u.test(value) && value.length <= LONGEST_VALUE && wellFormed(value);

/** Labels of a snapshot, or those that snapshots must have to be listed. All that is wrong with them is named at once. */
export const labels = z.pipe(
  z
    .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), {
      error: 'must be an object such as {"env": "production"}',
    })
    // What JSON Schema says of it.
    .check(
      z.meta({
        type: "object",
        propertyNames: { pattern: `^[A-Za-z][A-Za-z0-9._/-]{0,${LONGEST_KEY - 1}}$` },
        additionalProperties: { type: "string", minLength: 1, maxLength: LONGEST_VALUE },
        minProperties: 1,
        maxProperties: MAX_LABELS,
      }),
    ),
  z.transform((value, context) => {
    const issue = (message: string, path: string[] = []) =>
      context.issues.push({ code: "custom", path, message, input: value, continue: true });
    const entries: readonly (readonly [string, unknown])[] = Object.entries(value);
    if (entries.length === 0) issue("names nothing: leave it out");
    if (entries.length > MAX_LABELS) issue(`has ${entries.length} labels; at most ${MAX_LABELS} are allowed`);
    const found = new Map<string, string>();
    for (const [key, text] of entries.slice(0, MAX_LABELS)) {
      if (!isKey(key))
        issue(`must have a key of 1 to ${LONGEST_KEY} letters, digits, ".", "_", "/" and "-", a letter first`, [key]);
      if (!isValue(text))
        issue(`must be a text of 1 to ${LONGEST_VALUE} characters, without control characters`, [key]);
      found.set(key, String(text));
    }
    return found;
  }),
);

/** What is said of a new snapshot beside what it captures. */
export const marks = {
  labels: optional(labels, 'Labels to find it by, such as `{"env": "production"}`: at most 16.'),
  hold: described(z._default(z.boolean(), false), "Whether to hold it from the first moment: it cannot be deleted."),
};

const MAX_ENTRIES = 10_000;

/** For each group of a snapshot, the group to put it into: see `GroupMap`. Any name can be a key. */
export const groupMap = z.pipe(
  z
    .custom<object>((value) => typeof value === "object" && value !== null && !Array.isArray(value), {
      error: 'must be an object such as {"orders": "orders-replay"}',
    })
    // What JSON Schema says of it.
    .check(
      z.meta({
        type: "object",
        additionalProperties: { type: "string", minLength: 1 },
        minProperties: 1,
        maxProperties: MAX_ENTRIES,
      }),
    ),
  z.transform((value, context) => {
    const map = new Map<string, string>();
    const issue = (message: string, path: string[] = []) =>
      context.issues.push({ code: "custom", path, message, input: value });
    const entries = Object.entries(value);
    if (entries.length === 0) issue("maps nothing: leave it out");
    if (entries.length > MAX_ENTRIES) {
      issue(`has ${entries.length} entries; at most ${MAX_ENTRIES} are allowed`);
      return map;
    }
    for (const [group, target] of entries) {
      if (typeof target !== "string" || target === "" || target.length > 32_767) {
        issue("must be the name of a group", [group]);
      } else {
        const problem = wellFormed(group) && wellFormed(target) ? entryProblem(group, target) : notText;
        if (problem === undefined) map.set(group, target);
        else issue(problem, [group]);
      }
    }
    const named = groupsIn(map).filter((entry) => textOf(entry) !== ""); // it is a selection, too; any name can be a key
    if (named.length > 0) for (const { message } of selectors.safeParse(named).error?.issues ?? []) issue(message);
    return map;
  }),
);

/** How many rows of a list are wanted at once. */
export const pageSize = z.int().check(z.minimum(1), z.maximum(1000));

/** Where the last page of a list ended: the `next_token` of its answer. */
export const nextToken = optional(
  z.string().check(z.minLength(1), z.maxLength(1024)),
  "The `next_token` of the page before, unchanged.",
);

/** Who asks, where AWS does not say: direct invocations have no caller. */
export const requestedBy = optional(label(256), "Who asks in a direct invocation. Over HTTP: the caller's IAM ARN.");
