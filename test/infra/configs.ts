import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The repository's root. */
export const root = join(import.meta.dirname, "../..");

/** The MSK example, as a fresh object to change. */
export const example = () => JSON.parse(readFileSync(join(root, "infra/deployment.example.json"), "utf8"));

/** The smallest config, as for the local cloud. */
export const local = () => ({
  cluster: { name: "local", bootstrap_servers: ["127.0.0.1:9092"], security: { protocol: "PLAINTEXT" } },
  network: null,
  schedules: [],
});
