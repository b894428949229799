import { Annotations, CfnOutput, PermissionsBoundary, Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import type { Verb } from "../functions/operations.ts";
import { envNames } from "../functions/shared/lambda/env.ts";
import { ArchiveQueries } from "./archive-queries.ts";
import { CallerPolicies } from "./caller-policies.ts";
import type { Deployment } from "./config.ts";
import { DeadLetters } from "./dead-letters.ts";
import { KafkaAccess } from "./kafka-access.ts";
import { Observability } from "./observability.ts";
import { OperationFunction } from "./operation-function.ts";
import { Pruning } from "./pruning.ts";
import { RestApi } from "./rest-api.ts";
import { Schedules } from "./schedules.ts";
import { SnapshotArchive } from "./snapshot-archive.ts";

const destroyed =
  "removal_policy is destroy: the deletion of this stack deletes the table (the index and the journal) and the audit logs. " +
  "It fails at the bucket if that is not empty: then empty it (infra/README.md#upgrade-and-destroy), and delete the stack again.";

const unreachable =
  "network.vpc.create makes a VPC without a way to the internet (no NAT gateway), and OAUTHBEARER requests its tokens from a " +
  "token endpoint: the functions reach it, and the brokers, only at private addresses, over peering. For public ones, such as those of " +
  "Confluent Cloud, use network.vpc.existing with a NAT gateway, or network null (infra/README.md#network).";

/** Snapshots and rollbacks for the consumer groups of one Kafka cluster. */
export class OffsetRollbackStack extends Stack {
  constructor(scope: Construct, deployment: Deployment) {
    const { env, tags, permissions_boundary } = deployment;
    super(scope, deployment.stack_name, {
      description: "Time machine for Kafka consumer groups",
      tags,
      ...(env && { env }),
      ...(permissions_boundary && { permissionsBoundary: PermissionsBoundary.fromArn(permissions_boundary) }),
    });

    if (deployment.removal_policy === "destroy")
      Annotations.of(this).addWarningV2("offset-rollback:destroy", destroyed);

    const { network, cluster } = deployment;
    if (network?.vpc.create !== undefined && cluster.security.sasl?.mechanism === "OAUTHBEARER")
      Annotations.of(this).addWarningV2("offset-rollback:no-internet", unreachable);

    const archive = new SnapshotArchive(this, "Archive", deployment);
    const kafka = new KafkaAccess(this, "Kafka", deployment);

    const make = (verb: Verb, ...grants: readonly ((fn: OperationFunction) => void)[]) => {
      const fn = new OperationFunction(this, verb, deployment);
      for (const grant of grants) grant(fn);
      return fn;
    };
    const makeWriters = () => ({
      snapshot: make("snapshot", archive.grantWrite, archive.grantDeliveries, kafka.grantRead),
      rollback: make("rollback", archive.grantWrite, archive.grantJournal, kafka.grantWrite),
      rollbacks: make("rollbacks", archive.grantJournalRead),
      delete: make("delete", archive.grantDelete),
      hold: make("hold", archive.grantHold),
      import: make("import", archive.grantImport, kafka.grantRead),
      prune: make("prune", archive.grantPrune),
    });
    /** What a read-only deployment has: nothing that writes a body, or to Kafka. */
    const readers = {
      list: make("list", archive.grantList),
      show: make("show", archive.grantRead),
      diff: make("diff", archive.grantRead, kafka.grantRead),
      verify: make("verify", archive.grantRead, kafka.grantRead),
      plan: make("plan", archive.grantRead, kafka.grantPlan),
      history: make("history", archive.grantRead, archive.grantJournalRead),
      reindex: make("reindex", archive.grantReindex),
    };
    const writers = deployment.read_only ? undefined : makeWriters();
    const functions = { ...readers, ...writers };
    writers?.snapshot.configure({ [envNames.retentionRiskHours]: String(deployment.retention_risk_hours) });
    const { api, accessLogs } = new RestApi(this, "RestApi", functions, deployment);
    const callers = new CallerPolicies(this, "Callers", functions, api);
    const queries = deployment.athena ? new ArchiveQueries(this, "Queries", archive, deployment) : undefined;
    let queueUrls = {};
    if (writers !== undefined) {
      const lost = new DeadLetters(this, "RollbacksLost", deployment);
      writers.rollback.keepFailed(lost);
      const { failed } = new Schedules(this, "Schedules", writers.snapshot, deployment);
      queueUrls = { SnapshotsLostQueueUrl: failed.queueUrl, RollbacksLostQueueUrl: lost.queueUrl };
      new Pruning(this, "Pruning", writers.prune, deployment);
      new Observability(
        this,
        "Observability",
        {
          functions: { ...readers, ...writers },
          api,
          accessLogs,
          deadLetters: { "snapshots-lost": failed, "rollbacks-lost": lost },
        },
        deployment,
      );
    }

    const names = Object.entries(functions).map(([verb, { literalName }]) => [verb, literalName]);
    const outputs = {
      ApiId: api.restApiId,
      ApiStage: api.deploymentStage.stageName,
      ApiUrl: api.url,
      BucketName: archive.bucket.bucketName,
      TableName: archive.table.tableName,
      Path: `s3://${archive.bucket.bucketName}/${deployment.archive.bucket_prefix}`,
      BootstrapServers: deployment.cluster.bootstrap_servers.join(","),
      FunctionNames: JSON.stringify(Object.fromEntries(names)),
      ...kafka.outputs,
      ...queueUrls,
      ViewerPolicyArn: callers.arns.viewer,
      OperatorPolicyArn: callers.arns.operator,
      AdministratorPolicyArn: callers.arns.administrator,
      ...(queries && { AthenaWorkGroup: queries.workGroupName, AthenaPolicyArn: queries.mayQuery.managedPolicyArn }),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
