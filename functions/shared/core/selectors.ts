import { compareCodePoints } from "./json/code-points.ts";

/**
 * Selects names: a string is a pattern if it has `*` (any characters, none too) or `?` (exactly one character), else a
 * literal name; `{name}` is always literal.
 */
export type Selector = string | { readonly name: string };

/** What picks some names; undefined picks all. */
export type Selectors = readonly Selector[] | undefined;

/** Some names, minus others. */
interface SelectedBy {
  readonly groups: readonly Selector[];
  readonly exclude: readonly Selector[];
}

/** Whether a selector is a pattern. */
export const isPattern = (selector: Selector) => typeof selector === "string" && /[*?]/.test(selector);
/** A pattern, or the literal name. */
export const textOf = (selector: Selector) => (typeof selector === "string" ? selector : selector.name);

/** Patterns that were compiled before. */
export type Globs = Map<string, (name: string) => boolean>;

/**
 * The literal names among selectors, each once, their patterns, and whether one of them picks a name.
 *
 * @param known shared by calls that may have the same patterns
 */
export function compileSelectors(selectors: readonly Selector[], known: Globs = new Map()) {
  const literals = new Set(selectors.filter((selector) => !isPattern(selector)).map(textOf));
  const patterns = selectors.filter(isPattern).map(textOf);
  for (const pattern of patterns) if (!known.has(pattern)) known.set(pattern, compileGlob(pattern));
  const globs = patterns.flatMap((pattern) => known.get(pattern) ?? []);
  const matches = (name: string) => literals.has(name) || globs.some((picks) => picks(name));
  return { literals, patterns, matches };
}

/** A pattern, ready to be asked. Most names already differ before its first wildcard, or after its last. */
function compileGlob(pattern: string): (name: string) => boolean {
  const prefix = pattern.slice(0, pattern.search(/[*?]/));
  const suffix = pattern.slice(Math.max(pattern.lastIndexOf("*"), pattern.lastIndexOf("?")) + 1);
  const matches = compileSymbols([...pattern.slice(prefix.length, pattern.length - suffix.length)]);
  return (name) =>
    name.length >= prefix.length + suffix.length &&
    name.startsWith(prefix) &&
    name.endsWith(suffix) &&
    matches(name.slice(prefix.length, name.length - suffix.length));
}

/** In a glob, any one character; of a glob that is read as characters, the next one that is not `many`. */
const next = "?*";
/** The wildcards of a glob that is read as characters: any number of characters that no glob has; one that every symbol takes. */
const [many, free] = ["**", "??"];

/**
 * Whether the symbols of a glob match characters, in time O(characters × symbols / 32): neither a pattern nor a name from
 * outside can stall the function. A state is how many symbols, `*` aside, have taken a character. All states that are
 * possible are known at once, as the bits of a set (Shift-And).
 */
function compileSymbols(glob: readonly string[]): (characters: Iterable<string>) => boolean {
  const takers = glob.filter((symbol) => symbol !== "*");
  const [words, last] = [(takers.length >> 5) + 1, takers.length];
  const has = (set: Int32Array, state: number) => ((set[state >> 5] ?? 0) & (1 << state)) !== 0;
  const add = (set: Int32Array, state: number) => {
    set[state >> 5] = (set[state >> 5] ?? 0) | (1 << state);
  };
  const setOf = (states: Iterable<number>) => {
    const set = new Int32Array(words);
    for (const state of states) add(set, state);
    return set;
  };
  const statesOf = (is: (symbol: string) => boolean) => takers.flatMap((symbol, state) => (is(symbol) ? [state] : []));
  const stars = glob.flatMap((symbol, i) => (symbol === "*" ? [i] : [])).map((i, before) => i - before);
  const anyTaken = setOf(statesOf((symbol) => symbol === "?" || symbol === next));
  const taken = new Map([
    [many, setOf([])],
    [free, setOf(takers.keys())],
  ]);
  for (const [state, symbol] of takers.entries()) {
    const own = taken.get(symbol) ?? anyTaken.slice();
    taken.set(symbol, own);
    add(own, state);
  }
  // A `next` may pass over `many`. That it may pass over any character changes nothing: the `*` that follows would take it.
  const stays = setOf([...stars, ...statesOf((symbol) => symbol === next)]);
  const endsInStar = has(stays, last);
  return (characters) => {
    const states = setOf([0]);
    for (const character of characters) {
      if (endsInStar && has(states, last)) return true;
      const advances = taken.get(character) ?? anyTaken;
      let carry = 0;
      let possible = 0;
      for (let i = 0; i < words; i++) {
        const before = states[i] ?? 0;
        const advanced = before & (advances[i] ?? 0);
        const after = (advanced << 1) | carry | (before & (stays[i] ?? 0));
        states[i] = after;
        carry = advanced >>> 31;
        possible |= after;
      }
      if (possible === 0) return false;
    }
    return has(states, last);
  };
}

/**
 * A glob, ready to be asked whether it matches every name that another matches. Exact: the names that are the hardest to
 * match have, for each wildcard of the other, characters that no glob has. They match only wildcards, so the other glob is
 * read as a name, where its `*` stands for any number of them: for so many that nothing around it is in reach, or for none,
 * where a `?` beside a `*` asks for one more character.
 */
function compileCover(wide: string): (narrow: string) => boolean {
  const glob = [...wide.matchAll(/[*?]+|[^*?]/gu)].flatMap(([run]) => {
    if (!run.includes("*")) return [...run];
    return [...run.replaceAll("*", "")].map(() => next).concat("*");
  });
  const matches = compileSymbols(glob);
  return (narrow) => matches([...narrow].map((symbol) => (symbol === "*" ? many : symbol)));
}

/** Whether there is a name that two globs match. Exact: with a `*` in both, only what is before and after them can differ. */
function overlap(one: string, other: string): boolean {
  const [a, b] = [[...one], [...other]];
  const freely = (symbols: readonly string[]) => symbols.map((symbol) => (symbol === "?" ? free : symbol));
  if (!b.includes("*")) return compileSymbols(a)(freely(b));
  if (!a.includes("*")) return compileSymbols(b)(freely(a));
  const agree = (x: readonly string[], y: readonly string[]) => {
    const common = Math.min(x.indexOf("*"), y.indexOf("*"));
    return x.slice(0, common).every((symbol, i) => symbol === "?" || y[i] === "?" || symbol === y[i]);
  };
  return agree(a, b) && agree(a.toReversed(), b.toReversed());
}

/**
 * The names that the selectors pick out of those that exist, in code point order, and the literals and patterns that pick
 * none.
 *
 * @param known as in `compileSelectors`
 */
export function selectNames(selectors: Selectors, existing: Iterable<string>, known: Globs = new Map()) {
  const all = [...new Set(existing)].sort(compareCodePoints);
  const { literals, patterns, matches } = compileSelectors(selectors ?? [], known);
  return {
    names: selectors === undefined ? all : all.filter(matches),
    missingLiterals: [...literals.difference(new Set(all))],
    idlePatterns: patterns.filter((pattern) => !all.some((name) => known.get(pattern)?.(name))),
  };
}

/**
 * How far a selection was asked for what the wanted selectors pick, whatever names exist.
 *
 * @returns `uncovered`: names that it does not pick, and patterns that no pattern of it covers, or that an exclusion covers;
 *   `exclusions`: where nothing is uncovered, those that leave out a part of the wanted patterns
 */
export function coverage(selection: SelectedBy, wanted: readonly Selector[]) {
  const picks = compileSelection(selection);
  const covering = (selectors: readonly Selector[]) => {
    const covers = compileSelectors(selectors).patterns.map(compileCover);
    return (pattern: string) => covers.some((covers) => covers(pattern));
  };
  const [included, excluded] = [covering(selection.groups), covering(selection.exclude)];
  const isCovered = (selector: Selector) => {
    const text = textOf(selector);
    return isPattern(selector) ? included(text) && !excluded(text) : picks(text);
  };
  const uncovered = wanted.filter((selector) => !isCovered(selector));
  if (uncovered.length > 0) return { uncovered, exclusions: [] };
  const covered = compileSelectors(wanted);
  const exclusions = selection.exclude.filter((selector) => {
    const text = textOf(selector);
    return isPattern(selector) ? covered.patterns.some((pattern) => overlap(pattern, text)) : covered.matches(text);
  });
  return { uncovered, exclusions };
}

/** Makes a selection ready to be asked whether it picks a name: included, and not excluded. */
export function compileSelection(selection: SelectedBy): (name: string) => boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return (name) => included.matches(name) && !excluded.matches(name);
}
