import { placeOf } from "../model.ts";
import { count } from "../text.ts";
import { type Readable, requireGroup, type Written } from "./format.ts";

/**
 * Lines of `TOPIC PARTITION OFFSET` for one group, as `rpk group seek GROUP --to-file` reads them: separated by one space or
 * one tab.
 *
 * @see https://github.com/redpanda-data/redpanda/blob/dev/src/go/rpk/pkg/cli/group/seek.go
 */
export const rpk: Written & Readable = {
  contentType: "text/plain; charset=utf-8",
  carries: {
    metadata: false,
    leaderEpochs: false,
    severalGroups: false,
    groupsWithoutCommits: false,
    problems: false,
  },
  write({ consumerGroups }) {
    const [commits = new Map()] = consumerGroups.values();
    const lines = [...commits].map(([key, { offset }]) => {
      const { topic, partition } = placeOf(key);
      return `${topic} ${partition} ${offset}\n`;
    });
    return lines.join("");
  },
  read(text, reading, group) {
    requireGroup(group, "rpk");
    reading.linesOf(text);
    for (const [i, line] of text
      .replace(/^\uFEFF/, "")
      .split(/\r\n|\n/)
      .entries()) {
      const fields = line.trim().split(/[ \t]+/);
      if (fields.length === 1 && fields[0] === "") continue;
      const [topic, partition, offset] = fields;
      if (fields.length === 3) reading.commit({ line: i + 1, group, topic, partition, offset });
      else reading.problem(i + 1, `has ${count(fields.length, "field")}, not 3: TOPIC PARTITION OFFSET`);
    }
  },
};
