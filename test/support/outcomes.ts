import type { Outcomes } from "../../functions/shared/kafka/groups/write-commits.ts";

/**
 * Fails unless Kafka accepted every write.
 *
 * @throws Error with the first three writes that were not accepted
 */
export function expectAccepted(outcomes: Outcomes): void {
  const bad = [...outcomes].flatMap(([group, keys]) =>
    [...keys].flatMap(([key, outcome]) => (outcome.kind === "accepted" ? [] : [{ group, key, outcome }])),
  );
  if (bad.length > 0) throw new Error(`${bad.length} writes were not accepted: ${JSON.stringify(bad.slice(0, 3))}`);
}
