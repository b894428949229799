import type fastCheck from "fast-check";
import { vi } from "vitest";

/**
 * Properties run against each of two thousand mutants. So each checks few examples, always the same ones, so that the score
 * does not change, and does not shrink one that fails. `configureGlobal` would not do: properties set `numRuns` themselves.
 */
vi.mock("fast-check", async (importOriginal) => {
  const { default: fc } = await importOriginal<{ default: typeof fastCheck }>();
  const assert = (...[property, parameters]: Parameters<typeof fc.assert>) =>
    fc.assert(property, { ...parameters, seed: 1, numRuns: 20, endOnFailure: true });
  return { default: { ...fc, assert } };
});
