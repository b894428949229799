import type { TestProject } from "vitest/node";
import { choose } from "../../localstack/choice.ts";
import { useOrStartCloud } from "../../localstack/cloud.ts";
import { openKafka } from "../../localstack/kafka.ts";
import { freshStateDir, removeState } from "../../localstack/process.ts";
import { type SecureBroker, startSecureBroker } from "./auth/broker.ts";
import { startTokenServer } from "./auth/token-server.ts";
import { plain } from "./plain.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A broker with a listener for each way to log in, and the token endpoint of its authorization server. */
    auth: SecureBroker & { readonly tokenUrl: string };
  }
}

/** Starts that broker, an authorization server, and a local cloud for the secrets. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => console.log(line);
  const choice = await choose({ cloud: true, brokerProcesses: true });
  const stateDir = freshStateDir("auth");
  const tokens = await startTokenServer();
  const cloud = await useOrStartCloud(choice, { stateDir, say });
  const stop = async (broker?: SecureBroker) => {
    await Promise.all([cloud.stop(), tokens.stop(), broker && openKafka(broker.kafka).stop()]);
    removeState(stateDir);
  };
  const broker = await startSecureBroker(choice.kafkaVersion, stateDir, tokens, say).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  project.provide("cloud", plain(cloud));
  project.provide("auth", { ...broker, tokenUrl: tokens.tokenUrl });
  return () => stop(broker);
}
