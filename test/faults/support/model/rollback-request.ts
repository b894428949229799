import type { PartRequest } from "./selection.ts";

/** A request to roll back, as it is sent. */
export interface RollbackRequest extends PartRequest {
  readonly snapshot_id?: string | { readonly at: string };
  readonly resume?: string;
  readonly dry_run?: boolean;
  readonly verify?: boolean;
  readonly exact?: boolean;
  readonly uncommitted?: "keep" | "delete" | "log_start" | "snapshot_end";
  readonly out_of_range?: "refuse" | "clamp" | "skip";
  readonly skip_blocked?: boolean;
  readonly plan_digest?: string;
  readonly wait_for_empty_seconds?: number;
  readonly rollback_id?: string;
  readonly group_map?: Readonly<Record<string, string>>;
  readonly detail?: "full" | "summary";
  readonly requested_by?: string;
  readonly description?: string;
}

/** What happens to commits that the snapshot lacks. */
export const policyOf = ({ exact = false, uncommitted = exact ? "delete" : "keep" }: RollbackRequest) => uncommitted;

/** Whether an entry of a map is a pattern: one without a star on both sides is literal. */
const isPattern = (source: string, target: string) => source.includes("*") && target.includes("*");

/** The groups that a request names. */
export const groupsOf = ({ groups, group_map }: RollbackRequest) =>
  groups ??
  (group_map && Object.entries(group_map).map(([name, target]) => (isPattern(name, target) ? name : { name })));

/** The target of each group under a map; undefined if the map does not give each exactly one of its own. */
export function mapped(
  names: readonly string[],
  map: Readonly<Record<string, string>>,
): Map<string, string> | undefined {
  const entries = Object.entries(map);
  const used = new Set<string>();
  const targets = names.map((name) => {
    const found = entries.flatMap(([source, target]) => {
      const [before = "", after] = isPattern(source, target) ? source.split("*") : [source];
      if (after === undefined ? name !== source : !(name.startsWith(before) && name.endsWith(after))) return [];
      used.add(source);
      if (after === undefined) return [{ isName: true, target }];
      const text = name.slice(before.length, name.length - after.length);
      return [{ isName: false, target: target.split("*").join(text) }];
    });
    const byName = found.filter(({ isName }) => isName);
    return new Set((byName.length > 0 ? byName : found).map(({ target }) => target));
  });
  const all = targets.flatMap((of) => [...of]);
  const isOneToOne = targets.every(({ size }) => size === 1) && new Set(all).size === names.length;
  const byPattern = names.filter((name) => !entries.some((entry) => entry[0] === name && !isPattern(...entry)));
  const isOverwriting = names.some((name, i) => byPattern.includes(name) && names.includes(all[i] ?? name));
  if (!isOneToOne || used.size < entries.length || isOverwriting || all.some((target, i) => target === names[i]))
    return undefined;
  return new Map(names.map((name, i) => [name, all[i] ?? name]));
}

/** A text that is equal for requests of the same rollback. Caller, description and form of the answer do not matter. */
export function requestKey(request: RollbackRequest): string {
  const { snapshot_id, groups, topics, out_of_range, skip_blocked, plan_digest, rollback_id, group_map } = request;
  const options = [policyOf(request), out_of_range ?? "refuse", skip_blocked ?? false, plan_digest, rollback_id];
  const map = Object.entries(group_map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([snapshot_id, groups, topics, options, map]);
}
