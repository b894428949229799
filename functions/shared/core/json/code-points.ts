/**
 * Orders strings by Unicode code point, as a byte-wise comparison of their UTF-8 would. JavaScript's own order compares
 * UTF-16 units and puts characters beyond U+FFFF before U+E000–U+FFFF.
 */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates are parts of characters beyond U+FFFF: after all other units. */
const rank = (unit: number) => ((unit & 0xf800) === 0xd800 ? unit + 0x10000 : unit);
