import { diffView } from "./comparison.ts";
import type { Data } from "./data.ts";
import { dryRunView } from "./dry-run.ts";
import { historyView } from "./history.ts";
import { omittedNotice } from "./notices.ts";
import { resultView } from "./result.ts";
import { snapshotView } from "./snapshot.ts";
import type { View } from "./view.ts";

/** What a result shows, after a notice of what a summary left out. */
export function viewOf(data: Data): View {
  const views = {
    show: snapshotView,
    diff: diffView,
    dry_run: dryRunView,
    rollback: resultView,
    history: historyView,
  };
  const view = views[data.kind](data);
  return { ...view, notices: [omittedNotice(data.head), ...view.notices] };
}
