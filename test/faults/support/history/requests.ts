import type { RollbackRequest } from "../model/rollback-request.ts";
import { type PartRequest, pickedBy } from "../model/selection.ts";
import { type Commits, keysOf, placeOf, type Saved, type Selector, takenAt, topicsOf } from "../model/world.ts";
import type { Dice } from "./dice.ts";
import type { Run } from "./run.ts";

export const UNKNOWN = "snapshot-2025-01-15T10:30:00Z";
const literal = (name: string): Selector => (/[*?]/.test(name) ? { name } : name);

export function anyGroups({ name, names }: Run, dice: Dice, existing: readonly string[]): Selector[] | undefined {
  if (existing.length === 0 || dice.oneIn(2)) return undefined;
  return dice.pick([
    dice.some(existing).map(literal),
    dice.some(existing).map(literal),
    [`${name}*`],
    [`${name}?*`, ...dice.some(existing).map(literal)],
    [literal(dice.pick(existing)), `${name}.none*`],
    [literal(dice.pick(names.groups))],
  ]);
}

export function anyPart(run: Run, dice: Dice, saved: Saved | undefined): PartRequest {
  const commits = saved?.commits ?? new Map<string, Commits>();
  const groups = anyGroups(run, dice, [...commits.keys()]);
  const savedTopics = [...topicsOf(keysOf(commits.values()))];
  const prefix = `t${run.name}`;
  const partitions = Map.groupBy(dice.some(keysOf(commits.values())).map(placeOf), ({ topic }) => topic);
  const some = [
    [...partitions].map(([topic, places]) => `${topic}:${[...new Set(places.map(({ partition }) => partition))]}`),
    [`${prefix}*:${dice.pick(["0", "1,2", "7"])}`, ...dice.some(savedTopics)],
    [`${dice.pick(run.names.topics)}:${dice.pick(["0,1", "7"])}`],
    dice.some(savedTopics),
    dice.some(savedTopics),
    [`${prefix}.t-*`],
    [`${prefix}*`, "none*"],
    [dice.pick(run.names.topics)],
  ];
  const topics = savedTopics.length > 0 && dice.oneIn(4) ? dice.pick(some) : undefined;
  return { ...(groups && { groups }), ...(topics && { topics }) };
}

export const anyLabels = (dice: Dice) =>
  dice.pick([{ env: "a" }, { env: "b" }, { env: "a", team: "x" }, { team: "x" }]);

export const anySaved = ({ world }: Run, dice: Dice) =>
  world.snapshots.length > 0 ? dice.pick(world.snapshots) : undefined;

export function anyReference(dice: Dice, saved: Saved | undefined): string | { at: string } {
  if (saved === undefined || dice.oneIn(40)) return UNKNOWN;
  if (dice.oneIn(12)) return "latest";
  if (!dice.oneIn(12)) return saved.id;
  return { at: new Date(takenAt(saved) + dice.pick([0, 0, 1_000, 1_000, -3_600_000])).toISOString() };
}

/** Maps each group to one of the others, by its name or by a pattern. It mostly leaves the mapped groups alone. */
function anyMap({ name, names }: Run, dice: Dice, sources: readonly string[]): Record<string, string> {
  if (dice.oneIn(3)) {
    // The star of a target stands for a dot, or for nothing: no other groups than those of the history are made.
    const toProto = { [`${name}*b`]: `${name}*__proto__` };
    const toB = { [`${name}*7`]: `${name}*.b` };
    return dice.pick([toProto, { [`${name}*__proto__`]: `${name}*b` }, toB, { ...toProto, [`${name}.b`]: `${name}?` }]);
  }
  const targets = new Set(dice.oneIn(10) ? names.groups : names.groups.filter((group) => !sources.includes(group)));
  const pairs = sources.flatMap((source) => {
    const others = [...targets].filter((group) => group !== source);
    if (others.length === 0) return [];
    const target = dice.pick(others);
    if (!dice.oneIn(20)) targets.delete(target);
    return dice.oneIn(20) ? [] : [[source, target]];
  });
  return Object.fromEntries(pairs.length > 0 ? pairs : [[name, `${name}.b`]]);
}

export function anyRollback(run: Run, dice: Dice): RollbackRequest {
  const saved = anySaved(run, dice);
  const part = anyPart(run, dice, saved);
  const chosen = [...(saved?.commits.keys() ?? [])].filter((group) => !part.groups || pickedBy(part.groups, group));
  const snapshot_id = anyReference(dice, saved);
  const isSmall = snapshot_id === saved?.id && chosen.length === 1; // so that a summary leaves nothing out
  const out_of_range = dice.pick([undefined, undefined, "refuse", "clamp", "clamp", "skip"] as const);
  return {
    snapshot_id,
    ...part,
    ...(isSmall && dice.oneIn(4) && { detail: "summary" as const }),
    ...(dice.oneIn(5) && { dry_run: true }),
    ...(dice.oneIn(6) && { verify: false }),
    ...dice.pick([
      {},
      {},
      {},
      { exact: true },
      { uncommitted: dice.pick(["delete", "log_start", "snapshot_end"] as const) },
    ]),
    ...(out_of_range && { out_of_range }),
    ...(dice.oneIn(3) && { skip_blocked: true }),
    ...(dice.oneIn(8) && run.joined === undefined && { wait_for_empty_seconds: 5 }),
    ...(dice.oneIn(16) && run.digests.length > 0 && { plan_digest: dice.pick(run.digests) }),
    ...(dice.oneIn(7) && { group_map: anyMap(run, dice, chosen) }),
    ...(dice.oneIn(5) && { rollback_id: `${run.name}-${dice.pick(["1", "2", `n${run.requested.length}`])}` }),
    ...(dice.oneIn(5) && { requested_by: "ana" }),
    ...(dice.oneIn(4) && { description: "after the incident" }),
  };
}
