/** A value that cannot be predicted, such as an id. The value first seen for a key must not change, and no other key may have it. */
export class Unseen {
  readonly kind: keyof typeof forms;
  readonly key: string;

  constructor(kind: Unseen["kind"], key: string) {
    this.kind = kind;
    this.key = key;
  }
}

/** A list in any order. */
export class Bag {
  readonly items: readonly unknown[];

  constructor(items: Iterable<unknown>) {
    this.items = [...items];
  }
}

/** The form of each kind of value. */
const forms = {
  cluster: /^[\w-]{22}$/,
  topic: /^[\w-]{22}$/,
  digest: /^[0-9a-f]{64}$/,
  snapshot: /^snapshot-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(-[1-9]\d*)?$/,
  rollback: /^rollback-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ-[0-9a-f]{8}$/,
};

/** The unpredictable values that one history has seen. */
export class SeenValues {
  #seen = new Map<string, string>();
  #owners = new Map<string, string>();

  /** The value that was seen; a text is returned unchanged. */
  of(unseen: Unseen | string): string {
    if (typeof unseen === "string") return unseen;
    const value = this.#seen.get(`${unseen.kind} ${unseen.key}`);
    if (value === undefined) throw new Error(`no ${unseen.kind} was seen for ${unseen.key}`);
    return value;
  }

  /** The key for which a value was seen, if any. */
  keyOf(kind: Unseen["kind"], value: string): string | undefined {
    return this.#owners.get(`${kind} ${value}`);
  }

  /**
   * Compares exactly: every field and entry of both sides, with integers of any size. An expected RegExp accepts any text or
   * integer that matches it. Returns each difference with its place and both values.
   */
  differences(expected: unknown, actual: unknown, path = ""): string[] {
    const differ = () => [`${path || "the answer"}: expected ${show(expected)}, got ${show(actual)}`];
    if (expected instanceof RegExp) {
      const text = typeof actual === "string" || isInteger(actual) ? String(actual) : undefined;
      return text !== undefined && expected.test(text) ? [] : differ();
    }
    if (expected instanceof Unseen) return this.#sees(expected, actual) ? [] : differ();
    if (isInteger(expected)) return isInteger(actual) && BigInt(expected) === BigInt(actual) ? [] : differ();
    if (expected instanceof Bag) {
      return Array.isArray(actual) ? this.#unordered(expected.items, actual, path) : differ();
    }
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual) || actual.length !== expected.length) return differ();
      return expected.flatMap((item: unknown, i) => this.differences(item, actual[i], `${path}[${i}]`));
    }
    if (typeof expected !== "object" || expected === null) return expected === actual ? [] : differ();
    if (typeof actual !== "object" || actual === null || Array.isArray(actual)) return differ();
    const [fields, found] = [new Map(entriesOf(expected)), new Map(entriesOf(actual))];
    return [...new Set([...fields.keys(), ...found.keys()])].flatMap((key) =>
      this.differences(fields.get(key), found.get(key), `${path}.${key}`),
    );
  }

  #unordered(expected: readonly unknown[], actual: readonly unknown[], path: string): string[] {
    const left = [...actual];
    const missing = expected.filter((item) => {
      const at = left.findIndex((candidate) => this.#fits(item, candidate));
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    if (missing.length === 1 && left.length === 1) return this.differences(missing[0], left[0], `${path}[]`);
    return [
      ...missing.map((item) => `${path} lacks ${show(item)}`),
      ...left.map((item) => `${path} has ${show(item)}, which was not expected`),
    ];
  }

  /** Whether there is no difference. If there is one, values seen in `actual` are forgotten. */
  #fits(expected: unknown, actual: unknown): boolean {
    const before = [new Map(this.#seen), new Map(this.#owners)] as const;
    const fits = this.differences(expected, actual).length === 0;
    if (!fits) [this.#seen, this.#owners] = before;
    return fits;
  }

  #sees({ kind, key }: Unseen, value: unknown): boolean {
    if (typeof value !== "string" || !forms[kind].test(value)) return false;
    const known = this.#seen.get(`${kind} ${key}`);
    if (known !== undefined) return known === value;
    if (this.#owners.has(`${kind} ${value}`)) return false;
    this.#seen.set(`${kind} ${key}`, value);
    this.#owners.set(`${kind} ${value}`, key);
    return true;
  }
}

const isInteger = (value: unknown): value is number | bigint => typeof value === "bigint" || Number.isInteger(value);

/** The entries of an object or map, without undefined ones, which JSON does not have. */
function entriesOf(value: object): [string, unknown][] {
  const entries =
    value instanceof Map ? [...value].map(([key, entry]) => [String(key), entry] as const) : Object.entries(value);
  return entries.flatMap(([key, entry]: readonly [string, unknown]) => (entry === undefined ? [] : [[key, entry]]));
}

/** A value on one line, for messages. */
export function show(value: unknown): string {
  if (value instanceof Unseen) return `the ${value.kind} of ${value.key}`;
  if (value instanceof Bag) return `in any order ${show(value.items)}`;
  if (typeof value === "bigint" || value instanceof RegExp || value === undefined) return String(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${entriesOf(value)
    .map(([key, entry]) => `${JSON.stringify(key)}: ${show(entry)}`)
    .join(", ")}}`;
}
