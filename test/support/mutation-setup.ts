import type fastCheck from "fast-check";
import { vi } from "vitest";

/**
 * What a property may cost when it runs against each of two thousand mutants: few examples, the same each time, so that
 * the score is the same; and no search for a smaller example once one has failed. Here in place of `configureGlobal`,
 * since properties ask for more examples themselves.
 */
vi.mock("fast-check", async (importOriginal) => {
  const { default: fc } = await importOriginal<{ default: typeof fastCheck }>();
  const assert = (...[property, parameters]: Parameters<typeof fc.assert>) =>
    fc.assert(property, { ...parameters, seed: 1, numRuns: 20, endOnFailure: true });
  return { default: { ...fc, assert } };
});
