import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { repository } from "../../localstack/process.ts";

/** How a program ended, and what it said. */
export interface Ended {
  readonly exitCode?: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** A terminal of python's `pty`: types each answer when the text before it has been shown. What was shown is its output. */
const terminal = `
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
argv, columns, answers = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(argv[0], argv)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
shown, end = b"", time.time() + 25
while time.time() < end:
    if select.select([fd], [], [], 0.2)[0]:
        try:
            some = os.read(fd, 65536)
        except OSError:
            break
        if not some:
            break
        shown += some
    if answers and answers[0][0].encode() in shown:
        os.write(fd, answers.pop(0)[1].encode())
if time.time() >= end:
    os.kill(pid, signal.SIGKILL)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** What would choose another deployment, or says whether there are colours: Node shows none where `CI` is set. */
const CHOOSING =
  /^(AWS_.*|OFFSET_ROLLBACK_.*|(NO|FORCE)_COLOR|NODE_DISABLE_COLORS|NODE_OPTIONS|NODE_V8_COVERAGE|CI|TF_BUILD|TEAMCITY_VERSION|COLORTERM|TMUX)$/;

/** This process's environment without what chooses, on a terminal that has colours. */
function environment(extra: Readonly<Record<string, string>>): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name]) => !CHOOSING.test(name));
  return {
    ...Object.fromEntries(inherited.map(([name, value]) => [name, value ?? ""])),
    TERM: "xterm-256color",
    ...extra,
  };
}

/**
 * The command line in a folder of its own, as a shell there finds it.
 *
 * @param outputs what `.local/outputs.json` of the folder has; without it the folder has none
 * @param program the program's file
 */
export function openCommandLine(outputs?: object, program = join(repository, "functions/cli/bin.js")) {
  const folder = mkdtempSync(join(tmpdir(), "offset-rollback-test-"));
  const bin = join(folder, "bin");
  mkdirSync(bin);
  symlinkSync(program, join(bin, "offset-rollback"));
  if (outputs !== undefined) {
    mkdirSync(join(folder, ".local"));
    writeFileSync(join(folder, ".local", "outputs.json"), JSON.stringify(outputs));
  }
  const options = (env: Readonly<Record<string, string>>) => ({
    cwd: folder,
    extendEnv: false,
    env: { ...environment(env), PATH: [bin, env.PATH ?? process.env.PATH].join(delimiter) },
    reject: false,
    stdin: "ignore" as const,
    stripFinalNewline: false,
    timeout: 90_000,
  });
  const ended = ({ exitCode, stdout, stderr }: Ended): Ended => ({ exitCode, stdout, stderr });
  return {
    folder,
    /** Runs one command without a terminal. */
    run: async (words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
      ended(await execa("offset-rollback", words, options(env))),
    /** Starts one command, to be interrupted. */
    start: (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      execa("offset-rollback", words, options(env)),
    /** Runs lines of bash, which end at the first one that fails. */
    shell: async (lines: string, env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
      ended(await execa("bash", ["-euo", "pipefail", "-c", lines], options(env))),
    /** Runs one command, or another program, on a terminal, and types answers: `[after this text, these keys]`. */
    async onTerminal(
      words: readonly string[],
      answers: readonly (readonly [string, string])[] = [],
      {
        columns = 100,
        env = {},
        program = ["offset-rollback"],
      }: { columns?: number; env?: Readonly<Record<string, string>>; program?: readonly string[] } = {},
    ): Promise<Ended> {
      const asked = JSON.stringify([[...program, ...words], columns, answers]);
      return ended(await execa("python3", ["-c", terminal, asked], options(env)));
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
