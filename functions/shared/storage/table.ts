import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactionCanceledException,
} from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { Configuration, StorageUnavailable } from "../core/errors.ts";
import { type AwsCall, awsFailure, callAws, pause, type SendOptions } from "./aws-call.ts";
import type { Item, Key } from "./items.ts";

/** A write on a condition. */
interface ConditionalWrite {
  /** The operation's own name: `PutItem`. */
  readonly action: string;
  /** `listing snapshot-…` */
  readonly doing: string;
  /** Sends it; called again where it conflicts with another transaction. */
  send(options: SendOptions): Promise<unknown>;
  /**
   * Reads whether it took effect, because its answer may have been lost. Absent where neither a repetition nor a lost answer
   * matters.
   */
  readonly tookEffect?: (deadline: Deadline) => Promise<boolean>;
  /** What a failure leaves behind, and the next step: where it took no effect, and where that is not known. */
  readonly undone: string;
  readonly unknown?: string;
}

/** A table with the string keys `pk` and `sk`. Reads are consistent. All methods throw what `callAws` throws. */
export interface Table {
  get(key: Key, doing: string, deadline: Deadline, afterwards?: string): Promise<Item | undefined>;
  /** The items that a query finds, by descending sort keys, fetched as they are consumed. */
  descending(
    query: Omit<QueryCommandInput, "TableName">,
    doing: string,
    deadline: Deadline,
  ): AsyncGenerator<Item, void>;
  /**
   * Writes, and returns whether it took effect; false: the condition does not hold. A failure counts only when the write
   * cannot be found: its answer may have been lost.
   */
  write(write: ConditionalWrite, deadline: Deadline): Promise<boolean>;
}

const mostConflicts = 8;

/** The table of this name. */
export function createTable(dynamodb: DynamoDBClient, table: string): Table {
  const call = (action: string, doing: string, afterwards?: string): AwsCall => ({
    service: "DynamoDB",
    action,
    resource: `table ${table}`,
    doing,
    ...(afterwards !== undefined && { afterwards }),
  });

  const writeOnce = async (
    { action, doing, send, tookEffect, undone, unknown = undone }: ConditionalWrite,
    deadline: Deadline,
  ): Promise<"written" | Refusal> => {
    try {
      return await callAws(call(action, doing), deadline, (options) =>
        send(options).then(() => "written" as const, refusalOf),
      );
    } catch (error) {
      const refused = error instanceof Configuration;
      const found = refused ? false : await tookEffect?.(deadline).catch(() => undefined);
      if (found) return "written";
      const cause = error instanceof Error ? error.cause : error;
      throw awsFailure(call(action, doing, found === false ? undone : unknown), deadline, cause);
    }
  };

  return {
    async get(key, doing, deadline, afterwards) {
      const command = new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true });
      const looking = call("GetItem", doing, afterwards);
      return (await callAws(looking, deadline, (options) => dynamodb.send(command, options))).Item;
    },

    async *descending(query, doing, deadline) {
      let start = query.ExclusiveStartKey;
      do {
        const page = new QueryCommand({
          ...query,
          TableName: table,
          ConsistentRead: true,
          ScanIndexForward: false,
          ExclusiveStartKey: start,
        });
        const found = await callAws(call("Query", doing), deadline, (options) => dynamodb.send(page, options));
        yield* found.Items ?? [];
        start = found.LastEvaluatedKey;
      } while (start !== undefined);
    },

    async write(write, deadline) {
      for (let attempt = 0; ; attempt++) {
        const outcome = await writeOnce(write, deadline);
        if (outcome === "written") return true;
        if (outcome === "refused") return (await write.tookEffect?.(deadline)) ?? false;
        if (attempt === mostConflicts) {
          throw new StorageUnavailable(
            `other writers kept changing the same items of table ${table} while ${write.doing}.`,
            { next: write.undone },
          );
        }
        await pause(attempt, deadline);
      }
    },
  };
}

/** Why a write did not happen: its condition does not hold, or another write of the same item is running. */
type Refusal = "refused" | "conflict";

function refusalOf(error: unknown): Refusal {
  if (error instanceof TransactionCanceledException) {
    const codes = (error.CancellationReasons ?? []).map(({ Code }) => Code);
    if (codes.includes("ConditionalCheckFailed")) return "refused";
    if (codes.includes("TransactionConflict")) return "conflict";
  }
  if (error instanceof ConditionalCheckFailedException) return "refused";
  if (error instanceof Error && error.name === "TransactionConflictException") return "conflict";
  throw error;
}
