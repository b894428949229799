import * as z from "zod/mini";
import { requireReadable, requireSameCluster, uncapturedWarnings } from "../shared/core/checks.ts";
import { diffCommits } from "../shared/core/diff.ts";
import { GroupNotFound } from "../shared/core/errors.ts";
import type { Json } from "../shared/core/json/json.ts";
import { type CaptureError, type Commits, type Selection, type Snapshot, topicsOf } from "../shared/core/model.ts";
import { onTopics, topicWarnings } from "../shared/core/restrict.ts";
import { compileSelection, compileSelectors, selectNames } from "../shared/core/selectors.ts";
import { commitDocument } from "../shared/core/snapshot.ts";
import { nameSome } from "../shared/core/text.ts";
import { settings } from "../shared/lambda/config.ts";
import { type Invocation, operation } from "../shared/lambda/operation.ts";
import { selectors, snapshotRef, topicSelectors } from "../shared/lambda/request-fields.ts";
import { createArchive } from "../shared/storage/snapshots.ts";

/** What a diff request may say. `to` is another snapshot, or `"live"`: what is committed now. */
export const request = z.strictObject({
  from: snapshotRef,
  to: z._default(snapshotRef, "live"),
  groups: z.optional(selectors),
  topics: z.optional(topicSelectors),
});

/** One side of a comparison. A group that its selection does not pick is unknown to it, not absent. */
interface Side {
  readonly name: string;
  readonly commits: Commits;
  readonly errors: readonly CaptureError[];
  readonly selection: Selection;
}

/** Compares a snapshot with another, or with what is committed now. */
export const handler = operation({
  name: "diff",
  request,
  snapshotField: "from",
  storeResult: (text, deadline) => createArchive(settings().archive).storeResult(text, deadline),
  async run({ from: fromRef, to: toRef, groups, topics }, { deadline }) {
    const archive = createArchive(settings().archive);
    const load = async (ref: typeof fromRef) => archive.load(await archive.resolve(ref, groups, deadline), deadline);
    const snapshot = await load(fromRef);
    const from = sideOf(snapshot);
    const to =
      toRef === "live" ? await liveSide(snapshot, groups, deadline) : await otherSide(snapshot, await load(toRef));

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
      consumer_groups: new Map(
        [...changed].map(([group, partitions]): [string, Json] => [
          group,
          {
            partitions: new Map(
              [...partitions].map(([key, change]): [string, Json] => [
                key,
                {
                  change: change.change,
                  from: commitDocument(change.from),
                  to: commitDocument(change.to),
                  offset_delta: change.offsetDelta,
                },
              ]),
            ),
          },
        ]),
      ),
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
  groups: z.output<typeof request>["groups"],
  deadline: Invocation["deadline"],
): Promise<Side> {
  const { readLive } = await import("./live.ts");
  const selection = groups === undefined ? from.selection : { groups, exclude: from.selection.exclude };
  const live = await readLive(settings().kafka, selection, from.consumerGroups, deadline);
  requireSameCluster(from, live.cluster, "this one");
  requireReadable(live);
  return { name: "live", commits: live.commits, errors: [], selection };
}
