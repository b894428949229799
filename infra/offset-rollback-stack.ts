import { CfnOutput, Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import { KafkaAccess } from "./kafka-access.ts";
import { Observability } from "./observability.ts";
import { OperationFunction } from "./operation-function.ts";
import { RestApi } from "./rest-api.ts";
import { Schedules } from "./schedules.ts";
import { SnapshotArchive } from "./snapshot-archive.ts";

/** Snapshots and rollbacks for the consumer groups of one Kafka cluster. */
export class OffsetRollbackStack extends Stack {
  constructor(scope: Construct, deployment: Deployment) {
    super(scope, deployment.stack_name, { description: "Time machine for Kafka consumer groups" });

    const archive = new SnapshotArchive(this, "Archive", deployment);
    const kafka = new KafkaAccess(this, "Kafka", deployment);

    const snapshot = new OperationFunction(this, "snapshot", deployment);
    archive.grantWrite(snapshot);
    kafka.grantRead(snapshot);

    const list = new OperationFunction(this, "list", deployment);
    archive.grantList(list);

    const show = new OperationFunction(this, "show", deployment);
    archive.grantRead(show);

    const diff = new OperationFunction(this, "diff", deployment);
    archive.grantRead(diff);
    kafka.grantRead(diff);

    const verify = new OperationFunction(this, "verify", deployment);
    archive.grantRead(verify);
    kafka.grantRead(verify);

    const rollback = new OperationFunction(this, "rollback", deployment);
    archive.grantWrite(rollback);
    archive.grantJournal(rollback);
    kafka.grantWrite(rollback);

    const rollbacks = new OperationFunction(this, "rollbacks", deployment);
    archive.grantJournalRead(rollbacks);

    const remove = new OperationFunction(this, "delete", deployment);
    archive.grantDelete(remove);

    const functions = { snapshot, list, show, diff, verify, rollback, rollbacks, delete: remove };
    const { api } = new RestApi(this, "RestApi", functions, deployment);
    const { failed } = new Schedules(this, "Schedules", snapshot, deployment);
    new Observability(this, "Observability", functions, failed, deployment);

    const names = Object.entries(functions).map(([verb, { literalName }]) => [verb, literalName]);
    const outputs = {
      ApiId: api.restApiId,
      ApiStage: api.deploymentStage.stageName,
      ApiUrl: api.url,
      BucketName: archive.bucket.bucketName,
      TableName: archive.table.tableName,
      FunctionNames: JSON.stringify(Object.fromEntries(names)),
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
