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

const cluster = (security: object) => ({ ...example().cluster, security });
const cluster_arn = "arn:aws:kafka:eu-west-1:111122223333:cluster/orders/1111-2222";
const existing = { bucket: "old-offsets", table: "offsets-restored" };

/** Configs of every kind of deployment: whatever holds for all stacks is tested with these. */
export const deployments: Readonly<Record<string, object>> = {
  "the MSK example": example(),
  "the local cloud": local(),
  "a new VPC": { ...example(), network: { vpc: { create: {} } } },
  "a peered new VPC": { ...example(), network: { ...example().network, vpc: { create: { peered: true } } } },
  "a prefix in the bucket": { ...local(), archive: { bucket_prefix: "kafka/offsets/" } },
  "MSK with IAM": {
    ...example(),
    cluster: cluster({ protocol: "SASL_SSL", sasl: { mechanism: "AWS_MSK_IAM", cluster_arn } }),
  },
  "access logs": { ...local(), api: { access_logs: true } },
  queries: { ...local(), athena: true },
  "an archive that exists": { ...local(), archive: { existing } },
  "an archive that exists, with queries": { ...local(), archive: { existing }, athena: true },
  "a table that exists, with its key": {
    ...local(),
    archive: { existing: { table: "old", table_kms_key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1" } },
  },
  "a bucket that exists": { ...local(), archive: { existing: { bucket: "old-offsets" } } },
  "read-only": { ...local(), read_only: true, archive: { existing: { bucket: "replica" } } },
  "to be destroyed": { ...local(), removal_policy: "destroy" },
  "all settings": {
    ...example(),
    name_prefix: "blue-",
    env: { account: "111122223333", region: "eu-west-1" },
    tags: { team: "payments" },
    permissions_boundary: "arn:aws:iam::111122223333:policy/limits",
    cluster: {
      ...example().cluster,
      security: { ...example().cluster.security, tls: { secret_arn: example().cluster.security.sasl.secret_arn } },
      connections_per_broker: 8,
    },
    network: {
      ...example().network,
      vpc: {
        existing: {
          ...example().network.vpc.existing,
          private_route_table_ids: ["rtb-0a0a0a0a0a0a0a0a0", "rtb-0b0b0b0b0b0b0b0b0", "rtb-0c0c0c0c0c0c0c0c0"],
        },
      },
      security_group_id: "sg-0f0f0f0f0f0f0f0f0",
      broker_ports: [9098, "14001-14100"],
      endpoints: { s3: true, dynamodb: true },
    },
    schedules: [...example().schedules, { name: "once", expression: "at(2030-01-31T22:00:00)", enabled: false }],
    archive: { bucket_prefix: "kafka/", noncurrent_days: 90, object_lock_days: 30, deletion_protection: true },
    kms_key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    retention: { schedules: { hourly: { hourly: 24, daily: 30 } } },
    retention_risk_hours: 6,
    logs: { retention_days: 365 },
    api: { access_logs: true },
    athena: true,
  },
};
