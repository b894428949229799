import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { repository } from "../../localstack/process.ts";
import { openCommandLine } from "../support/command-line.ts";
import { openStack } from "../support/stack.ts";

const stack = openStack();
const folder = mkdtempSync(join(tmpdir(), "offset-rollback-package-"));
const installed = join(folder, "node_modules", "kafka-offset-rollback");
let cli: ReturnType<typeof openCommandLine>;

/** Node 20 where the machine has one on its path; otherwise the Node of the tests. */
async function oldestNode(): Promise<string> {
  for (const place of (process.env.PATH ?? "").split(delimiter).filter((place) => !place.includes("node_modules"))) {
    const { stdout } = await execa(join(place, "node"), ["--version"], { reject: false });
    if (stdout?.startsWith("v20.")) return place;
  }
  return join(process.execPath, "..");
}

beforeAll(async () => {
  const tools = { cwd: folder, env: { npm_config_offline: "true" } };
  await execa("npm", ["pack", repository, "--pack-destination", folder], tools);
  const [tarball = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  await execa("npm", ["install", "--no-audit", "--no-fund", join(folder, tarball)], tools);
  cli = openCommandLine(stack.outputs, join(installed, "functions", "cli", "bin.js"));
});
afterAll(() => {
  cli?.remove();
  rmSync(folder, { recursive: true, force: true });
});

test("the package has the built command line alone, and needs no other package", () => {
  expect(readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
    "kafka-offset-rollback",
  ]);
  expect(readdirSync(installed).sort()).toEqual(["LICENSE", "README.md", "dist", "functions", "package.json"]);
  expect(JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))).not.toHaveProperty("dependencies");
});

test("it runs by itself, on Node 20 where there is one", async () => {
  const env = { PATH: `${await oldestNode()}${delimiter}${process.env.PATH}` };
  const { stdout: version } = await cli.shell("node --version", env);
  expect(version).toMatch(/^v2\d\./);
  expect(await cli.run(["--help"], env)).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("Commands:") });
  expect(await cli.run(["rollback", "--help"], env)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("Example:\n  offset-rollback rollback --snapshot-id"),
  });
  expect(await cli.run(["verify", "latest", "--topics", "a:0,0"], env)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('partition "0" is named twice'),
  });
  // Other tests have snapshots on the same stack.
  const perhapsMore = expect.stringMatching(/^(There are more\.\nNext: offset-rollback list .*\n)?$/);
  const listed = await cli.run(["list", "--limit", "1", "--format", "json"], env);
  expect(listed).toMatchObject({ exitCode: 0, stderr: perhapsMore });
  expect(JSON.parse(listed.stdout)).toHaveProperty("snapshots");
  expect(await cli.run(["report", "--groups", "no-such-*"], env)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining("source_cluster: local"),
  });
  expect(
    await cli.run(["list", "--deployment", stack.name, "--format", "csv"], { ...stack.cloud.environment, ...env }),
  ).toMatchObject({
    exitCode: 0,
    stderr: perhapsMore,
  });
});
