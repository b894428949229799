import type { TestProject } from "vitest/node";
import { type CloudDescriptor, startCloud } from "../../localstack/cloud.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The local cloud of the tests: its endpoint, region and the environment that AWS clients need. */
    cloud: CloudDescriptor;
  }
}

/** A local cloud, or the one at AWS_ENDPOINT_URL, for the tests of what speaks to S3 and DynamoDB. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stateDir = freshStateDir("cloud");
  const cloud = await startCloud({ stateDir, say: (line) => console.log(line) });
  const { kind, flavour, endpointUrl, region, environment } = cloud;
  project.provide("cloud", { kind, flavour, endpointUrl, region, environment, stateDir });
  return async () => {
    await cloud.stop();
    removeState(stateDir);
  };
}
