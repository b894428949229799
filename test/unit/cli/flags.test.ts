import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { commands } from "../../../functions/cli/commands.ts";
import { commandLine, type Flag, fieldsOf, flagsOf, readRequest, writeFlags } from "../../../functions/cli/flags.ts";
import { withSwitches } from "../../../functions/cli/switches.ts";
import { operations, type Verb, verbs } from "../../../functions/operations.ts";
import { described, optional } from "../../../functions/shared/lambda/documentation.ts";

/** Words as they are typed, read as the command line reads them: `--flag value`, `--flag=value`, `--switch`. */
function typed(flags: readonly Flag[], words: readonly string[]): Map<string, string[]> {
  const given = new Map<string, string[]>();
  const rest = [...withSwitches(words, flags)];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = "", value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const flag = flags.find((flag) => flag.name === name);
    if (flag === undefined) throw new Error(`there is no flag for ${word}`);
    given.set(flag.field, [...(given.get(flag.field) ?? []), value ?? rest.shift() ?? ""]);
  }
  return given;
}

function read(schema: z.ZodMiniType, ...words: string[]) {
  const flags = flagsOf(schema);
  return readRequest(schema, flags, typed(flags, words), (name) => `content of ${name}`);
}
const requestOf = (verb: Verb, ...words: string[]) => read(operations[verb].request, ...words);

describe("flags", () => {
  test.each<[Verb, string[], object]>([
    ["snapshot", ["--groups", "a,b", "--groups", "c"], { groups: ["a", "b", "c"] }],
    ["snapshot", ["--groups", "a\\,b"], { groups: ["a,b"] }],
    ["snapshot", ["--groups", "a\\b,\\\\"], { groups: ["a\\b", "\\"] }],
    ["snapshot", ["--groups", '{"name": "a*,b"}', "--groups", "c*"], { groups: [{ name: "a*,b" }, "c*"] }],
    ["snapshot", ["--groups", "name:x"], { groups: ["name:x"] }],
    ["snapshot", ["--allow-partial"], { allow_partial: true }],
    ["snapshot", ["--allow-partial", "--description", "--x"], { allow_partial: true, description: "--x" }],
    ["import", ["--format=rpk", "--content=--dry-run"], { format: "rpk", content: "--dry-run" }],
    [
      "snapshot",
      ["--schedule", "name=n", "--schedule", "execution_id=a=b", "--schedule", "scheduled_time=t"],
      { schedule: { name: "n", execution_id: "a=b", scheduled_time: "t" } },
    ],
    ["list", ["--limit", "5", "--since=2025-01-15T00:00:00Z"], { limit: 5, since: "2025-01-15T00:00:00Z" }],
    [
      "list",
      ["--labels", "env=prod", "--labels=url=a=b", "--held", "--trigger", "api"],
      { labels: { env: "prod", url: "a=b" }, held: true, trigger: "api" },
    ],
    ["snapshot", ["--labels", "env=prod", "--hold"], { labels: { env: "prod" }, hold: true }],
    ["show", ["--snapshot-id", "at:2025-01-15T10:30:00Z"], { snapshot_id: { at: "2025-01-15T10:30:00Z" } }],
    ["show", ["--snapshot-id", '{"at": "2025-01-15T10:30:00Z"}'], { snapshot_id: { at: "2025-01-15T10:30:00Z" } }],
    [
      "diff",
      ["--from", "latest", "--topics", "orders:0,3,billing,a:1", "--topics", "3"],
      { from: "latest", topics: ["orders:0,3", "billing", "a:1", "3"] },
    ],
    [
      "rollback",
      ["--snapshot-id", "s", "--verify", "true", "--dry-run"],
      { snapshot_id: "s", verify: true, dry_run: true },
    ],
    [
      "rollback",
      ["--snapshot-id", "s", "--verify", "false", "--exact=false"],
      { snapshot_id: "s", verify: false, exact: false },
    ],
    [
      "rollback",
      ["--snapshot-id", "s", "--group-map", "a=b", "--group-map", "c\\=d=e=f"],
      { snapshot_id: "s", group_map: { a: "b", "c=d": "e=f" } },
    ],
    [
      "rollback",
      ["--snapshot-id", "s", "--group-map", '{"a": "b", "__proto__": "c"}'],
      JSON.parse('{"snapshot_id": "s", "group_map": {"a": "b", "__proto__": "c"}}'),
    ],
    ["import", ["--format", "rpk", "--content", "@a b"], { format: "rpk", content: "content of a b" }],
    ["import", ["--format", "rpk", "--content", "t 0 1"], { format: "rpk", content: "t 0 1" }],
    ["import", ["--format", "rpk", "--content", "\\@x"], { format: "rpk", content: "@x" }],
  ])("%s %j", (verb, words, request) => {
    expect(requestOf(verb, ...words)).toStrictEqual({ request });
  });

  test("name all problems at once, by flag", () => {
    expect(requestOf("list", "--limit", "0", "--limit", "2", "--since", "yesterday", "--status", "whole")).toEqual({
      problems: [
        "--limit is given 2 times: give it once",
        "--since must be a time such as 2025-01-15T10:30:00Z",
        expect.stringMatching(/^--status /),
      ],
    });
    expect(
      requestOf("rollback", "--group-map", "a", "--groups", '{"name": 1', "--wait-for-empty-seconds", "1.5"),
    ).toEqual({
      problems: [
        '--groups is not JSON: "{\\"name\\": 1"',
        '--group-map must be key=value, or a JSON object, not "a"',
        expect.stringMatching(/^--wait-for-empty-seconds /),
      ],
    });
    expect(requestOf("rollback", "--group-map", "a=b", "--group-map", "a=c")).toEqual({
      problems: ['--group-map names "a" twice', expect.stringMatching(/^--snapshot-id is missing/)],
    });
    expect(requestOf("show")).toEqual({ problems: [expect.stringMatching(/^--snapshot-id must be/)] });
    expect(requestOf("snapshot", "--groups", "a,,b")).toEqual({
      problems: [expect.stringMatching(/^--groups\[1\] must be/)],
    });
  });

  test("are ready for the fields of later issues, without code", () => {
    const later = z.strictObject({
      to: optional(
        z.union([
          z.enum(["earliest", "latest"]),
          z.strictObject({ ago: z.string() }),
          z.strictObject({ shift: z.int() }),
          z.strictObject({ offset: z.union([z.int(), z.bigint()]) }),
        ]),
        "Where groups are to stand.",
      ),
      labels: optional(z.record(z.string(), z.string()), "Labels."),
      held: described(z.boolean(), "Whether it is held."),
    });
    expect(read(later, "--to", "latest", "--held")).toEqual({ request: { to: "latest", held: true } });
    expect(read(later, "--to", "ago:PT2H", "--held")).toEqual({ request: { to: { ago: "PT2H" }, held: true } });
    expect(read(later, "--to", "shift:-5", "--held")).toEqual({ request: { to: { shift: -5 }, held: true } });
    expect(read(later, "--to", "offset:9007199254740993", "--held")).toEqual({
      request: { to: { offset: 9007199254740993n }, held: true },
    });
    expect(read(later, "--labels", "team=x", "--labels", "env=y", "--held=false")).toEqual({
      request: { labels: { team: "x", env: "y" }, held: false },
    });
    expect(read(later)).toEqual({ problems: ["--held is missing"] });
  });

  test("have no two meanings in any command", () => {
    for (const command of commands.values()) {
      const names = [...command.flags(), ...command.own].map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      expect(command.flags().every(({ description }) => description !== "")).toBe(true);
    }
  });
});

/** Values that a schema may allow: its own checks decide. */
function valuesOf(schema: z.core.JSONSchema.BaseSchema): fc.Arbitrary<unknown> {
  const { type, enum: words, const: word, anyOf, pattern, format, items, properties, additionalProperties } = schema;
  const inner = (one: unknown) => valuesOf(z.core.util.isObject(one) ? one : {});
  if (anyOf !== undefined) return fc.oneof(...anyOf.map(inner));
  if (words !== undefined) return fc.constantFrom(...words);
  if (word !== undefined) return fc.constant(word);
  switch (type) {
    case "boolean":
      return fc.boolean();
    case "integer":
      return fc.integer({ min: Number(schema.minimum ?? 0), max: Number(schema.maximum ?? 1e9) });
    case "array": {
      const topics = fc.constantFrom("orders", "orders:0,3", "a.b:7", "o*", "3", "x-?");
      return fc.array(format === "topic-partitions" ? topics : inner(items), { minLength: 1, maxLength: 5 });
    }
    case "object":
      return properties === undefined
        ? fc.dictionary(names, inner(additionalProperties), { minKeys: 1, maxKeys: 4 })
        : fc.record(Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, inner(one)])));
    case "string":
      if (format === "date-time")
        return fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }).map((d) => d.toISOString());
      if (pattern === "^[0-9a-f]{64}$") return fc.stringMatching(/^[0-9a-f]{64}$/);
      return fc.oneof(fc.constantFrom("latest", "snapshot-2025-01-15T10:30:00Z", "rollback-1"), names);
    default:
      return fc.string();
  }
}
/** Names as people and machines write them, and what a command line could take for something else. */
const names = fc.oneof(
  fc.string({ minLength: 1, unit: fc.constantFrom(..."ab,\\={}[]\":'*?- \n", "é", "\u{1F680}") }),
  fc.constantFrom(
    "__proto__",
    "@x",
    "\\@x",
    "true",
    "7",
    "--dry-run",
    "-x",
    '{"name":"a"}',
    '{"',
    "at",
    "name:b",
    "a=b",
    ' {"x',
  ),
);

describe("a request of any operation", () => {
  test.each(verbs)("of %s, written as flags, is read as the same request", (verb) => {
    const { request } = operations[verb];
    const flags = flagsOf(request);
    const anyRequest = fc.record(Object.fromEntries(flags.map(({ field, schema }) => [field, valuesOf(schema)])), {
      requiredKeys: [],
    });
    let valid = 0;
    fc.assert(
      fc.property(anyRequest, (asked) => {
        if (!request.safeParse(asked).success) return;
        valid++;
        const words = writeFlags(flags, fieldsOf(asked));
        expect(read(request, ...words)).toStrictEqual({ request: fieldsOf(asked) });
      }),
      { numRuns: 2_000 },
    );
    expect(valid).toBeGreaterThan(20);
  });

  test("is written as a command that a shell reads as it is", () => {
    const flags = flagsOf(operations.rollback.request);
    const request = {
      snapshot_id: { at: "2025-01-15T10:30:00Z" },
      groups: ["it's", "a,b"],
      dry_run: true,
      verify: false,
    };
    expect(commandLine("rollback", flags, request)).toBe(
      "offset-rollback rollback --snapshot-id at:2025-01-15T10:30:00Z --groups 'it'\\''s' --groups 'a\\,b' --dry-run --verify=false",
    );
  });
});
