/** A value of a cell. `null` is an empty cell; an empty text is written `""`, so that readers that can tell them apart do. */
export type Cell = string | number | bigint | boolean | null;

/**
 * Writes rows as CSV (RFC 4180): CRLF after each row, and quotes around a cell with a comma, a quote or a line break in it.
 * Texts are written as they are: this is for programs. For people, see `writeSpreadsheet`.
 */
export function writeCsv(rows: Iterable<readonly Cell[]>): string {
  let text = "";
  for (const row of rows) text += `${row.length === 1 && row[0] === null ? '""' : row.map(cellText).join(",")}\r\n`;
  return text;
}

const cellText = (cell: Cell): string =>
  typeof cell !== "string" ? String(cell ?? "") : needsQuotes.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;

/** Spaces at the ends too: some readers cut them off. U+FEFF, because readers take it for a mark at the beginning of a file. */
const needsQuotes = /^$|[",\r\n]|^[\s\uFEFF]|\s$/;

/**
 * Writes rows as CSV in which no text is a formula: spreadsheets calculate cells that begin with `=`, `+`, `-` or `@`, and
 * names come from outside. Such a text gets a `'` before it; numbers stay numbers. `readSpreadsheet` takes the `'` off.
 *
 * That holds for a reader that splits at commas: one that splits at semicolons finds other cells.
 *
 * @see https://owasp.org/www-community/attacks/CSV_Injection
 */
export const writeSpreadsheet = (rows: Iterable<readonly Cell[]>): string => writeCsv(guardedRows(rows));

function* guardedRows(rows: Iterable<readonly Cell[]>): Generator<Cell[]> {
  for (const row of rows)
    yield row.map((cell) => (typeof cell === "string" && isFormula.test(cell) ? `'${cell}` : cell));
}

/** What begins like a formula, with any number of `'` before it: so taking one off undoes adding one, for every text. */
const isFormula = /^'*(?:[\t\r\n]|\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])/;

/** A row of a CSV text, and the number of the line at which it begins. */
export interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

/** A row that is not CSV, the number of the line at which it begins, and what is wrong. */
export interface CsvProblem {
  readonly line: number;
  readonly message: string;
}

/**
 * Reads CSV (RFC 4180). Rows may also end with LF or CR alone; empty lines are left out, and so is a byte order mark. Rows may
 * have different numbers of cells. A row with a problem is not among the rows: reading goes on at the line after the problem.
 */
export function readCsv(text: string): { readonly rows: CsvRow[]; readonly problems: CsvProblem[] } {
  const rows: CsvRow[] = [];
  const problems: CsvProblem[] = [];
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const begin = at;
    const row = rowAt(text, begin);
    if ("message" in row) problems.push({ line, message: row.message });
    else if (row.end > begin) rows.push({ line, cells: row.cells });
    at = afterLineBreak(text, row.end);
    line += countLineBreaks(text, begin, at);
  }
  return { rows, problems };
}

/** The cells of the row that begins here, or the problem with it; `end` is the line break after it, or the end of the text. */
function rowAt(text: string, begin: number): { end: number } & ({ cells: string[] } | { message: string }) {
  const cells: string[] = [];
  for (let at = begin; ; at++) {
    if (text[at] === '"') {
      const close = closingQuote(text, at);
      if (close === undefined) {
        return { end: text.length, message: `the quote at cell ${cells.length + 1} is never closed` };
      }
      cells.push(text.slice(at + 1, close).replaceAll('""', '"'));
      at = close + 1;
    } else {
      const end = find(endOfCell, text, at);
      cells.push(text.slice(at, end));
      at = end;
    }
    if (text[at] === ",") continue;
    if (at < text.length && text[at] !== "\r" && text[at] !== "\n") {
      const where = `cell ${cells.length} has ${text[at] === '"' ? "a quote in a text without quotes" : "a text after its closing quote"}`;
      return { end: find(lineBreak, text, at), message: where };
    }
    return { end: at, cells };
  }
}

/** Where the quote that is opened here is closed. Two quotes in a row are one of the text. */
function closingQuote(text: string, open: number): number | undefined {
  for (let at = text.indexOf('"', open + 1); at !== -1; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at;
  }
  return undefined;
}

const endOfCell = /[",\r\n]/g;
const lineBreak = /\r\n?|\n/g;

/** Where a pattern occurs next, or the end of the text. */
function find(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.exec(text)?.index ?? text.length;
}

const afterLineBreak = (text: string, at: number) => at + (text.startsWith("\r\n", at) ? 2 : 1);

const countLineBreaks = (text: string, from: number, to: number) => text.slice(from, to).match(lineBreak)?.length ?? 0;

/** Reads what `writeSpreadsheet` has written: without the `'` before a text that looks like a formula. */
export function readSpreadsheet(text: string): ReturnType<typeof readCsv> {
  const { rows, problems } = readCsv(text);
  return { rows: rows.map(({ line, cells }) => ({ line, cells: cells.map(unguarded) })), problems };
}

const unguarded = (cell: string) => (cell.startsWith("'") && isFormula.test(cell) ? cell.slice(1) : cell);
