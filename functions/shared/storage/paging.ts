import { InvalidRequest } from "../core/errors.ts";
import { createUnreadable, type Unreadable } from "./unreadable.ts";

/** Some records of a list, newest first; `nextToken` is there if and only if there are more. */
export interface Page<T> {
  readonly entries: readonly T[];
  /** What was left out between the entries, because it could not be read. */
  readonly warnings: readonly string[];
  readonly nextToken?: string;
}

/** The error of a list request with a wrong field. */
export const invalid = (field: string, problem: string) =>
  new InvalidRequest(`${field} ${problem}`, { details: { problems: [`${field}: ${problem}`] } });

/**
 * Reads one page. Pages are full except for the last.
 *
 * @param read reads what is listed, from the first entry of the page on
 * @param idOf the text that the token of the next page is made of: it says where the page ended
 */
export async function readPage<T>(
  read: (unreadable: Unreadable) => AsyncIterable<T>,
  limit: number,
  idOf: (entry: T) => string,
): Promise<Page<T>> {
  const unreadable = createUnreadable("the list");
  const entries: T[] = [];
  let warnings: readonly string[] = [];
  for await (const entry of read(unreadable)) {
    const last = entries.at(-1);
    if (entries.length === limit && last !== undefined) return { entries, warnings, nextToken: encode(idOf(last)) };
    entries.push(entry);
    warnings = unreadable.warnings(); // the next page begins after this entry
  }
  return { entries, warnings: unreadable.warnings() };
}

const encode = (id: string) => Buffer.from(id).toString("base64url");

/**
 * Where the page before ended.
 *
 * @param parse reads the text that the token was made of; undefined where it cannot be one
 * @throws InvalidRequest where it is not the token of a page
 */
export function decodeToken<T>(token: string, parse: (id: string) => T | undefined): T {
  const id = Buffer.from(token, "base64url").toString();
  const parsed = encode(id) === token ? parse(id) : undefined;
  if (parsed === undefined) throw invalid("next_token", "must be the next_token of an earlier page, unchanged.");
  return parsed;
}
