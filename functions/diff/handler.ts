import { requireReadable, requireSameCluster, uncapturedWarnings } from "../shared/core/checks.ts";
import { changesDocument, diffCommits } from "../shared/core/diff.ts";
import { GroupNotFound } from "../shared/core/errors.ts";
import { type CaptureError, type Commits, type Selection, type Snapshot, topicsOf } from "../shared/core/model.ts";
import { onTopics, topicWarnings } from "../shared/core/restrict.ts";
import { compileSelection, compileSelectors, type Selector, selectNames } from "../shared/core/selectors.ts";
import { nameSome } from "../shared/core/text.ts";
import type { Encoded } from "../shared/lambda/result-fields.ts";
import { type KafkaWork, kafkaOperation } from "../shared/operation.ts";
import { type DiffResult, request, snapshotField } from "./schema.ts";

/** One side of a comparison. A group that its selection does not pick is unknown to it, not absent. */
interface Side {
  readonly name: string;
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
  readonly selection: Selection;
}

/** Compares a snapshot with another, or with what is committed now. */
export const handler = kafkaOperation({
  name: "diff",
  request,
  snapshotField,
  async run({ from: fromRef, to: toRef, groups, topics }, work): Promise<Encoded<DiffResult>> {
    const { deadline, storage } = work;
    const load = async (ref: typeof fromRef) =>
      storage.snapshots.load(await storage.snapshots.resolve(ref, groups, deadline), deadline);
    const snapshot = await load(fromRef);
    const from = sideOf(snapshot);
    const to = toRef === "live" ? await liveSide(snapshot, groups, work) : otherSide(snapshot, await load(toRef));

    const [fromPicks, toPicks] = [compileSelection(from.selection), compileSelection(to.selection)];
    const both = (group: string) => fromPicks(group) && toPicks(group);
    const known = new Set([...from.commits.keys(), ...to.commits.keys()]);
    const failed = new Set([from, to].flatMap(({ errors }) => errors.map(({ group }) => group)));
    const picked = selectNames(groups, [...known, ...failed]);
    if (picked.missingLiterals.length > 0) {
      throw new GroupNotFound(`neither ${from.name} nor ${to.name} has group ${nameSome(picked.missingLiterals)}.`);
    }
    const selected = new Set(picked.names);
    const warnings = [from, to].flatMap((side) =>
      uncapturedWarnings(
        side.name,
        side.errors.filter(({ group }) => selected.has(group)),
        groups,
      ),
    );
    const oneSided = picked.names.filter((group) => known.has(group) && !both(group));
    const named = compileSelectors(groups ?? []).literals;
    const asked = oneSided.filter((group) => named.has(group));
    if (asked.length > 0) {
      throw new GroupNotFound(
        `${nameSome(asked)} is outside of what ${from.name} or ${to.name} was asked to capture: there is nothing to compare.`,
      );
    }
    if (oneSided.length > 0) {
      warnings.push(`Only one side was asked for ${nameSome(oneSided)}: not compared.`);
    }
    const comparable = new Set(picked.names.filter((group) => both(group) && !failed.has(group)));
    const topicsThere = new Set([...topicsOf(from.commits), ...topicsOf(to.commits)]);
    warnings.push(...topicWarnings(topics, topicsThere, `${from.name} and ${to.name}`));
    const part = (commits: Commits) =>
      onTopics(new Map([...commits].filter(([group]) => comparable.has(group))), topics);
    const { summary, groups: changed } = diffCommits(part(from.commits), part(to.commits));
    return {
      from: from.name,
      to: to.name,
      summary,
      consumer_groups: changesDocument.encode(changed),
      warnings,
    };
  },
});

const sideOf = (snapshot: Snapshot): Side => ({
  name: snapshot.snapshotId,
  commits: snapshot.consumerGroups,
  errors: snapshot.errors,
  selection: snapshot.selection,
});

function otherSide(from: Snapshot, to: Snapshot): Side {
  requireSameCluster(from, to.cluster, to.snapshotId);
  return sideOf(to);
}

/** What is committed now by the groups that the snapshot's selection picks, new ones too. Kafka's client is loaded here. */
async function liveSide(
  from: Snapshot,
  groups: readonly Selector[] | undefined,
  { kafka, deadline }: KafkaWork,
): Promise<Side> {
  const { readLive } = await import("./live.ts");
  const selection = groups === undefined ? from.selection : { groups, exclude: from.selection.exclude };
  const live = await readLive(kafka, selection, from.consumerGroups, deadline);
  requireSameCluster(from, live.cluster, "this cluster");
  requireReadable(live);
  return { name: "live", commits: live.commits, errors: [], selection };
}
