import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { curlLine, inPath } from "../../localstack/curl.ts";
import { repository } from "../../localstack/process.ts";
import { openGateway } from "../support/gateway.ts";
import { commitsOn, openStack } from "../support/stack.ts";

const stack = openStack();
const gateway = await openGateway(stack.outputs, stack.cloud);
const folder = mkdtempSync(join(tmpdir(), "offset-rollback-curl-"));

/** Runs lines of bash as a reader of the documents does, with the gateway as the API. */
async function runInShell(lines: string) {
  const { environment, region } = stack.cloud;
  const env = { ...environment, AWS_REGION: region, API: gateway.apiUrl };
  return execa("bash", ["-euo", "pipefail", "-c", lines], { env, cwd: folder, reject: false, timeout: 60_000 });
}

/** The blocks of code of the documents that call curl, and what is said of curl elsewhere. */
const files = globSync(["**/*.md", ".github/**/*.md"], {
  cwd: repository,
  exclude: ["node_modules/**", ".local/**", "cdk.out/**", "dist/**"],
});
const documents = files.map((file) => ({ file, text: readFileSync(join(repository, file), "utf8") }));
const fences = /^( *)```[^\n]*\n(.*?)^\1```$/gms;
const blocks = documents.flatMap(({ file, text }) =>
  [...text.matchAll(fences)].flatMap(([, , code = ""]) => (/\bcurl\b/.test(code) ? [{ file, code }] : [])),
);
const elsewhere = documents.flatMap(({ file, text }) =>
  text
    .replaceAll(fences, "")
    .split("\n")
    .filter((line) => /\bcurl\b[^`]*(https?:|\$API|--aws-sigv4|-d )/.test(line))
    .map((line) => `${file}: ${line}`),
);

const group = "orders-streams";
let taken: Promise<string> | undefined;

/** A snapshot of the groups that the documents name. */
const snapshotId = async () => {
  taken ??= stack.topic(1).then(async (topic) => {
    await stack.commit(commitsOn(group, topic, [3n]));
    const { snapshot_id } = await stack.call("snapshot", { groups: ["orders-*"] });
    return snapshot_id ?? "";
  });
  return taken;
};

beforeAll(() => {
  mkdirSync(join(folder, ".local"));
  writeFileSync(join(folder, ".local", "outputs.json"), JSON.stringify({ ...stack.outputs, api_url: gateway.apiUrl }));
});
afterAll(async () => {
  await gateway.close();
  rmSync(folder, { recursive: true });
});

describe("every curl line of the documents is signed as API Gateway checks it, and does what it says", () => {
  test("and stands in a block of code, where it is found", () => {
    expect(elsewhere).toEqual([]);
    expect(blocks.map(({ file }) => file)).toContain("functions/README.md");
  });

  test.each(blocks)("$file", async ({ code }) => {
    await snapshotId();
    const lines = code.replaceAll(/\\\n/g, " ").split("\n");
    const calls = lines.filter((line) => /\bcurl\b/.test(line.replace(/(^|\s)#.*/, "")));
    const { stderr, exitCode } = await runInShell(code);
    const received = gateway.received();
    expect(received.filter(({ status }) => status !== 200 && status !== 202)).toEqual([]);
    for (const { answer } of received.filter(({ status }) => status === 202)) {
      const { rollback_id } = Object(JSON.parse(answer));
      const ended = async () => (await stack.http("GET", `/rollbacks/${rollback_id}`)).body;
      await expect.poll(ended, { timeout: 60_000, interval: 500 }).toMatchObject({ rollback_id, status: "success" });
    }
    expect({ calls: received.length, exitCode, stderr }).toMatchObject({ calls: calls.length, exitCode: 0 });
  });
});

describe("the lines that the demo prints and runs", () => {
  test.each<[string, (id: string) => [method: string, path: string, body?: unknown]]>([
    ["a list", () => ["GET", "/snapshots?limit=5"]],
    ["a snapshot", () => ["POST", "/snapshots", { groups: [group], description: "it's over HTTP" }]],
    ["a document", (id) => ["GET", `/snapshots/${id}`]],
    ["a rollback", (id) => ["POST", `/snapshots/${id}/rollback`, { groups: [group] }]],
    ["a comparison without a body", (id) => ["POST", `/snapshots/${id}/verify`]],
    ["a deletion", (id) => ["DELETE", `/snapshots/${id}`]],
  ])("are signed as API Gateway checks it: %s", async (_, call) => {
    const { stdout } = await runInShell(curlLine(...call(inPath(await snapshotId()))));
    expect(gateway.received()).toMatchObject([{ status: 200, refusal: undefined }]);
    expect(stdout).toMatch(/\nHTTP 200$/);
  });
});

test("a line that is signed with another key is refused by that gateway", async () => {
  const { stdout } = await runInShell(`AWS_SECRET_ACCESS_KEY=other; ${curlLine("GET", "/snapshots")}`);
  expect(gateway.received()).toMatchObject([{ status: 403, refusal: expect.stringContaining("does not match") }]);
  expect(stdout).toMatch(/\nHTTP 403$/);
});
