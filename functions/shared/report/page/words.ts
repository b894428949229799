import { type Child, h } from "./dom.ts";
import { name } from "./text.ts";

export type Tone = "good" | "note" | "warn" | "bad" | "plain";

/** How the words of results are shown: a sign and a text beside the colour. */
const vocabulary: { readonly [word: string]: readonly [sign: string, tone: Tone, label?: string] } = {
  // Snapshots and groups
  complete: ["✓", "good"],
  partial: ["⚠", "bad"],
  not_captured: ["✕", "bad"],
  no_commits: ["∅", "warn"],
  pending: ["…", "warn", "pending transaction"],
  negative: ["✕", "warn", "negative offset"],
  log_unknown: ["?", "warn"],
  below_log_start: ["✕", "bad"],
  above_log_end: ["✕", "bad"],
  has_lag: ["◷", "plain"],
  // Comparisons and plans
  advanced: ["▶", "note"],
  rewound: ["◀", "warn"],
  metadata: ["✎", "plain"],
  added: ["+", "note"],
  removed: ["−", "warn"],
  rewind: ["◀", "warn"],
  fast_forward: ["▶", "warn"],
  unchanged: ["=", "plain"],
  create: ["+", "note"],
  delete: ["−", "bad"],
  skip: ["∅", "warn", "skip: stays as it is"],
  blocked: ["✕", "bad"],
  left_out: ["∅", "warn"],
  done: ["✓", "plain", "already done"],
  // Results
  success: ["✓", "good"],
  partial_success: ["⚠", "bad"],
  failed: ["✕", "bad"],
  restored: ["✓", "good"],
  deleted: ["✓", "good", "commit deleted"],
  moved_since: ["⚠", "bad"],
  not_attempted: ["✕", "bad"],
  skipped: ["∅", "warn"],
  in_doubt: ["?", "bad"],
  // History
  ok: ["✓", "good"],
  err: ["✕", "bad"],
  warn: ["⚠", "warn"],
  notfound: ["?", "bad", "not found"],
  stop: ["■", "bad", "stopped"],
  stopped: ["■", "bad"],
  stall: ["■", "bad", "stalled"],
  resumed: ["▶", "good"],
  jumped: ["▶▶", "warn"],
  appeared: ["+", "note"],
  vanished: ["−", "bad"],
  recreated: ["⟳", "bad"],
  unknown: ["?", "warn"],
};

const entryOf = (word: string) => {
  const key = word.toLowerCase();
  return (Object.hasOwn(vocabulary, key) ? vocabulary[key] : undefined) ?? ["•", "plain" as const];
};

const isKnown = (word: string) => Object.hasOwn(vocabulary, word.toLowerCase());
const toneSigns: { readonly [T in Tone]?: string } = { bad: "✕", warn: "⚠" };

export const signOf = (word: string): string => entryOf(word)[0];
export const toneOf = (word: string): Tone => entryOf(word)[1];
export const labelOf = (word: string): string => entryOf(word)[2] ?? word.replaceAll("_", " ");

/** How much a word asks for attention. */
const urgency: { readonly [T in Tone]: number } = { bad: 0, warn: 1, note: 2, plain: 3, good: 4 };
export const urgencyOf = (marks: readonly string[]): number =>
  Math.min(urgency.good, ...marks.map((mark) => urgency[toneOf(mark)]));

/** A word with its sign, and how often it occurs. An unknown word is shown in the tone of its list. */
export const badge = (word: string, times?: number, tone: Tone = "plain"): Child =>
  h(
    "span",
    { class: `badge ${isKnown(word) ? toneOf(word) : tone}` },
    h("span", { "aria-hidden": "true", class: "sign" }, isKnown(word) ? signOf(word) : (toneSigns[tone] ?? "•")),
    " ",
    name(labelOf(word)),
    times !== undefined && times > 1 && ` × ${times}`,
  );

/** Words with how often each occurs, the most urgent first. */
export function badges(marks: readonly string[]): Child {
  if (marks.length === 0) return "";
  const times = new Map<string, number>();
  for (const mark of marks) times.set(mark, (times.get(mark) ?? 0) + 1);
  const ordered = [...times].sort(([a], [b]) => urgencyOf([a]) - urgencyOf([b]));
  return h(
    "span",
    { class: "badges" },
    ordered.map(([mark, n]) => badge(mark, n)),
  );
}
