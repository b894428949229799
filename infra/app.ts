import { readFileSync } from "node:fs";
import { join } from "node:path";
import { App, CfnParameter, Validations } from "aws-cdk-lib";
import { AwsSolutionsChecks } from "cdk-nag";
import { InvalidDeployment, parseDeployment } from "./config.ts";
import { OffsetRollbackStack } from "./offset-rollback-stack.ts";

/** Reads a deployment config. */
function readDeployment(path: string) {
  try {
    return parseDeployment(JSON.parse(readFileSync(path, "utf8")), path);
  } catch (error) {
    if (error instanceof InvalidDeployment || !(error instanceof Error)) throw error;
    throw new InvalidDeployment(`The deployment config ${path} cannot be read: ${error.message}`);
  }
}

/**
 * The stack of the deployment config `-c config=<path>`. Without that option it is the example, which cannot be
 * deployed: it requires a parameter without a default.
 */
function createStack(app: App): void {
  const config: unknown = app.node.tryGetContext("config") ?? join(import.meta.dirname, "deployment.example.json");
  const stack = new OffsetRollbackStack(app, readDeployment(String(config)));
  if (app.node.tryGetContext("config") !== undefined) return;
  console.error("No -c config=<path>: this is infra/deployment.example.json, which cannot be deployed.");
  new CfnParameter(stack, "ThisIsTheExamplePassConfig", {
    description: "Has no value on purpose: pass -c config=<path> to deploy your own config",
  });
  Validations.of(stack).acknowledge({
    id: "CloudFormation-Validate::W2001",
    reason: "The parameter only prevents a deployment.",
  });
}

const app = new App({ analyticsReporting: false });
try {
  createStack(app);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
} catch (error) {
  if (!(error instanceof InvalidDeployment)) throw error;
  console.error(error.message);
  process.exit(1);
}
