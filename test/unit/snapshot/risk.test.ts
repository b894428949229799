import { describe, expect, it } from "vitest";
import { deadlineIn } from "../../../functions/shared/core/deadline.ts";
import { StorageUnavailable } from "../../../functions/shared/core/errors.ts";
import { assessRisk, lookBack } from "../../../functions/snapshot/risk.ts";

const live = {
  cluster: { name: "orders", clusterId: "abc" },
  commits: new Map([["g", new Map([["t-0", { offset: 5n, metadata: "" }]])]]),
  observed: {
    groups: new Map(),
    topics: new Map([
      [
        "t",
        {
          topicId: "id",
          partitions: new Map([[0, { logStartOffset: 0n, logEndOffset: 9n, leaderEpoch: 0 }]]),
        },
      ],
    ]),
  },
};

describe("the retention risk of a snapshot whose last one cannot be read", () => {
  it("is unknown, and a warning says why in whole sentences", async () => {
    const deadline = deadlineIn(1_000);
    const unreadable = { lastOfSchedule: () => Promise.reject(new StorageUnavailable("S3 did not answer")) };
    const risk = assessRisk(live, Date.now(), await lookBack(unreadable, "hourly", deadline), 24);
    deadline.stop();
    expect(risk).toMatchObject({ below: [], soon: [], unknown: 1 });
    expect(risk.warnings).toEqual([
      "The last snapshot of schedule hourly could not be read: S3 did not answer. So it is not known which saved offsets will be below the log start soon.",
    ]);
  });
});
