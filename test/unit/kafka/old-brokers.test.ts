import { describe, expect, it } from "vitest";
import { capture } from "../../../functions/shared/kafka/groups/capture.ts";
import { fetchCommits } from "../../../functions/shared/kafka/groups/read-commits.ts";
import { findCoordinator } from "../../../functions/shared/kafka/wire/groups.ts";
import { fakeBroker } from "./fake-broker.ts";

const groups = Array.from({ length: 250 }, (_, i) => `g${i}`);
const offsetOf = (group: string) => BigInt(group.slice(1));
const isProbe = (group: string) => group.startsWith("offset-rollback-probe-");

describe("a broker that accepts one group per request", () => {
  it("gets one request per group, and each answer belongs to its group", async () => {
    const fetch = (group: string) => (isProbe(group) ? {} : { offsets: { t: offsetOf(group) } });
    const cluster = await fakeBroker({ old: true, groups, fetch });

    const { commits, errors } = await capture(cluster, { groups: ["*"], exclude: [] });

    expect(errors).toEqual([]);
    expect(new Map([...commits].map(([group, of]) => [group, of.get("t-0")?.offset]))).toEqual(
      new Map(groups.map((group) => [group, offsetOf(group)])),
    );
    expect(cluster.requests.get("OffsetFetch")).toBe(groups.length + 1);
  });

  it("gets one FindCoordinator request per group", async () => {
    const cluster = await fakeBroker({ old: true });
    const found = await cluster.sendToAny(findCoordinator, groups);
    expect(found.map(({ group, nodeId, code }) => [group, nodeId, code])).toEqual(groups.map((group) => [group, 1, 0]));
    expect(cluster.requests.get("FindCoordinator")).toBe(groups.length);
  });

  it("fails only the groups for which it answers an error", async () => {
    const cluster = await fakeBroker({ old: true, fetch: (group) => ({ code: group === "g7" ? 30 : 0 }) });
    const settled = await fetchCommits(
      cluster,
      groups.map((group) => ({ group, topics: null })),
    );
    const failed = [...settled].flatMap(([{ group }, result]) =>
      "failed" in result ? [[group, result.failed.error]] : [],
    );
    expect(failed).toEqual([["g7", "KafkaAuthorization"]]);
    expect(settled.size).toBe(groups.length);
  });

  it("gets many requests at a time; if it does not answer, no more are started and no group is reported as empty", async () => {
    let arrived = 0;
    let whenGivenUp: number | undefined;
    const cluster = await fakeBroker(
      {
        old: true,
        silent: (api) => api?.name === "OffsetFetch" && ++arrived > 0,
        onClose: () => {
          whenGivenUp ??= arrived;
        },
      },
      1_500,
    );

    const settled = await fetchCommits(
      cluster,
      groups.map((group) => ({ group, topics: null })),
    );

    const errors = [...settled.values()].map((result) => ("failed" in result ? result.failed.error : "none"));
    expect(errors).toEqual(groups.map(() => "KafkaUnavailable"));
    await expect.poll(() => whenGivenUp).toBe(100);
  });
});
