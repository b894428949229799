import { PutItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { envNames } from "../../../functions/shared/lambda/env.ts";
import { handler } from "../../../functions/snapshot/handler.ts";
import { within } from "../../support/deadline.ts";
import { context } from "../../support/events.ts";
import { startFakeBroker } from "../../unit/kafka/fake-broker.ts";
import { testArchive } from "./fixture.ts";

const storage = testArchive();
const before = { ...process.env };
afterAll(() => {
  process.env = before;
});

/** The offsets of the only group, and the error codes of topics that the principal may not describe. */
let offsets: Record<string, bigint> = {};
const topicCodes: Record<string, number> = {};

beforeEach(async () => {
  offsets = { orders: 1n, secret: 2n };
  topicCodes.secret = 0;
  const fetch = (group: string) => (group === "g" ? { offsets } : {});
  Object.assign(process.env, {
    [envNames.bucket]: storage.config.bucket,
    [envNames.bucketPrefix]: storage.config.prefix,
    [envNames.table]: storage.config.table,
    [envNames.clusterName]: "fake",
    [envNames.bootstrapServers]: await startFakeBroker({ groups: ["g"], fetch, topicCodes }),
  });
});

const hide = () => {
  offsets = { orders: 1n };
  topicCodes.secret = 29;
};

const answer = z.object({ snapshot_id: z.string(), warnings: z.array(z.string()) });

/** Takes a snapshot, and returns its id and its warnings about hidden topics. */
async function snapshot(request: object = {}) {
  const { snapshot_id: id, warnings } = answer.parse(await handler(request, context()));
  return { id, warnings: warnings.filter((text) => /topic "secret"|search for topics/.test(text)) };
}

const missing = expect.stringMatching(
  /^Commits may be missing: .* DESCRIBE on topic "secret", which the last snapshot/,
);

describe("snapshots of a principal that loses its right on a topic", () => {
  test("each have a warning until the principal has the right again", async () => {
    expect((await snapshot()).warnings).toEqual([]);
    hide();
    const first = await snapshot();
    const second = await snapshot({ groups: ["g"] });
    const kept = await storage.archive.load(first.id, within());
    topicCodes.secret = 0;
    const third = await snapshot();
    topicCodes.secret = 29;
    const fourth = await snapshot();

    expect([first.warnings, second.warnings]).toEqual([[missing], [missing]]);
    expect(kept.warnings).toContainEqual(missing);
    expect(kept.observed.topics.get("secret")).toBeNull();
    expect([...(kept.consumerGroups.get("g")?.keys() ?? [])]).toEqual(["orders-0"]);
    expect([third.warnings, fourth.warnings]).toEqual([[], []]);
  });

  test("are taken with a warning if the last snapshot cannot be read", async () => {
    await snapshot();
    hide();
    const [item] = await storage.items("snapshot");
    const Item = { ...item, topics: { S: "not JSON" } };
    await storage.dynamodb.send(new PutItemCommand({ TableName: storage.config.table, Item }));

    const { id, warnings } = await snapshot();

    expect(warnings).toEqual([
      expect.stringMatching(
        /^Left out of the search for topics that the principal may no longer describe, because it cannot be read: .*topics/,
      ),
    ]);
    expect((await storage.archive.load(id, within())).warnings).toContainEqual(warnings[0]);
  });
});
