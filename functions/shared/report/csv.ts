import { type Cell, writeSpreadsheet } from "../core/csv.ts";
import { type Table, tablesOf } from "./tables.ts";

/** Facts that every row gets, where the table has no column of that name: what it is about, and whether it is whole. */
const repeated = ["snapshot_id", "rollback_id", "safety_snapshot_id", "from", "to", "dry_run", "status", "verified"];

/**
 * The main table of a result as CSV for a spreadsheet: RFC 4180, and no text is a formula (see `writeSpreadsheet`). Columns
 * have the names of the fields: `from.offset`. Empty cells are `null`: no commit, or unknown.
 *
 * The main table is the points of a history, else the first one with partitions, else the first one. Behind its columns
 * stand what is said of the group (`group.status`), and the ids and the status of the result. A result without tables is one
 * row of its values; lists are their numbers of entries. Warnings are not in it.
 */
export function csvOf(result: unknown): string {
  const { facts, notes, tables } = tablesOf(result);
  const main =
    tables.find(({ path }) => path.endsWith(".points")) ??
    tables.find(({ path }) => path.endsWith("groups.partitions")) ??
    tables[0];
  if (main === undefined) {
    const row = [
      ...facts.map(({ path, value, empty }) => ({ path, value: empty ? 0 : value })),
      ...notes.map(({ path, lines }) => ({ path, value: lines.length })),
    ];
    return writeSpreadsheet([row.map(({ path }) => path), row.map(({ value }) => value)]);
  }
  const ofGroup = groupColumns(main, tables);
  const ofResult = facts.filter(({ path }) => repeated.includes(path) && !main.columns.includes(path));
  const values = ofResult.map(({ value }) => value);
  const rows = main.rows.map((row) => [...row.map((cell) => cell ?? null), ...ofGroup.cells(row[0]), ...values]);
  return writeSpreadsheet([[...main.columns, ...ofGroup.names, ...ofResult.map(({ path }) => path)], ...rows]);
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
  return {
    names: picked.map(({ name }) => name),
    cells: (group: Cell | undefined): Cell[] => picked.map(({ index }) => byGroup.get(group)?.[index] ?? null),
  };
}
