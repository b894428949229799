import { compareCodePoints } from "./json/code-points.ts";

/**
 * Selects names: a string is a pattern if it has `*` (any characters, none too) or `?` (exactly one character), else a
 * literal name; `{name}` is always literal.
 */
export type Selector = string | { readonly name: string };

/** Some names, minus others. */
interface SelectedBy {
  readonly groups: readonly Selector[];
  readonly exclude: readonly Selector[];
}

/** Selectors, ready to be asked. */
export interface Matcher {
  /** The literal names, each once. */
  readonly literals: ReadonlySet<string>;
  readonly patterns: readonly string[];
  matches(name: string): boolean;
}

const literalOf = (selector: Selector): string | undefined =>
  typeof selector === "object" ? selector.name : /[*?]/.test(selector) ? undefined : selector;

/** Makes selectors ready to be asked. */
export function compileSelectors(selectors: readonly Selector[]): Matcher {
  const literals = new Set<string>();
  const patterns: string[] = [];
  for (const selector of selectors) {
    const literal = literalOf(selector);
    if (literal !== undefined) literals.add(literal);
    else if (typeof selector === "string") patterns.push(selector);
  }
  const globs = patterns.map(compileGlob);
  return { literals, patterns, matches: (name) => literals.has(name) || globs.some((matches) => matches(name)) };
}

/** A pattern, ready to be asked. Most names already differ before its first wildcard. */
function compileGlob(pattern: string): (name: string) => boolean {
  const prefix = pattern.slice(0, pattern.search(/[*?]/));
  const glob = [...pattern];
  return (name) => name.startsWith(prefix) && matchesGlob(glob, [...name]);
}

/** Whether characters match a glob, in time O(glob × characters): a pattern from outside cannot stall the function. */
function matchesGlob(glob: readonly string[], characters: readonly string[]): boolean {
  let g = 0;
  let c = 0;
  let star = -1;
  let resume = 0;
  while (c < characters.length) {
    if (glob[g] === "*") {
      star = g++;
      resume = c;
    } else if (g < glob.length && (glob[g] === "?" || glob[g] === characters[c])) {
      g++;
      c++;
    } else if (star >= 0) {
      g = star + 1;
      c = ++resume;
    } else {
      return false;
    }
  }
  while (glob[g] === "*") g++;
  return g === glob.length;
}

/** The names that the selectors pick out of those that exist, and what of the selectors picked nothing. */
export interface SelectedNames {
  /** In code point order. */
  readonly names: readonly string[];
  readonly missingLiterals: readonly string[];
  readonly idlePatterns: readonly string[];
}

/** Picks names. Undefined selectors pick all. */
export function selectNames(selectors: readonly Selector[] | undefined, existing: Iterable<string>): SelectedNames {
  const all = [...new Set(existing)].sort(compareCodePoints);
  if (selectors === undefined) return { names: all, missingLiterals: [], idlePatterns: [] };
  const { literals, patterns } = compileSelectors(selectors);
  const globs = patterns.map((pattern) => ({ pattern, matches: compileGlob(pattern), idle: true }));
  const names = all.filter((name) => {
    let picked = literals.has(name);
    for (const glob of globs) {
      if (picked && !glob.idle) continue;
      if (!glob.matches(name)) continue;
      picked = true;
      glob.idle = false;
    }
    return picked;
  });
  const known = new Set(all);
  return {
    names,
    missingLiterals: [...literals].filter((name) => !known.has(name)),
    idlePatterns: globs.filter(({ idle }) => idle).map(({ pattern }) => pattern),
  };
}

/**
 * Those of the wanted selectors that may pick what a selection was not asked for. It errs on the side of too many: a
 * wanted pattern is covered only by the same pattern or by `*`, without any exclusion.
 */
export function uncovered(selection: SelectedBy, wanted: readonly Selector[]): Selector[] {
  const picks = compileSelection(selection);
  const patterns = new Set(selection.groups.filter((selector) => typeof selector === "string"));
  const everything = [...patterns].some((pattern) => /^\*+$/.test(pattern));
  return wanted.filter((selector) => {
    const literal = literalOf(selector);
    if (literal !== undefined) return !picks(literal);
    return selection.exclude.length > 0 || !(everything || (typeof selector === "string" && patterns.has(selector)));
  });
}

/** Makes a selection ready to be asked whether it picks a name: included, and not excluded. */
export function compileSelection(selection: SelectedBy): (name: string) => boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return (name) => included.matches(name) && !excluded.matches(name);
}
