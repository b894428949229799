import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

/** Prints one line at the end of a run, which tools can parse: `12 passed, 0 failed, 1 skipped`. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== "pending") count[state]++;
      }
      // No test reports a file that could not be loaded, or a hook that failed.
      if (module.errors().length > 0) count.failed++;
    }
    count.failed += errors.length;
    if (reason === "failed" && count.failed === 0) count.failed = 1; // a set-up that failed before any test
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
    console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`);
  }
}
