import { count, document, flag, int32, list, oneOf, text } from "./json/codec.ts";
import { type Commit, type Commits, placeOf } from "./model.ts";
import { commitOrNull } from "./snapshot.ts";

/** How a live commit can differ from the expected one. `missing`: there is none; `extra`: none was expected. */
export const mismatchKinds = ["offset", "metadata", "leader_epoch", "missing", "extra"] as const;
type MismatchKind = (typeof mismatchKinds)[number];

/** One difference between a live commit and the expected one. Null is no commit. */
export interface Mismatch {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly kind: MismatchKind;
  readonly expected: Commit | null;
  readonly actual: Commit | null;
}

/** The outcome of a comparison; `checked` counts the partitions that were compared. */
export interface Verification {
  readonly verified: boolean;
  readonly checked: number;
  readonly mismatches: readonly Mismatch[];
}

function kindsOf(expected: Commit | null, actual: Commit | null): Mismatch["kind"][] {
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
export function verifyCommits(
  expected: ReadonlyMap<string, ReadonlyMap<string, Commit | null>>,
  actual: Commits,
): Verification {
  const mismatches: Mismatch[] = [];
  let checked = 0;
  for (const [group, wanted] of expected) {
    const found = actual.get(group) ?? new Map<string, Commit>();
    const compare = (key: string, values: Pick<Mismatch, "expected" | "actual">) => {
      checked++;
      for (const kind of kindsOf(values.expected, values.actual))
        mismatches.push({ group, ...placeOf(key), kind, ...values });
    };
    for (const [key, commit] of wanted) compare(key, { expected: commit, actual: found.get(key) ?? null });
    for (const [key, commit] of found) if (!wanted.has(key)) compare(key, { expected: null, actual: commit });
  }
  return { verified: mismatches.length === 0, checked, mismatches };
}

/** A verification as results show it. */
export const verificationDocument = document({
  verified: flag,
  checked: count,
  mismatches: list(
    document({
      group: text,
      topic: text,
      partition: int32,
      kind: oneOf(mismatchKinds),
      expected: commitOrNull,
      actual: commitOrNull,
    }),
  ),
});
