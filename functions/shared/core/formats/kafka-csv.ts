import { type Cell, readCsv, writeCsv } from "../csv.ts";
import { InvalidRequest } from "../errors.ts";
import { placeOf } from "../model.ts";
import { count, nameSome } from "../text.ts";
import { type Readable, requireGroup, type Written } from "./format.ts";

/**
 * The CSV of Kafka's own tool, without a header: `kafka-consumer-groups --reset-offsets --from-file` and `--export`. For one
 * group `topic,partition,offset`, for several `group,topic,partition,offset`. The tool splits at every line break, also inside
 * of quotes.
 *
 * @see KIP-122 and KIP-222; `parseResetPlan` of org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
 */
export const kafkaCsv: Written & Readable = {
  contentType: "text/csv; charset=utf-8",
  carries: { metadata: false, leaderEpochs: false, severalGroups: true, groupsWithoutCommits: false, problems: false },
  write({ consumerGroups }) {
    const groups = [...consumerGroups];
    const broken = [...consumerGroups.keys()].filter((group) => /[\r\n]/.test(group));
    if (groups.length > 1 && broken.length > 0) {
      throw new InvalidRequest(`kafka-csv cannot name groups with a line break: ${nameSome(broken)}.`, {
        next: "Export such a group alone, or use another format.",
      });
    }
    const rows = groups.flatMap(([group, commits]) =>
      [...commits].map(([key, { offset }]): Cell[] => {
        const { topic, partition } = placeOf(key);
        return [...(groups.length === 1 ? [] : [group]), topic, partition, offset];
      }),
    );
    return writeCsv(rows);
  },
  read(text, reading, only) {
    const { rows, problems } = readCsv(text);
    reading.linesOf(text);
    for (const { line, message } of problems) reading.problem(line, message);
    const width = rows[0]?.cells.length === 4 ? 4 : 3;
    if (width === 3) requireGroup(only, "kafka-csv with 3 columns");
    for (const { line, cells } of rows) {
      const [group, topic, partition, offset] = cells.length === 3 ? [only, ...cells] : cells;
      if (cells.length === width) reading.commit({ line, group, topic, partition, offset });
      else reading.problem(line, `has ${count(cells.length, "column")}, not ${width}: ${columns[width]}`);
    }
  },
};

const columns = {
  3: "topic,partition,offset (or, for several groups, group,topic,partition,offset in all lines)",
  4: "group,topic,partition,offset",
} as const;
