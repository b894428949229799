import type { Cell } from "../core/csv.ts";
import { type Column, columnsOf, type Fitted, GAP, headLines, type Layout, layoutOf } from "./layout.ts";
import { broken, flowing, widthOf, wrapped } from "./lines.ts";
import { printableName, printableText } from "./printable.ts";
import { type Table, tablesOf } from "./tables.ts";

/** How a text is to look: `width` in columns of the terminal, at least 20. Colour repeats what `!` says. */
export interface Look {
  readonly width: number;
  readonly color: boolean;
}

/**
 * A result of any operation as lines for a terminal, none wider than `width`. What failed, is missing or is blocked comes
 * first, with `!` before it; rows of tables with such a value have a `!` too. Long texts end with a line that repeats it.
 *
 * Nothing is cut off. A table that is too wide is changed in this order until it fits: long column names are broken; columns
 * with the same value in every row are named once above it; long texts are broken; group and topic become headings; some
 * columns get a line of their own below the row; each row becomes a list of its values.
 *
 * @param result a result as its function returns it, or as `parseJson` reads it
 */
export function textOf(result: unknown, { width, color }: Look): string {
  const { facts, notes, tables } = tablesOf(result);
  const page = new Page(Math.max(20, Math.floor(width)), color);
  const shown = tables.filter(({ path }) => !path.endsWith(".points"));
  for (const alarm of [true, false]) {
    for (const fact of facts.filter((fact) => fact.alarm === alarm)) {
      page.line(`${printableText(fact.path)}: ${factText(fact.value)}`, alarm);
    }
    for (const { path, alarms, rows } of alarm ? shown.filter((table) => !table.alarm) : []) {
      if (alarms.size > 0) page.line(`${printableText(path)}: "!" in ${alarms.size} of ${rows.length} rows`, alarm);
    }
    for (const { path, lines } of notes.filter((notes) => notes.alarm === alarm)) {
      page.line(`${printableText(path)}: ${lines.length}`, alarm);
      for (const line of lines) page.line(`- ${printableText(line)}`, alarm, alarm ? 4 : 2);
    }
    for (const table of shown.filter((table) => table.alarm === alarm)) page.table(table);
  }
  const alarms = [
    ...facts.flatMap(({ path, value, alarm }) => (alarm ? `${path} ${value}` : [])),
    ...notes.flatMap(({ path, lines, alarm }) => (alarm ? `${path} ${lines.length}` : [])),
    ...shown.flatMap(({ path, rows, alarm, alarms }) =>
      alarm || alarms.size > 0 ? `${path} ${alarm ? rows.length : alarms.size}` : [],
    ),
  ];
  if (page.lines.length > LONG && alarms.length > 0)
    page.line(`see the top: ${printableText(alarms.join(", "))}`, true);
  return `${page.lines.join("\n")}\n`;
}

/** A text of more lines has its top out of sight when it ends. */
const LONG = 40;

const factText = (value: Cell) =>
  value === null ? "-" : typeof value === "string" ? printableName(value) : `${value}`;

/** Before each row: `! ` or two spaces. */
const MARGIN = 2;

class Page {
  readonly lines: string[] = [];
  readonly #width: number;
  readonly #color: boolean;
  #inTable = false;

  constructor(width: number, color: boolean) {
    this.#width = width;
    this.#color = color;
  }

  /** A sentence, broken between words where it can be; the further lines are indented. */
  line(text: string, alarm = false, indent = 2): void {
    if (this.#inTable) this.#add("");
    this.#inTable = false;
    for (const part of wrapped(alarm ? `! ${text}` : text, this.#width, indent))
      this.#add(part, alarm ? "alarm" : undefined);
  }

  table(table: Table): void {
    const { path, rows, alarm, alarms } = table;
    const title = `${printableText(path)} (${rows.length} ${rows.length === 1 ? "row" : "rows"})`;
    if (this.lines.length > 0) this.#add("");
    this.#inTable = true;
    for (const part of wrapped(alarm ? `! ${title}` : title, this.#width, 2))
      this.#add(part, alarm ? "alarm" : "title");
    const columns = columnsOf(table);
    const layout = layoutOf(columns, this.#width - MARGIN);
    const isMarked = (row: number) => !alarm && alarms.has(row);
    if (layout === undefined) this.#records(columns, rows.length, isMarked);
    else this.#grid(layout, rows.length, isMarked);
  }

  #grid({ headings, same, columns, below }: Layout, rows: number, isMarked: (row: number) => boolean): void {
    if (same.length > 0) {
      this.#add("  in every row:");
      for (const part of flowing(named(same, 0), this.#width - 4)) this.#add(`    ${part}`);
    }
    const heads = columns.map(({ name, width }) => headLines(name, width));
    const height = Math.max(...heads.map(({ length }) => length));
    const head = heads.map((lines) => [...Array<string>(height - lines.length).fill(""), ...lines]);
    for (let i = 0; i < height; i++) this.#cells("  ", columns, head, i, "title");
    let heading = "";
    for (let row = 0; row < rows; row++) {
      const next = named(headings, row);
      if (next.join() !== heading) for (const part of flowing(next, this.#width)) this.#add(part, "title");
      heading = next.join();
      const style = isMarked(row) ? "alarm" : undefined;
      const cells = columns.map(({ texts, width }) => broken(texts[row] ?? "", width));
      const most = cells.reduce((most, { length }) => Math.max(most, length), 1);
      for (let i = 0; i < most; i++) this.#cells(style && i === 0 ? "! " : "  ", columns, cells, i, style);
      for (const part of flowing(named(below, row), this.#width - 4)) this.#add(`    ${part}`, style);
    }
  }

  /** One line of a row. */
  #cells(
    margin: string,
    columns: readonly Fitted[],
    cells: readonly (readonly string[])[],
    line: number,
    style?: Style,
  ): void {
    const padded = columns.map(({ width, isNumber }, column) => {
      const text = cells[column]?.[line] ?? "";
      const space = " ".repeat(Math.max(0, width - widthOf(text)));
      return isNumber ? space + text : text + space;
    });
    this.#add(`${margin}${padded.join(" ".repeat(GAP)).trimEnd() || "none"}`, style);
  }

  #records(columns: readonly Column[], rows: number, isMarked: (row: number) => boolean): void {
    const keys = columns.filter(({ isKey }) => isKey);
    const fields = columns.filter(({ isKey }) => !isKey);
    for (let row = 0; row < rows; row++) {
      const style = isMarked(row) ? "alarm" : undefined;
      if (row > 0) this.#add("");
      for (const [index, text] of named(keys, row).entries()) {
        for (const part of wrapped((style && index === 0 ? "! " : "  ") + text, this.#width, 6)) this.#add(part, style);
      }
      for (const text of named(fields, row)) {
        for (const part of wrapped(`    ${text}`, this.#width, 6)) this.#add(part, style);
      }
    }
  }

  #add(text: string, style?: Style): void {
    this.lines.push(this.#color && style !== undefined && text !== "" ? `${styles[style]}${text}\u001B[0m` : text);
  }
}

type Style = "alarm" | "title";
const styles: Readonly<Record<Style, string>> = { alarm: "\u001B[1;31m", title: "\u001B[1m" };

/** `offset: 17`: what a row has in these columns. */
const named = (columns: readonly Column[], row: number): string[] =>
  columns.flatMap(({ name, texts }) => (texts[row] ? [`${printableText(name)}: ${texts[row]}`] : []));
