import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Shell scripts by the names of the commands that they replace. */
export type Commands = Readonly<Record<string, string>>;

/** Commands that answer as if they were installed and worked. */
export const working = {
  java: `echo 'openjdk version "17.0.15" 2025-04-15' >&2`,
  mvn: "exit 0",
  python3: "exit 0",
  docker: `case "$1 $2" in
    "version --format") echo 28.2.2 ;;
    "compose version") echo "Docker Compose version v2.40.3" ;;
    *) exit 1 ;;
  esac`,
} as const satisfies Commands;

/** Creates a folder that is deleted when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "offset-rollback-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Creates a folder for the PATH, with these commands and the few tools that scripts need. */
export function pathWith(commands: Commands): string {
  const folder = join(temporaryFolder(), "bin");
  mkdirSync(folder);
  for (const [name, script] of Object.entries(commands)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  for (const tool of ["sh", "cat", "sleep"]) symlinkSync(`/bin/${tool}`, join(folder, tool));
  return folder;
}

/** The lines of a file that commands write to. */
export const linesOf = (file: string): string[] => readFileSync(file, "utf8").trimEnd().split("\n");
