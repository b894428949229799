/**
 * A text of at most so many bytes as UTF-8. `…` stands for what was left out.
 *
 * @param end how many of these bytes the end of the text gets; the rest is its beginning
 */
export function cut(text: string, most: number, end = 0): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= most) return text;
  const beginning = bytes.subarray(0, most - end - Buffer.byteLength("…")).toString();
  // A cut character is read as one U+FFFD at the end of the beginning, and as up to three at the beginning of the end.
  return `${beginning.replace(/\uFFFD$/, "")}…${bytes
    .subarray(bytes.length - end)
    .toString()
    .replace(/^\uFFFD+/, "")}`;
}

/** Names of up to this many characters are shown as they are: those of topics, and groups that people have named. */
const LONGEST_NAME = 255;

/** A name as a JSON string, so that spaces and newlines in it show. Of a long one, the beginning and the length. */
export const quote = (name: string): string =>
  name.length <= LONGEST_NAME
    ? JSON.stringify(name)
    : `${JSON.stringify(cut(name, LONGEST_NAME))} (${name.length} characters)`;

/** `a, b, c and 4 more`: the first of some things, each as `show` writes it. */
export function listSome<T>(things: Iterable<T>, show: (thing: T) => string, most = 3): string {
  const all = [...things];
  const shown = all.slice(0, most).map(show).join(", ");
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}

/** `"a", "b", "c" and 4 more`. */
export const nameSome = (names: Iterable<string>, most = 3): string => listSome(names, quote, most);

/** `1 group`, `3 groups`; `several` is the plural where it is not made with an s. */
export function count(n: number, noun: string, several = `${noun}s`): string {
  return `${n} ${n === 1 ? noun : several}`;
}

/** A text with a full stop, unless it ends as a sentence already. */
export const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);
