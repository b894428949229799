/** How many bodies are read ahead, and how many bytes of them, gzip'd: unpacked they have ten times as many or more. */
const mostAhead = 16;
const mostBytesAhead = 2_000_000;

/**
 * Starts work on items in their order, ahead of the caller by a few: as many as are few bytes together, and at least one. The
 * caller awaits each before it takes the next; what it does not take is started, but not awaited.
 */
export function* startAhead<T extends { readonly bytes: number }, R>(
  items: Iterable<T>,
  start: (item: T) => Promise<R>,
): Generator<{ readonly item: T; readonly done: Promise<R> }, void, void> {
  const ahead: { readonly item: T; readonly done: Promise<R> }[] = [];
  let bytes = 0;
  const rest = Iterator.from(items);
  let next = rest.next();
  for (;;) {
    for (; !next.done; next = rest.next()) {
      const item = next.value;
      if (ahead.length > 0 && (ahead.length >= mostAhead || bytes + item.bytes > mostBytesAhead)) break;
      const done = start(item);
      done.catch(() => {}); // it is awaited by the caller, unless that stops before
      ahead.push({ item, done });
      bytes += item.bytes;
    }
    const first = ahead.shift();
    if (first === undefined) return;
    yield first;
    bytes -= first.item.bytes;
  }
}
