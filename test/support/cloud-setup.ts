import type { TestProject } from "vitest/node";
import { choose } from "../../localstack/choice.ts";
import { type CloudDescriptor, useOrStartCloud } from "../../localstack/cloud.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";
import { plain } from "./plain.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The local cloud of the tests: its endpoint, region and the environment that AWS clients need. */
    cloud: CloudDescriptor;
  }
}

/** Starts a local cloud with S3 and DynamoDB, or uses the one at AWS_ENDPOINT_URL. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const choice = await choose({ cloud: true });
  const stateDir = freshStateDir("cloud");
  const cloud = await useOrStartCloud(choice, { stateDir, say: (line) => console.log(line) });
  project.provide("cloud", plain(cloud));
  return async () => {
    await cloud.stop();
    removeState(stateDir);
  };
}
