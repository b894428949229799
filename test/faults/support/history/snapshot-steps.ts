import { diff, verify } from "../model/comparisons.ts";
import { hold, remove, rowOf, show, snapshot } from "../model/snapshots.ts";
import { ask, requireSame, rowsOf } from "./compare.ts";
import type { Dice } from "./dice.ts";
import { anyGroups, anyLabels, anyPart, anyReference, anySaved, UNKNOWN } from "./requests.ts";
import type { Run } from "./run.ts";

export const showSnapshot = (run: Run, id: string) => ask(run, "show", { snapshot_id: id }, show(run.world, id));

export async function takeSnapshot(run: Run, dice: Dice): Promise<void> {
  const groups = anyGroups(run, dice, [...run.world.groups.keys()]);
  const request = {
    groups: groups ?? [`${run.name}*`],
    ...(groups === undefined && dice.oneIn(5) && { exclude: [`${run.name}.*`] }),
    ...(dice.oneIn(3) && { description: "before the restore" }),
    ...(dice.oneIn(3) && { labels: anyLabels(dice) }),
    ...(dice.oneIn(6) && { hold: true }),
  };
  const { snapshot_id } = await ask(run, "snapshot", request, snapshot(run.world, request));
  if (typeof snapshot_id === "string") await showSnapshot(run, snapshot_id);
}

export async function compareWithLive(run: Run, dice: Dice): Promise<void> {
  const saved = anySaved(run, dice);
  const part = anyPart(run, dice, saved);
  const snapshot_id = part.groups ? anyReference(dice, saved) : (saved?.id ?? UNKNOWN);
  const request = { snapshot_id, ...part, ...(dice.oneIn(4) && { fail_on_mismatch: true }) };
  await ask(run, "verify", request, verify(run.world, request));
}

export async function compareSnapshots(run: Run, dice: Dice): Promise<void> {
  const [saved, other] = [anySaved(run, dice), dice.oneIn(2) ? anySaved(run, dice) : undefined];
  const part = anyPart(run, dice, saved);
  const from = part.groups ? anyReference(dice, saved) : (saved?.id ?? UNKNOWN);
  const request = { from, ...(other && { to: other.id }), ...part };
  await ask(run, "diff", request, diff(run.world, request));
}

export async function deleteSnapshot(run: Run, dice: Dice): Promise<void> {
  const request = { snapshot_id: dice.oneIn(4) ? UNKNOWN : (anySaved(run, dice)?.id ?? UNKNOWN) };
  const undone = run.world.rollbacks.filter(({ safetyId }) => safetyId === request.snapshot_id);
  await ask(run, "delete", request, remove(run.world, request.snapshot_id, undone.length));
}

export async function holdSnapshot(run: Run, dice: Dice): Promise<void> {
  const snapshot_id = dice.oneIn(8) ? UNKNOWN : (anySaved(run, dice)?.id ?? UNKNOWN);
  const held = dice.oneIn(2);
  await ask(run, "hold", { snapshot_id, held }, hold(run.world, snapshot_id, held));
}

export async function listSnapshots(run: Run, dice: Dice): Promise<void> {
  const labels: Readonly<Record<string, string>> | undefined = dice.oneIn(3) ? anyLabels(dice) : undefined;
  const held = dice.oneIn(3) ? dice.oneIn(2) : undefined;
  const { snapshots } = run.world;
  const wanted = snapshots.filter(
    (saved) =>
      Object.entries(labels ?? {}).every(([key, value]) => saved.labels?.[key] === value) &&
      (held === undefined || held === (saved.held ?? false)),
  );
  const since = new Date(run.began.getTime() - 1_000).toISOString();
  const request = { limit: 3 + dice.below(20), since, ...(labels && { labels }), ...(held !== undefined && { held }) };
  const rows = await rowsOf(
    run,
    "list",
    request,
    "snapshot_id",
    snapshots.map(({ id }) => id),
  );
  requireSame(run, wanted.map(rowOf).reverse(), rows, "list");
}
