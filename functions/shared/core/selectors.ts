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

/** Whether characters match a glob, in time O(glob × characters): a pattern from outside cannot stall the function. */
function matchesGlob(glob: readonly string[], characters: readonly string[]): boolean {
  let [g, c] = [0, 0];
  let [star, resume] = [-1, 0];
  while (c < characters.length) {
    if (glob[g] === "*") {
      [star, resume] = [g++, c];
    } else if (glob[g] === "?" || glob[g] === characters[c]) {
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
 * Those of the wanted selectors that may pick what a selection was not asked for. It errs on the side of too many: a
 * wanted pattern is covered only by the same pattern or by `*`, without any exclusion.
 */
export function uncovered(selection: SelectedBy, wanted: readonly Selector[]): Selector[] {
  const picks = compileSelection(selection);
  const { patterns } = compileSelectors(selection.groups);
  const everything = patterns.some((pattern) => /^\*+$/.test(pattern));
  return wanted.filter((selector) => {
    const text = textOf(selector);
    if (!isPattern(selector)) return !picks(text);
    return selection.exclude.length > 0 || !(everything || patterns.includes(text));
  });
}

/** Makes a selection ready to be asked whether it picks a name: included, and not excluded. */
export function compileSelection(selection: SelectedBy): (name: string) => boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return (name) => included.matches(name) && !excluded.matches(name);
}
