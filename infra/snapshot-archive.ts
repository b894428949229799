import { Duration, Stack, Validations } from "aws-cdk-lib";
import { AttributeType, BillingMode, type ITable, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { type Conditions, PolicyStatement } from "aws-cdk-lib/aws-iam";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  CfnBucket,
  type IBucket,
  ObjectLockRetention,
} from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { envNames } from "../functions/shared/lambda/env.ts";
import type { Deployment } from "./config.ts";
import { dataRemoval } from "./data-removal.ts";
import type { OperationFunction } from "./operation-function.ts";
import { ownKey } from "./own-key.ts";

/** The folders of the bucket. */
const folders = ["snapshots", "holds", "rollbacks", "results", "imports"] as const;
type Folder = (typeof folders)[number];

/** The kinds of items in the table: their partition keys. */
type Item = "snapshot" | "execution" | "deletion" | "lease" | "rollback" | "rollback-id";

const [reads, writes] = [
  ["kms:Decrypt", "kms:DescribeKey"],
  ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
];

/** What actions on encrypted data require of its key: as S3 documents it, and as CDK grants it for DynamoDB. */
const keyRights: Readonly<Record<string, readonly string[]>> = {
  "s3:GetObject": ["kms:Decrypt"],
  "s3:PutObject": ["kms:GenerateDataKey"],
  "dynamodb:GetItem": reads,
  "dynamodb:Query": reads,
  "dynamodb:PutItem": writes,
  "dynamodb:UpdateItem": writes,
  "dynamodb:DeleteItem": writes,
};

/** Without the fields that a new one has as undefined, which exact optional types reject. */
type AnyBucket = Omit<IBucket, "isWebsite">;
type AnyTable = Omit<ITable, "tableStreamArn">;

/**
 * The storage of snapshots and of the journal: bodies in a bucket, their index in a table. Both are new, or exist already: then
 * the stack sets nothing of them. Each grant also configures the function.
 */
export class SnapshotArchive extends Construct {
  readonly bucket: AnyBucket;
  readonly table: AnyTable;
  readonly #prefix: string;
  /** The ARNs of the keys that encrypt them, if not AWS's own do. */
  readonly #keys: { readonly bucket: string | undefined; readonly table: string | undefined };

  constructor(scope: Construct, id: string, deployment: Deployment) {
    super(scope, id);
    const { bucket_prefix, existing = {} } = deployment.archive;
    this.#prefix = bucket_prefix;
    const own = deployment.kms_key_arn;
    this.#keys = {
      bucket: existing.bucket === undefined ? own : existing.bucket_kms_key_arn,
      table: existing.table === undefined ? own : existing.table_kms_key_arn,
    };
    this.bucket =
      existing.bucket === undefined
        ? this.#newBucket(deployment)
        : Bucket.fromBucketName(this, "Bucket", existing.bucket);
    this.table =
      existing.table === undefined ? this.#newTable(deployment) : Table.fromTableName(this, "Table", existing.table);
    Validations.of(Stack.of(this)).acknowledge(
      ...folders.map((folder) => ({
        id: `AwsSolutions-IAM5[Resource::${this.#shownArn}/${this.#prefix}${folder}/*]`,
        reason: "One object per snapshot, plan, import or large result: only their folder is known in advance.",
      })),
    );
  }

  #newBucket(deployment: Deployment): Bucket {
    const { archive } = deployment;
    const encryptionKey = ownKey(this, "BucketKey", deployment);
    const lockDays = archive.object_lock_days;
    const bucket = new Bucket(this, "Bucket", {
      versioned: true,
      enforceSSL: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      ...(encryptionKey === undefined
        ? { encryption: BucketEncryption.S3_MANAGED }
        : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
      // In governance mode: compliance mode would bind the account's owner too, for as long as a typo says.
      ...(lockDays !== undefined && {
        objectLockEnabled: true,
        objectLockDefaultRetention: ObjectLockRetention.governance(Duration.days(lockDays)),
      }),
      lifecycleRules: [
        {
          abortIncompleteMultipartUploadAfter: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(archive.noncurrent_days),
        },
        {
          prefix: `${archive.bucket_prefix}results/`,
          expiration: Duration.days(1),
          noncurrentVersionExpiration: Duration.days(1),
        },
      ],
      removalPolicy: dataRemoval(deployment),
    });
    Validations.of(bucket).acknowledge({
      id: "AwsSolutions-S1",
      reason:
        "The functions log requests, not each access to an object. Who must see every access turns on CloudTrail data events, which name the principal; server access logs would need a second bucket.",
    });
    return bucket;
  }

  #newTable(deployment: Deployment): Table {
    const encryptionKey = ownKey(this, "TableKey", deployment);
    return new Table(this, "Table", {
      partitionKey: { name: "pk", type: AttributeType.STRING },
      sortKey: { name: "sk", type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      ...(encryptionKey === undefined
        ? { encryption: TableEncryption.AWS_MANAGED }
        : { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
      timeToLiveAttribute: "expires_at",
      deletionProtection: deployment.archive.deletion_protection,
      removalPolicy: dataRemoval(deployment),
    });
  }

  /** The bucket's ARN as cdk-nag writes it: with the logical id of a new bucket, or the name of one that exists. */
  get #shownArn(): string {
    const resource = this.bucket.node.defaultChild;
    return resource instanceof CfnBucket
      ? `<${Stack.of(this).getLogicalId(resource)}.Arn>`
      : `arn:<AWS::Partition>:s3:::${this.bucket.bucketName}`;
  }

  /** Where the bodies of snapshots are, and nothing else. */
  get bodiesUrl(): string {
    return this.bucket.s3UrlForObject(`${this.#prefix}snapshots/`);
  }

  /** The rights to find and read the bodies of snapshots, for people. */
  readBodies(): PolicyStatement[] {
    const key = this.#keys.bucket;
    return [
      new PolicyStatement({ actions: ["s3:GetObject"], resources: [this.#objects("snapshots")] }),
      new PolicyStatement({
        actions: ["s3:ListBucket"],
        resources: [this.bucket.bucketArn],
        conditions: { StringLike: { "s3:prefix": [`${this.#prefix}snapshots`, `${this.#prefix}snapshots/*`] } },
      }),
      new PolicyStatement({ actions: ["s3:GetBucketLocation"], resources: [this.bucket.bucketArn] }),
      ...(key === undefined ? [] : [new PolicyStatement({ actions: ["kms:Decrypt"], resources: [key] })]),
    ];
  }

  /** The index alone, without the bodies. */
  readonly grantList = (fn: OperationFunction): void => {
    this.#allowItems(fn, ["dynamodb:Query"], "snapshot");
    this.#grantResults(fn);
    this.#configure(fn);
  };

  /** Index and bodies. */
  readonly grantRead = (fn: OperationFunction): void => {
    this.grantList(fn);
    this.#allowItems(fn, ["dynamodb:GetItem"], "snapshot");
    this.#grantBodies(fn, "snapshots");
  };

  /** Reads and new snapshots. */
  readonly grantWrite = (fn: OperationFunction): void => {
    this.grantRead(fn);
    this.#allowBodies(fn);
    this.#allowItems(fn, ["dynamodb:PutItem"], "snapshot");
  };

  /** Takes the one snapshot of a scheduled execution, and deletes a body that nothing lists: another delivery was first. */
  readonly grantDeliveries = (fn: OperationFunction): void => {
    this.#allowItems(fn, ["dynamodb:GetItem"], "execution");
    this.#allowItems(fn, ["dynamodb:PutItem"], "snapshot", "execution");
    this.#allow(fn, ["s3:DeleteObject"], this.#objects("snapshots"));
  };

  /** Reads what was put below `imports/`, and writes new snapshots; reads none. */
  readonly grantImport = (fn: OperationFunction): void => {
    this.#grantResults(fn);
    this.#allow(fn, ["s3:GetObject"], this.#objects("imports"));
    // An id that is taken is found by looking at its body.
    this.#allow(fn, ["s3:GetObject"], this.#objects("snapshots"));
    this.#allowBodies(fn);
    this.#allow(fn, ["s3:ListBucket"], this.bucket.bucketArn);
    // GetItem: to see whether a write took effect whose answer was lost.
    this.#allowItems(fn, ["dynamodb:GetItem", "dynamodb:PutItem"], "snapshot");
    this.#configure(fn);
  };

  /** Looks for rollbacks to warn of, hides a snapshot, records the deletion, deletes body and index item; reads no body. */
  readonly grantDelete = (fn: OperationFunction): void => {
    this.#allowItems(fn, ["dynamodb:Query"], "rollback");
    // GetItem: to say why a snapshot could not be hidden.
    this.#allowItems(fn, ["dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"], "snapshot");
    this.#allowItems(fn, ["dynamodb:PutItem"], "deletion");
    this.#allow(fn, ["s3:DeleteObject"], this.#objects("snapshots"));
    this.#configure(fn);
  };

  /** Reads the index, the journal and the holds, and deletes snapshots; lists the bodies, and reads none. */
  readonly grantPrune = (fn: OperationFunction): void => {
    this.grantDelete(fn);
    this.#allow(fn, ["s3:GetObject"], this.#objects("holds"));
    this.#allow(fn, ["s3:ListBucket"], this.bucket.bucketArn);
    this.#grantResults(fn);
    this.#allowItems(fn, ["dynamodb:Query"], "snapshot", "deletion", "rollback-id");
  };

  /** Writes holds, and the rows of held or released snapshots; reads and deletes no object. */
  readonly grantHold = (fn: OperationFunction): void => {
    this.#allow(fn, ["s3:PutObject"], this.#objects("holds"));
    this.#allowItems(fn, ["dynamodb:GetItem", "dynamodb:UpdateItem"], "snapshot");
    this.#configure(fn);
  };

  /** Reads all bodies and holds, and writes rows of the index; deletes nothing, and writes no body. */
  readonly grantReindex = (fn: OperationFunction): void => {
    this.#allow(fn, ["s3:GetObject"], this.#objects("snapshots"));
    this.#allow(fn, ["s3:GetObject"], this.#objects("holds"));
    this.#allow(fn, ["s3:ListBucket"], this.bucket.bucketArn);
    this.#grantResults(fn);
    this.#allowItems(fn, ["dynamodb:Query"], "snapshot", "deletion");
    this.#allowItems(fn, ["dynamodb:GetItem", "dynamodb:PutItem"], "snapshot", "execution");
    this.#configure(fn);
  };

  /** The journal of rollbacks, and the running one. */
  readonly grantJournalRead = (fn: OperationFunction): void => {
    this.#allowItems(fn, ["dynamodb:Query"], "rollback");
    this.#allowItems(fn, ["dynamodb:GetItem"], "rollback", "rollback-id", "lease");
    this.#grantBodies(fn, "rollbacks");
    this.#grantResults(fn);
    this.#configure(fn);
  };

  /** Runs rollbacks: writes the journal, deletes no record, and holds the lease. */
  readonly grantJournal = (fn: OperationFunction): void => {
    this.grantJournalRead(fn);
    this.#allow(fn, ["s3:PutObject"], this.#objects("rollbacks"));
    this.#allowItems(fn, ["dynamodb:PutItem"], "rollback", "rollback-id", "lease");
    this.#allowItems(fn, ["dynamodb:UpdateItem"], "rollback", "lease");
    this.#allowItems(fn, ["dynamodb:DeleteItem"], "lease");
  };

  /**
   * Allows to write bodies, each once: only with the header by which S3 refuses to overwrite.
   * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
   */
  #allowBodies(fn: OperationFunction): void {
    this.#allow(fn, ["s3:PutObject"], this.#objects("snapshots"), { Null: { "s3:if-none-match": "false" } });
  }

  /** Large results are stored and fetched by a signed URL, which requires the signer's right to read. */
  #grantResults(fn: OperationFunction): void {
    this.#allow(fn, ["s3:GetObject", "s3:PutObject"], this.#objects("results"));
  }

  #grantBodies(fn: OperationFunction, folder: Folder): void {
    this.#allow(fn, ["s3:GetObject"], this.#objects(folder));
    // Without it S3 answers 403 for a missing body, as for a missing right.
    this.#allow(fn, ["s3:ListBucket"], this.bucket.bucketArn);
  }

  /**
   * Allows `actions` on items of these kinds only: a rollback must never be able to delete a snapshot. What one transaction
   * writes is allowed by one statement with all its kinds: AWS does not document whether the keys of each part count, or of all.
   */
  #allowItems(fn: OperationFunction, actions: readonly string[], ...items: readonly Item[]): void {
    this.#allow(fn, actions, this.table.tableArn, { "ForAllValues:StringEquals": { "dynamodb:LeadingKeys": items } });
  }

  /** Allows `actions`, with what they require of the key that encrypts the bucket or the table. */
  #allow(fn: OperationFunction, actions: readonly string[], resource: string, conditions?: Conditions): void {
    fn.allow(actions, resource, conditions);
    for (const action of actions) {
      const key = action.startsWith("s3:") ? this.#keys.bucket : this.#keys.table;
      const rights = keyRights[action];
      if (key !== undefined && rights !== undefined) fn.allow(rights, key);
    }
  }

  #configure(fn: OperationFunction): void {
    fn.configure({
      [envNames.bucket]: this.bucket.bucketName,
      [envNames.bucketPrefix]: this.#prefix,
      [envNames.table]: this.table.tableName,
    });
  }

  #objects(folder: Folder): string {
    return this.bucket.arnForObjects(`${this.#prefix}${folder}/*`);
  }
}
