import { compareCodePoints } from "./text.ts";

/**
 * Selects names: a string is a pattern if it has `*` (any characters, none too) or `?` (exactly one character), else a
 * literal name; `{name}` is always literal.
 */
export type Selector = string | { readonly name: string };

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
  const globs = patterns.map((pattern) => [...pattern]);
  return {
    literals,
    patterns,
    matches(name) {
      if (literals.has(name)) return true;
      if (globs.length === 0) return false;
      const characters = [...name];
      return globs.some((glob) => matchesGlob(glob, characters));
    },
  };
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
  const matcher = compileSelectors(selectors);
  const known = new Set(all);
  return {
    names: all.filter((name) => matcher.matches(name)),
    missingLiterals: [...matcher.literals].filter((name) => !known.has(name)),
    idlePatterns: matcher.patterns.filter((pattern) => !all.some((name) => compileSelectors([pattern]).matches(name))),
  };
}

/**
 * Whether everything that `wanted` may pick was asked for by a selection. It errs on the side of no: a wanted pattern is
 * covered only by the same pattern or by `*`, without any exclusion.
 */
export function covers(
  selection: { readonly groups: readonly Selector[]; readonly exclude: readonly Selector[] },
  wanted: readonly Selector[],
): boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return wanted.every((selector) => {
    const literal = literalOf(selector);
    if (literal !== undefined) return included.matches(literal) && !excluded.matches(literal);
    return (
      selection.exclude.length === 0 &&
      included.patterns.some((pattern) => pattern === selector || /^\*+$/.test(pattern))
    );
  });
}

/** Makes a selection ready to be asked whether it picks a name: included, and not excluded. */
export function compileSelection(selection: {
  readonly groups: readonly Selector[];
  readonly exclude: readonly Selector[];
}): (name: string) => boolean {
  const included = compileSelectors(selection.groups);
  const excluded = compileSelectors(selection.exclude);
  return (name) => included.matches(name) && !excluded.matches(name);
}
