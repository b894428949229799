import { type Cell, writeSpreadsheet } from "../core/csv.ts";
import { type Table, tablesOf } from "./tables.ts";

/**
 * What every row says of the result, where the table has no column of that name: what it is about, and whether it is whole. So
 * a plan that is blocked is not taken for one that would run.
 */
const repeated = [
  "snapshot_id",
  "rollback_id",
  "safety_snapshot_id",
  "from",
  "to",
  "dry_run",
  "status",
  "verified",
  "verification.verified",
  "blockers",
  "errors",
  "left_out",
  "omitted",
];

/**
 * The main table of a result as CSV for a spreadsheet: RFC 4180, and no text is a formula (see `writeSpreadsheet`). Columns
 * have the names of the fields: `from.offset`. Empty cells are `null`: no commit, or unknown.
 *
 * The main table is the points of a history, else the last one with partitions (a recorded rollback has those of its plan
 * before those of its result), else the first one. Behind its columns stand what is said of the group (`group.status`), the ids
 * and the status of the result, and how many blockers and errors it has. A result without tables is one row of its values;
 * lists are their numbers of entries. A group without partitions or points has a row of its own. Warnings and messages are not
 * in it.
 */
export function csvOf(result: unknown): string {
  const { facts, notes, tables } = tablesOf(result);
  const values = new Map<string, Cell>([
    ...facts.map(({ path, value, empty }) => [path, empty ? 0 : value] as const),
    ...notes.map(({ path, lines }) => [path, lines.length] as const),
  ]);
  const main =
    tables.find(({ path }) => path.endsWith(".points")) ??
    tables.findLast(({ path }) => path.endsWith("groups.partitions")) ??
    tables[0];
  if (main === undefined) return writeSpreadsheet([[...values.keys()], [...values.values()]]);
  const ofGroup = groupColumns(main, tables);
  const names = repeated.filter((name) => values.has(name) && !main.columns.includes(name));
  const ofResult = names.map((name) => values.get(name) ?? null);
  const rows = [...main.rows, ...ofGroup.others].map((row) => [
    ...main.columns.map((_, index) => row[index] ?? null),
    ...ofGroup.cells(row[0]),
    ...ofResult,
  ]);
  return writeSpreadsheet([[...main.columns, ...ofGroup.names, ...names], ...rows]);
}

/** What the table of groups says of the group of a row. No figures: in a spreadsheet they would be added up. */
function groupColumns(main: Table, tables: readonly Table[]) {
  const groups = tables.find(
    ({ path }) => main.path === `${path}.partitions` || main.path === `${path}.partitions.points`,
  );
  const picked = (groups?.columns ?? []).flatMap((name, index) =>
    index > 0 && groups?.rows.some((row) => typeof row[index] === "string") ? [{ name: `group.${name}`, index }] : [],
  );
  const byGroup = new Map(groups?.rows.map((row) => [row[0], row]));
  const inMain = new Set(main.rows.map(([group]) => group));
  return {
    /** Rows with nothing but the name, for groups that the main table lacks. */
    others: [...byGroup.keys()].filter((group) => !inMain.has(group)).map((group) => [group]),
    names: picked.map(({ name }) => name),
    cells: (group: Cell | undefined): Cell[] => picked.map(({ index }) => byGroup.get(group)?.[index] ?? null),
  };
}
