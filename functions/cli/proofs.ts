import * as z from "zod/mini";
import type { Verb } from "../operations.ts";
import { encodeJson, type Fields } from "../shared/core/json/json.ts";
import { BODY_DAMAGED, BODY_MISSING } from "../shared/core/retention.ts";
import { missingRights, NO_OBJECT } from "../shared/core/rights.ts";
import { count, listSome, nameSome } from "../shared/core/text.ts";
import { Failed, NotChecked } from "./findings.ts";
import { type Answer, readAnswer } from "./invoke.ts";
import { OperationFailed } from "./problems.ts";

/** What the checks of single operations work with. */
export interface Sample {
  /** Calls an operation of the deployment. */
  call(verb: Verb, request: Fields): Promise<Answer>;
  /** Where the deployment has its snapshots: `s3://bucket/prefix`. */
  readonly path: string | undefined;
  /** The group that is looked at, or why there is none. */
  readonly group: { readonly name: string; readonly partitions: Fields } | { readonly none: string };
}

/** Proves an operation by a real call that changes nothing; returns what was proved. */
type Proof = (sample: Sample) => Promise<string>;

/** The newest snapshots may be of other groups. */
const MOST_IN_HISTORY = 10;
/** Above so many snapshots, the rehearsal of a reindex would read too many bodies. */
const MOST_TO_REINDEX = 100;

const listed = z.looseObject({
  snapshots: z.array(z.looseObject({ snapshot_id: z.string() })),
  next_token: z.optional(z.string()),
});
const journal = z.looseObject({ rollbacks: z.array(z.looseObject({ rollback_id: z.string() })) });
const sorted = z.looseObject({
  kept: z.array(z.looseObject({ snapshot_id: z.string(), because: z.array(z.string()) })),
  deleted: z.array(z.unknown()),
  warnings: z.array(z.string()),
});
const compared = z.looseObject({
  indexed: z.int(),
  added: z.array(z.string()),
  repaired: z.array(z.string()),
  orphan_rows: z.array(z.string()),
  unreadable: z.array(z.looseObject({ key: z.string(), message: z.string() })),
  remaining: z.int(),
  warnings: z.array(z.string()),
});
const named = z.looseObject({ snapshot_id: z.string() });

/**
 * How each operation is proved without changing anything. `undefined`: only `--write` can. The snapshot comes first, and makes the
 * sample: see `doctor.ts`.
 */
export const proofs: Readonly<Record<Exclude<Verb, "snapshot">, Proof | undefined>> = {
  async list({ call }) {
    const [newest] = readAnswer(listed, await call("list", { limit: 1 }), "list").snapshots;
    return `reads the index; ${newest === undefined ? "it has no snapshot yet" : `the newest is ${newest.snapshot_id}`}`;
  },
  show: async (sample) => `reads the body of ${await ofLatest("show", sample, {})}`,
  diff: async (sample) => `compares ${await ofLatest("diff", sample, {}, "from")} with the live group`,
  verify: async (sample) => `compares ${await ofLatest("verify", sample, {})} with the live group`,
  plan: async (sample) => `plans a rollback to ${await ofLatest("plan", sample, {})}`,
  rollback: async (sample) => `plans a rollback to ${await ofLatest("rollback", sample, { dry_run: true })} (dry run)`,
  async rollbacks({ call }) {
    const [last] = readAnswer(journal, await call("rollbacks", { limit: 1 }), "rollbacks").rollbacks;
    if (last === undefined) return "reads the journal; it has no rollback yet";
    await call("rollbacks", { rollback_id: last.rollback_id });
    return `reads the journal; the last rollback is ${last.rollback_id}`;
  },
  async history(sample) {
    const { name } = groupOf(sample);
    await sample.call("history", { groups: [literal(name)], limit: MOST_IN_HISTORY }).catch(withoutSnapshot(name));
    return "reads the newest snapshots";
  },
  async import({ call, path, group }) {
    if (path !== undefined) await requireNothingAt(call, `${path.replace(/\/?$/, "/")}imports/offset-rollback-doctor`);
    if ("none" in group) {
      const reads = path === undefined ? "" : "reads files below imports/. ";
      throw new NotChecked(`${reads}Not checked with content, because ${group.none}`);
    }
    const answer = await call("import", { ...importOf(group), dry_run: true });
    requireRights(answer);
    const checks = "checks offsets against the live topics (dry run)";
    if (path !== undefined) return `reads files below imports/, and ${checks}`;
    throw new NotChecked(`${checks}. Not checked with files below imports/: the stack has no output Path`);
  },
  async reindex({ call }) {
    const { next_token } = readAnswer(listed, await call("list", { limit: MOST_TO_REINDEX }), "list");
    if (next_token !== undefined) {
      throw new NotChecked(
        `there are over ${MOST_TO_REINDEX} snapshots, and it reads all: offset-rollback reindex --dry-run`,
      );
    }
    return aboutIndex(readAnswer(compared, await call("reindex", { dry_run: true }), "reindex"));
  },
  async prune({ call }) {
    const { kept, deleted, warnings } = readAnswer(sorted, await call("prune", { dry_run: true }), "prune");
    const does = `reads index and journal: the rules keep ${count(kept.length, "snapshot")}, and delete ${deleted.length} (dry run)`;
    const lacks = (reason: string) => reason === BODY_MISSING || reason === BODY_DAMAGED;
    if (kept.some(({ because }) => because.some(lacks))) throw new Failed(warnings.join("\n"));
    if (warnings.length > 0) throw new NotChecked(`${does}. It warns:\n${warnings.join("\n")}`);
    return does;
  },
  delete: undefined,
  hold: undefined,
};

/**
 * What the comparison of the index with the bodies shows.
 *
 * @throws Failed unless each row is of a body that can be read, and each body has a row
 */
function aboutIndex(seen: z.output<typeof compared>): string {
  const { indexed, added, repaired, orphan_rows, unreadable, remaining, warnings } = seen;
  const named = (ids: readonly string[], one: string, more: string) =>
    ids.length === 0 ? [] : [`${count(ids.length, one, more)}: ${listSome(ids, String, 5)}`];
  const damaged = [
    ...named(orphan_rows, "listed snapshot without a body", "listed snapshots without a body"),
    ...unreadable.slice(0, 5).map(({ key, message }) => `${key}: ${message}`),
    ...(unreadable.length > 5 ? [`${unreadable.length - 5} more objects cannot be read`] : []),
  ];
  const wrong = [
    ...named(added, "body without a row", "bodies without a row"),
    ...named(repaired, "row that does not agree with its body", "rows that do not agree with their bodies"),
  ];
  if (damaged.length + wrong.length > 0) {
    throw new Failed([...damaged, ...wrong, ...warnings].join("\n"), [
      ...(wrong.length > 0 ? ["offset-rollback reindex"] : []),
      ...(damaged.length > 0 ? ["offset-rollback reindex --dry-run"] : []),
    ]);
  }
  const reads = `reads ${count(indexed, "body", "bodies")} and their rows (dry run)`;
  if (remaining > 0 || warnings.length > 0) throw new NotChecked(`${reads}. It warns:\n${warnings.join("\n")}`);
  return reads;
}

/** A request to import what a group has committed. */
export const importOf = ({ name, partitions }: { readonly name: string; readonly partitions: Fields }): Fields => ({
  format: "json",
  content: encodeJson({ consumer_groups: { [name]: { partitions } } }),
  source: "offset-rollback doctor",
});

/** A group by its name, whatever characters it has. */
export const literal = (name: string): Fields => ({ name });

/** @throws NotChecked where there is none */
function groupOf({ group }: Sample) {
  if ("none" in group) throw new NotChecked(group.none);
  return group;
}

/** Calls an operation on the newest snapshot of the group. Returns its id. */
async function ofLatest(verb: Verb, sample: Sample, more: Fields, field = "snapshot_id"): Promise<string> {
  const { name } = groupOf(sample);
  const request = { [field]: "latest", groups: [literal(name)], ...more };
  const answer = await sample.call(verb, request).catch(withoutSnapshot(name));
  if (verb !== "show") requireRights(answer);
  const id = Object(answer.result)[field];
  return typeof id === "string" ? id : readAnswer(named, answer, verb).snapshot_id;
}

/** For the `catch` of a call about the snapshots of a group: where there is none, the call cannot be made. */
const withoutSnapshot =
  (group: string) =>
  (error: unknown): never => {
    if (!(error instanceof OperationFailed && (error.name === "SnapshotNotFound" || error.name === "GroupNotFound")))
      throw error;
    throw new NotChecked(`no snapshot has group ${nameSome([group])} yet: offset-rollback snapshot`);
  };

/** What says in a result that something could not be read. */
const doubts = z.looseObject({
  warnings: z._default(z.array(z.string()), []),
  errors: z._default(z.array(z.looseObject({ message: z.string() })), []),
  blockers: z._default(z.array(z.looseObject({ message: z.string() })), []),
});

/** @throws Failed where a result says that a right was missing for a part of it */
export function requireRights({ result }: Answer): void {
  const { warnings, errors, blockers } = doubts.parse(result);
  const lacking = [...warnings, ...[...errors, ...blockers].map(({ message }) => message)].filter(
    (text) => missingRights(text).length > 0,
  );
  if (lacking.length > 0) throw new Failed([...new Set(lacking)].slice(0, 10).join("\n"));
}

/** Looks for a file that is not there: the answer says so only where the function may read it. */
async function requireNothingAt(call: Sample["call"], url: string): Promise<void> {
  await call("import", { format: "json", snapshot_url: url, dry_run: true }).catch((error: unknown) => {
    if (!(error instanceof OperationFailed && error.name === "InvalidRequest")) throw error;
    if (!error.message.includes(NO_OBJECT)) throw new Failed(error.message);
  });
}
