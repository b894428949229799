import { Duration, RemovalPolicy, Stack, Validations } from "aws-cdk-lib";
import { AttributeType, BillingMode, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { BlockPublicAccess, Bucket, BucketEncryption, CfnBucket } from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { envNames } from "../functions/shared/lambda/env.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

/** Where snapshots are kept: bodies in a bucket, their index in a table. Each grant also tells the function where. */
export class SnapshotArchive extends Construct {
  readonly bucket: Bucket;
  readonly table: Table;
  readonly #prefix: string;

  constructor(scope: Construct, id: string, deployment: Deployment) {
    super(scope, id);
    const retained = deployment.removal_policy === "retain";
    const removalPolicy = retained ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
    this.#prefix = deployment.archive.bucket_prefix;
    this.bucket = new Bucket(this, "Bucket", {
      versioned: true,
      enforceSSL: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      lifecycleRules: [
        {
          abortIncompleteMultipartUploadAfter: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(deployment.archive.noncurrent_days),
        },
        {
          prefix: `${this.#prefix}results/`,
          expiration: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(1),
        },
      ],
      removalPolicy,
    });
    this.table = new Table(this, "Table", {
      partitionKey: { name: "pk", type: AttributeType.STRING },
      sortKey: { name: "sk", type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      encryption: TableEncryption.AWS_MANAGED,
      timeToLiveAttribute: "expires_at",
      deletionProtection: retained,
      removalPolicy,
    });
    Validations.of(this.bucket).acknowledge({
      id: "AwsSolutions-S1",
      reason: "Only the functions read and write it, and they log each access; CloudTrail data events cover the rest.",
    });
    const bucketResource = this.bucket.node.defaultChild;
    if (bucketResource instanceof CfnBucket) {
      Validations.of(Stack.of(this)).acknowledge(
        ...(["snapshots", "results"] as const).map((folder) => ({
          id: `AwsSolutions-IAM5[Resource::<${Stack.of(this).getLogicalId(bucketResource)}.Arn>/${this.#prefix}${folder}/*]`,
          reason: "One object a snapshot and one a large result: their keys are not known before, their folder is.",
        })),
      );
    }
  }

  /** The index alone, without the bodies. */
  grantList(fn: OperationFunction): void {
    fn.allow(["dynamodb:Query"], this.table.tableArn);
    this.#grantResults(fn);
    this.#configure(fn);
  }

  /** Index and bodies. */
  grantRead(fn: OperationFunction): void {
    this.grantList(fn);
    fn.allow(["dynamodb:GetItem"], this.table.tableArn);
    fn.allow(["s3:GetObject"], this.#objects("snapshots"));
    // Without it S3 answers 403 for a body that is gone, which could not be told from a missing right.
    fn.allow(["s3:ListBucket"], this.bucket.bucketArn);
  }

  /** Reads, and new snapshots. */
  grantWrite(fn: OperationFunction): void {
    this.grantRead(fn);
    fn.allow(["s3:PutObject"], this.#objects("snapshots"));
    fn.allow(["dynamodb:PutItem"], this.table.tableArn);
  }

  /** Hides a snapshot in the index, deletes its body, then its index item; reads neither. */
  grantDelete(fn: OperationFunction): void {
    fn.allow(["dynamodb:UpdateItem", "dynamodb:DeleteItem"], this.table.tableArn);
    fn.allow(["s3:DeleteObject"], this.#objects("snapshots"));
    this.#configure(fn);
  }

  /** Results too large for an answer are stored and fetched by a signed URL, which needs the signer's right to read. */
  #grantResults(fn: OperationFunction): void {
    fn.allow(["s3:GetObject", "s3:PutObject"], this.#objects("results"));
  }

  #configure(fn: OperationFunction): void {
    fn.configure({
      [envNames.bucket]: this.bucket.bucketName,
      [envNames.bucketPrefix]: this.#prefix,
      [envNames.table]: this.table.tableName,
    });
  }

  #objects(folder: "snapshots" | "results"): string {
    return this.bucket.arnForObjects(`${this.#prefix}${folder}/*`);
  }
}
