import { InvalidRequest } from "../core/errors.ts";

/** Some records of a list, newest first; `nextToken` is there if and only if there are more. */
export interface Page<T> {
  readonly entries: readonly T[];
  readonly nextToken?: string;
}

/** The error of a list request with a wrong field. */
export const invalid = (field: string, problem: string) =>
  new InvalidRequest(`${field} ${problem}`, { details: { problems: [`${field}: ${problem}`] } });

/**
 * Reads one page. Pages are full except for the last.
 *
 * @param found what is listed, from the first entry of the page on
 * @param idOf the text that the token of the next page is made of: it says where the page ended
 */
export async function readPage<T>(
  found: AsyncIterable<T>,
  limit: number,
  idOf: (entry: T) => string,
): Promise<Page<T>> {
  const entries: T[] = [];
  for await (const entry of found) {
    const last = entries.at(-1);
    if (entries.length === limit && last !== undefined) return { entries, nextToken: encode(idOf(last)) };
    entries.push(entry);
  }
  return { entries };
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
