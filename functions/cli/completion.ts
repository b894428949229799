import type { Command } from "./command.ts";
import { commands, commonFlags, formatFlag } from "./commands.ts";

/** Shells that can be completed for. */
export const shells = ["bash", "zsh"] as const;
export type Shell = (typeof shells)[number];

/** The word that the scripts below call the program with. */
export const COMPLETE = "complete";

/** What a shell evaluates. Both ask the program itself, so a new command or flag is known at once. */
const scripts: Readonly<Record<Shell, string>> = {
  bash: `_offset_rollback() {
  local IFS=$'\\n' words
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($("$1" ${COMPLETE} "\${words[@]}" 2>/dev/null))
}
complete -o default -F _offset_rollback offset-rollback
`,
  zsh: `#compdef offset-rollback
_offset_rollback() {
  local -a found
  found=("\${(@f)$("\${words[1]}" ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -- "\${found[@]}"; else _files; fi
}
if (( ! $+functions[compdef] )); then autoload -Uz compinit && compinit; fi
compdef _offset_rollback offset-rollback
`,
};

/** The script for a shell. */
export const completionScript = (shell: Shell): string => scripts[shell];

/**
 * What the last word may become: a command, a flag, or a word of a flag's list; nothing where only files fit.
 *
 * @param words the words after the program's name; the last one may be unfinished
 */
export function completions(words: readonly string[]): string[] {
  const last = words.at(-1) ?? "";
  const [name = "", ...rest] = words;
  if (rest.length === 0)
    return [...commands.keys(), "completion", "help"].filter((command) => command.startsWith(last));
  if (name === "completion") return shells.filter((shell) => shell.startsWith(last));
  if (name === "help") return [...commands.keys()].filter((command) => command.startsWith(last));
  const command = commands.get(name);
  return command === undefined
    ? []
    : candidates(command, rest.at(-2) ?? "", last).filter((word) => word.startsWith(last));
}

function candidates(command: Command, before: string, last: string): readonly string[] {
  const fields = command.flags();
  const format = formatFlag(fields, command.verb);
  const flags = [...fields.filter((flag) => flag !== format.field), ...command.own, format.own, ...commonFlags];
  const open = flags.find(({ name }) => before === `--${name}`);
  if (open !== undefined && open.kind !== "switch") return open.choices;
  const names = [...flags.map(({ name }) => `--${name}`), "--help"];
  if (open === undefined || last.startsWith("-")) return last.startsWith("-") || last === "" ? names : [];
  return last === "" ? ["true", "false", ...names] : ["true", "false"];
}
