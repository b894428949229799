import type { Flag } from "./flags.ts";
import { usage } from "./problems.ts";

/**
 * Gives every switch its value, so that what follows it is not taken for that: `--verify true` and `--verify` become
 * `--verify=true`.
 *
 * @throws Problem where a flag would take another one for its value, such as `--description $EMPTY --dry-run`: the other one
 *   would not count, and a rollback would be made where a dry run was asked for
 */
export function withSwitches(words: readonly string[], known: readonly Pick<Flag, "name" | "kind">[]): string[] {
  const kinds = new Map(known.map(({ name, kind }) => [`--${name}`, kind]));
  const read: string[] = [];
  const swallowed: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const [word = "", next] = words.slice(i, i + 2);
    if (word === "--") {
      read.push(...words.slice(i));
      break;
    }
    const kind = kinds.get(word);
    const takesNext =
      kind === "switch" ? next === "true" || next === "false" : kind !== undefined && next !== undefined;
    const isFlag = next === "--help" || kinds.has(next?.replace(/=.*/s, "") ?? "");
    if (kind !== "switch" && takesNext && isFlag) {
      swallowed.push(`${word} has no value before ${next}. If ${next} is its value: '${word}=${next}'`);
    }
    if (kind === "switch") read.push(`${word}=${takesNext ? next : "true"}`);
    else read.push(word, ...(takesNext && next !== undefined ? [next] : []));
    if (takesNext) i++;
  }
  if (swallowed.length > 0) throw usage(swallowed, [], "Nothing was sent.");
  return read;
}
