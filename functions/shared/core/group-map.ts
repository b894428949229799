import { InvalidRequest } from "./errors.ts";
import type { SnapshotPart } from "./restrict.ts";
import type { Selector } from "./selectors.ts";
import { nameSome } from "./text.ts";

/**
 * For groups of a snapshot, the groups that get their commits: `{"orders": "orders-replay"}`. An entry with a `*` on both
 * sides is a pattern, `{"orders-*": "orders-*-v2"}`: the `*` of the target is the text that the other stands for. Any other
 * entry is literal, and wins over patterns.
 */
export type GroupMap = ReadonlyMap<string, string>;

const isPattern = ([source, target]: readonly [string, string]) => source.includes("*") && target.includes("*");

/** Why an entry of a map cannot be carried out, whatever groups there are; undefined if it can. */
export function entryProblem(source: string, target: string): string | undefined {
  if (source === target) return "maps the group onto itself: leave the map out to roll it back";
  if (!isPattern([source, target])) return undefined;
  const stars = [source, target].map((text) => text.split("*").length - 1);
  if (stars.every((n) => n === 1) && !source.includes("?")) return undefined;
  return "is a pattern: use exactly one * in the source and one in the target, and no ? in the source";
}

/** The groups that a map names. */
export function groupsIn(groupMap: GroupMap): Selector[] {
  return [...groupMap].map((entry) => (isPattern(entry) ? entry[0] : { name: entry[0] }));
}

/** The targets of a group under the patterns of a map, by pattern. */
function compilePatterns(groupMap: GroupMap) {
  const patterns = [...groupMap].filter(isPattern).map(([source, target]) => {
    const [before = "", after = ""] = source.split("*");
    return { source, before, after, parts: target.split("*") };
  });
  return (group: string) =>
    patterns.flatMap(({ source, before, after, parts }) => {
      const end = group.length - after.length;
      const isMatch = end >= before.length && group.startsWith(before) && group.endsWith(after);
      return isMatch ? [{ source, target: parts.join(group.slice(before.length, end)) }] : [];
    });
}

/**
 * Puts the groups of a part in the place of others, as for a rehearsal. No two groups are put onto one, and none by a
 * pattern onto a group that is selected itself.
 *
 * @throws InvalidRequest that names every group that the map has no target for, or not exactly one, every entry that is for
 *   none of the groups, and every target that cannot be one
 */
export function mapGroups(part: SnapshotPart, groupMap: GroupMap): SnapshotPart {
  const selected = new Set([...part.commits.keys(), ...part.errors.map(({ group }) => group)]);
  const literals = new Map([...groupMap].filter((entry) => !isPattern(entry)));
  const matchesOf = compilePatterns(groupMap);
  const idle = new Set(groupMap.keys());
  const mapping = new Map<string, string>();
  const unmapped: string[] = [];
  const ambiguous: string[] = [];
  for (const group of selected) {
    const matches = matchesOf(group);
    for (const { source } of matches) idle.delete(source);
    const literal = literals.get(group);
    idle.delete(group);
    const [target, ...others] = new Set(literal === undefined ? matches.map((match) => match.target) : [literal]);
    if (target === undefined) unmapped.push(group);
    else if (others.length > 0) ambiguous.push(group);
    else mapping.set(group, target);
  }
  const twice = [...Map.groupBy(mapping.values(), (target) => target)].filter(([, { length }]) => length > 1);
  const where = (is: (target: string, group: string) => boolean) =>
    [...mapping].filter(([group, target]) => is(target, group)).map(([group]) => group);
  const unmoved = where((target, group) => target === group);
  const unnamed = where((target) => target === "" || target.length > 32_767);
  // Groups that change places are named one by one; a pattern may find a group that an earlier run has made.
  const overwriting = where((target, group) => target !== group && selected.has(target) && !literals.has(group));
  const problems = [
    unmapped.length > 0 && `selected, but without a target: ${nameSome(unmapped)}`,
    ambiguous.length > 0 && `with different targets by several patterns (map by name): ${nameSome(ambiguous)}`,
    idle.size > 0 && `not selected: ${nameSome(idle)}`,
    unmoved.length > 0 && `mapped onto itself: ${nameSome(unmoved)}`,
    unnamed.length > 0 && `mapped onto a name that no group can have: ${nameSome(unnamed)}`,
    twice.length > 0 && `target of more than one group: ${nameSome(twice.map(([target]) => target))}`,
    overwriting.length > 0 &&
      `mapped by a pattern onto a group that is selected itself (name the groups to map in groups): ${nameSome(overwriting)}`,
  ].filter((problem) => problem !== false);
  if (problems.length > 0) {
    throw new InvalidRequest(`group_map: ${problems.join("; ")}.`, {
      details: { problems: problems.map((problem) => `group_map: ${problem}`) },
    });
  }
  const targetOf = (group: string) => mapping.get(group) ?? group;
  return {
    ...part,
    commits: new Map([...part.commits].map(([group, commits]) => [targetOf(group), commits])),
    errors: part.errors.map((error) => ({ ...error, group: targetOf(error.group) })),
    sources: new Map([...mapping].map(([group, target]) => [target, group])),
  };
}
