import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { type Verb, verbs } from "../../functions/operations.ts";
import { iamTokens } from "../../functions/shared/kafka/connection/tokens.ts";
import { buildHandler, buildModule } from "../../infra/operation-function.ts";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

function freshFile() {
  const folder = mkdtempSync(join(tmpdir(), "bundle-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "index.mjs");
}

function build(verb: Verb) {
  const file = freshFile();
  return { file, ...buildHandler(verb, file) };
}

/** What only some invocations need: the log-in of MSK, the client of Secrets Manager, links to large results. */
const seldom = ["aws-msk-iam-sasl-signer-js", "@aws-sdk/client-secrets-manager", "@aws-sdk/s3-request-presigner"];
const withKafka: readonly Verb[] = ["snapshot", "verify", "rollback"];

test.each(verbs)("a cold start of %s reads only the packages that it needs", (verb) => {
  const { bytes, packages } = build(verb);

  expect(packages).toContain("@aws-sdk/client-dynamodb"); // or else the list is not what it seems
  expect(packages.has("kafkajs")).toBe(withKafka.includes(verb));
  expect(seldom.filter((name) => packages.has(name))).toEqual([]);
  expect(bytes).toBeLessThan(withKafka.includes(verb) ? 810_000 : 520_000);
});

test("a bundle of several files can be loaded from any folder", async () => {
  const { file } = build("diff");

  const { handler } = await import(pathToFileURL(file).href);

  expect(handler).toBeTypeOf("function");
});

test("a bundle logs in to MSK with the same tokens as the signer's package", async () => {
  const file = freshFile();
  buildModule(join(import.meta.dirname, "../../functions/shared/kafka/connection/tokens.ts"), file);
  const bundled = await import(pathToFileURL(file).href);
  for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]) vi.stubEnv(name, "test");
  vi.useFakeTimers({ toFake: ["Date"], now: new Date("2025-01-15T10:30:00Z") });

  const token = await iamTokens("eu-west-1")();

  expect(Buffer.from(token, "base64url").toString()).toContain("https://kafka.eu-west-1.amazonaws.com/?Action=");
  expect(await bundled.iamTokens("eu-west-1")()).toBe(token);
});
