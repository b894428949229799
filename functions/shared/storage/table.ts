import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  TransactionCanceledException,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import type { Deadline } from "../core/deadline.ts";
import { Configuration, StorageUnavailable } from "../core/errors.ts";
import { type AwsCall, awsFailure, callAws, pause, type SendOptions } from "./aws-call.ts";
import type { Item, Key } from "./items.ts";

/** A change of an item. In its expressions, `#name` is the attribute `name`, and `:name` the value `name`. */
type Change = { readonly condition?: string; readonly values?: Item } & (
  | { readonly put: Item }
  | { readonly update: Key; readonly expression: string }
  | { readonly remove: Key }
);

/** A write on a condition. */
interface ConditionalWrite {
  /** Several are made together or not at all. */
  readonly changes: readonly Change[];
  /** `listing snapshot-…` */
  readonly doing: string;
  /**
   * Reads whether it took effect, because its answer may have been lost. Absent where neither a repetition nor a lost answer
   * matters.
   */
  readonly tookEffect?: (deadline: Deadline) => Promise<boolean>;
  /** What a failure leaves behind, and the next step: where it took no effect, and where that is not known. */
  readonly undone: string;
  readonly unknown?: string;
}

const mostConflicts = 8;

/**
 * The table of this name, with the string keys `pk` and `sk`. Reads are consistent. All methods throw what `callAws` throws.
 */
export function createTable(dynamodb: DynamoDBClient, table: string) {
  const call = (action: string, rows: readonly string[], doing: string, afterwards?: string): AwsCall => {
    const part = `rows ${[...new Set(rows)].join(", ")}`;
    return { service: "DynamoDB", action, resource: `table ${table}`, part, doing, afterwards };
  };

  /** The operation's own name, and what sends it. */
  const operationFor = (changes: readonly Change[]): [string, (options: SendOptions) => Promise<unknown>] => {
    const items = changes.map((change) => encodeChange(table, change));
    const { Put, Update, Delete }: TransactWriteItem = items.length === 1 ? { ...items[0] } : {};
    if (Put) return ["PutItem", (options) => dynamodb.send(new PutItemCommand(Put), options)];
    if (Update) return ["UpdateItem", (options) => dynamodb.send(new UpdateItemCommand(Update), options)];
    if (Delete) return ["DeleteItem", (options) => dynamodb.send(new DeleteItemCommand(Delete), options)];
    const command = new TransactWriteItemsCommand({ TransactItems: items });
    return ["TransactWriteItems", (options) => dynamodb.send(command, options)];
  };

  return {
    async get(key: Key, doing: string, deadline: Deadline, afterwards?: string): Promise<Item | undefined> {
      const command = new GetItemCommand({ TableName: table, Key: key, ConsistentRead: true });
      const looking = call("GetItem", [partitionOf(key)], doing, afterwards);
      return (await callAws(looking, deadline, (options) => dynamodb.send(command, options))).Item;
    },

    /** The items that a query finds, by descending sort keys, fetched as they are consumed. */
    async *descending(query: Omit<QueryCommandInput, "TableName">, doing: string, deadline: Deadline) {
      const rows = [query.ExpressionAttributeValues?.[":pk"]?.S ?? ""];
      let start = query.ExclusiveStartKey;
      do {
        const page = new QueryCommand({
          ...query,
          TableName: table,
          ConsistentRead: true,
          ScanIndexForward: false,
          ExclusiveStartKey: start,
        });
        const found = await callAws(call("Query", rows, doing), deadline, (options) => dynamodb.send(page, options));
        yield* found.Items ?? [];
        start = found.LastEvaluatedKey;
      } while (start !== undefined);
    },

    /**
     * Writes, and returns whether it took effect; false: a condition does not hold. A failure counts only when the write
     * cannot be found: its answer may have been lost. It is tried again where it conflicts with another transaction.
     */
    async write(write: ConditionalWrite, deadline: Deadline): Promise<boolean> {
      const { doing, tookEffect, undone, unknown = undone } = write;
      const [action, send] = operationFor(write.changes);
      const rows = write.changes.map((change) =>
        partitionOf("put" in change ? change.put : "remove" in change ? change.remove : change.update),
      );
      const parts = write.changes.map((change) => operationFor([change])[0]);
      const writing = (afterwards?: string): AwsCall => ({ ...call(action, rows, doing, afterwards), parts });
      for (let attempt = 0; ; attempt++) {
        const sent = callAws(writing(), deadline, (options) => send(options).then(() => "written", refusalOf));
        const outcome = await sent.catch(async (error: unknown) => {
          const found = error instanceof Configuration ? false : await tookEffect?.(deadline).catch(() => undefined);
          if (found) return "written";
          const cause = error instanceof Error ? error.cause : error;
          throw awsFailure(writing(found === false ? undone : unknown), deadline, cause);
        });
        if (outcome === "written") return true;
        if (outcome === "refused") return (await tookEffect?.(deadline)) ?? false;
        if (attempt === mostConflicts) {
          const what = `other writers kept changing the same items of table ${table} while ${doing}.`;
          throw new StorageUnavailable(what, { next: undone });
        }
        await pause(attempt, deadline);
      }
    },
  };
}

/** The kind of an item: its partition key. */
const partitionOf = ({ pk }: Item | Key): string => pk?.S ?? "";

/** A change as TransactWriteItems takes it; its one part is what PutItem, UpdateItem or DeleteItem take. */
function encodeChange(table: string, { condition, values, ...change }: Change): TransactWriteItem {
  const names = [condition, "update" in change ? change.expression : ""].join(" ").match(/#\w+/g);
  const common = {
    TableName: table,
    ConditionExpression: condition,
    ...(names && { ExpressionAttributeNames: Object.fromEntries(names.map((name) => [name, name.slice(1)])) }),
    ...(values && {
      ExpressionAttributeValues: Object.fromEntries(Object.entries(values).map(([name, value]) => [`:${name}`, value])),
    }),
  };
  if ("put" in change) return { Put: { ...common, Item: change.put } };
  if ("remove" in change) return { Delete: { ...common, Key: change.remove } };
  return { Update: { ...common, Key: change.update, UpdateExpression: change.expression } };
}

/** Why a write did not happen: its condition does not hold, or another write of the same item is running. */
function refusalOf(error: unknown): "refused" | "conflict" {
  if (error instanceof TransactionCanceledException) {
    const codes = (error.CancellationReasons ?? []).map(({ Code }) => Code);
    if (codes.includes("ConditionalCheckFailed")) return "refused";
    if (codes.includes("TransactionConflict")) return "conflict";
  }
  if (error instanceof ConditionalCheckFailedException) return "refused";
  if (error instanceof Error && error.name === "TransactionConflictException") return "conflict";
  throw error;
}
