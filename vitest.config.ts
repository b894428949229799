import { defineConfig } from "vitest/config";

/**
 * Projects run one after another: the machine is small, and from `cloud` on each has servers of its own. Those with one order run
 * at the same time: vitest requires of them that they have equally many workers.
 */
const project = (order: number, name: string, include: string[], more: object = {}) => ({
  test: {
    name,
    include,
    maxWorkers: "100%", // vitest leaves a core free, which would be one of two
    testTimeout: 30_000,
    hookTimeout: 120_000,
    env: { POWERTOOLS_LOG_LEVEL: "SILENT" },
    sequence: { groupOrder: order },
    ...more,
  },
});

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/closing-line.ts"],
    projects: [
      project(1, "pure", ["test/unit/**/*.test.ts", "test/soak/ledger.test.ts"]),
      project(2, "infra", ["test/infra/**/*.test.ts"], { testTimeout: 300_000 }),
      project(2, "browser", ["test/browser/**/*.test.ts"], { testTimeout: 60_000 }),
      project(2, "local", ["test/localstack/**/*.test.ts"]),
      project(3, "cloud", ["test/integration/storage/**/*.test.ts"], {
        globalSetup: "test/support/cloud-setup.ts",
        hookTimeout: 240_000,
      }),
      project(4, "kafka", ["test/integration/kafka/**/*.test.ts"], {
        globalSetup: "test/support/kafka-setup.ts",
        testTimeout: 120_000,
        hookTimeout: 240_000,
        fileParallelism: false,
      }),
      project(5, "auth", ["test/integration/auth/**/*.test.ts"], {
        globalSetup: "test/support/auth-setup.ts",
        testTimeout: 60_000,
        hookTimeout: 240_000,
        fileParallelism: false,
      }),
      project(6, "athena", ["test/integration/athena/**/*.test.ts"], { testTimeout: 120_000, hookTimeout: 900_000 }),
      project(7, "e2e", ["test/e2e/**/*.test.ts"], {
        globalSetup: "test/support/stack-setup.ts",
        testTimeout: 120_000,
        hookTimeout: 600_000,
        fileParallelism: false,
      }),
      // It kills brokers: where a cluster is given there are none that it may kill.
      ...(process.env.KAFKA_BOOTSTRAP_SERVERS
        ? []
        : [
            project(8, "faults", ["test/faults/**/*.test.ts"], {
              globalSetup: "test/support/faults-setup.ts",
              testTimeout: 240_000,
              hookTimeout: 240_000,
              fileParallelism: false,
            }),
          ]),
      // The oldest Kafka that is supported, where no other is asked for: KAFKA_VERSION has all tests on one version.
      ...(process.env.KAFKA_VERSION || process.env.KAFKA_BOOTSTRAP_SERVERS
        ? []
        : [
            project(
              9,
              "kafka-2.8",
              ["test/integration/kafka/{capture,commit-and-read,metadata-limit,shapes}.test.ts"],
              {
                globalSetup: "test/support/kafka-setup.ts",
                env: { POWERTOOLS_LOG_LEVEL: "SILENT", KAFKA_VERSION: "2.8.2" },
                testTimeout: 120_000,
                hookTimeout: 240_000,
                fileParallelism: false,
              },
            ),
          ]),
      // Only where it is asked for: `npm run test:soak`.
      ...(process.env.SOAK_MINUTES
        ? [
            project(10, "soak", ["test/soak/soak.test.ts"], {
              globalSetup: ["test/support/cloud-setup.ts", "test/support/kafka-setup.ts"],
              hookTimeout: 240_000,
            }),
          ]
        : []),
    ],
  },
});
