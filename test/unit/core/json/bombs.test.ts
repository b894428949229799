import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { unpackJson } from "../../../../functions/shared/core/json/packed-json.ts";

/** JSON of 120 MB, packed to some 120 kB, with this value many times. */
const repeated = (before: string, value: string, after: string) => {
  const block = Buffer.from(`${value},`.repeat(100_000));
  const blocks = Array.from({ length: Math.ceil((120 * 2 ** 20) / block.length) }, () => block);
  return gzipSync(Buffer.concat([Buffer.from(before), ...blocks, Buffer.from(value + after)]), { level: 1 });
};

test.each([
  ["a list of empty objects", "[", "{}", "]"],
  ["a list of lists", "[", "[]", "]"],
  ["a list of numbers", "[", "0", "]"],
  ["empty objects in a field", '{"snapshot_id":"a \\"quoted\\" one","groups":[', "{}", "]}"],
  ["empty objects beside a large integer", '{"offset":9007199254740993,"groups":[', "{}", "]}"],
  ["nested lists", "", "[".repeat(100), ""],
])(
  "packed JSON is refused before it is parsed if it is %s that would need gigabytes",
  (_what, before, value, after) => {
    const packed = repeated(before, value, after);
    const [rss, cpu] = [process.memoryUsage().rss, process.threadCpuUsage()];
    expect(() => unpackJson(packed)).toThrow(/^it has more than \d+ values$/);
    expect(process.memoryUsage().rss - rss).toBeLessThan(500 * 2 ** 20);
    expect(process.threadCpuUsage(cpu).user).toBeLessThan(3_000_000);
  },
);
