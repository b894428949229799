import { defineConfig } from "vitest/config";

/** The tests that `npm run test:mutation` runs against each mutant. */
export default defineConfig({
  test: {
    include: ["test/unit/core/**/*.test.ts"],
    // Slow, and other tests kill almost all mutants that they kill.
    exclude: ["test/unit/core/fuzz.test.ts", "test/unit/core/json/bombs.test.ts"],
    setupFiles: ["test/support/mutation-setup.ts"],
    testTimeout: 30_000,
    env: { POWERTOOLS_LOG_LEVEL: "SILENT" },
  },
});
