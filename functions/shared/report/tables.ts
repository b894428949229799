import type { Cell } from "../core/csv.ts";
import { compareCodePoints } from "../core/json/code-points.ts";
import { entriesOf } from "../core/json/json.ts";
import { splitTopicPartition } from "../core/model.ts";

/** One value, by its path in the result: `totals.replayed`. */
export interface Fact {
  readonly path: string;
  readonly value: Cell;
  /** It says that something failed, is missing or is blocked. */
  readonly alarm: boolean;
  /** It is a list or a map without entries; its value is `none`. */
  readonly empty?: true;
}

/** Sentences: warnings, and what has a message. */
export interface Notes {
  readonly path: string;
  readonly lines: readonly string[];
  readonly alarm: boolean;
}

/** The entries of a list or a map. */
export interface Table {
  readonly path: string;
  /** Those that say which row it is come first: `keys` of them. The others are in the order of the result. */
  readonly columns: readonly string[];
  readonly keys: number;
  /** A row has a cell per column. `undefined`: the result does not have it; `null`: no commit, or unknown. */
  readonly rows: readonly (readonly (Cell | undefined)[])[];
  readonly alarm: boolean;
  /** The numbers of the rows that have an alarm. */
  readonly alarms: ReadonlySet<number>;
}

/** A result for people. */
export interface Tables {
  readonly facts: readonly Fact[];
  readonly notes: readonly Notes[];
  readonly tables: readonly Table[];
}

/**
 * The values, sentences and tables of a result of any operation. All follows from the form of the result, so that a new field
 * needs no code:
 *
 * - Single values are facts, by path; so are lists of words, empty lists (`none`) and maps of counts.
 * - Lists of sentences are notes, and so are lists of objects that have a `message`.
 * - Lists of objects are tables. Objects in a cell become columns: `from.offset`, `from.metadata`.
 * - Labels are one value: `env=prod, team=orders`.
 * - Maps by names from outside, such as `groups` and `partitions`, are tables with a column for their names. `orders-0` becomes
 *   two columns. A group without partitions has a row of its own.
 *
 * Two fields are only understood together with another one: commits get the log's ends and the lag from `observed`, which is
 * then left out, and the points of a history get the snapshots that they count.
 *
 * @param result a result as its function returns it, or as `parseJson` reads it
 */
export function tablesOf(result: unknown): Tables {
  const facts: Fact[] = [];
  const notes: Notes[] = [];
  const collected = new Map<string, Collected>();
  const root = new Map(entriesOf(result));
  const logs =
    root.has("consumer_groups") && root.has("observed") ? logsIn(fieldOf(root.get("observed"), "topics")) : undefined;
  const snapshots = root.get("snapshots");

  const addFact = (path: string, value: Cell) => facts.push({ path, value, alarm: isAlarm(path, value) });

  const add = (path: string, value: unknown): void => {
    if (value === undefined || (path === "observed.topics" && logs !== undefined)) return;
    if (isCell(value)) addFact(path, value);
    else if (lastOf(path) === "labels") addFact(path, labelsText(value));
    else if (isList(value)) addList(path, value, []);
    else addObject(path, entriesOf(value));
  };

  const addObject = (path: string, entries: readonly Entry[]): void => {
    const counts = entries.filter((entry): entry is [string, number | bigint] => isNumber(entry[1]));
    if (entries.length === 0) facts.push({ path, value: "none", alarm: false, empty: true });
    else if (columnsOfMap.has(lastOf(path))) addMap(path, entries, []);
    else if (path !== "" && counts.length === entries.length) {
      const some = counts.filter(([, n]) => Number(n) !== 0);
      const value = some.length === 0 ? "none" : some.map(([name, n]) => `${name} ${n}`).join(", ");
      facts.push({ path, value, alarm: some.length > 0 && isAlarm(path, value) });
    } else {
      const isFormer = ([name, value]: Entry) =>
        name === "skipped" && isList(value) && entries.some(([other]) => other === "left_out");
      for (const entry of entries.filter((entry) => !isFormer(entry))) {
        add(path === "" ? entry[0] : `${path}.${entry[0]}`, entry[1]);
      }
    }
  };

  const addList = (path: string, list: readonly unknown[], keys: readonly Entry[]): void => {
    const objects = list.map(entriesOf);
    if (list.length === 0) facts.push({ path, value: "none", alarm: false, empty: true });
    else if (list.some((entry) => isCell(entry))) {
      const words = list.map(wordOf);
      if (lastOf(path) === "warnings" || words.some((word) => word.includes(" "))) addNotes(path, words);
      else addFact(path, words.join(", "));
    } else if (keys.length === 0 && objects.every((entries) => entries.some(([name]) => name === "message"))) {
      addNotes(path, objects.map(sentenceOf));
    } else {
      for (const [index, entry] of list.entries()) {
        const entries = objects[index] ?? [];
        addRow(path, keys, entries.length > 0 ? entries : [["value", entry]]);
      }
    }
  };

  const addNotes = (path: string, lines: readonly string[]) =>
    notes.push({ path, lines, alarm: isAlarm(path, lines.length) || leftOut.has(lastOf(path)) });

  /** The rows of a map by names; what its entries have in lists and maps becomes tables of its own. */
  const addMap = (path: string, entries: readonly Entry[], above: readonly Entry[]): void => {
    for (const [keys, value] of inOrder(lastOf(path), entries, above)) {
      const own: Entry[] = isCell(value) && value !== null ? [["value", value]] : [];
      const parts: Entry[] = [];
      for (const [name, field] of entriesOf(value)) {
        const isPart = isList(field) ? field.some((entry) => !isCell(entry)) : columnsOfMap.has(name) && !isCell(field);
        if (isPart) parts.push([name, field]);
        if (!isPart) own.push([name, field]);
        else if (name === "points" && isList(field)) own.push([name, field.length]);
      }
      if (path === "consumer_groups.partitions" && logs !== undefined) own.push(...lagFields(keys, own, logs));
      addRow(path, keys, own, value === null);
      for (const [name, field] of parts) {
        const inner = `${path}.${name}`;
        if (!isList(field)) {
          if (entriesOf(field).length === 0) addRow(inner, keys, []);
          else addMap(inner, entriesOf(field), keys);
        } else if (name !== "points") addList(inner, field, keys);
        else for (const point of field) addRow(inner, keys, pointFields(point, snapshots));
      }
    }
  };

  const addRow = (path: string, keys: readonly Entry[], fields: readonly Entry[], unknown = false): void => {
    const table: Collected = collected.get(path) ?? { columns: [], known: new Set(), keys: 0, rows: [] };
    collected.set(path, table);
    table.keys = Math.max(table.keys, keys.length);
    const cells = new Map<string, Cell | undefined>();
    for (const [name, value] of [...keys, ...fields]) flatten(name, value, cells);
    let at = 0;
    for (const name of cells.keys()) {
      if (!table.known.has(name)) {
        table.known.add(name);
        table.columns.splice(at, 0, name);
        at++;
      } else if (table.columns[at] === name) at++;
      else at = table.columns.indexOf(name) + 1;
    }
    table.rows.push({ cells, unknown });
  };

  addObject("", [...root]);
  const isSeries = [...collected.keys()].some((path) => lastOf(path) === "points");
  const tables: Table[] = [];
  for (const [path, table] of collected) {
    if (isSeries && path === "snapshots") addFact(path, rangeOf(table));
    else if (table.columns.length > table.keys || !hasParts(path, collected)) tables.push(tableOf(path, table));
  }
  return { facts, notes, tables };
}

type Entry = readonly [string, unknown];

/** The rows of a table while it grows. `unknown`: its entry is null, so that all its cells are. */
interface Collected {
  readonly columns: string[];
  readonly known: Set<string>;
  /** The most that a row has: that of a group without partitions has fewer. */
  keys: number;
  readonly rows: { readonly cells: ReadonlyMap<string, Cell | undefined>; readonly unknown: boolean }[];
}

/** Maps by names from outside, and the columns of these names. */
const columnsOfMap: ReadonlyMap<string, readonly string[]> = new Map([
  ["groups", ["group"]],
  ["consumer_groups", ["group"]],
  ["topics", ["topic"]],
  ["partitions", ["topic", "partition"]],
  ["topic_ids", ["topic"]],
  ["leader_epochs", ["topic", "partition"]],
  ["group_map", ["group"]],
]);

/** What is a commit, so that `null` is no commit. */
const commitFields: ReadonlySet<string> = new Set(["from", "to", "asked", "actual", "expected", "commit"]);

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const isNumber = (value: unknown): value is number | bigint => typeof value === "number" || typeof value === "bigint";
const isCell = (value: unknown): value is Cell =>
  value === null || isNumber(value) || typeof value === "string" || typeof value === "boolean";

const lastOf = (path: string) => path.slice(path.lastIndexOf(".") + 1);

const fieldOf = (value: unknown, name: string): unknown => new Map(entriesOf(value)).get(name);

/** The entries of a map with the cells that say which one it is; partitions in the order of their numbers. */
function inOrder(kind: string, entries: readonly Entry[], above: readonly Entry[]): [readonly Entry[], unknown][] {
  const [column = "name", ...rest] = columnsOfMap.get(kind) ?? [];
  if (rest.length === 0) {
    return entries.map(([name, value]) => [[...above, [column, name]], value]);
  }
  const withTopic = above.some(([column]) => column === "topic");
  const placed = entries.map(([name, value]) => {
    const { topic, partition } = withTopic
      ? { topic: "", partition: /^\d{1,10}$/.test(name) ? Number(name) : name }
      : (splitTopicPartition(name) ?? { topic: name, partition: null });
    return { topic, partition, value };
  });
  placed.sort((a, b) => compareCodePoints(a.topic, b.topic) || Number(a.partition) - Number(b.partition));
  return placed.map(({ topic, partition, value }) => [
    [...above, ...(withTopic ? [] : [["topic", topic] as const]), ["partition", partition]],
    value,
  ]);
}

/** A field as cells: those of an object by their paths. */
function flatten(name: string, value: unknown, cells: Map<string, Cell | undefined>): void {
  if (value === undefined) return;
  if (value === null && commitFields.has(name)) cells.set(`${name}.offset`, null);
  else if (isCell(value)) cells.set(name, value);
  else if (isList(value)) cells.set(name, value.map(wordOf).join(", "));
  else if (name === "labels") cells.set(name, labelsText(value));
  else for (const [inner, part] of entriesOf(value)) flatten(`${name}.${inner}`, part, cells);
}

/** Labels in one text. Their keys are from outside: none is a field with a meaning. */
const labelsText = (labels: unknown) =>
  entriesOf(labels)
    .map(([key, value]) => `${key}=${/^[\p{L}\p{N}._/:@-]+$/u.test(String(value)) ? value : JSON.stringify(value)}`)
    .join(", ");

/** An entry of a list that is shown in one cell; an object in words: `name b*`. */
const wordOf = (value: unknown) => {
  if (isCell(value)) return String(value);
  const cells = new Map<string, Cell | undefined>();
  for (const [name, part] of entriesOf(value)) flatten(name, part, cells);
  return [...cells].map(([name, cell]) => `${name} ${cell}`).join(" ");
};

/** A thing with a message: what it is, what the message does not name yet, and the message. */
function sentenceOf(entries: readonly Entry[]): string {
  const { kind, error, group, topic, partition, message, ...rest } = Object.fromEntries(entries);
  const text = String(message);
  const words = new Set(text.split(/[^\p{L}\p{N}._-]+/u).map((word) => word.replace(/[.]+$/, "")));
  const named = (name: unknown) => words.has(String(name)) || text.includes(JSON.stringify(name));
  const whole = named(`${topic}-${partition}`);
  const parts = [kind, error].filter((part) => part !== undefined).map((part) => `[${part}] `);
  for (const [name, value] of Object.entries({ group, ...(!whole && { topic, partition }) })) {
    if (value !== undefined && !named(value)) parts.push(`${name} ${value}: `);
  }
  const more = Object.entries(rest).filter(
    ([name, value]) => value !== null && isCell(value) && !commitFields.has(name),
  );
  return `${more.map(([name, value]) => `${name} ${value}: `).join("")}${parts.join("")}${text}`;
}

/** The logs of topics, by topic and partition. */
type Logs = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

const logsIn = (topics: unknown): Logs =>
  new Map(entriesOf(topics).map(([topic, found]) => [topic, new Map(entriesOf(fieldOf(found, "partitions")))]));

/** The ends of the log when the commit was captured, and how far it is from the end. */
function lagFields(keys: readonly Entry[], commit: readonly Entry[], logs: Logs): Entry[] {
  const place = new Map(keys);
  const log = logs.get(String(place.get("topic")))?.get(String(place.get("partition")));
  const { log_start_offset: start = null, log_end_offset: end = null } = Object.fromEntries(entriesOf(log));
  const offset = new Map(commit).get("offset");
  const lag = isNumber(end) && isNumber(offset) ? BigInt(end) - BigInt(offset) : null;
  return Object.entries({ lag, log_start_offset: start, log_end_offset: end });
}

/** `[i, offset, log_end_offset]` of a history: the i-th snapshot, and what it has. */
function pointFields(point: unknown, snapshots: unknown): Entry[] {
  const [index, offset, log_end_offset] = isList(point) ? point : [];
  const snapshot = isList(snapshots) && isNumber(index) ? entriesOf(snapshots[Number(index)]) : [];
  return [...snapshot, ...Object.entries({ offset, log_end_offset })];
}

/** `120, from snapshot-… to snapshot-…`. */
function rangeOf({ rows }: Collected): string {
  const [first, last] = [rows[0], rows.at(-1)].map((row) => String(row?.cells.values().next().value));
  return rows.length === 1 ? `1, ${first}` : `${rows.length}, from ${first} to ${last}`;
}

/** Whether the entries of a map are shown by what they have. */
const hasParts = (path: string, tables: ReadonlyMap<string, unknown>) =>
  [...tables.keys()].some((other) => other.startsWith(`${path}.`));

/** Columns that say which row it is, wherever they stand in a list. */
const places = ["group", "topic", "partition"];

function tableOf(path: string, { columns, keys, rows }: Collected): Table {
  const first = places.filter((name) => columns.includes(name));
  const inOrder = keys > 0 || first.length === 0 ? columns : [...new Set([...first, ...columns])];
  const alarms = new Set<number>();
  const cells = rows.map((row, index) =>
    inOrder.map((column) => {
      const cell = row.cells.get(column) ?? (row.unknown || row.cells.has(column) ? null : undefined);
      if (cell !== undefined && isAlarm(column, cell)) alarms.add(index);
      return cell;
    }),
  );
  const alarm = isAlarm(path, rows.length);
  return { path, columns: inOrder, keys: keys || Math.max(first.length, 1), rows: cells, alarm, alarms };
}

/** Fields that say, where they are not empty, that something failed, is missing or is blocked. */
const problems = new Set([
  "blockers",
  "error",
  "errors",
  "failed_groups",
  "mismatches",
  "omitted",
  "problems",
  "result_error",
  "unlisted",
  "unreadable",
]);

/** Lists of sentences about what was not done. */
const leftOut = new Set(["left_out", "skipped"]);

/** Words after which nothing needs to be done. Any other word of a status or an outcome is an alarm, also a new one. */
const good = new Set([
  "complete",
  "success",
  "running",
  "superseded",
  "restored",
  "unchanged",
  "deleted",
  "skipped",
  "ok",
]);

/** Counts that say, where they are 0, that a snapshot or a plan is about nothing. */
const mustNotBeZero = new Set(["groups", "partitions", "offsets"]);

function isAlarm(path: string, value: Cell): boolean {
  const name = lastOf(path);
  if (value === null || value === "") return false;
  if (name === "status" || name === "outcome") return !good.has(String(value).toLowerCase());
  if (name === "verified") return value === false;
  if (name === "in_doubt") return value === true;
  if (name.endsWith("_failed")) return Number(value) !== 0;
  // In a table it is one column for each number, elsewhere one text of those that are not 0.
  if (name === "at_risk") return /^(partitions|groups) /.test(String(value));
  if (path.split(".").includes("at_risk")) return name !== "unknown" && Number(value) !== 0;
  if (mustNotBeZero.has(name) && value === 0) return true;
  return path.split(".").some((part) => problems.has(part));
}
