import { type Cell, readSpreadsheet, writeSpreadsheet } from "../csv.ts";
import { type Commit, placeOf, type Snapshot, statusOf } from "../model.ts";
import { count, nameSome, quote } from "../text.ts";
import { lagOf, logOf, type Readable, type Written } from "./format.ts";
import { integer, MAX_INT32, type Reading } from "./reading.ts";

/** The columns, in their order. An import goes by their names: it needs the first four, in any order. */
const columns = [
  "group",
  "topic",
  "partition",
  "offset",
  "metadata",
  "leader_epoch",
  "lag",
  "log_start_offset",
  "log_end_offset",
  "log_leader_epoch",
  "topic_id",
  "type",
  "state",
  "members",
  "pending",
  "error",
  "message",
  "snapshot_id",
  "created_at",
  "status",
  "cluster",
  "cluster_id",
] as const;
type Column = (typeof columns)[number];
const isColumn = (name: string): name is Column => columns.some((column) => column === name);
const needed: readonly Column[] = ["group", "topic", "partition", "offset"];

/** The error in the row of a snapshot that lacks groups which could not be listed. */
const unlistedError = "Unlisted";

type Cells = { readonly [Name in Column]?: Cell };

/**
 * All that is known of each commit, one row for each, under a header: for spreadsheets and for programs. A group without commits
 * has a row without a topic, a group that could not be captured one with an `error`. A text that a spreadsheet would calculate
 * gets a `'` before it, which an import takes off.
 */
export const csv: Written & Readable = {
  contentType: "text/csv; charset=utf-8",
  carries: { metadata: true, leaderEpochs: true, severalGroups: true, groupsWithoutCommits: true, problems: true },
  write: (snapshot) => writeSpreadsheet([columns, ...rowsOf(snapshot)]),
  read(text, reading) {
    const { rows, problems } = readSpreadsheet(text);
    reading.linesOf(text);
    for (const { line, message } of problems) reading.problem(line, message);
    const [header, ...lines] = rows;
    const names = header?.cells ?? [];
    const lacking = needed.filter((name) => !names.includes(name));
    const twice = columns.filter((name) => names.indexOf(name) !== names.lastIndexOf(name));
    if (lacking.length > 0) reading.problem(1, `the header lacks ${lacking.join(", ")}`);
    if (twice.length > 0) reading.problem(1, `the header has ${twice.join(", ")} twice`);
    if (lacking.length + twice.length > 0) return;
    const unknown = names.filter((name) => !isColumn(name));
    if (unknown.length > 0) reading.warnings.push(`Columns that are not known were left out: ${nameSome(unknown)}.`);
    const topics = new Map<string, { readonly topicId: string; readonly leaderEpochs: Map<number, number> }>();
    for (const { line, cells } of lines) {
      if (cells.every((cell) => cell === "")) continue; // as spreadsheets write an empty line
      if (cells.length !== names.length) {
        reading.problem(line, `has ${count(cells.length, "cell")}, and the header has ${names.length}`);
        continue;
      }
      readRow(line, new Map(cells.map((cell, i) => [names[i] ?? "", cell])), reading, topics);
    }
    for (const [topic, { topicId, leaderEpochs }] of topics) {
      reading.topics.set(topic, { topicId: topicId || null, leaderEpochs });
    }
    const status = names.indexOf("status");
    if (lines.some(({ cells }) => cells[status] === "partial")) reading.partial();
  },
};

function* rowsOf(snapshot: Snapshot): Generator<Cell[]> {
  const { snapshotId, createdAt, cluster, errors, unlisted, observed } = snapshot;
  const about = {
    snapshot_id: snapshotId,
    created_at: createdAt,
    status: statusOf(snapshot),
    cluster: cluster.name,
    cluster_id: cluster.clusterId,
  };
  const row = (cells: Cells) => {
    const all: Cells = { ...about, ...cells };
    return columns.map((column) => all[column] ?? null);
  };
  for (const [group, commits] of snapshot.consumerGroups) {
    const { type = null, state = null, members = null, pending } = observed.groups.get(group) ?? {};
    const ofGroup = { group, type, state, members };
    if (commits.size === 0) yield row(ofGroup);
    for (const [key, commit] of commits) {
      yield row({ ...ofGroup, ...cellsOf(snapshot, key, commit), pending: pending?.includes(key) ? true : null });
    }
  }
  for (const { group, error, message } of errors) yield row({ group, error, message });
  if (unlisted !== undefined) yield row({ error: unlistedError, message: unlisted.message });
}

function cellsOf(snapshot: Snapshot, key: string, { offset, metadata, leaderEpoch }: Commit): Cells {
  const { topic, partition } = placeOf(key);
  const log = logOf(snapshot, topic, partition);
  return {
    topic,
    partition,
    offset,
    metadata,
    leader_epoch: leaderEpoch ?? null,
    lag: lagOf(offset, log),
    log_start_offset: log?.logStartOffset ?? null,
    log_end_offset: log?.logEndOffset ?? null,
    log_leader_epoch: log?.leaderEpoch ?? null,
    topic_id: snapshot.observed.topics.get(topic)?.topicId ?? null,
  };
}

type Topics = Map<string, { readonly topicId: string; readonly leaderEpochs: Map<number, number> }>;

function readRow(line: number, cells: ReadonlyMap<string, string>, reading: Reading, topics: Topics): void {
  const cell = (name: Column) => cells.get(name) ?? "";
  const about = reading.about();
  const [snapshotId, createdAt, clusterId] = [cell("snapshot_id"), cell("created_at"), cell("cluster_id")];
  if (clusterId !== "" && about.clusterId !== null && clusterId !== about.clusterId) {
    reading.problem(line, `is of cluster ${clusterId}, and a line before is of ${about.clusterId}`);
    return;
  }
  reading.describe({
    snapshotId: about.snapshotId ?? (snapshotId || null),
    createdAt: about.createdAt ?? (createdAt || null),
    clusterId: about.clusterId ?? (clusterId || null),
  });
  const [group, topic, error, message] = [cell("group"), cell("topic"), cell("error"), cell("message")];
  if (error === unlistedError && group === "") {
    reading.lacks({ offsetsPartitions: [], message });
  } else if (error !== "" && [topic, cell("partition"), cell("offset")].some((text) => text !== "")) {
    reading.problem(line, `has a commit, and also the error ${error}, with which a group has none`);
  } else if (error !== "") {
    reading.errors.push({ group, error, message });
  } else if (topic === "" && cell("partition") === "" && cell("offset") === "") {
    reading.group(line, group);
    readGroup(line, group, cell, reading);
  } else {
    const [partition, offset] = [cell("partition"), cell("offset")];
    reading.commit({
      line,
      group,
      topic,
      partition,
      offset,
      metadata: cell("metadata"),
      leaderEpoch: cell("leader_epoch"),
    });
    readGroup(line, group, cell, reading);
    const known = topics.get(topic) ?? { topicId: cell("topic_id"), leaderEpochs: new Map<number, number>() };
    topics.set(topic, known);
    if (known.topicId !== cell("topic_id")) {
      reading.problem(line, `has another topic_id than a line before: the topic was created again in between`);
    }
    const epoch = cell("log_leader_epoch");
    const found = integer(epoch, MAX_INT32);
    if (found !== undefined) known.leaderEpochs.set(Number(partition), Number(found));
    else if (epoch !== "")
      reading.problem(line, `log_leader_epoch ${quote(epoch)} is not a number from 0 to ${MAX_INT32}`);
  }
}

/** The type of a group, and whether its commit on this line was not final. */
function readGroup(line: number, group: string, cell: (name: Column) => string, reading: Reading): void {
  const type = cell("type") || null;
  const known = reading.groups.get(group) ?? { type };
  if (known.type !== type) reading.problem(line, `has another type of group ${quote(group)} than a line before`);
  const isPending = /^true$/i.test(cell("pending")); // spreadsheets write it in capitals
  const pending = [...(known.pending ?? []), ...(isPending ? [`${cell("topic")}-${cell("partition")}`] : [])];
  reading.groups.set(group, { type: known.type, ...(pending.length > 0 && { pending }) });
}
