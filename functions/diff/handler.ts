import { commitWarnings, requireReadable, requireSameCluster, uncapturedWarnings } from "../shared/core/checks.ts";
import { changesDocument, diffCommits } from "../shared/core/diff.ts";
import { GroupNotFound } from "../shared/core/errors.ts";
import type { Commits, Snapshot } from "../shared/core/model.ts";
import { compileSelection, compileSelectors, type Selector, selectNames } from "../shared/core/selectors.ts";
import { nameSome } from "../shared/core/text.ts";
import { compileTopics, onTopics, topicWarnings } from "../shared/core/topics.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { type KafkaWork, kafkaOperation } from "../shared/operation.ts";
import { type DiffResult, request, snapshotField } from "./schema.ts";

/** One side of a comparison. A group that its selection does not pick is unknown to it, not absent. */
type Side = Pick<Snapshot, "snapshotId" | "consumerGroups" | "errors" | "unlisted" | "selection">;

/** Compares a snapshot with another, or with what is committed now. */
export const handler = kafkaOperation({
  name: "diff",
  request,
  snapshotField,
  async run({ from: fromRef, to: toRef, groups, topics }, work): Promise<Encoded<DiffResult>> {
    const { deadline, storage } = work;
    const warnings: string[] = [];
    const load = async (ref: typeof fromRef, other?: Snapshot) => {
      const { snapshot, warnings: chosen } = await storage.snapshots.open(ref, groups, deadline);
      if (other !== undefined) requireSameCluster(other, snapshot.cluster, snapshot.snapshotId);
      warnings.push(...chosen);
      return snapshot;
    };
    const from = await load(fromRef);
    const to: Side =
      toRef === "live" ? await readLive(from, { groups, topics }, work, warnings) : await load(toRef, from);

    const sides = [from, to];
    const [fromPicks, toPicks] = [compileSelection(from.selection), compileSelection(to.selection)];
    const both = (group: string) => fromPicks(group) && toPicks(group);
    const known = new Set([...from.consumerGroups.keys(), ...to.consumerGroups.keys()]);
    const failed = new Set(sides.flatMap(({ errors }) => errors.map(({ group }) => group)));
    const picked = selectNames(groups, [...known, ...failed]);
    if (picked.missingLiterals.length > 0) {
      throw new GroupNotFound(
        `neither ${from.snapshotId} nor ${to.snapshotId} has group ${nameSome(picked.missingLiterals)}.`,
      );
    }
    const selected = new Set(picked.names);
    for (const side of sides) {
      const uncaptured = side.errors.filter(({ group }) => selected.has(group));
      warnings.push(...uncapturedWarnings(side, uncaptured, groups));
    }
    const oneSided = picked.names.filter((group) => known.has(group) && !both(group));
    const named = compileSelectors(groups ?? []).literals;
    const asked = oneSided.filter((group) => named.has(group));
    if (asked.length > 0) {
      throw new GroupNotFound(
        `${nameSome(asked)} is outside of what ${from.snapshotId} or ${to.snapshotId} was asked to capture: there is nothing to compare.`,
      );
    }
    if (oneSided.length > 0) warnings.push(`Only one side was asked for ${nameSome(oneSided)}: not compared.`);
    // A group that one side could not list is unknown to it, not absent.
    const isUnseen = (group: string) =>
      sides.some((side) => side.unlisted !== undefined && !side.consumerGroups.has(group) && !failed.has(group));
    const unseen = picked.names.filter((group) => both(group) && isUnseen(group));
    if (unseen.length > 0)
      warnings.push(`Not compared, because one side could not list all groups and may lack them: ${nameSome(unseen)}.`);
    const comparable = new Set(picked.names.filter((group) => both(group) && !failed.has(group) && !isUnseen(group)));
    const there = sides.map(({ consumerGroups }) => consumerGroups);
    warnings.push(...topicWarnings(topics, there, `${from.snapshotId} and ${to.snapshotId}`));
    const part = (commits: Commits) =>
      onTopics(new Map([...commits].filter(([group]) => comparable.has(group))), topics);
    const { summary, groups: changed } = diffCommits(part(from.consumerGroups), part(to.consumerGroups));
    return {
      from: from.snapshotId,
      to: to.snapshotId,
      summary,
      consumer_groups: changesDocument.encode(changed),
      warnings,
    };
  },
});

/**
 * What is committed now by the groups that the snapshot's selection picks, new ones too. Kafka's client is loaded here.
 *
 * @param warnings gets what to know of it
 */
async function readLive(
  from: Snapshot,
  { groups, topics }: Record<"groups" | "topics", readonly Selector[] | undefined>,
  { kafka, deadline }: KafkaWork,
  warnings: string[],
): Promise<Side> {
  const { withCluster } = await import("../shared/kafka/connection/access.ts");
  const { capture } = await import("../shared/kafka/groups/capture.ts");
  const selection = groups === undefined ? from.selection : { groups, exclude: from.selection.exclude };
  const options = { known: from.consumerGroups, allowUnlisted: true };
  const live = await withCluster(kafka, deadline, (cluster) => capture(cluster, selection, options));
  requireSameCluster(from, live.cluster, "this cluster");
  requireReadable(live);
  if (live.unlisted !== undefined) {
    warnings.push(`Groups created after the snapshot may be missing in this comparison: ${live.unlisted.message}.`);
  }
  warnings.push(...commitWarnings(live.observed.groups, compileTopics(topics)));
  return { snapshotId: "live", consumerGroups: live.commits, errors: [], selection };
}
