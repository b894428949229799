import { Duration, Validations } from "aws-cdk-lib";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import { ownKey } from "./own-key.ts";

/** An encrypted queue of requests that failed for good: a message has the request and the error, for 14 days. */
export class DeadLetters extends Queue {
  constructor(scope: Construct, id: string, deployment: Deployment) {
    const encryptionMasterKey = ownKey(scope, `${id}Key`, deployment);
    super(scope, id, {
      ...(encryptionMasterKey === undefined
        ? { encryption: QueueEncryption.SQS_MANAGED }
        : { encryption: QueueEncryption.KMS, encryptionMasterKey }),
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    Validations.of(this).acknowledge({ id: "AwsSolutions-SQS3", reason: "It is a dead-letter queue." });
  }
}
