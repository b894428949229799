import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

/** Functions of Trino that DuckDB calls otherwise. */
const functions = [
  "CREATE MACRO json_parse(text) AS CAST(text AS JSON)",
  "CREATE MACRO json_extract_scalar(json, path) AS json_extract_string(json, path)",
];

/** Trino's UNNEST makes a map two columns; DuckDB's makes a list one. All else of the queries is the same text in both. */
const translated = (sql: string) =>
  sql.replace(/UNNEST\((\w+)\)/g, "LATERAL (SELECT unnest(map_keys($1)), unnest(map_values($1)))");

/**
 * A DuckDB whose table `bodies` has the bodies of a folder, read as the external table of the stack reads them: a row per
 * line, with one column, since U+0001 separates columns.
 */
export async function duckdbOn(folder: string): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  for (const statement of functions) await connection.run(statement);
  await connection.run(`CREATE VIEW bodies AS SELECT filename AS "$path", line FROM read_csv(
    '${folder}/*.json.gz', columns = {'line': 'VARCHAR'}, delim = '\u0001', quote = '', escape = '', header = false,
    auto_detect = false, compression = 'gzip', max_line_size = 33554432, filename = true)`);
  return connection;
}

/** The rows of a query as lists of their values. */
export async function rowsOf(connection: DuckDBConnection, sql: string, parameters: readonly string[] = []) {
  const reader = await connection.runAndReadAll(translated(sql), [...parameters]);
  return reader.getRows();
}
