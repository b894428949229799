import { Stack } from "aws-cdk-lib";
import { CfnNamedQuery, CfnWorkGroup } from "aws-cdk-lib/aws-athena";
import { CfnDatabase, CfnTable } from "aws-cdk-lib/aws-glue";
import { ManagedPolicy, PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";
import type { Deployment } from "./config.ts";
import { queries } from "./queries.ts";
import type { SnapshotArchive } from "./snapshot-archive.ts";

/** What one query may read: a mistake costs half a dollar at most. */
const MOST_BYTES = 100_000_000_000;

/**
 * Lets people query the bodies of snapshots in place, with Athena: an external table over them, named queries, and a policy
 * for those who query. Nothing is copied, and the policy gives no right to write snapshots.
 */
export class ArchiveQueries extends Construct {
  readonly workGroupName: string;
  /** For those who may query. */
  readonly mayQuery: ManagedPolicy;

  constructor(scope: Construct, id: string, archive: SnapshotArchive, deployment: Deployment) {
    super(scope, id);
    const { account, region, partition } = Stack.of(this);
    const databaseName = `${deployment.name_prefix}offset_snapshots`.toLowerCase().replaceAll("-", "_");
    const database = new CfnDatabase(this, "Database", {
      catalogId: account,
      databaseInput: { name: databaseName, description: "Snapshots of committed offsets, where they are stored" },
    });
    const table = new CfnTable(this, "Bodies", {
      catalogId: account,
      databaseName,
      tableInput: {
        name: "bodies",
        description: "One row per snapshot: its document, a line of JSON",
        tableType: "EXTERNAL_TABLE",
        parameters: { EXTERNAL: "TRUE", classification: "json" },
        storageDescriptor: {
          location: archive.bodiesUrl,
          columns: [{ name: "line", type: "string", comment: "The document" }],
          inputFormat: "org.apache.hadoop.mapred.TextInputFormat",
          outputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
          // The separator of columns is a character that JSON text never has: a line is one column, as it is.
          serdeInfo: {
            serializationLibrary: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            parameters: { "field.delim": "\u0001", "serialization.format": "\u0001" },
          },
        },
      },
    });
    table.addResourceDependency(database);

    this.workGroupName = `${deployment.name_prefix}offset-rollback`;
    const workGroup = new CfnWorkGroup(this, "WorkGroup", {
      name: this.workGroupName,
      description: "Queries of snapshots of committed offsets",
      recursiveDeleteOption: true,
      workGroupConfiguration: {
        enforceWorkGroupConfiguration: true,
        publishCloudWatchMetricsEnabled: true,
        bytesScannedCutoffPerQuery: MOST_BYTES,
        engineVersion: { selectedEngineVersion: "Athena engine version 3" },
        // Athena keeps the results, encrypted, for a day: no bucket of ours can be written to by who may query.
        managedQueryResultsConfiguration: { enabled: true },
      },
    });
    for (const { name, description, sql } of queries) {
      const query = new CfnNamedQuery(this, name, {
        name,
        description,
        database: databaseName,
        queryString: sql,
        workGroup: this.workGroupName,
      });
      query.addResourceDependency(workGroup);
    }

    const arn = (service: string, rest: string) => `arn:${partition}:${service}:${region}:${account}:${rest}`;
    this.mayQuery = new ManagedPolicy(this, "MayQuery", {
      description: "May query the snapshots of committed offsets with Athena, and read their bodies",
      statements: [
        new PolicyStatement({
          actions: [
            "athena:BatchGetNamedQuery",
            "athena:GetNamedQuery",
            "athena:GetQueryExecution",
            "athena:GetQueryResults",
            "athena:GetQueryResultsStream",
            "athena:GetWorkGroup",
            "athena:ListNamedQueries",
            "athena:ListQueryExecutions",
            "athena:StartQueryExecution",
            "athena:StopQueryExecution",
          ],
          resources: [arn("athena", `workgroup/${this.workGroupName}`)],
        }),
        new PolicyStatement({
          actions: ["glue:GetDatabase", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"],
          resources: [
            arn("glue", "catalog"),
            arn("glue", `database/${databaseName}`),
            arn("glue", `table/${databaseName}/bodies`),
          ],
        }),
        // https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html: Athena always asks for it.
        new PolicyStatement({ actions: ["glue:GetDatabase"], resources: [arn("glue", "database/default")] }),
        ...archive.readBodies(),
      ],
    });
  }
}
