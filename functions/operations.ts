import * as remove from "./delete/schema.ts";
import * as diff from "./diff/schema.ts";
import * as history from "./history/schema.ts";
import * as importing from "./import/schema.ts";
import * as list from "./list/schema.ts";
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
  rollback,
  rollbacks,
  history,
  delete: remove,
  import: importing,
  reindex,
} as const;

/** The verb of an operation. */
export type Verb = keyof typeof operations;

/** All verbs. */
export const verbs = Object.keys(operations).filter((name): name is Verb => Object.hasOwn(operations, name));
