import {
  type Commits,
  keysOf,
  only,
  perKey,
  placeOf,
  type Saved,
  type Selector,
  takenAt,
  type World,
} from "./world.ts";

/** The part of a snapshot that a request is about. */
export interface PartRequest {
  readonly groups?: readonly Selector[];
  readonly topics?: readonly Selector[];
}

/** Whether a selector may pick several names. */
export const isPattern = (selector: Selector): selector is string =>
  typeof selector === "string" && /[*?]/.test(selector);
export const nameOf = (selector: Selector) => (typeof selector === "string" ? selector : selector.name);

function picks(selector: Selector, name: string): boolean {
  if (!isPattern(selector)) return nameOf(selector) === name;
  const part = (c: string) => (c === "*" ? "[^]*" : c === "?" ? "[^]" : c.replace(/[\\^$.|()[\]{}+/]/, "\\$&"));
  return new RegExp(`^${[...selector].map(part).join("")}$`, "u").test(name);
}

/** Whether one of the selectors picks a name. */
export const pickedBy = (selectors: readonly Selector[], name: string) =>
  selectors.some((selector) => picks(selector, name));

/** The names that selectors pick, literal names that do not exist, and patterns without matches. */
export function select(selectors: readonly Selector[] | undefined, names: Iterable<string>) {
  const all = [...new Set(names)];
  if (selectors === undefined) return { picked: all, absent: [], idle: [] };
  const without = selectors.filter((selector) => !all.some((name) => picks(selector, name)));
  return {
    picked: all.filter((name) => pickedBy(selectors, name)),
    absent: without.filter((selector) => !isPattern(selector)),
    idle: without.filter(isPattern),
  };
}

/** The keys and topics that a selector of topics may pick: `orders:0,3` picks keys. */
const keysNamed = (selector: Selector): readonly Selector[] => {
  const [topic = "", partitions] = nameOf(selector).split(":");
  return partitions === undefined ? [selector] : partitions.split(",").map((partition) => `${topic}:${partition}`);
};

/** Both ways to name a partition: by its topic, and with its number. */
const waysToName = (key: string) => {
  const { topic, partition } = placeOf(key);
  return [topic, `${topic}:${partition}`];
};

/** The commits on the selected topics or partitions. */
export const onTopics = (commits: Commits, topics: readonly Selector[] | undefined) =>
  topics === undefined
    ? commits
    : only(commits, (key) => waysToName(key).some((name) => pickedBy(topics.flatMap(keysNamed), name)));

/** What selectors of topics pick of these keys, with the warnings about patterns. */
export function selectTopics(topics: readonly Selector[] | undefined, keys: readonly string[]) {
  const { picked, absent, idle } = select(topics?.flatMap(keysNamed), keys.flatMap(waysToName));
  const [idleKeys, idleTopics] = [
    idle.filter((name) => nameOf(name).includes(":")),
    idle.filter((name) => !nameOf(name).includes(":")),
  ];
  const warnings = [
    ...idleTopics.map(() => /matches no topic\.$/),
    ...(idleKeys.length > 0 ? [/^No partition matches /] : []),
  ];
  return { isValid: absent.length === 0 && (topics === undefined || picked.length > 0), warnings };
}

/** Names that a pattern of a history picks, with what a history adds to its name in place of each wildcard. */
const namesIn = (pattern: string): string[] =>
  [...pattern].reduce<string[]>(
    (names, c) => {
      const parts = c === "*" ? ["", ".", ".none", "x", "xx"] : c === "?" ? [".", "x"] : [c];
      return names.flatMap((name) => parts.map((part) => name + part));
    },
    [""],
  );

/** How far one selector covers another, judged by those names. */
function cover(selector: Selector, wanted: Selector): "all" | "some" | "none" {
  if (!isPattern(wanted)) return picks(selector, nameOf(wanted)) ? "all" : "none";
  if (!isPattern(selector)) return picks(wanted, nameOf(selector)) ? "some" : "none";
  if (namesIn(wanted).every((name) => picks(selector, name))) return "all";
  return [...namesIn(wanted), ...namesIn(selector)].some((name) => picks(selector, name) && picks(wanted, name))
    ? "some"
    : "none";
}

/**
 * The snapshot with an id; otherwise the newest one whose selection covers the groups and that is not a safety snapshot,
 * with a warning if it excluded some of them.
 */
export function resolve(
  world: World,
  reference: string | { readonly at: string },
  groups: readonly Selector[] | undefined,
): { readonly saved: Saved; readonly warnings: readonly RegExp[] } | undefined {
  const isId = typeof reference === "string" && reference !== "latest";
  const until = typeof reference === "string" ? Number.POSITIVE_INFINITY : Date.parse(reference.at);
  const wanted = isId ? [] : (groups ?? []);
  const covers = ({ selection }: Saved, one: Selector) =>
    selection.groups.some((selected) => cover(selected, one) === "all") &&
    !selection.exclude.some((excluded) => cover(excluded, one) === "all");
  const saved = world.snapshots.findLast((one) =>
    isId ? one.id === reference : !one.safety && takenAt(one) <= until && wanted.every((each) => covers(one, each)),
  );
  const isPart = wanted.some((one) => saved?.selection.exclude.some((excluded) => cover(excluded, one) === "some"));
  return saved && { saved, warnings: isPart ? [/ was taken with exclude /] : [] };
}

/**
 * The part of a snapshot that a request names, with warnings about patterns without matches; or the name of the error. Topics
 * may also name the partitions that only the live groups have, where the request is about them.
 */
export function partOf(saved: Saved, { groups, topics }: PartRequest, live: readonly Commits[] = []) {
  const chosen = select(groups, saved.commits.keys());
  if (chosen.absent.length > 0 || (groups !== undefined && chosen.picked.length === 0)) return "GroupNotFound";
  const whole = only(saved.commits, (group) => chosen.picked.includes(group));
  const on = selectTopics(topics, keysOf([...whole.values(), ...live]));
  if (!on.isValid) return "InvalidRequest";
  return {
    commits: perKey(whole, (commits) => onTopics(commits, topics)),
    warnings: [...chosen.idle.map(() => /matches no group of the snapshot\.$/), ...on.warnings],
  };
}
