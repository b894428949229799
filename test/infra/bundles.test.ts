import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { buildHandler, type Verb, verbs } from "../../infra/operation-function.ts";

function build(verb: Verb) {
  const folder = mkdtempSync(join(tmpdir(), "bundle-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "index.mjs");
  return { file, ...buildHandler(verb, file) };
}

/** What only some invocations need: the log-in of MSK, the client of Secrets Manager, links to large results. */
const seldom = ["aws-msk-iam-sasl-signer-js", "@aws-sdk/client-secrets-manager", "@aws-sdk/s3-request-presigner"];
const withKafka: readonly Verb[] = ["snapshot", "verify", "rollback"];

test.each(verbs)("a cold start of %s reads what it needs, and no more", (verb) => {
  const { bytes, packages } = build(verb);

  expect(packages).toContain("@aws-sdk/client-dynamodb"); // or else the list is not what it seems
  expect(packages.has("kafkajs")).toBe(withKafka.includes(verb));
  expect(seldom.filter((name) => packages.has(name))).toEqual([]);
  expect(bytes).toBeLessThan(withKafka.includes(verb) ? 1_050_000 : 650_000);
});

test("a bundle of several files can be loaded from any folder", async () => {
  const { file } = build("diff");

  const { handler } = await import(pathToFileURL(file).href);

  expect(handler).toBeTypeOf("function");
});
