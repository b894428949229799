/** `a, b, c and 4 more`: names quoted as JSON strings, so that spaces and newlines in them show. */
export function nameSome(names: Iterable<string>, most = 3): string {
  const all = [...names].map((name) => JSON.stringify(name));
  const shown = all.slice(0, most).join(", ");
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}

/** `1 group`, `3 groups`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
