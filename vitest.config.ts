import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], more: object = {}) => ({
  test: { name, include, testTimeout: 30_000, hookTimeout: 120_000, env: { POWERTOOLS_LOG_LEVEL: "SILENT" }, ...more },
});

export default defineConfig({
  test: {
    projects: [
      project("pure", ["test/core/**/*.test.ts", "test/functions/**/*.test.ts"]),
      project("infra", ["test/infra/**/*.test.ts"], { testTimeout: 120_000 }),
      project("kafka", ["test/integration/kafka/**/*.test.ts"], {
        globalSetup: "test/support/kafka-setup.ts",
        testTimeout: 60_000,
        hookTimeout: 240_000,
      }),
      project("cloud", ["test/integration/archive/**/*.test.ts"], {
        globalSetup: "test/support/cloud-setup.ts",
        hookTimeout: 240_000,
      }),
      project("e2e", ["test/e2e/**/*.test.ts"], {
        globalSetup: "test/support/stack-setup.ts",
        testTimeout: 120_000,
        hookTimeout: 600_000,
        fileParallelism: false,
      }),
    ],
  },
});
