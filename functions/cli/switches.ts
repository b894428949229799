import type { Flag } from "./flags.ts";

/**
 * Gives every switch its value, so that what follows it is not taken for that: `--verify true` and `--verify` become
 * `--verify=true`.
 */
export function withSwitches(words: readonly string[], known: readonly Pick<Flag, "name" | "kind">[]): string[] {
  const kinds = new Map(known.map(({ name, kind }) => [`--${name}`, kind]));
  const read: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const [word = "", next] = words.slice(i, i + 2);
    if (word === "--") return [...read, ...words.slice(i)];
    const kind = kinds.get(word);
    const takesNext =
      kind === "switch" ? next === "true" || next === "false" : kind !== undefined && next !== undefined;
    if (kind === "switch") read.push(`${word}=${takesNext ? next : "true"}`);
    else read.push(word, ...(takesNext && next !== undefined ? [next] : []));
    if (takesNext) i++;
  }
  return read;
}
