import * as remove from "./delete/schema.ts";
import * as diff from "./diff/schema.ts";
import * as history from "./history/schema.ts";
import * as hold from "./hold/schema.ts";
import * as importing from "./import/schema.ts";
import * as list from "./list/schema.ts";
import * as plan from "./plan/schema.ts";
import * as prune from "./prune/schema.ts";
import * as reindex from "./reindex/schema.ts";
import * as rollback from "./rollback/schema.ts";
import * as rollbacks from "./rollbacks/schema.ts";
import * as show from "./show/schema.ts";
import * as snapshot from "./snapshot/schema.ts";
import * as verify from "./verify/schema.ts";

/** All operations, by their verbs: the folder of the handler, and the second half of the function's name. */
export const operations = {
  snapshot,
  list,
  show,
  diff,
  verify,
  plan,
  rollback,
  rollbacks,
  history,
  delete: remove,
  hold,
  import: importing,
  reindex,
  prune,
} as const;

/** The verb of an operation. */
export type Verb = keyof typeof operations;

/** What callers may do: each level may do what those before it may. */
export const levels = ["viewer", "operator", "administrator"] as const;
export type Level = (typeof levels)[number];

/**
 * Who may call an operation. A viewer changes nothing. An operator takes snapshots and moves offsets: every rollback can be
 * undone. What an administrator alone may do cannot be undone, or decides what can be undone later.
 */
export const levelOf: Readonly<Record<Verb, Level>> = {
  list: "viewer",
  show: "viewer",
  diff: "viewer",
  verify: "viewer",
  plan: "viewer",
  rollbacks: "viewer",
  history: "viewer",
  snapshot: "operator",
  import: "operator",
  rollback: "operator",
  delete: "administrator",
  hold: "administrator",
  reindex: "administrator",
  prune: "administrator",
};

/** All verbs. */
export const verbs = Object.keys(operations).filter((name): name is Verb => Object.hasOwn(operations, name));
