import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { completionScript, completions } from "../../../functions/cli/completion.ts";
import { openCommandLine } from "../../support/command-line.ts";

test("completes commands, flags and the words that a flag takes", () => {
  expect(completions([])).toEqual(expect.arrayContaining(["snapshot", "rollback", "undo", "report", "completion"]));
  expect(completions(["ro"])).toEqual(["rollback", "rollbacks"]);
  expect(completions(["rollback", "--out"])).toEqual(["--out-of-range", "--output"]);
  expect(completions(["rollback", "--out-of-range", ""])).toEqual(["refuse", "clamp", "skip"]);
  expect(completions(["rollback", "--out-of-range", "c"])).toEqual(["clamp"]);
  expect(completions(["rollback", "--verify", "t"])).toEqual(["true"]);
  expect(completions(["rollback", "--verify", ""])).toEqual(expect.arrayContaining(["true", "false", "--groups"]));
  expect(completions(["show", "--format", ""])).toEqual(expect.arrayContaining(["text", "json", "csv", "kafka-csv"]));
  expect(completions(["show", "--output", ""])).toEqual([]); // files
  expect(completions(["completion", "z"])).toEqual(["zsh"]);
  expect(completions(["nothing", "--"])).toEqual([]);
});

test("bash completes with the script", async () => {
  const cli = openCommandLine();
  try {
    const typed = (...words: string[]) =>
      `COMP_WORDS=(offset-rollback ${words.join(" ")}); COMP_CWORD=${words.length}; _offset_rollback offset-rollback; echo "\${COMPREPLY[*]}"`;
    const { stdout, stderr } = await cli.shell(
      `source <(offset-rollback completion bash)\n${typed("ro")}\n${typed("show", "--format", "kafka-c")}\ncomplete -p offset-rollback`,
    );
    expect(stderr).toBe("");
    expect(stdout.split("\n").slice(0, 3)).toEqual([
      "rollback rollbacks",
      "kafka-csv",
      "complete -o default -F _offset_rollback offset-rollback",
    ]);
  } finally {
    cli.remove();
  }
});

const zsh = ["/usr/bin/zsh", "/bin/zsh", "/usr/local/bin/zsh"].find((path) => existsSync(path));

test.skipIf(zsh === undefined)("zsh completes with the script (skipped without zsh)", async () => {
  const cli = openCommandLine();
  try {
    const { stdout } = await cli.onTerminal(
      [],
      [
        ["[?2004h", "source <(offset-rollback completion zsh); PS1='SET''> '\r"],
        ["SET> ", "offset-rollback verify --fail\t"],
        ["--fail-on-mismatch", "\u0015exit\r"],
      ],
      { program: [zsh ?? "", "-f", "-i"] },
    );
    expect(stdout).toContain("offset-rollback verify --fail-on-mismatch");
  } finally {
    cli.remove();
  }
});

test("the scripts have no error that the shells would find", () => {
  execFileSync("bash", ["-n", "-c", completionScript("bash")]);
  if (zsh !== undefined) execFileSync(zsh, ["-n", "-c", completionScript("zsh")]);
});
