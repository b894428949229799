import { InvalidRequest } from "../errors.ts";
import { DecodeError } from "../json/codec.ts";
import { parseExactly, RepeatedKey, UnexpectedText } from "../json/parser.ts";
import {
  type CaptureError,
  type Commit,
  type ObservedGroup,
  sameCommit,
  topicPartition,
  type Unlisted,
} from "../model.ts";
import { count, quote } from "../text.ts";

/** A line of a text, or null in JSON, and what is to be said of it. The message of JSON begins with the path. */
export interface LineMessage {
  readonly line: number | null;
  readonly message: string;
}

/** What one line, or one entry of a JSON document, says of a commit. Nothing of it is checked. */
interface Row {
  readonly line: number | null;
  /** Where it is in a JSON document. */
  readonly path?: string;
  readonly group: unknown;
  readonly topic: unknown;
  readonly partition: unknown;
  readonly offset: unknown;
  readonly metadata?: unknown;
  readonly leaderEpoch?: unknown;
}

/** A group as a source knew it; what it does not say is null, or absent. */
export type SourceGroup = Pick<ObservedGroup, "type" | "pending" | "negative">;

/** A topic as a source knew it; what it does not say is null, or absent. `absent`: the topic did not exist. */
export type SourceTopic =
  | { readonly topicId: string | null; readonly leaderEpochs: ReadonlyMap<number, number | null> }
  | "absent";

/** What a source says of itself; null is nothing. */
interface About {
  readonly snapshotId: string | null;
  readonly createdAt: string | null;
  readonly clusterId: string | null;
}

/** What was read from a text: see `createReading`. */
export type Reading = ReturnType<typeof createReading>;

export const MAX_INT32 = 0x7fffffffn;
const MAX_INT64 = 0x7fff_ffff_ffff_ffffn;
/** How many problems are named: the first in the message, and more in `details.problems`. */
const [inMessage, inDetails] = [10, 10_000];

/** An integer as JSON or a cell has it, from 0 to `most`. */
export function integer(value: unknown, most: bigint): bigint | undefined {
  const isDigits = typeof value === "string" && /^(0|[1-9]\d{0,18})$/.test(value);
  const isNumber = typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
  if (!isDigits && !isNumber) return undefined;
  const found = BigInt(value);
  return found >= 0n && found <= most ? found : undefined;
}

const isAbsent = (value: unknown) => value === undefined || value === null || value === "";
const shown = (value: unknown) => {
  if (typeof value === "string") return quote(value);
  if (value === undefined) return "(missing)";
  return typeof value === "object" && value !== null ? "(an object)" : String(value);
};

/** Collects the commits of a text, and all that is wrong with it. */
export function createReading() {
  const commits = new Map<string, Map<string, Commit>>();
  const places = new Map<string, string>();
  const problems: LineMessage[] = [];
  const skipped: LineMessage[] = [];
  const warnings: string[] = [];
  const errors: CaptureError[] = [];
  const groups = new Map<string, SourceGroup>();
  const topics = new Map<string, SourceTopic>();
  let unlisted: Unlisted | undefined;
  let about: About = { snapshotId: null, createdAt: null, clusterId: null };

  const groupOf = (name: string) => {
    const found = commits.get(name) ?? new Map<string, Commit>();
    commits.set(name, found);
    return found;
  };
  const problem = (line: number | null, message: string) => void problems.push({ line, message });

  return {
    commits,
    skipped,
    warnings,
    errors,
    groups,
    topics,
    about: () => about,
    unlisted: () => unlisted,
    problem,

    /** Takes a commit, if nothing is wrong with it. The same commit twice is skipped; another one is a problem. */
    commit(row: Row): void {
      const { line, path = "", group, topic, metadata } = row;
      const wrong: string[] = [];
      const partition = integer(row.partition, MAX_INT32);
      const offset = integer(row.offset, MAX_INT64);
      const hasEpoch = !isAbsent(row.leaderEpoch);
      const leaderEpoch = hasEpoch ? integer(row.leaderEpoch, MAX_INT32) : undefined;
      const text = isAbsent(metadata) ? "" : metadata;
      const isGroup = isName(group);
      const isTopic = typeof topic === "string" && /^(?!\.\.?$)[\w.-]{1,249}$/.test(topic);
      if (!isGroup) wrong.push(`group ${shown(group)} is not the name of a group`);
      if (!isTopic) wrong.push(`topic ${shown(topic)} is not the name of a topic`);
      if (partition === undefined)
        wrong.push(`partition ${shown(row.partition)} is not a number from 0 to ${MAX_INT32}`);
      if (offset === undefined) wrong.push(`offset ${shown(row.offset)} is not a number from 0 to ${MAX_INT64}`);
      if (hasEpoch && leaderEpoch === undefined) {
        wrong.push(`leader epoch ${shown(row.leaderEpoch)} is not a number from 0 to ${MAX_INT32}`);
      }
      const isMetadata = typeof text === "string" && text.isWellFormed();
      if (!isMetadata) wrong.push(`metadata ${shown(metadata)} is not text`);
      const at = path === "" ? "" : `${path}: `;
      if (!isGroup || !isTopic || !isMetadata || partition === undefined || offset === undefined || wrong.length > 0) {
        problem(line, `${at}${wrong.join("; ")}`);
        return;
      }
      const commit = { offset, metadata: text, ...(leaderEpoch !== undefined && { leaderEpoch: Number(leaderEpoch) }) };
      const key = topicPartition(topic, Number(partition));
      const place = JSON.stringify([group, key]);
      const ofGroup = groupOf(group);
      const earlier = ofGroup.get(key);
      const where = places.get(place);
      if (earlier === undefined) {
        ofGroup.set(key, commit);
        places.set(place, line === null ? path : `line ${line}`);
      } else if (sameCommit(earlier, commit)) {
        skipped.push({ line, message: `${at}repeats ${where}` });
      } else {
        const what =
          offset === earlier.offset
            ? "the same offset with other metadata or another leader epoch"
            : `${offset}, not ${earlier.offset}`;
        problem(line, `${at}has another commit of group ${quote(group)} on ${key} than ${where}: ${what}`);
      }
    },

    /** Warns of a text of lines that does not end with one: a number at its end may be cut off. */
    linesOf(text: string): void {
      if (/[\r\n]/.test(text.slice(text.trimEnd().length))) return;
      warnings.push(
        "The last line has no line break at its end: make sure that the content is whole, and its last offset too.",
      );
    },

    /** Takes a group that may have no commits. */
    group(line: number | null, name: unknown, path = ""): void {
      if (isName(name)) groupOf(name);
      else problem(line, `${path && `${path}: `}group ${shown(name)} is not the name of a group`);
    },

    describe(source: Partial<About>): void {
      about = { ...about, ...source };
    },

    lacks(these: Unlisted | undefined): void {
      unlisted = these;
    },

    /** Takes that the source is a partial snapshot. Where nothing that was read says what it lacks, that is a warning. */
    partial(): void {
      if (errors.length > 0 || unlisted !== undefined) return;
      warnings.push(
        "The content is of a partial snapshot, and does not name the groups that it lacks: make sure that it is whole.",
      );
    },

    /** Runs a decoder; what it finds wrong is a problem, and gives undefined. */
    decode<T>(work: () => T): T | undefined {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        problem(null, error.message);
        return undefined;
      }
    },

    /** @throws InvalidRequest that names every problem with its line, if there are any */
    requireGood(what: string): void {
      if (problems.length === 0) return;
      const inOrder = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
      const sentences = inOrder.map(({ line, message }) => (line === null ? message : `line ${line}: ${message}`));
      const some = (most: number) =>
        sentences.length > most ? [...sentences.slice(0, most), `${sentences.length - most} more`] : sentences;
      throw new InvalidRequest(`${what} has ${count(problems.length, "problem")}: ${some(inMessage).join("; ")}.`, {
        next: "Correct all of them, then import it again.",
        details: { problems: some(inDetails) },
      });
    },
  };
}

const isName = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 32_767 && value.isWellFormed();

/**
 * The value of a JSON text; undefined, with a problem, for another text. A key that an object has twice is a problem: one of
 * its values would be lost.
 */
export function readJson(text: string, reading: Reading): unknown {
  try {
    return parseExactly(text.replace(/^\uFEFF/, ""), "refused");
  } catch (error) {
    if (error instanceof RepeatedKey) reading.problem(null, `the key ${quote(error.key)} stands twice in one object`);
    else if (error instanceof UnexpectedText) {
      reading.problem(text.slice(0, error.at).split("\n").length, `is not JSON: ${error.message}`);
    } else if (error instanceof SyntaxError) reading.problem(null, `is not JSON: ${error.message}`);
    else throw error;
    return undefined;
  }
}

/** The field of an object; undefined where the value is none, or lacks it. */
export const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;

/** A field that is a text; null for any other, and an empty one. */
export const textIn = (value: unknown, name: string): string | null => {
  const found = fieldOf(value, name);
  return typeof found === "string" && found !== "" ? found : null;
};

/** The entries of an object; none, with a problem, for any other value. */
export function entriesAt(value: unknown, path: string, reading: Reading): [string, unknown][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return Object.entries(value);
  reading.problem(null, `${path} must be an object, and ${value === undefined ? "is missing" : `is ${shown(value)}`}`);
  return [];
}
