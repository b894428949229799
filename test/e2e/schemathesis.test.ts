import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findPython } from "../../localstack/choice.ts";
import { localDir } from "../../localstack/process.ts";
import { makeVenv } from "../../localstack/venv.ts";
import { startSigningProxy } from "../support/signing-proxy.ts";
import { openStack } from "../support/stack.ts";

const stack = openStack();
const openapi = join(import.meta.dirname, "../../functions/openapi.json");
const checks = ["status_code_conformance", "content_type_conformance", "response_schema_conformance"];

// It needs Python, which is missing where the local cloud runs in Docker. LocalStack answers what API Gateway refuses in a form
// of its own.
test.skipIf(findPython() === undefined || stack.cloud.flavour === "localstack")(
  "the API answers generated requests as the OpenAPI document says, and never with 5xx",
  async () => {
    const requirements = join(import.meta.dirname, "schemathesis/requirements.txt");
    const python = await makeVenv("schemathesis-4.32.5", requirements, console.log);
    await using proxy = await startSigningProxy(stack.outputs.api_url, stack.outputs.region);
    // MiniStack answers an integration of type AWS with what the function returns, whatever its templates say.
    const left = ["--exclude-operation-id", "rollbackLater"];
    const args = [
      ...["-m", "schemathesis.cli", "run", openapi, "--url", proxy.url, ...left],
      ...["--checks", checks.join(","), "--phases", "examples,coverage,fuzzing", "--max-time", "40", "--seed", "1"],
      ...["--workers", "1", "--request-timeout", "30", "--suppress-health-check", "all"],
      ...["--no-color", "--generation-database", "none"],
    ];
    const { code, output } = await new Promise<{ code: number | string; output: string }>((resolve) => {
      execFile(python, args, { timeout: 110_000, maxBuffer: 64 << 20, cwd: localDir }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? (error ? "killed" : 0), output: `${stdout}${stderr}` }),
      );
    });
    // An error of the program itself is none of the API: it ends a phase, so the answers are counted.
    expect(output.includes("= FAILURES ="), output.slice(-20_000)).toBe(false);
    expect(code).not.toBe("killed");
    expect(proxy.answered(), output.slice(-5_000)).toBeGreaterThan(200);
    // Other tests leave damaged items in the same deployment.
    const isDamaged = (failure: string) => /"error":"(Journal|Snapshot)Corrupt"/.test(failure);
    expect(proxy.failures.filter((failure) => !isDamaged(failure))).toEqual([]);
    console.log(output.split("\n").slice(-25).join("\n"));
  },
  420_000,
);
