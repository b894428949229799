import { defineConfig } from "vitest/config";

/** The tests that `npm run test:mutation` runs against each mutant. */
export default defineConfig({
  test: {
    include: ["test/unit/core/**/*.test.ts"],
    exclude: ["test/unit/core/fuzz.test.ts"], // slow, and other tests kill almost all mutants that it kills
    setupFiles: ["test/support/mutation-setup.ts"],
    testTimeout: 30_000,
    env: { POWERTOOLS_LOG_LEVEL: "SILENT" },
  },
});
