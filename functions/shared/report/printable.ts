/**
 * Texts from outside as they may be sent to a terminal. Names of groups may be any text: escape sequences, line breaks and
 * marks that reverse the direction of writing are shown as escapes, never sent. So are characters that cannot be seen.
 */
export const printableText = (text: string): string =>
  isPlain.test(text) || !hasInvisible.test(text)
    ? text
    : text.replace(emojiOrInvisible, (character, emoji?: string) => emoji ?? escaped(character));

/**
 * A name, or another value of a cell. Different names give different texts: those that could be taken for another one are
 * quoted, with escapes in them: empty ones, spaces at an end, and characters that Unicode also writes in another way.
 */
export function printableName(name: string): string {
  const printable = isPlain.test(name) || name === name.normalize("NFC") ? printableText : asciiText;
  if (printable(name) === name && !/^$|^"|^-$|^\s|\s\s|\s$/.test(name)) return name;
  return `"${printable(name.replace(/["\\]/g, "\\$&"))}"`;
}

const asciiText = (text: string) => text.replace(/[^ -~]/gu, escaped);
const isPlain = /^[ -~]*$/;

/** Whether a text has a character that cannot be seen. */
export const hasInvisible = /[[\p{C}\p{Z}\p{DI}]--[ ]]/v;
/** Each such character, and each emoji: emoji stay as they are, although some of their characters cannot be seen. */
export const emojiOrInvisible = /(?<emoji>\p{RGI_Emoji})|[[\p{C}\p{Z}\p{DI}]--[ ]]/gv;

const short: { readonly [character: string]: string } = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return short[character] ?? (code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`);
}
