import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cell, readCsv, readSpreadsheet, writeCsv, writeSpreadsheet } from "../../../functions/shared/core/csv.ts";

/** Texts of the characters that matter to CSV and to spreadsheets, and of any others. */
const texts = fc.oneof(
  fc.string({ unit: fc.constantFrom(..."\"',;\r\n\t =+-@＝a0\uFEFF"), maxLength: 8 }),
  fc.string({ unit: "binary" }),
);
const cells = fc.oneof<fc.Arbitrary<Cell>[]>(
  texts,
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.integer(),
);
const tables = fc.array(fc.array(cells, { minLength: 1, maxLength: 4 }), { maxLength: 5 });

const cellsOf = (read: ReturnType<typeof readCsv>) => {
  expect(read.problems).toEqual([]);
  return read.rows.map((row) => row.cells);
};
const asTexts = (table: readonly (readonly Cell[])[]) => table.map((row) => row.map(String));

describe("writing CSV", () => {
  test("ends each row with CRLF, and quotes what would be read as something else", () => {
    const row = ["plain", 'a "b"', "a,b", "a\nb", " a", "a ", "", null, 9223372036854775807n, -1, true];
    expect(writeCsv([["h"], row])).toBe(
      'h\r\nplain,"a ""b""","a,b","a\nb"," a","a ","",,9223372036854775807,-1,true\r\n',
    );
  });

  test("writes a row of one empty cell as quotes: an empty line is no row", () => {
    expect(writeCsv([[null]])).toBe('""\r\n');
  });

  test("gives back the same cells, whatever is in them", () => {
    fc.assert(
      fc.property(tables, (table) => {
        expect(cellsOf(readCsv(writeCsv(table)))).toEqual(asTexts(table));
      }),
    );
  });
});

describe("writing for a spreadsheet", () => {
  test("puts an apostrophe before a text that would be calculated, and leaves numbers", () => {
    const row = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", "'=1", "'a", "a=1", -1, -1n];
    expect(writeSpreadsheet([row])).toBe("'=1+1,'+1,'-1,'@SUM(A1),'\t=1,' =1,'＝1,''=1,'a,a=1,-1,-1\r\n");
  });

  test("has no text that begins like a formula", () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(cellsOf(readCsv(writeSpreadsheet([[text]])))[0]?.[0]).not.toMatch(/^\s*[=+\-@＝＋－＠]|^[\t\r\n]/);
      }),
    );
  });

  test("gives back the same cells, read as it was written", () => {
    fc.assert(
      fc.property(fc.array(fc.array(texts, { minLength: 1, maxLength: 4 })), (table) => {
        expect(cellsOf(readSpreadsheet(writeSpreadsheet(table)))).toEqual(table);
      }),
    );
  });
});

describe("reading CSV", () => {
  test.each([
    ["CRLF", "a,b\r\nc,d\r\n"],
    ["LF", "a,b\nc,d\n"],
    ["CR", "a,b\rc,d\r"],
    ["no end of the last row", "a,b\r\nc,d"],
    ["a byte order mark", "\uFEFFa,b\r\nc,d"],
    ["empty lines", "\r\na,b\n\n\nc,d\r\n\r\n"],
    ["quotes", '"a","b"\n"c",d'],
  ])("with %s", (_, text) => {
    expect(cellsOf(readCsv(text))).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
  });

  test("keeps empty cells, spaces, and commas and line breaks within quotes", () => {
    expect(cellsOf(readCsv('a,, b ,"c,\r\n""d"""\n,\n'))).toEqual([
      ["a", "", " b ", 'c,\r\n"d"'],
      ["", ""],
    ]);
  });

  test("numbers the lines as an editor does", () => {
    const read = readCsv('a\r\n\r\n"b\nc\r\nd",e\nf\rg');
    expect(read.rows.map(({ line, cells: [first] }) => [line, first])).toEqual([
      [1, "a"],
      [3, "b\nc\r\nd"],
      [6, "f"],
      [7, "g"],
    ]);
  });

  test("names every row that is not CSV, and reads the others", () => {
    expect(readCsv('a,b"c\nd\n"e"f,g\nh\n"i')).toEqual({
      rows: [
        { line: 2, cells: ["d"] },
        { line: 4, cells: ["h"] },
      ],
      problems: [
        { line: 1, message: "cell 2 has a quote in a text without quotes" },
        { line: 3, message: "cell 1 has a text after its closing quote" },
        { line: 5, message: "the quote at cell 1 is never closed" },
      ],
    });
  });

  test("reads any text without failing, and in a time that grows with its length", () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(readCsv(text).problems.length).toBeLessThanOrEqual(text.length);
      }),
    );
    const many = 500_000;
    expect(readCsv(`"${'""'.repeat(many)}"`).rows[0]?.cells[0]).toHaveLength(many);
    expect(readCsv('a"\n'.repeat(many)).problems).toHaveLength(many);
  });
});
