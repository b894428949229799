import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { describe, expect, test } from "vitest";
import { within } from "../../support/deadline.ts";
import { required } from "../../support/required.ts";
import { second } from "./fixture.ts";
import { bob, result, testJournal } from "./journal-fixture.ts";

const { storage, journal, open, closed, found, listed } = testJournal();

describe("resuming", () => {
  test.each(["partial_success", "failed"] as const)(
    "sets a record with the status %s to running, without a result",
    async (end) => {
      const before = await closed(end);
      const again = required(await journal().resume(before, bob, second(20), within()));
      const { endedAt: _, result: __, ...kept } = before;
      expect(again.record).toEqual({
        ...kept,
        status: "running",
        resumedAt: "2025-01-15T10:30:20.000Z",
        attempts: 2,
        calls: [
          { ...before.calls[0], outcome: end, endedAt: before.endedAt },
          { attempt: 2, ...bob, requestId: "request-2", startedAt: "2025-01-15T10:30:20.000Z" },
        ],
        writeToken: expect.not.stringMatching(before.writeToken),
      });
      expect(await found()).toEqual(again.record);
      expect(await journal().plan(again.record, within())).toHaveProperty("text");
      expect(await journal().result(again.record, within())).toBeUndefined();

      expect(await again.close("success", { again: true }, second(30), within())).toBe("closed");
      expect(await found()).toMatchObject({ status: "success", attempts: 2, endedAt: "2025-01-15T10:30:30.000Z" });
      expect(await journal().result(await found(), within())).toEqual({ again: true });
      expect(await listed()).toEqual(["r-1"]);
    },
  );

  test("makes an earlier call lose its record that is still running", async () => {
    const first = await open();
    const again = required(await journal().resume(await found(), bob, second(20), within()));
    expect(await first.close("failed", { old: true }, second(21), within())).toBe("lost");
    expect(await found()).toEqual(again.record);
    expect(await again.close("success", { new: true }, second(22), within())).toBe("closed");
    expect(await first.close("failed", { old: true }, second(23), within())).toBe("lost");
    expect(await journal().result(await found(), within())).toEqual({ new: true });
  });

  test("counts attempts", async () => {
    const first = await open();
    const next = required(await journal().resume(first.record, bob, second(1), within()));
    const third = required(await journal().resume(next.record, bob, second(2), within()));
    expect(await journal().resume(first.record, bob, second(3), within())).toBeUndefined();
    expect(await journal().resume(next.record, bob, second(3), within())).toBeUndefined();
    expect(await found()).toEqual(third.record);
    expect(third.record.attempts).toBe(3);
    expect(await next.close("failed", result, second(3), within())).toBe("lost");
    expect(await third.close("success", result, second(3), within())).toBe("closed");
  });

  test("succeeds for one of two calls at the same time", async () => {
    const before = await closed("failed");
    const both = await Promise.all([1, 2].map((at) => journal().resume(before, bob, second(at), within())));
    expect(both.filter((outcome) => outcome === undefined)).toHaveLength(1);
    expect((await found()).attempts).toBe(2);
  });

  test("is refused if the record has changed since it was read", async () => {
    const opened = await open();
    const asRead = await found();
    await opened.close("partial_success", result, second(9), within());
    expect(await journal().resume(asRead, bob, second(20), within())).toBeUndefined();
    expect((await found()).status).toBe("partial_success");
  });

  test("is refused for a success and for a superseded record", async () => {
    expect(await journal().resume(await closed("success", "r-1"), bob, second(20), within())).toBeUndefined();
    await journal().supersede(await closed("failed", "r-2"), "r-9", within());
    expect(await journal().resume(await found("r-2"), bob, second(20), within())).toBeUndefined();
    await journal().supersede((await open("r-3")).record, "r-9", within());
    expect(await journal().resume(await found("r-3"), bob, second(20), within())).toBeUndefined();
    expect(
      (await Promise.all(["r-1", "r-2", "r-3"].map(found))).map(({ status, attempts }) => [status, attempts]),
    ).toEqual([
      ["success", 1],
      ["failed", 1],
      ["superseded", 1],
    ]);
  });

  test("is refused if the record was superseded after it was read", async () => {
    const unfinished = (await open("r-1")).record;
    await journal().supersede(unfinished, "r-9", within());
    expect(await journal().resume(unfinished, bob, second(20), within())).toBeUndefined();
    const partial = await closed("partial_success", "r-2");
    await journal().supersede(partial, "r-9", within());
    expect(await journal().resume(partial, bob, second(20), within())).toBeUndefined();
  });
});

describe("superseding", () => {
  test("ends a running record, which its writer then cannot close", async () => {
    const opened = await open();
    await journal().supersede(opened.record, "r-2", within());
    expect(await found()).toEqual({ ...opened.record, status: "superseded", supersededBy: "r-2" });
    expect(await opened.close("success", result, second(9), within())).toBe("lost");
    expect((await found()).status).toBe("superseded");
    expect(await journal().result(await found(), within())).toBeUndefined();
  });

  test.each(["partial_success", "failed"] as const)(
    "keeps the status %s, and adds the id of the other rollback",
    async (status) => {
      const before = await closed(status);
      await journal().supersede(before, "r-2", within());
      expect(await found()).toEqual({ ...before, supersededBy: "r-2" });
      expect(await journal().result(await found(), within())).toBeDefined();
    },
  );

  test("does not change a success or a superseded record", async () => {
    const success = await closed("success", "r-1");
    await journal().supersede(success, "r-9", within());
    expect(await found("r-1")).toEqual(success);

    await journal().supersede((await open("r-2")).record, "r-8", within());
    await journal().supersede(await found("r-2"), "r-9", within());
    expect((await found("r-2")).supersededBy).toBe("r-8");
  });

  test("depends on the present status, not on the status that was read", async () => {
    const [a, b, c] = [await open("a"), await open("b"), await open("c")];
    await a.close("success", result, second(9), within());
    await b.close("failed", result, second(9), within());
    await journal().resume(c.record, bob, second(20), within());
    for (const { record } of [a, b, c]) await journal().supersede(record, "r-9", within());

    expect(await found("a")).toMatchObject({ status: "success" });
    expect(await found("a")).not.toHaveProperty("supersededBy");
    expect(await found("b")).toMatchObject({ status: "failed", supersededBy: "r-9" });
    expect(await found("c")).toMatchObject({ status: "superseded", supersededBy: "r-9", attempts: 2 });
  });

  test("does not create a deleted record again", async () => {
    const { record } = await open();
    for (const { pk, sk } of await storage.items()) {
      const Key = { pk: pk ?? { S: "" }, sk: sk ?? { S: "" } };
      await storage.dynamodb.send(new DeleteItemCommand({ TableName: storage.config.table, Key }));
    }
    await journal().supersede(record, "r-9", within());
    expect(await storage.items()).toEqual([]);
  });
});
