import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A question to the stored snapshots, in SQL for Athena. `?` are its parameters, in the order that the description names. */
export interface Query {
  /** The name of its file: `group-at-time`. */
  readonly name: string;
  readonly description: string;
  readonly sql: string;
}

const folder = join(import.meta.dirname, "queries");
const isComment = (line: string) => line.startsWith("-- ");

/** A file: the comments that it begins with, and its SQL. */
function read(name: string) {
  const lines = readFileSync(join(folder, `${name}.sql`), "utf8")
    .trimEnd()
    .split("\n");
  return {
    description: lines
      .filter(isComment)
      .map((line) => line.slice(3))
      .join(" "),
    sql: lines.filter((line) => !isComment(line)).join("\n"),
  };
}

/** The queries that others read as if they were tables: their names, and their files. */
const tables = [
  ["commits", "commits"],
  ["log_ranges", "log-ranges"],
] as const;

/** A query with those that it reads before it. */
function whole(sql: string): string {
  const used = tables.filter(([table]) => new RegExp(`(FROM|JOIN) ${table}\\b`).test(sql));
  const parts = used.map(([table, file]) => `${table} AS (\n${read(file).sql}\n)`);
  return parts.length === 0 ? sql : `WITH ${parts.join(",\n")}\n${sql}`;
}

/**
 * The queries of `queries/`: each is whole, and reads only the table `bodies`, which has a line of JSON per body. Tests run them
 * on DuckDB, with a small translation (test/support/duckdb.ts), and as they are on Trino, of which Athena is made.
 */
export const queries: readonly Query[] = readdirSync(folder)
  .filter((file) => file.endsWith(".sql"))
  .sort()
  .map((file) => {
    const name = file.slice(0, -".sql".length);
    const { description, sql } = read(name);
    return { name, description, sql: whole(sql) };
  });
