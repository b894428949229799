import type { Cell } from "../core/csv.ts";
import { broken, widthOf } from "./lines.ts";
import { printableName, printableText } from "./printable.ts";
import type { Table } from "./tables.ts";

/** A column of a table with its texts, and how wide it is. */
export interface Column {
  readonly name: string;
  readonly isKey: boolean;
  readonly isNumber: boolean;
  readonly texts: readonly string[];
  /** The widest text. */
  readonly natural: number;
  /** The widest part of its name that is not broken, and the width of all of it. */
  readonly head: number;
  readonly fullHead: number;
}

/** A column with the width that it gets. */
export interface Fitted extends Column {
  readonly width: number;
}

/** How a table is shown: keys as headings above their rows, columns that are the same in every row, and the others. */
export interface Layout {
  readonly headings: readonly Column[];
  readonly same: readonly Column[];
  readonly columns: readonly Fitted[];
  /** What stands in a line of its own below each row. */
  readonly below: readonly Column[];
}

/** Between two columns. */
export const GAP = 2;
/** The narrowest column of broken texts. */
const NARROW = 12;
/** `rollback-2025-01-15T11:00:00Z-1f0c9a2b`. */
const LONGEST_ID = 40;

/** The parts of a name that stay whole: `from.`, `leader_`, `epoch`. */
const headParts = (name: string): string[] => name.match(/[^._]*[._]|[^._]+/g) ?? [name];

/** A name in lines of at most this width, broken between its parts. */
export function headLines(name: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of headParts(printableText(name))) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(last + part) <= width) lines[lines.length - 1] = last + part;
    else lines.push(part);
  }
  return lines.flatMap((line) => broken(line, width));
}

/** The columns of a table that have something in them. */
export function columnsOf({ columns, keys, rows }: Table): Column[] {
  return columns.flatMap((name, index) => {
    const isKey = index < keys;
    const cells = rows.map((row) => row[index]);
    if (!isKey && cells.every((cell) => cell === undefined || cell === "")) return [];
    const isNumber = cells.every((cell) => cell == null || typeof cell === "number" || typeof cell === "bigint");
    const textOfCell = remembered((cell: Cell | undefined) => cellText(cell, isKey));
    const texts = cells.map(textOfCell);
    const shown = printableText(name);
    return {
      name,
      isKey,
      isNumber,
      texts,
      natural: texts.reduce((most, text) => Math.max(most, widthOf(text)), 0),
      head: Math.max(...headParts(shown).map(widthOf)),
      fullHead: widthOf(shown),
    };
  });
}

/** The same names are in many rows. */
function remembered<From, To>(make: (from: From) => To): (from: From) => To {
  const known = new Map<From, To>();
  return (from) => {
    const made = known.get(from) ?? make(from);
    known.set(from, made);
    return made;
  };
}

function cellText(cell: Cell | undefined, isKey: boolean): string {
  if (cell === undefined) return "";
  if (cell === null) return "-";
  return typeof cell === "string" && (isKey || cell !== "") ? printableName(cell) : String(cell);
}

/** The first way in which a table fits, or undefined where only a list of its values does. */
export function layoutOf(columns: readonly Column[], width: number): Layout | undefined {
  const whole = columns.map((column) => ({ ...column, width: Math.max(column.natural, column.fullHead) }));
  if (total(whole) <= width) return { headings: [], same: [], columns: whole, below: [] };
  const keys = columns.filter(({ isKey }) => isKey);
  const above = keys.slice(0, -1);
  return (
    withoutSame(columns, [], width) ??
    withoutSame(columns.slice(above.length), above, width) ??
    withBelow(columns.slice(above.length), above, width)
  );
}

const isSame = ({ texts }: Column) => texts.every((text) => text === texts[0]);
const isEpoch = ({ name }: Column) => name.endsWith("leader_epoch");

/** Whether the name of the row repeats a column of times, as an id does. Other texts in a name mean something else. */
const isInKey =
  ([key]: readonly Column[]) =>
  ({ texts }: Column) =>
    texts.every((text, row) => /^\d{4}-\d\d-\d\dT/.test(text) && key?.texts[row]?.includes(text));

/**
 * Columns are taken out one by one until the others fit: first leader epochs that are the same in every row; then what the
 * name of the row repeats (`created_at` of a snapshot, whose id has it); then others that are the same in every row.
 */
function withoutSame(columns: readonly Column[], headings: readonly Column[], width: number): Layout | undefined {
  const fields = columns.filter(({ isKey }) => !isKey);
  const epochs = fields.filter((column) => isSame(column) && isEpoch(column));
  const inKey = fields.filter(isInKey(columns));
  const others = columns[0]?.texts.length === 1 ? [] : fields.filter(isSame).reverse();
  const out = new Set<Column>();
  const attempt = (mayBreak: boolean) => {
    const fitted = fittedIn(columns, out, width, mayBreak);
    const same = columns.filter((column) => out.has(column) && !inKey.includes(column));
    return fitted && { headings, same, columns: fitted, below: [] };
  };
  const without = (column: Column, mayBreak: boolean) => {
    out.add(column);
    return attempt(mayBreak);
  };
  let found = attempt(false);
  for (const column of [...epochs, ...inKey]) found ??= without(column, false);
  found ??= attempt(true);
  for (const column of others) found ??= without(column, true);
  return found;
}

/**
 * Columns get a line of their own below each row, one by one until the others fit: epochs and metadata, then long texts, then
 * from the right. What the name of the row repeats is left out.
 */
function withBelow(all: readonly Column[], headings: readonly Column[], width: number): Layout | undefined {
  const columns = all.filter((column) => column.isKey || !isInKey(all)(column));
  const fields = columns.filter(({ isKey }) => !isKey).reverse();
  const isMinor = (column: Column) => isEpoch(column) || column.name.endsWith("metadata");
  const isLong = ({ natural }: Column) => natural > LONGEST_ID;
  const out = new Set<Column>();
  for (const column of new Set([...fields.filter(isMinor), ...fields.filter(isLong), ...fields])) {
    out.add(column);
    const fitted = fittedIn(columns, out, width, false);
    if (fitted === undefined) continue;
    const others = columns.filter((column) => out.has(column));
    const isOnce = (column: Column) => column.texts.length > 1 && isSame(column);
    return {
      headings,
      same: others.filter(isOnce),
      columns: fitted,
      below: others.filter((column) => !isOnce(column)),
    };
  }
  return undefined;
}

/** The widths of the columns that are not out, if they fit and there is more than names of rows. */
function fittedIn(
  columns: readonly Column[],
  out: ReadonlySet<Column>,
  width: number,
  mayBreak: boolean,
): readonly Fitted[] | undefined {
  const rest = columns.filter((column) => !out.has(column));
  if (rest.every(({ isKey }) => isKey)) return undefined;
  const wide = rest.map((column) => ({ ...column, width: Math.max(column.natural, column.head) }));
  return total(wide) <= width ? wide : mayBreak ? withBroken(wide, width) : undefined;
}

/** Columns of texts get what the others leave: the widest gives first. Words up to the length of an id stay whole. */
function withBroken(columns: readonly Fitted[], width: number): readonly Fitted[] | undefined {
  const widths = columns.map((column) => column.width);
  const least = columns.map(({ isKey, isNumber, head, width, texts }) =>
    isKey || isNumber ? width : Math.min(width, Math.max(NARROW, head, longestWord(texts))),
  );
  let over = total(columns) - width;
  while (over > 0) {
    const spare = widths.map((width, index) => width - (least[index] ?? width));
    const most = Math.max(...spare);
    if (most <= 0) return undefined;
    const widest = spare.indexOf(most);
    const cut = Math.min(over, Math.ceil(most / 4));
    widths[widest] = (widths[widest] ?? 0) - cut;
    over -= cut;
  }
  return columns.map((column, index) => ({ ...column, width: widths[index] ?? column.width }));
}

const longestWord = (texts: readonly string[]) =>
  texts.reduce((most, text) => {
    const longest = Math.max(...text.split(" ").map(widthOf));
    return longest <= LONGEST_ID ? Math.max(most, longest) : most;
  }, 0);

const total = (columns: readonly Fitted[]) => columns.reduce((sum, { width }) => sum + width + GAP, -GAP);
