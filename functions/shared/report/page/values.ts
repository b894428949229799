import type { Entries, Value } from "../island.ts";
import { type Exact, exactOf, isEntries, listOf, type Sum } from "./data.ts";
import { type Child, h } from "./dom.ts";
import { anything, count, digits, name, sentence, signed, words } from "./text.ts";

export const unknown = () => h("span", { class: "unknown" }, "unknown");
export const none = () => h("span", { class: "none" }, "none");
export const number = (value: Exact | undefined): Child => (value === undefined ? unknown() : digits(value));

/** A distance: below 0 with a minus. */
export const distance = (value: Exact | undefined): Child =>
  value !== undefined && value < 0 ? signed(value) : number(value);

export const sum = ({ known, knownParts, unknownParts }: Sum): Child => {
  if (knownParts === 0) return unknownParts === 0 ? none() : unknown();
  if (unknownParts === 0) return known < 0n ? signed(known) : digits(known);
  return ["≥ ", digits(known), h("span", { class: "aside" }, ` (${unknownParts} unknown)`)];
};

/** A commit's offset: null is no commit, and a field that is absent is unknown. */
export const offset = (value: Value): Child => (value === null ? none() : number(exactOf(value)));

export const label = (field: string) =>
  words(field).replace("offset.", "").replace(".", " ").replace("leader epoch", "epoch");

/** A value of any form in words; null is unknown. */
export const flat = (value: Value): string => {
  if (Array.isArray(value)) return value.map(flat).join("; ");
  if (!isEntries(value)) return value === null ? "unknown" : value === "" ? "empty" : anything(value);
  return Object.entries(value)
    .map(([key, entry]) => (isEntries(entry) ? `${words(key)} (${flat(entry)})` : `${words(key)} ${flat(entry)}`))
    .join(", ");
};

export const entriesIn = (value: Value | undefined): readonly Entries[] => listOf(value).filter(isEntries);
export const numberIn = (head: Entries, field: string) => exactOf(head[field]);
export const countOf = (value: Exact | undefined, noun: string): Child =>
  value === undefined ? `an unknown number of ${noun}s` : count(value, noun);
export const countIn = (head: Entries, field: string, noun: string): Child => countOf(numberIn(head, field), noun);

export const code = (value: Value | undefined): Child =>
  value === null || value === undefined ? none() : h("code", {}, name(anything(value)));

/** A commit in words. */
export const commitText = (commit: Value | undefined): Child =>
  isEntries(commit)
    ? [
        "offset ",
        number(exactOf(commit.offset)),
        commit.metadata !== "" && commit.metadata !== undefined && [", metadata ", sentence(flat(commit.metadata))],
        commit.leader_epoch !== undefined && `, epoch ${flat(commit.leader_epoch)}`,
      ]
    : "no commit";
