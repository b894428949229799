import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { OperationError } from "../core/errors.ts";
import { count } from "../core/text.ts";

/** What could not be read and was left out of an answer: one bad item never stops what does not need it. */
export interface Unreadable {
  /** Adds an item, by the error that says which one it is and what is wrong with it; the item itself where it was read. */
  add(error: OperationError, item?: Readonly<Record<string, AttributeValue>>): void;
  /** A warning for each item, once; after the tenth, how many more there are; then what follows from that. */
  warnings(): string[];
}

const mostNamed = 10;

/**
 * @param place what the items are left out of: `the list`
 * @param consequence what follows from that, as a sentence of its own
 */
export function createUnreadable(place: string, consequence?: string): Unreadable {
  const problems = new Set<string>();
  return {
    add: ({ summary }) => void problems.add(summary),
    warnings() {
      const named = [...problems].slice(0, mostNamed);
      const more = problems.size - named.length;
      return [
        ...named.map((problem) => `Left out of ${place}, because it cannot be read: ${problem}`),
        ...(more > 0 ? [`Left out of ${place}, because they cannot be read: ${count(more, "more item")}.`] : []),
        ...(named.length > 0 && consequence !== undefined ? [consequence] : []),
      ];
    },
  };
}
