import type { Cluster } from "../../../../functions/shared/kafka/connection/cluster.ts";
import type { SeenValues } from "../expected.ts";
import type { FaultHarness } from "../harness.ts";
import type { World } from "../model/journal.ts";
import type { RollbackRequest } from "../model/rollback-request.ts";
import type { Member, Outside, Transaction } from "../outside.ts";

/** A history: its name, and a random number for each of its steps. */
export interface History {
  /** The prefix of its groups and topics, so that histories do not share them. */
  readonly name: string;
  readonly steps: readonly number[];
}

/** The names that a history may use. */
export interface Names {
  readonly groups: readonly string[];
  readonly topics: readonly string[];
}

/** Names that are special in JavaScript objects, in patterns, or in the tables of Kafka's tools. */
export const namesOf = ({ name }: History): Names => ({
  groups: ["", ".b", ".*", ".__proto__", " ü\u{1F600} c", "?", "7"].map((suffix) => `${name}${suffix}`),
  topics: [".t", ".t-1", ".t-1-0"].map((suffix) => `t${name}${suffix}`),
});

/** A history while it is played. */
export interface Run {
  readonly faults: FaultHarness;
  readonly cluster: Cluster;
  readonly outside: Outside;
  readonly seen: SeenValues;
  readonly name: string;
  readonly names: Names;
  readonly began: Date;
  world: World;
  /** The number of topics ever created. */
  creations: number;
  /** The group that has a consumer, and the consumer. */
  joined?: { readonly group: string; readonly member: Member } | undefined;
  /** The open transaction, and its pending commit. */
  pending?:
    | { readonly group: string; readonly key: string; readonly offset: bigint; readonly transaction: Transaction }
    | undefined;
  /** The rollbacks that were requested, and the digests of plans that were answered. */
  readonly requested: RollbackRequest[];
  readonly digests: string[];
  log(line: string): void;
  count(what: string): void;
}

/** The groups that other clients can commit for. */
export const withoutMember = (run: Run) =>
  run.names.groups.filter((group) => group !== run.joined?.group && group !== run.pending?.group);
export const partitionsOf = ({ world }: Run) =>
  [...world.topics].flatMap(([topic, { logs }]) => logs.map((_, i) => `${topic}-${i}`));
