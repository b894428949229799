import { describe, expect, test } from "vitest";
import { parseDescription, parseTables } from "../../localstack/console.ts";

const header = "GROUP      TOPIC   PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID";
const unused = "-  -  -";

describe("what kafka-consumer-groups prints", () => {
  test("is read for groups of any name, in any number of tables", () => {
    const output = [
      "",
      header,
      `a          orders  0          9007199254740993  9007199254740994  1  ${unused}`,
      `a          orders  1          -               7               -  ${unused}`,
      "",
      header,
      ` b  c      gone    12         5               -               -  id-1  /127.0.0.1  test`,
      "b          -       -          -               -               -  id-2  /127.0.0.1  test",
      header,
      `           orders  0          1               1               0  ${unused}`,
      "",
    ].join("\n");
    expect(parseDescription(output)).toEqual([
      {
        group: "a",
        topic: "orders",
        partition: 0,
        offset: 9_007_199_254_740_993n,
        logEndOffset: 9_007_199_254_740_994n,
      },
      { group: "a", topic: "orders", partition: 1, offset: null, logEndOffset: 7n },
      { group: " b  c", topic: "gone", partition: 12, offset: 5n, logEndOffset: null },
      { group: "", topic: "orders", partition: 0, offset: 1n, logEndOffset: 1n },
    ]);
  });

  test("has no rows if there is no group", () => {
    expect(parseDescription("\nError: Consumer group 'a' does not exist.\n")).toEqual([]);
    expect(parseDescription("")).toEqual([]);
  });

  test.each([
    ["a table without a column", `${header.replace("CURRENT-OFFSET", "OFFSET")}\na orders 0 1 1 0 ${unused}`],
    ["a line that is not a row", `${header}\na orders 0 1`],
  ])("is an error with the line: %s", (_, output) => {
    expect(() => parseDescription(output)).toThrow(/^Kafka's tool printed no [A-Z-]+: a orders 0 1/);
  });

  test("is read with the columns of other tools, too", () => {
    const output = "GROUP TOPIC  PARTITION START-OFFSET LAG\nshare orders 1         -            -\n";
    expect(parseTables(output, ["PARTITION", "START-OFFSET"])).toEqual([
      { group: "share", topic: "orders", values: ["1", "-"] },
    ]);
  });
});
