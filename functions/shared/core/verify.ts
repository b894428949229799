import { count, document, flag, int32, list, oneOf, text } from "./json/codec.ts";
import { type Commits, noCommits, placeOf, type Targets } from "./model.ts";
import { commitOrNull } from "./snapshot.ts";

/** How a live commit can differ from the expected one. `missing`: there is none; `extra`: none was expected. */
export const mismatchKinds = ["offset", "metadata", "leader_epoch", "missing", "extra"] as const;

/** One difference between a live commit and the expected one. Null is no commit. */
const mismatch = document({
  group: text,
  topic: text,
  partition: int32,
  kind: oneOf(mismatchKinds),
  expected: commitOrNull,
  actual: commitOrNull,
});
type Mismatch = ReturnType<typeof mismatch.decode>;

/** The outcome of a comparison, as results show it; `checked` counts the partitions that were compared. */
export const verificationDocument = document({ verified: flag, checked: count, mismatches: list(mismatch) });
export type Verification = ReturnType<typeof verificationDocument.decode>;

function kindsOf({ expected, actual }: Pick<Mismatch, "expected" | "actual">): Mismatch["kind"][] {
  if (expected === null) return actual === null ? [] : ["extra"];
  if (actual === null) return ["missing"];
  const kinds: Mismatch["kind"][] = [];
  if (expected.offset !== actual.offset) kinds.push("offset");
  if (expected.metadata !== actual.metadata) kinds.push("metadata");
  if (expected.leaderEpoch !== actual.leaderEpoch) kinds.push("leader_epoch");
  return kinds;
}

/**
 * Compares the groups of `expected` with what they have committed. A commit that `expected` lacks, or has as null, is a
 * mismatch of kind `extra`; groups that only `actual` has are not compared.
 */
export function verifyCommits(expected: ReadonlyMap<string, Targets>, actual: Commits): Verification {
  const mismatches: Mismatch[] = [];
  let checked = 0;
  for (const [group, wanted] of expected) {
    const found = actual.get(group) ?? noCommits;
    for (const key of new Set([...wanted.keys(), ...found.keys()])) {
      checked++;
      const places = { expected: wanted.get(key) ?? null, actual: found.get(key) ?? null };
      for (const kind of kindsOf(places)) mismatches.push({ group, ...placeOf(key), kind, ...places });
    }
  }
  return { verified: mismatches.length === 0, checked, mismatches };
}
