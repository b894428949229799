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

const isPattern = (selector: Selector) => typeof selector === "string" && /[*?]/.test(selector);
const textOf = (selector: Selector) => (typeof selector === "string" ? selector : selector.name);

/** The literal names among selectors, each once, their patterns, and whether one of them picks a name. */
export function compileSelectors(selectors: readonly Selector[]) {
  const literals = new Set(selectors.filter((selector) => !isPattern(selector)).map(textOf));
  const patterns = selectors.filter(isPattern).map(textOf);
  const globs = patterns.map(compileGlob);
  const matches = (name: string) => literals.has(name) || globs.some((picks) => picks(name));
  return { literals, patterns, matches };
}

/** A pattern, ready to be asked. Most names already differ before its first wildcard. */
function compileGlob(pattern: string): (name: string) => boolean {
  const prefix = pattern.slice(0, pattern.search(/[*?]/));
  const glob = [...pattern];
  return (name) => name.startsWith(prefix) && matchesGlob(glob, [...name]);
}

/** Whether one symbol of a glob takes a character. */
type Takes = (symbol: string | undefined, character: string | undefined) => boolean;

const takesCharacter: Takes = (symbol, character) => symbol === "?" || symbol === character;

/** In a glob, any one character; of a glob that is read as characters, the next one that is no `*`. */
const next = "?*";

/** Whether characters match a glob, in time O(glob × characters): a pattern from outside cannot stall the function. */
function matchesGlob(glob: readonly string[], characters: readonly string[], takes = takesCharacter): boolean {
  let [g, c] = [0, 0];
  let [star, resume] = [-1, 0];
  while (c < characters.length) {
    if (glob[g] === "*") {
      [star, resume] = [g++, c];
    } else if (glob[g] === next && characters[c] === "*") {
      c++;
    } else if (glob[g] === next || takes(glob[g], characters[c])) {
      [g, c] = [g + 1, c + 1];
    } else if (star >= 0) {
      [g, c] = [star + 1, ++resume];
    } else {
      return false;
    }
  }
  return glob.slice(g).every((rest) => rest === "*");
}

/**
 * Whether a glob matches every name that another matches. Exact: the names that are the hardest to match have, for each
 * wildcard of the other, characters that no glob has. They match only wildcards, so the other glob is read as a name, where
 * its `*` stands for any number of them: for so many that nothing around it is in reach, or for none, where a `?` beside a
 * `*` asks for one more character.
 */
function covers(wide: string, narrow: string): boolean {
  const runs = wide.match(/[*?]+|[^*?]/gu) ?? [];
  const glob = runs.flatMap((run) => {
    if (!run.includes("*")) return [...run];
    return [...run.replaceAll("*", "")].map(() => next).concat("*");
  });
  const takes: Takes = (symbol, character) => character !== "*" && takesCharacter(symbol, character);
  return matchesGlob(glob, [...narrow], takes);
}

/** Whether there is a name that two globs match. Exact: with a `*` in both, only what is before and after them can differ. */
function overlap(one: string, other: string): boolean {
  const takes: Takes = (a, b) => takesCharacter(a, b) || (b === "?" && a !== undefined);
  const [a, b] = [[...one], [...other]];
  if (!b.includes("*")) return matchesGlob(a, b, takes);
  if (!a.includes("*")) return matchesGlob(b, a, takes);
  const agree = (x: readonly string[], y: readonly string[]) => {
    const common = Math.min(x.indexOf("*"), y.indexOf("*"));
    return x.slice(0, common).every((symbol, i) => takes(symbol, y[i]));
  };
  return agree(a, b) && agree(a.toReversed(), b.toReversed());
}

/**
 * The names that the selectors pick out of those that exist, in code point order, and the literals and patterns that pick
 * none.
 */
export function selectNames(selectors: Selectors, existing: Iterable<string>) {
  const all = [...new Set(existing)].sort(compareCodePoints);
  const { literals, patterns, matches } = compileSelectors(selectors ?? []);
  return {
    names: selectors === undefined ? all : all.filter(matches),
    missingLiterals: [...literals.difference(new Set(all))],
    idlePatterns: patterns.filter((pattern) => !all.some(compileGlob(pattern))),
  };
}

/**
 * How far a selection was asked for what the wanted selectors pick, whatever names exist.
 *
 * @returns `uncovered`: names that it does not pick, and patterns that no pattern of it covers, or that an exclusion covers;
 *   `exclusions`: those that leave out a part of the other wanted patterns
 */
export function coverage(selection: SelectedBy, wanted: readonly Selector[]) {
  const picks = compileSelection(selection);
  const { patterns } = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude).patterns;
  const isCovered = (selector: Selector) => {
    const text = textOf(selector);
    if (!isPattern(selector)) return picks(text);
    return patterns.some((wide) => covers(wide, text)) && !excluded.some((wide) => covers(wide, text));
  };
  const uncovered = new Set(wanted.filter((selector) => !isCovered(selector)));
  const covered = wanted.filter((selector) => isPattern(selector) && !uncovered.has(selector)).map(textOf);
  const exclusions = selection.exclude.filter((selector) => {
    const text = textOf(selector);
    return covered.some((pattern) => (isPattern(selector) ? overlap(pattern, text) : compileGlob(pattern)(text)));
  });
  return { uncovered: [...uncovered], exclusions };
}

/** Makes a selection ready to be asked whether it picks a name: included, and not excluded. */
export function compileSelection(selection: SelectedBy): (name: string) => boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return (name) => included.matches(name) && !excluded.matches(name);
}
