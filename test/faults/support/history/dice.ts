/** Random choices from a seed (mulberry32). */
export function diceOf(seed: number) {
  let state = seed;
  const below = (n: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) % n;
  };
  const pick = <T>(list: readonly T[]): T => {
    const chosen = below(list.length);
    for (const [i, item] of list.entries()) if (i === chosen) return item;
    throw new Error("the list is empty");
  };
  return {
    below,
    pick,
    /** True with a probability of 1 in n. */
    oneIn: (n: number) => below(n) === 0,
    /** A random part of a list, with at least one item unless the list is empty. */
    some<T>(list: readonly T[]): T[] {
      const picked = list.filter(() => below(2) === 0);
      return picked.length > 0 || list.length === 0 ? picked : [pick(list)];
    },
  };
}

export const repeat = <T>(item: T, times: number): T[] => Array.from({ length: times }, () => item);

export type Dice = ReturnType<typeof diceOf>;
