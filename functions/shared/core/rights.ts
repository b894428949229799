/** What a message says of a right that is missing: one form for all messages, so that clients can read it in them. */
export const roleNeeds = (rights: readonly string[], resource: string): string =>
  `The function's role needs ${rights.join(" and ")} on ${resource}`;

/** The same of a right in Kafka: `READ on topic "t"`. */
export const principalNeeds = (right: string): string => `the principal needs ${right}`;

/** The same in a warning, about what Kafka leaves out silently. */
export const principalLacks = (right: string): string => `the principal lacks ${right}`;

/**
 * What a message says of a file to import that is not there. S3 tells it only to a role that may read the folder, so it proves
 * that right; a Lambda error has nothing but its message to tell it by.
 */
export const NO_OBJECT = "there is no object";

/** AWS's own words, with the ARN of the resource if it says that. */
const ofAws = /not authorized to perform: ([\w-]+:\w+)(?: on resource: "?([^\s"]+))?/g;
const ofRole =
  /role needs ([\w-]+:\w+(?: and [\w-]+:\w+)*) on ((?:bucket|table) \S+? \([^)]*\)|\S+:\S+|(?:bucket|table) [^\s,]+)/g;
const name = String.raw`"(?:[^"\\]|\\.)*"`;
const ofKafka = new RegExp(
  String.raw`principal (?:needs|lacks) ([A-Z_]+ on (?:(?:group|topic) ${name}(?:, ${name})*(?: and \d+ more)?|[a-z ]+[a-z]))`,
  "g",
);

/**
 * The rights that a message says are missing: those that AWS names, or else those that the function says its role needs; and
 * those of the principal in Kafka. Each once.
 */
export function missingRights(message: string): readonly string[] {
  const byAws = [...message.matchAll(ofAws)].map(([, action = "", on]) =>
    on === undefined ? action : `${action} on ${on.replace(/[.,]$/, "")}`,
  );
  const byRole = [...message.matchAll(ofRole)].map(([, action, on = ""]) => `${action} on ${on.replace(/[.,]$/, "")}`);
  const byKafka = [...message.matchAll(ofKafka)].map(([, right = ""]) => right);
  return [...new Set([...(byAws.length > 0 ? byAws : byRole), ...byKafka])];
}
