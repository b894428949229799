/**
 * Mutation testing: changes `functions/shared/core` in one place at a time and runs the tests in `test/unit/core` that
 * reach the place. A mutant that no test notices survives. See test/README.md.
 */
export default {
  mutate: ["functions/shared/core/**/*.ts"],
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "test/support/mutation-vitest.config.ts", related: false },
  coverageAnalysis: "perTest",
  // A third of all mutants: mostly wording of messages, which the tests leave free on purpose.
  mutator: { excludedMutations: ["StringLiteral"] },
  ignoreStatic: true, // what only runs while a module is loaded: each of these mutants would need all tests
  concurrency: 2,
  timeoutMS: 10_000,
  ignorePatterns: ["**", "!functions/**", "!test/**", "!*.json"],
  tempDirName: ".local/stryker",
  incrementalFile: ".local/mutation-incremental.json",
  jsonReporter: { fileName: ".local/mutation.json" },
  htmlReporter: { fileName: ".local/mutation.html" },
  reporters: ["progress-append-only", "clear-text", "html", "json"],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  allowEmpty: false,
  warnings: { slow: false },
  thresholds: { high: 100, low: 90, break: 96 },
};
