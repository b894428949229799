import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";

/** Texts one after another, in lines of at most this width. Only a text that is wider than a line is broken. */
export function flowing(texts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const text of texts) {
    const last = lines.at(-1);
    const joined = last === undefined ? text : `${last}  ${text}`;
    if (last !== undefined && widthOf(joined) <= width) lines[lines.length - 1] = joined;
    else lines.push(...wrapped(text, width, 2));
  }
  return lines;
}

/** How many columns of a terminal a text has. Printable ASCII, of which most texts are, has one per character. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  if (widths.size > 10_000) widths.clear();
  const width = widths.get(text) ?? stringWidth(text);
  widths.set(text, width);
  return width;
}

/** The same names are in many rows. */
const widths = new Map<string, number>();

/** A text in lines of at most this width, all but the first with an indent. */
export function wrapped(text: string, width: number, indent: number): string[] {
  if (widthOf(text) <= width) return [text];
  const own = /^ */.exec(text)?.[0] ?? "";
  const [first = "", ...rest] = wrapAnsi(text.slice(own.length), width - Math.max(indent, own.length), {
    hard: true,
  }).split("\n");
  return [own + first, ...rest.map((line) => " ".repeat(indent) + line)];
}

/** A text of a cell in lines of at most this width. */
export const broken = (text: string, width: number): string[] =>
  widthOf(text) <= width ? [text] : wrapAnsi(text, width, { hard: true }).split("\n");
