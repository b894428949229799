import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import stringWidth from "string-width";
import { describe, expect, test } from "vitest";
import { examples } from "../../../functions/examples.ts";
import { printableName } from "../../../functions/shared/report/printable.ts";
import { tablesOf } from "../../../functions/shared/report/tables.ts";
import { textOf } from "../../../functions/shared/report/text.ts";
import { dryRun, results } from "./samples.ts";

const plain = (result: unknown, width: number) => textOf(result, { width, color: false });

describe("a text", () => {
  test("has the id of a snapshot as a separate word, at any width", () => {
    for (const width of [32, 40, 80]) {
      expect(plain(examples.snapshot.result, width).match(/snapshot-\S*/g)).toEqual(["snapshot-2025-01-15T10:30:00Z"]);
    }
  });

  test("tells topics apart that begin and end alike", () => {
    const names = ["a", "b"].map((middle) => `${"x".repeat(124)}${middle}${"y".repeat(124)}`);
    const partitions = Object.fromEntries(names.map((name) => [`${name}-0`, { offset: 1 }]));
    for (const width of [40, 80, 120]) {
      const joined = plain({ consumer_groups: { g: { partitions } } }, width).replace(/\s/g, "");
      for (const name of names) expect(joined).toContain(name);
    }
  });

  test("has the group that another gets its commits from, also where its name is a part of the other's", () => {
    const sources = ["orders-streams", "billing-streams"];
    const groups = sources.map((source) => [`${source}-v2`, { source, ...dryRun.groups.billing }]);
    for (const width of [40, 60, 80]) {
      const text = plain({ groups: Object.fromEntries(groups) }, width);
      for (const source of sources) expect(text, `${width}`).toMatch(new RegExp(`\\b${source}(?!\\S)`));
    }
  });

  test("repeats alarms at the end where the top is out of sight", () => {
    const snapshots = Array.from({ length: 50 }, (_, id) => ({ id, status: id === 3 ? "partial" : "complete" }));
    const lines = plain({ status: "failed", snapshots }, 80).trimEnd().split("\n");
    expect(lines[0]).toBe("! status: failed");
    expect(lines[1]).toBe('! snapshots: "!" in 1 of 50 rows');
    expect(lines.at(-1)).toBe("! see the top: status failed, snapshots 1");
  });

  test("shows 10,000 rows in less than a second of the processor", () => {
    const partitions = (group: number) =>
      Object.fromEntries(
        Array.from({ length: 10 }, (_, n) => [
          `订单-${n}`,
          { action: "rewind", from: { offset: n * group }, to: null },
        ]),
      );
    const groups = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, n) => [`group-${n}`, { partitions: partitions(n) }]),
    );
    for (const width of [40, 120]) {
      const start = process.cpuUsage();
      expect(plain({ groups }, width).split("\n").length).toBeGreaterThan(10_000);
      expect(process.cpuUsage(start).user).toBeLessThan(1_000_000);
    }
  });
});

test("the lags of the commits on a topic of 10,000 partitions take less than a second of the processor", () => {
  const each = <T>(make: (n: number) => readonly [string, T]) =>
    new Map(Array.from({ length: 10_000 }, (_, n) => make(n)));
  const logs = each((n) => [`${n}`, { log_start_offset: 0, log_end_offset: 20_000 + n, leader_epoch: 1 }]);
  const result = {
    consumer_groups: { g: { partitions: each((n) => [`orders-${n}`, { offset: n, metadata: "" }]) } },
    observed: { groups: {}, topics: { orders: { topic_id: "id", partitions: logs } } },
  };
  const start = process.cpuUsage();
  expect(plain(result, 120)).toMatch(/^ +g +orders +9999 +9999 +20000 +0 +29999$/m);
  expect(process.cpuUsage(start).user).toBeLessThan(1_000_000);
});

describe("any result", () => {
  const anyResult = fc.tuple(results, fc.integer({ min: 20, max: 140 }));

  test("fits the width", () => {
    fc.assert(
      fc.property(anyResult, ([result, width]) => {
        for (const line of plain(result, width).split("\n")) expect(stringWidth(line), line).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("sends nothing to the terminal but lines, and colour where it is asked for", () => {
    fc.assert(
      fc.property(anyResult, ([result, width]) => {
        const text = plain(result, width);
        expect(text).not.toMatch(/[^\P{Cc}\n]/u);
        const colored = textOf(result, { width, color: true });
        expect(stripVTControlCharacters(colored)).toBe(text);
        for (const code of colored.split("\u001B").slice(1)) expect(code).toMatch(/^\[(0|1|1;31)m/);
      }),
    );
  });

  test("shows what each row is about, whole", () => {
    fc.assert(
      fc.property(anyResult, ([result, width]) => {
        const text = plain(result, width).replace(/\s/g, "");
        for (const { rows, keys } of tablesOf(result).tables) {
          for (const row of rows) {
            for (const cell of row.slice(0, keys)) {
              if (typeof cell === "string") expect(text).toContain(printableName(cell).replace(/\s/g, ""));
              else if (cell !== undefined) expect(text).toContain(String(cell));
            }
          }
        }
      }),
    );
  });

  test("shows every number exactly", () => {
    fc.assert(
      fc.property(anyResult, ([result, width]) => {
        const text = plain(result, width).replace(/\s/g, "");
        for (const cell of tablesOf(result).tables.flatMap(({ rows }) => rows.flat())) {
          if (typeof cell === "bigint") expect(text).toContain(String(cell));
        }
      }),
    );
  });
});

test("a snapshot of nothing is marked, and so is a plan of nothing", () => {
  const empty = plain({ snapshot_id: "snapshot-1", status: "complete", groups: 0, offsets: 0 }, 80);
  expect(empty.split("\n").slice(0, 2)).toEqual(["! groups: 0", "! offsets: 0"]);
  expect(plain({ ...dryRun, totals: { ...dryRun.totals, partitions: 0 } }, 80)).toMatch(/^! totals\.partitions: 0$/m);
  expect(plain({ snapshot_id: "snapshot-1", groups: 1, offsets: 3, offsets_deleted: 0 }, 80)).not.toContain("!");
});
