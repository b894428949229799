import type { Commit } from "../../../../functions/shared/core/model.ts";
import { Bag } from "../expected.ts";
import { answering, failing, type Prediction, pendingWarnings } from "./prediction.ts";
import {
  isPattern,
  nameOf,
  onTopics,
  type PartRequest,
  partOf,
  pickedBy,
  resolve,
  select,
  selectTopics,
} from "./selection.ts";
import { documentOf, keysOf, liveOf, noCommits, only, perKey, placeOf, type Saved, same, type World } from "./world.ts";

export interface VerifyRequest extends PartRequest {
  readonly snapshot_id: string | { readonly at: string };
  readonly fail_on_mismatch?: boolean;
}

export interface DiffRequest extends PartRequest {
  readonly from: string | { readonly at: string };
  readonly to?: string;
}

/** The mismatches between an expected and an actual commit. */
export function mismatches(group: string, key: string, expected: Commit | null, actual: Commit | null) {
  const kinds =
    expected === null
      ? ["extra"]
      : actual === null
        ? ["missing"]
        : [
            ...(expected.offset === actual.offset ? [] : ["offset"]),
            ...(expected.metadata === actual.metadata ? [] : ["metadata"]),
            ...(expected.leaderEpoch === actual.leaderEpoch ? [] : ["leader_epoch"]),
          ];
  const places = { group, ...placeOf(key), expected: documentOf(expected), actual: documentOf(actual) };
  return same(expected, actual) ? [] : kinds.map((kind) => ({ kind, ...places }));
}

/** The prediction for `verify`. */
export function verify<W extends World>(world: W, request: VerifyRequest): Prediction<W> {
  const chosen = resolve(world, request.snapshot_id, request.groups);
  if (chosen === undefined) return failing(world, "SnapshotNotFound");
  const { saved } = chosen;
  const whole = partOf(saved, { ...(request.groups && { groups: request.groups }) });
  if (typeof whole === "string") return failing(world, whole);
  const part = partOf(saved, request, liveOf(world, whole.commits.keys()));
  if (typeof part === "string") return failing(world, part);
  let checked = 0;
  const found = [...part.commits].flatMap(([group, commits]) => {
    const live = onTopics(world.groups.get(group)?.commits ?? noCommits, request.topics);
    const keys = [...new Set([...commits.keys(), ...live.keys()])];
    checked += keys.length;
    return keys.flatMap((key) => mismatches(group, key, commits.get(key) ?? null, live.get(key) ?? null));
  });
  const result = {
    verified: found.length === 0,
    snapshot_id: saved.id,
    checked,
    mismatches: new Bag(found),
    warnings: new Bag([
      ...chosen.warnings,
      ...part.warnings,
      ...pendingWarnings(only(world.groups, (group) => part.commits.has(group))),
    ]),
  };
  return request.fail_on_mismatch === true && found.length > 0
    ? failing(world, "VerificationMismatch", result)
    : answering(world, result);
}

/** The prediction for `diff`. */
export function diff<W extends World>(world: W, request: DiffRequest): Prediction<W> {
  const { groups: wanted, topics, to: reference = "live" } = request;
  const chosenFrom = resolve(world, request.from, wanted);
  const chosenTo = reference === "live" ? undefined : resolve(world, reference, wanted);
  if (chosenFrom === undefined || (reference !== "live" && chosenTo === undefined))
    return failing(world, "SnapshotNotFound");
  const [from, to] = [chosenFrom.saved, chosenTo?.saved];
  const selection = to?.selection ?? { ...from.selection, groups: wanted ?? from.selection.groups };
  const asked = (of: Saved["selection"], group: string) => pickedBy(of.groups, group) && !pickedBy(of.exclude, group);
  const live = only(world.groups, (group) => asked(selection, group));
  const now = to?.commits ?? perKey(live, (group) => group.commits);
  const chosen = select(wanted, [...from.commits.keys(), ...now.keys()]);
  const isBoth = (group: string) => asked(from.selection, group) && asked(selection, group);
  const oneSided = chosen.picked.filter((group) => !isBoth(group));
  const named = (wanted ?? []).filter((selector) => !isPattern(selector)).map(nameOf);
  if (chosen.absent.length > 0 || oneSided.some((group) => named.includes(group)))
    return failing(world, "GroupNotFound");
  const on = selectTopics(topics, keysOf([...from.commits.values(), ...now.values()]));
  if (!on.isValid) return failing(world, "InvalidRequest");

  const summary = { advanced: 0, rewound: 0, metadata: 0, added: 0, removed: 0, unchanged: 0 };
  const changed = new Map<string, { partitions: Map<string, unknown> }>();
  for (const group of chosen.picked.filter(isBoth)) {
    const [before, after] = [from.commits, now].map((side) => onTopics(side.get(group) ?? noCommits, topics));
    for (const key of new Set(keysOf([before ?? noCommits, after ?? noCommits]))) {
      const [was, is] = [before?.get(key) ?? null, after?.get(key) ?? null];
      const delta = was && is ? is.offset - was.offset : undefined;
      const change = same(was, is)
        ? "unchanged"
        : delta === undefined
          ? was === null
            ? "added"
            : "removed"
          : delta === 0n
            ? "metadata"
            : delta > 0n
              ? "advanced"
              : "rewound";
      summary[change]++;
      if (change === "unchanged") continue;
      const partitions = changed.get(group)?.partitions ?? new Map<string, unknown>();
      partitions.set(key, { change, from: documentOf(was), to: documentOf(is), offset_delta: delta });
      changed.set(group, { partitions });
    }
  }
  const warnings = [
    ...chosenFrom.warnings,
    ...(chosenTo?.warnings ?? []),
    ...(oneSided.length > 0 ? [/^Only one side was asked for /] : []),
    ...on.warnings,
    ...(to === undefined ? pendingWarnings(live) : []),
  ];
  return answering(world, {
    from: from.id,
    to: to?.id ?? "live",
    summary,
    consumer_groups: changed,
    warnings: new Bag(warnings),
  });
}
