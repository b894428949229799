import { readFileSync } from "node:fs";
import { App, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { InvalidDeployment, parseDeployment } from "./config.ts";
import { OffsetRollbackStack } from "./offset-rollback-stack.ts";

/** Reads the deployment config that `-c config=<path>` names; cdk.json names the example. */
function readDeployment(app: App) {
  const path: unknown = app.node.tryGetContext("config");
  if (typeof path !== "string")
    throw new InvalidDeployment(
      "No deployment config: pass -c config=<path of a JSON file>, such as a copy of infra/deployment.example.json",
    );
  try {
    return parseDeployment(JSON.parse(readFileSync(path, "utf8")), path);
  } catch (error) {
    if (error instanceof InvalidDeployment || !(error instanceof Error)) throw error;
    throw new InvalidDeployment(`The deployment config ${path} cannot be read: ${error.message}`);
  }
}

const app = new App({ analyticsReporting: false });
try {
  new OffsetRollbackStack(app, readDeployment(app));
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
} catch (error) {
  if (!(error instanceof InvalidDeployment)) throw error;
  console.error(error.message);
  process.exit(1);
}
