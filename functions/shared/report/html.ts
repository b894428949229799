import { entriesOf } from "../core/json/json.ts";
import { placeOf } from "../core/model.ts";
import {
  type Entries,
  type HtmlReport,
  type Island,
  packColumn,
  packInteger,
  packSeries,
  type Table,
  type Value,
} from "./island.ts";
import { script, scriptHash, style, styleHash } from "./page.generated.ts";

/** A result is not one that the report can show; the message names what is missing. */
export class NoReport extends Error {}

type Fields = readonly (readonly [string, unknown])[];

/**
 * A result as an HTML page: one file with its data, its script and its style, which loads nothing. It has all that the
 * result has, with offsets exact over int64.
 *
 * @param result as an operation returns it, or as `parseJson` of core/json reads it
 * @throws NoReport where it is not a result of that kind. A summary of a comparison or a rollback is shown as such.
 */
export function htmlReport(kind: HtmlReport, result: unknown): string {
  const island = islandOf(kind, result);
  // Nothing in the data ends the script element, and nothing in the source of the page is invisible.
  const data = JSON.stringify(island).replace(/[<\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
  const policy = [
    "default-src 'none'",
    `script-src '${scriptHash}'`,
    `style-src '${styleHash}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>Kafka offsets: ${titles[island.kind]}</title>
<style>${style}</style>
</head>
<body>
<noscript><p class="fallback">This report is drawn by the script inside this file. Allow JavaScript for it: the file loads nothing from the network. \
Without a script, use the same result as text or JSON.</p></noscript>
<div id="report"><p class="fallback">The report is being drawn. If this sentence stays, the script of this file did not run: allow it, or use a newer browser.</p></div>
<script id="data" type="application/json">${data}</script>
<script>${script}</script>
</body>
</html>
`;
}

const titles = {
  show: "snapshot",
  diff: "comparison",
  dry_run: "dry run of a rollback",
  rollback: "result of a rollback",
  history: "history",
} as const;

/** The result in the form that the page reads. */
export function islandOf(report: HtmlReport, result: unknown): Island {
  const all = new Map(entriesOf(result));
  const kind = report === "rollback" && all.get("dry_run") === true ? "dry_run" : report;
  const main = kind === "show" || kind === "diff" ? "consumer_groups" : "groups";
  // A result without its groups is not one without groups. What a page says first of a snapshot or a history, it says of
  // the groups: there is no page of a summary of these.
  if (!all.has(main) && (kind === "show" || kind === "history" || !all.has("omitted")))
    throw new NoReport(`this is no result of ${report}: it has no field ${main}`);
  // `skipped` is the former name of `left_out`.
  const inTables = new Set([main, "observed", ...(all.has("left_out") ? ["skipped"] : [])]);
  const observed = new Map(kind === "show" ? entriesOf(all.get("observed")) : []);
  const groups = new Map(entriesOf(all.get(main)).map(([name, group]) => [name, new Map(entriesOf(group))]));
  // A search for a group that was not captured finds it, with that mark: it is neither absent nor empty.
  const missing = new Map<string, unknown>([["not_captured", true]]);
  for (const [name, group] of entriesOf(observed.get("groups"))) {
    groups.set(name, new Map([...(groups.get(name) ?? missing), ...entriesOf(group)]));
  }
  for (const problem of [all.get("errors"), all.get("blockers"), all.get("left_out")].flatMap(listOf)) {
    const { group, kind: why = "not_captured" } = Object.fromEntries(entriesOf(problem));
    if (typeof group === "string" && why === "not_captured" && !groups.has(group)) {
      groups.set(group, missing);
    }
  }
  const logs = new Map(
    entriesOf(observed.get("topics")).map(([topic, log]) => {
      const { topic_id = false, partitions } = Object.fromEntries(entriesOf(log));
      return [topic, { topic_id, partitions: new Map(entriesOf(partitions)) }];
    }),
  );

  const places = createTable();
  const numbers = new Map<string, number>();
  const place = (key: string): number => {
    const known = numbers.get(key);
    if (known !== undefined) return known;
    const { topic, partition } = placeOf(key);
    const log = logs.get(topic);
    const number = places.add([
      ["topic", topic],
      ["partition", partition],
      ...(log === undefined
        ? []
        : [["topic_id", log.topic_id] as const, ...entriesOf(log.partitions.get(String(partition)))]),
    ]);
    numbers.set(key, number);
    return number;
  };

  const rows = createTable();
  const groupTable = createTable();
  for (const [name, group] of groups) {
    const partitions = entriesOf(group.get("partitions"));
    for (const [key, entry] of partitions) {
      const fields = kind === "show" ? commitFields("offset", entry) : entriesOf(entry).flatMap(rowField);
      rows.add([["place", place(key)], ...fields]);
    }
    groupTable.add([
      ["name", name],
      ["partitions", partitions.length],
      ...[...group].filter(([field]) => field !== "partitions"),
    ]);
  }
  return {
    kind,
    head: Object.fromEntries(
      [...all].filter(([field]) => !inTables.has(field)).map(([field, value]) => [field, pack(value)]),
    ),
    groups: groupTable.pack(),
    places: places.pack(),
    rows: rows.pack(),
  };
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The fields that are commits or null. */
const commitNames = new Set(["from", "to", "asked", "actual"]);

/** A field of a partition as columns. */
function rowField([name, value]: Fields[number]): Fields {
  if (commitNames.has(name)) return commitFields(name, value);
  if (name !== "points") return [[name, value]];
  const column = (at: number) => packSeries(listOf(value).map((point) => integerOf(listOf(point)[at])));
  return [["points", { i: column(0), offset: column(1), end: column(2) }]];
}

/** A commit as columns: the offset has the name of the field, in `show` where the commit is the whole entry its own. */
function commitFields(name: string, commit: unknown): Fields {
  if (commit === null) return [[name, null]];
  return entriesOf(commit).map(([field, value]) => [field === "offset" ? name : `${name}.${field}`, value]);
}

const integerOf = (value: unknown): bigint | null => {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isInteger(value) ? BigInt(value) : null;
};

/** A value in JSON that no parser rounds. */
function pack(value: unknown): Value {
  if (typeof value === "bigint") return packInteger(value);
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(pack);
  if (!isObject(value)) return null;
  const entries: Entries = Object.fromEntries(entriesOf(value).map(([key, field]) => [key, pack(field)]));
  return entries;
}

/** A table to which rows are added. */
function createTable() {
  const columns = new Map<string, Value[]>();
  let size = 0;
  return {
    /** Adds a row, and returns its number. */
    add(fields: Fields): number {
      for (const [name, value] of fields) {
        let column = columns.get(name);
        if (column === undefined) {
          column = [];
          columns.set(name, column);
        }
        while (column.length < size) column.push(false);
        column.push(pack(value));
      }
      return size++;
    },
    pack(): Table {
      const packed = [...columns].map(([name, column]) => {
        while (column.length < size) column.push(false);
        return [name, packColumn(column)] as const;
      });
      return { size, columns: Object.fromEntries(packed) };
    },
  };
}
