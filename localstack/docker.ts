import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { repository, run, type Say } from "./process.ts";

let answers: boolean | undefined;

/** Whether a Docker engine answers, and has Compose. */
export function dockerAnswers(): boolean {
  answers ??= ["info", "compose version"].every(
    (command) => spawnSync("docker", command.split(" "), { stdio: "ignore", timeout: 10_000 }).status === 0,
  );
  return answers;
}

/** Runs `docker compose <args>` with the variables that compose.yaml reads. */
export type Compose = (args: readonly string[], variables?: Record<string, string>) => Promise<void>;

/** What is started from one state folder is one Compose project: it sees each other. */
const projectOf = (stateDir: string) =>
  `offset-rollback-${createHash("sha256").update(stateDir).digest("hex").slice(0, 8)}`;

/** The Compose project of a state folder. */
export function composeIn(stateDir: string, say: Say = () => {}): Compose {
  const file = join(repository, "localstack", "compose.yaml");
  return (args, variables = {}) =>
    run(
      {
        command: "docker",
        args: ["compose", "-f", file, "-p", projectOf(stateDir), "--profile", "three", ...args],
        env: { ...process.env, ...variables },
      },
      join(stateDir, `compose-${args[0] ?? ""}.log`),
      600_000,
      say,
    );
}

/** Removes services of a state folder's project, and its network with the last of them. */
export async function removeFromCompose(stateDir: string, services: readonly string[]): Promise<void> {
  await composeIn(stateDir)(["rm", "--force", "--stop", "--volumes", ...services]);
  spawnSync("docker", ["network", "rm", `${projectOf(stateDir)}_default`], { stdio: "ignore" }); // refused while in use
}
