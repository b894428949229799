/**
 * Orders strings by Unicode code point, as a byte-wise comparison of their UTF-8 would. JavaScript's own order compares
 * UTF-16 units and puts characters beyond U+FFFF before U+E000–U+FFFF.
 */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const surrogateX = (x & 0xf800) === 0xd800;
      const surrogateY = (y & 0xf800) === 0xd800;
      return surrogateX === surrogateY ? x - y : surrogateX ? 1 : -1;
    }
  }
  return a.length - b.length;
}
