import type { Value } from "../island.ts";
import { emojiOrInvisible, hasInvisible } from "../printable.ts";
import { type Child, h } from "./dom.ts";

/** Spaces that do not show as such: at the ends, and before another one. */
const edges = "^ | $| (?= )";
const seldom = new RegExp(`${hasInvisible.source}|${edges}`, "v");
const pieces = new RegExp(`${emojiOrInvisible.source}|${edges}`, "gv");
/** The same for a text that Unicode also writes in another way: its marks show as such. */
const piecesAndMarks = new RegExp(`${pieces.source}|\\p{M}`, "gv");

/** A text in parts: as it is, and the code points of what does not show in it. */
function partsOf(text: string): { readonly text: string; readonly isCode: boolean }[] {
  const isComposed = text === text.normalize("NFC");
  if (isComposed && !seldom.test(text)) return [{ text, isCode: false }];
  const parts: { text: string; isCode: boolean }[] = [];
  let end = 0;
  for (const match of text.matchAll(isComposed ? pieces : piecesAndMarks)) {
    if (match.groups?.emoji !== undefined) continue;
    const [character] = match;
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    parts.push({ text: text.slice(end, match.index), isCode: false }, { text: `U+${code}`, isCode: true });
    end = match.index + character.length;
  }
  return [...parts, { text: text.slice(end), isCode: false }].filter((part) => part.text !== "");
}

/** A text in which such characters are written as `[U+202E]`, for searching and for titles. */
export const plain = (text: string): string =>
  partsOf(text)
    .map((part) => (part.isCode ? `[${part.text}]` : part.text))
    .join("");

/** A text from outside: what does not show in it is written as `U+202E`, and its direction does not leave it. */
export const name = (text: string): HTMLElement =>
  h(
    "bdi",
    {},
    text === ""
      ? h("span", { class: "code" }, "empty text")
      : partsOf(text).map((part) => (part.isCode ? h("span", { class: "code" }, part.text) : part.text)),
  );

/** A sentence from outside. */
export const sentence = (text: string): HTMLElement =>
  h(
    "bdi",
    {},
    text.split("\n").flatMap((line, at) => [at > 0 && h("br"), line !== "" && name(line)]),
  );

/** The digits of an integer, in threes: the gaps are drawn, so that copies of the number have none. */
export function digits(value: number | bigint | string, sign = ""): HTMLElement {
  const [, minus = "", figures = ""] = /^(-?)(.*)$/.exec(String(value)) ?? [];
  const groups: string[] = [];
  for (let end = figures.length; end > 0; end -= 3) groups.unshift(figures.slice(Math.max(0, end - 3), end));
  const [first = "", ...rest] = groups;
  return h(
    "span",
    { class: "number" },
    `${sign}${minus}${first}`,
    rest.map((three) => h("span", {}, three)),
  );
}

/** The same where there can be text only: the gaps are narrow spaces. */
export const spaced = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202F");

/** A number with its sign. */
export const signed = (value: number | bigint): HTMLElement =>
  value < 0 ? digits(-value, "−") : digits(value, value > 0 ? "+" : "");

/** `1 group`, `3 groups`. */
export const count = (n: number | bigint, noun: string): Child => [
  digits(n),
  ` ${noun}${n === 1 || n === 1n ? "" : "s"}`,
];

export const words = (word: string): string => word.replaceAll("_", " ");

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const local = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const zoneName = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

/** A time in UTC, and in the zone of the reader where that is another. */
export function time(value: Value): Child {
  if (typeof value !== "string") return "unknown";
  const at = new Date(value);
  if (Number.isNaN(at.getTime())) return name(value);
  const utc = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const element = (text: string) => h("time", { datetime: at.toISOString() }, text);
  if (at.getTimezoneOffset() === 0 && (zone === "UTC" || zone === undefined)) return element(utc);
  const short = zoneName.formatToParts(at).find(({ type }) => type === "timeZoneName")?.value ?? zone;
  return [element(utc), " ", h("span", { class: "local" }, `= ${local.format(at)} ${short} (${zone})`)];
}

/** Seconds as people say them. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const units: readonly (readonly [number, string])[] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const start = units.findIndex(([length]) => seconds >= length);
  let left = Math.round(seconds);
  return units
    .slice(start, start + 2)
    .map(([length, unit]) => {
      const whole = Math.floor(left / length);
      left -= whole * length;
      return whole > 0 ? `${whole} ${unit}` : "";
    })
    .filter((part) => part !== "")
    .join(" ");
}

/** Any value as text, for fields that this page does not know. */
export const anything = (value: Value): string => (typeof value === "string" ? value : JSON.stringify(value));
