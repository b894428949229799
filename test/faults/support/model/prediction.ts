import type { Unseen } from "../expected.ts";
import type { Group } from "./world.ts";

/** The predicted answer of a function. */
export type Expected =
  | { readonly result: unknown }
  | { readonly error: { readonly name: string; readonly message: RegExp; readonly details?: unknown } };

/** The predicted answer to a request, and the world after it, which may depend on values that the answer shows. */
export interface Prediction<W> {
  readonly expected: Expected;
  after(seen: (unseen: Unseen | string) => string): W;
}

/** The prediction of a failure that changes nothing. */
export const failing = <W>(world: W, name: string, details?: unknown): Prediction<W> => ({
  expected: { error: { name, message: new RegExp(`^${name}: [^]+`), ...(details !== undefined && { details }) } },
  after: () => world,
});

/** The prediction of an answer that changes nothing. */
export const answering = <W>(world: W, result: unknown): Prediction<W> => ({
  expected: { result },
  after: () => world,
});

/** A warning for each of these groups that has a pending commit. */
export const pendingWarnings = (groups: ReadonlyMap<string, Group>) =>
  [...groups.values()].flatMap(({ pending }) =>
    pending === undefined ? [] : [/ has a transaction with a commit pending on /],
  );
