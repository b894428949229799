import * as z from "zod/mini";
import type { Fields, Json } from "../shared/core/json/json.ts";
import { encodeJson, parseJson } from "../shared/core/json/json.ts";
import { quote } from "../shared/core/text.ts";

/**
 * Flags of the command line, generated from the schemas of requests. What is typed becomes the JSON of a request; the schema
 * itself checks it. A new field of a request is a new flag, without code here.
 */

/** The format of a list of topics, whose elements may have partitions: `orders:0,3`. */
const TOPICS = "topic-partitions";

type Schema = z.core.JSONSchema.BaseSchema;

/** How a flag is written: `--dry-run`; `--groups a,b`; `--group-map a=b`; `--content @file`; `--limit 5`. */
export type FlagKind = "switch" | "list" | "entries" | "content" | "value";

/** A flag for one field of a request. */
export interface Flag {
  /** `snapshot_id` */
  readonly field: string;
  /** `snapshot-id` */
  readonly name: string;
  readonly kind: FlagKind;
  readonly description: string;
  /** The words that the field takes, where it takes only these. */
  readonly choices: readonly string[];
  /** What counts where the flag is left out, as text. */
  readonly preset: string | undefined;
  readonly schema: Schema;
}

/** The field of a request is kebab case on the command line. */
export const flagName = (field: string): string => field.replaceAll("_", "-");

const isSchema = (schema: unknown): schema is Schema =>
  typeof schema === "object" && schema !== null && !Array.isArray(schema);
const alternativesOf = (schema: Schema): readonly Schema[] =>
  (schema.anyOf ?? schema.oneOf)?.filter(isSchema).flatMap(alternativesOf) ?? [schema];

function choicesOf(schema: Schema): string[] {
  const alternatives = alternativesOf(schema);
  const words = alternatives.map(({ enum: some, const: one }) => some ?? (one === undefined ? undefined : [one]));
  if (words.some((some) => some === undefined)) return [];
  return words.flatMap((some) => some ?? []).filter((word) => typeof word === "string");
}

function kindOf(schema: Schema): FlagKind {
  const [only, ...others] = alternativesOf(schema).filter(({ type }) => type !== "null");
  if (only === undefined || others.length > 0) return "value";
  if (only.contentMediaType !== undefined) return "content";
  if (only.type === "boolean") return "switch";
  if (only.type === "array") return "list";
  return only.type === "object" ? "entries" : "value";
}

/** The flags for a request, in the order of its fields. */
export function flagsOf(request: z.ZodMiniType): Flag[] {
  const { properties } = z.toJSONSchema(request, { io: "input", unrepresentable: "any" });
  return Object.entries(properties ?? {}).flatMap(([field, schema]) => {
    if (!isSchema(schema)) return [];
    const { description = "", default: preset } = schema;
    return {
      field,
      name: flagName(field),
      kind: kindOf(schema),
      description,
      choices: choicesOf(schema),
      preset: presetText(preset),
      schema,
    };
  });
}

function presetText(preset: unknown): string | undefined {
  if (preset === undefined || preset === false || preset === "") return undefined;
  return Array.isArray(preset) ? preset.join(",") : String(preset);
}

/** What was typed for a flag cannot be read; the message follows the name of the flag. */
export class Unreadable extends Error {}

function json(text: string): Json {
  try {
    return asJson(parseJson(text));
  } catch {
    throw new Unreadable(`is not JSON: ${quote(text)}`);
  }
}

/** What `parseJson` returns is JSON. */
function asJson(value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "object":
      if (value === null) return null;
      return Array.isArray(value) ? value.map(asJson) : fieldsOf(value);
    default:
      return null;
  }
}

/** An object as JSON. */
export const fieldsOf = (value: object): Fields =>
  Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, asJson(entry)]));

const looksLikeObject = (text: string) => /^\{\s*["}]/.test(text);
const isObject = ({ type }: Schema) => type === "object";
const isText = ({ type, enum: some, const: one }: Schema) =>
  type === "string" && some === undefined && one === undefined;

/** The name of the only property of an object. */
function onlyProperty({ properties, additionalProperties }: Schema): readonly [string, Schema] | undefined {
  const [first, ...others] = Object.entries(properties ?? {});
  if (first === undefined || others.length > 0 || isSchema(additionalProperties)) return undefined;
  const [name, schema] = first;
  return isSchema(schema) ? [name, schema] : undefined;
}

/** A value: JSON for an object, `name:value` for an object with one property, as in a path of the API, a number, a text. */
function readValue(schema: Schema, text: string): Json {
  const alternatives = alternativesOf(schema);
  const objects = alternatives.filter(isObject);
  if (objects.length > 0 && looksLikeObject(text)) return json(text);
  for (const [name, property] of objects.flatMap((object) => [onlyProperty(object)].filter((it) => it !== undefined))) {
    if (text.startsWith(`${name}:`)) return { [name]: readValue(property, text.slice(name.length + 1)) };
  }
  if (alternatives.some(isText)) return text;
  const isNumber = alternatives.some(({ type }) => type === "integer" || type === "number");
  if (isNumber && /^-?\d+(\.\d+)?$/.test(text)) return json(text.replace(/^(-?)0+(?=\d)/, "$1"));
  const isSwitch = alternatives.some(({ type }) => type === "boolean");
  return isSwitch && (text === "true" || text === "false") ? text === "true" : text;
}

/** Splits at a character that no backslash stands before. */
function split(text: string, at: string, most = Number.POSITIVE_INFINITY): string[] {
  const parts = [""];
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === at && parts.length < most) parts.push("");
    else {
      const next = text.charAt(i + 1);
      const isEscape = character === "\\" && next !== "" && `\\,={`.includes(next);
      if (isEscape) i++;
      parts[parts.length - 1] += isEscape ? next : character;
    }
  }
  return parts;
}

/** Elements of a list: `a,b`. An element that is an object is JSON, which is not split. */
function readList(schema: Schema, text: string): Json[] {
  const items = isSchema(schema.items) ? schema.items : {};
  const objects = alternativesOf(items).some(isObject);
  if (objects && looksLikeObject(text)) return [json(text)];
  const parts = split(text, ",");
  if (schema.format !== TOPICS) return parts.map((part) => readElement(items, part));
  // `orders:0,3` is one element: a number belongs to the partitions before it.
  const elements: string[] = [];
  for (const part of parts) {
    const before = elements.at(-1);
    if (before?.includes(":") && /^\d+$/.test(part)) elements[elements.length - 1] = `${before},${part}`;
    else elements.push(part);
  }
  return elements;
}

/** Beside texts, an element is no object in short: any name may begin with `name:`. */
const readElement = (items: Schema, text: string): Json =>
  alternativesOf(items).some(isText) ? text : readValue(items, text);

/** Entries of an object: `key=value`. */
function readEntry(schema: Schema, text: string): readonly [string, Json][] {
  if (looksLikeObject(text)) return Object.entries(Object(json(text)));
  const [key = "", value] = split(text, "=", 2);
  if (value === undefined) throw new Unreadable(`must be key=value, or a JSON object, not ${quote(text)}`);
  const { properties, additionalProperties } = schema;
  const property = properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
  return [[key, isSchema(property) ? readValue(property, value) : value]];
}

/** Reads the content of a file that a flag names; `-` is the standard input. */
export type ReadFile = (name: string) => string;

function readFlag({ kind, schema }: Flag, given: readonly string[], readFile: ReadFile): Json {
  const [only] = alternativesOf(schema).filter(({ type }) => type !== "null");
  if (kind === "list") return given.flatMap((text) => readList(only ?? {}, text));
  if (kind === "entries") {
    const entries = given.flatMap((text) => readEntry(only ?? {}, text));
    const twice = entries.find(([key], i) => entries.findIndex(([other]) => other === key) !== i);
    if (twice !== undefined) throw new Unreadable(`names ${quote(twice[0])} twice`);
    return Object.fromEntries(entries);
  }
  const [text = "", ...more] = given;
  if (more.length > 0) throw new Unreadable(`is given ${given.length} times: give it once`);
  if (kind === "content") return text.startsWith("@") ? readFile(text.slice(1)) : text.replace(/^\\(?=\\*@)/, "");
  return readValue(schema, text);
}

/** A request that was typed, or everything that is wrong with it. */
export type Typed = { readonly request: Fields } | { readonly problems: readonly string[] };

/**
 * Reads the flags of a request and checks it with its schema. All problems are named at once, by flag.
 *
 * @param given the texts after each flag, by field
 */
export function readRequest(
  schema: z.ZodMiniType,
  flags: readonly Flag[],
  given: ReadonlyMap<string, readonly string[]>,
  readFile: ReadFile,
): Typed {
  const problems: string[] = [];
  const fields: [string, Json][] = [];
  for (const flag of flags) {
    const texts = given.get(flag.field);
    if (texts === undefined) continue;
    try {
      fields.push([flag.field, readFlag(flag, texts, readFile)]);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      problems.push(`--${flag.name} ${error.message}`);
    }
  }
  const request = Object.fromEntries(fields);
  const unread = new Set(
    flags.filter(({ field }) => given.has(field) && !(field in request)).map(({ field }) => field),
  );
  for (const { code, path, message } of schema.safeParse(request).error?.issues ?? []) {
    const [field, ...inner] = path;
    if (unread.has(String(field))) continue;
    const at = inner.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
    const isMissing = code === "invalid_type" && inner.length === 0 && !(String(field) in request);
    const said = isMissing ? "is missing" : message.replace(/^Invalid input: /, "");
    problems.push(field === undefined ? said : `--${flagName(String(field))}${at} ${said}`);
  }
  return problems.length > 0 ? { problems } : { request };
}

const isFields = (value: Json): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** Escapes what `split` would take for more than a character. */
const escaped = (text: string, special: RegExp) => text.replaceAll("\\", "\\\\").replace(special, "\\$&");

function writeValue(value: Json, schema: Schema): string {
  if (typeof value === "string") return value;
  if (isFields(value)) {
    for (const property of alternativesOf(schema).filter(isObject).map(onlyProperty)) {
      const [name, inner] = property ?? [];
      const held = name === undefined ? undefined : value[name];
      if (inner !== undefined && typeof held === "string" && Object.keys(value).length === 1) return `${name}:${held}`;
    }
  }
  return encodeJson(value);
}

function writeElement(value: Json, { format }: Schema): string {
  if (typeof value !== "string") return encodeJson(value);
  return format === TOPICS ? value : escaped(value, /,|^\{/g);
}

/** The flags, and what stands after them, that read as this request. Fields that no flag is for are left out. */
export function writeFlags(flags: readonly Flag[], request: Fields): string[] {
  return flags.flatMap(({ field, name, kind, schema }) => {
    const value = request[field];
    if (value === undefined) return [];
    if (value === true) return [`--${name}`];
    if (value === false) return [`--${name}=false`];
    const given = (texts: readonly string[]) => texts.map((text) => `--${name}=${text}`);
    if (kind === "list" && isList(value)) {
      return given(value.map((element) => writeElement(element, schema)));
    }
    if (kind === "entries" && isFields(value)) {
      return given(
        Object.entries(value).map(([key, entry]) =>
          typeof entry === "string"
            ? `${escaped(key, /=|^\{/g)}=${entry.replaceAll("\\", "\\\\")}`
            : encodeJson({ [key]: entry }),
        ),
      );
    }
    if (kind === "content" && typeof value === "string") return given([value.replace(/^(?=\\*@)/, "\\")]);
    return given([writeValue(value, schema)]);
  });
}

/** An argument as a POSIX shell reads it. */
export const shellQuoted = (argument: string): string =>
  /^[\w@%+:,./=-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;

/** A command that can be pasted into a shell: flags stand apart from their values where that reads the same. */
export function commandLine(command: string, flags: readonly Flag[], request: Fields): string {
  const words = writeFlags(flags, request).map((word) => {
    const at = word.indexOf("=");
    const [flag, value] = [word.slice(0, at), word.slice(at + 1)];
    return at < 0 || value === "false" || value.startsWith("--") ? shellQuoted(word) : `${flag} ${shellQuoted(value)}`;
  });
  return ["offset-rollback", command, ...words].join(" ");
}
