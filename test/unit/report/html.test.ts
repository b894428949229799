import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changesDocument, diffCommits } from "../../../functions/shared/core/diff.ts";
import { encodeJson, entriesOf, type Json } from "../../../functions/shared/core/json/json.ts";
import { snapshotDocument } from "../../../functions/shared/core/snapshot.ts";
import { htmlReport, NoReport } from "../../../functions/shared/report/html.ts";
import {
  cellOf,
  type HtmlReport,
  type Island,
  packColumn,
  packInteger,
  packSeries,
  unpackSeries,
} from "../../../functions/shared/report/island.ts";
import { commits, json, snapshot as snapshots } from "../../support/arbitraries.ts";
import { asRead, diff, dryRun, history, hostileNames, rollback, snapshot } from "../../support/results.ts";

const reports: readonly (readonly [string, HtmlReport, object])[] = [
  ["a snapshot", "show", snapshot],
  ["a comparison", "diff", diff],
  ["a dry run", "rollback", dryRun],
  ["a rollback", "rollback", rollback],
  ["a history", "history", history],
];

const islandIn = (html: string): Island => {
  const [, data = ""] = /<script id="data" type="application\/json">(.*?)<\/script>/s.exec(html) ?? [];
  return JSON.parse(data);
};

/** The rows of an island as texts: group, topic-partition, field and value. */
function rowsOf({ groups, places, rows }: Island): string[] {
  const texts: string[] = [];
  let row = 0;
  for (let group = 0; group < groups.size; group++) {
    const end = row + Number(cellOf(groups, "partitions", group));
    for (; row < end; row++) {
      const place = Number(cellOf(rows, "place", row));
      const key = `${cellOf(places, "topic", place)}-${cellOf(places, "partition", place)}`;
      for (const field of Object.keys(rows.columns)) {
        const value = cellOf(rows, field, row);
        if (field !== "place" && value !== false)
          texts.push(JSON.stringify([cellOf(groups, "name", group), key, field, String(value)]));
      }
    }
  }
  return texts.sort();
}

/** The same of a result, whose commits have these names; `offset` where an entry is itself a commit. */
function rowsIn(groups: Json | undefined, isCommit: boolean): string[] {
  const texts: string[] = [];
  for (const [group, { partitions }] of entriesOf(groups).map(
    ([name, entry]) => [name, Object.fromEntries(entriesOf(entry))] as const,
  )) {
    for (const [key, entry] of entriesOf(partitions)) {
      const add = (field: string, value: Json) => texts.push(JSON.stringify([group, key, field, String(value)]));
      const addCommit = (name: string, commit: Json) => {
        if (commit === null) add(name, null);
        for (const [field, value] of entriesOf(commit)) add(field === "offset" ? name : `${name}.${field}`, value);
      };
      if (isCommit) addCommit("offset", entry);
      else
        for (const [field, value] of entriesOf(entry)) {
          if (field === "from" || field === "to") addCommit(field, value);
          else add(field, value);
        }
    }
  }
  return texts.sort();
}

describe("the data of a report", () => {
  test("is that of any snapshot, exactly", () => {
    fc.assert(
      fc.property(snapshots, (any) => {
        const document = snapshotDocument.encode(any);
        const island = islandIn(htmlReport("show", document));
        expect(rowsOf(island)).toEqual(rowsIn(document.consumer_groups, true));
        expect(island.head).toMatchObject({
          snapshot_id: any.snapshotId,
          description: any.description,
          warnings: any.warnings,
          errors: any.errors,
        });
        // What was observed of the logs is beside each partition.
        for (let place = 0; place < island.places.size; place++) {
          const topic = any.observed.topics.get(String(cellOf(island.places, "topic", place)));
          const log = topic?.partitions.get(Number(cellOf(island.places, "partition", place)));
          const end = cellOf(island.places, "log_end_offset", place);
          expect(end).toBe(
            log === undefined ? false : log.logEndOffset === null ? null : packInteger(log.logEndOffset),
          );
        }
      }),
    );
  });

  test("is that of any comparison, exactly", () => {
    fc.assert(
      fc.property(commits, commits, (from, to) => {
        const { summary, groups } = diffCommits(from, to);
        const result = { from: "a", to: "b", summary, consumer_groups: changesDocument.encode(groups), warnings: [] };
        expect(rowsOf(islandIn(htmlReport("diff", result)))).toEqual(rowsIn(result.consumer_groups, false));
      }),
    );
  });

  test("is the same whether the result is one of a function or was read from its JSON", () => {
    for (const [, kind, result] of reports) {
      const [direct, read] = [result, asRead(result)].map((each) => islandIn(htmlReport(kind, each)));
      expect(rowsOf(direct ?? expect.fail())).toEqual(rowsOf(read ?? expect.fail()));
    }
  });

  test("has the fields of a result that it does not know", () => {
    fc.assert(
      fc.property(json, (value) => {
        const result = { ...snapshot, consumer_groups: new Map(), later: value };
        const expected: unknown = JSON.parse(encodeJson(value), (_, entry) => entry);
        const { later } = islandIn(htmlReport("show", result)).head;
        // Integers beyond 2^53 are decimal texts in the page, and rounded by JSON.parse.
        expect(roundedTexts(later)).toEqual(expected);
      }),
    );
  });

  test("has points as differences that add up to the exact offsets", () => {
    const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(fc.array(fc.option(int64)), (values) => {
        const written: unknown = JSON.parse(JSON.stringify(packSeries(values)));
        expect(unpackSeries(Array.isArray(written) ? written : [])).toEqual(values);
      }),
    );
  });

  test("has columns that give back their values, in the shortest form", () => {
    const cell = fc.oneof(fc.constantFrom(null, true, false, "", "a", 0, 1), fc.string(), fc.integer());
    fc.assert(
      fc.property(fc.array(cell), (values) => {
        const table = { size: values.length, columns: { field: packColumn(values) } };
        expect(values.map((_, row) => cellOf(table, "field", row))).toEqual(values);
        expect(cellOf(table, "toString", 0)).toBe(false);
      }),
    );
    expect(packColumn([7, 7, 7])).toEqual({ all: 7 });
    expect(packColumn(["a", "b", "a", "b", "a", "b", "a", "b"])).toEqual({
      of: ["a", "b"],
      at: [0, 1, 0, 1, 0, 1, 0, 1],
    });
    expect(packColumn([1, 2, 3])).toEqual([1, 2, 3]);
  });
});

/** A value with its large decimal texts as the rounded numbers that they stand for. */
function roundedTexts(value: unknown): unknown {
  if (typeof value === "string" && /^-?\d{16,}$/.test(value)) return Number(value);
  if (Array.isArray(value)) return value.map(roundedTexts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, roundedTexts(entry)]));
}

describe("the file of a report", () => {
  test.each(reports)(
    "of %s has one script of data and one of code, and a policy that allows these alone",
    (_, kind, result) => {
      const html = htmlReport(kind, asRead(result));
      const scripts = [...html.matchAll(/<script(?<attributes>[^>]*)>(?<text>.*?)<\/script>/gs)].map(
        ({ groups }) => groups,
      );
      expect(scripts.map((script) => script?.attributes)).toEqual([' id="data" type="application/json"', ""]);
      const [, style = ""] = /<style>(.*?)<\/style>/s.exec(html) ?? [];
      const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
      const [, policy = ""] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html) ?? [];
      expect(policy.split("; ")).toEqual([
        "default-src 'none'",
        `script-src ${hash(scripts[1]?.text ?? "")}`,
        `style-src ${hash(style)}`,
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
      ]);
      const skeleton = html.replace(/<(script|style)[^>]*>.*?<\/\1>/gs, "");
      expect(skeleton.length).toBeLessThan(2_000);
      expect(skeleton).not.toMatch(/ (?:src|href|style|on\w+)=/i);
    },
  );

  test("has no character of a name that ends its script, or that an editor would hide", () => {
    const name = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...hostileNames, "</SCRIPT >", "<!--", "]]>"));
    fc.assert(
      fc.property(name, fc.string({ unit: "binary" }), (group, metadata) => {
        const partitions = new Map([["orders-0", { offset: 1n, metadata }]]);
        const html = htmlReport("show", { ...snapshot, consumer_groups: new Map([[group, { partitions }]]) });
        expect(html.match(/<\/?script/gi)).toHaveLength(4);
        const [, data = ""] = /type="application\/json">(.*)/.exec(html) ?? [];
        expect(data).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|<(?!\/script>$)/u);
        expect(cellOf(islandIn(html).groups, "name", 0)).toBe(group);
      }),
      { examples: [["\u007F", "\u0085"]] },
    );
  });

  test("has the same text each time", () => {
    expect(htmlReport("diff", diff)).toBe(htmlReport("diff", diff));
  });
});

describe("a result that is not whole", () => {
  test("is refused where its groups are missing: they must not look like none", () => {
    for (const [, kind] of reports) {
      expect(() => htmlReport(kind, { status: "complete" })).toThrow(NoReport);
      expect(() => htmlReport(kind, null)).toThrow(NoReport);
    }
    expect(() => htmlReport("diff", rollback)).toThrow("this is no result of diff: it has no field consumer_groups");
  });

  test("is refused where a summary left out all groups of a snapshot or a history", () => {
    for (const kind of ["show", "history"] as const) {
      expect(() => htmlReport(kind, { status: "complete", omitted: { groups: 10_000 } })).toThrow(NoReport);
    }
  });

  test("is refused where a key is not that of a partition", () => {
    const partitions = new Map([["orders", { offset: 1n, metadata: "" }]]);
    const result = { ...snapshot, consumer_groups: new Map([["g", { partitions }]]) };
    expect(() => htmlReport("show", result)).toThrow("orders is not the key of a partition");
  });

  test("is taken where it says itself what was left out", () => {
    const island = islandIn(htmlReport("diff", { from: "a", to: "b", omitted: { consumer_groups: 10_000 } }));
    expect(island.head.omitted).toEqual({ consumer_groups: 10_000 });
    expect(island.groups.size).toBe(0);
  });

  test("has a row for each group that was not captured, and none looks like an empty one", () => {
    const { errors, observed } = snapshot;
    const states = new Map([...observed.groups, ["audit", { type: "classic", state: "Empty", members: 0 }]]);
    for (const groups of [observed.groups, states]) {
      const table = islandIn(htmlReport("show", { ...snapshot, observed: { ...observed, groups } })).groups;
      const names = Array.from({ length: table.size }, (_, group) => cellOf(table, "name", group));
      expect(errors.map(({ group }) => cellOf(table, "not_captured", names.indexOf(group)))).toEqual([true]);
      expect(cellOf(table, "not_captured", names.indexOf("idle"))).toBe(false);
    }
  });

  test("has a row for each group of a dry run that was not captured", () => {
    const { groups } = islandIn(htmlReport("rollback", dryRun));
    expect(Array.from({ length: groups.size }, (_, group) => cellOf(groups, "name", group))).toContain("audit");
  });
});
