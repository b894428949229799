import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { operations, type Verb, verbs } from "../../functions/operations.ts";
import { iamTokens } from "../../functions/shared/kafka/connection/tokens.ts";
import { buildHandler, buildModule } from "../../infra/operation-function.ts";
import { loadedAtOnce } from "../support/loaded-at-once.ts";

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
  return { file, ...loadedAtOnce(buildHandler(verb, file), file) };
}

/** Packages that only some invocations load: for bodies, MSK log-in, Secrets Manager, links to large results. */
const loadedOnUse = [
  "@aws-sdk/client-s3",
  "@aws-sdk/s3-request-presigner",
  "@aws-sdk/client-secrets-manager",
  "aws-msk-iam-sasl-signer-js",
];
const withKafka: readonly Verb[] = ["snapshot", "verify", "plan", "rollback", "import"];

test.each(verbs)("a cold start of %s reads only the packages that it needs", (verb) => {
  const { bytes, packages } = build(verb);

  expect(packages).toContain("@aws-sdk/client-dynamodb"); // checks that the list of packages is complete
  expect(packages.has("kafkajs")).toBe(withKafka.includes(verb));
  expect(loadedOnUse.filter((name) => packages.has(name))).toEqual([]);
  expect(bytes).toBeLessThan(withKafka.includes(verb) ? 680_000 : 400_000);
});

test("a cold start of show does not read the page of HTML reports, which is in a file of its own", () => {
  const file = freshFile();
  const metafile = buildHandler("show", file);
  const page = "functions/shared/report/page.generated.ts";

  expect(Object.keys(metafile.inputs)).toContain(page);
  expect(loadedAtOnce(metafile, file).sources).not.toContain(page);
});

test.each(verbs)("the bundle of %s has the request's schema, and not the result's", (verb) => {
  const text = readFileSync(build(verb).file, "utf8");
  const descriptionsOf = ({ shape }: { shape: Readonly<Record<string, z.core.$ZodType>> }) =>
    Object.values(shape).map((field) => z.globalRegistry.get(field)?.description ?? "none");
  const { request, result } = operations[verb];
  const requested = descriptionsOf(request);
  const answered = ("shape" in result ? [result] : result.def.options).flatMap(descriptionsOf);

  expect(requested.filter((description) => !text.includes(description))).toEqual([]);
  const only = answered.filter((description) => !requested.includes(description));
  expect(only.length).toBeGreaterThan(0);
  expect(only.filter((description) => text.includes(description))).toEqual([]);
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
