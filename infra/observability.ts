import { Construct } from "constructs";
import { Alarms, type Watched } from "./alarms.ts";
import type { Deployment } from "./config.ts";
import { OperationsDashboard } from "./dashboard.ts";
import type { OperationFunction } from "./operation-function.ts";
import { SnapshotAges } from "./snapshot-ages.ts";

/** What is observed of a deployment. */
interface Observed extends Pick<Watched, "api" | "accessLogs" | "deadLetters"> {
  readonly functions: Readonly<Record<"snapshot" | "rollback" | "prune" | "list", OperationFunction>>;
}

/** How the person on call learns that something failed: checks of the schedules, alarms, and a dashboard. */
export class Observability extends Construct {
  constructor(scope: Construct, id: string, { functions, ...observed }: Observed, deployment: Deployment) {
    super(scope, id);
    const { schedules } = new SnapshotAges(this, "Ages", functions.list, deployment);
    const { snapshot, rollback, prune } = functions;
    const watched = { ...observed, schedules, functions: { snapshot, rollback, prune } };
    const { all } = new Alarms(this, "Alarms", watched, deployment);
    new OperationsDashboard(this, "Dashboard", watched, all, deployment);
  }
}
