import * as kinds from "./errors.ts";

type Kinds = typeof kinds;
type Kind = new (...args: ConstructorParameters<typeof kinds.KafkaUnavailable>) => kinds.OperationError;

/** The names of all errors that a caller may see: one for each class of `errors.ts`. */
export type ErrorName = { [Name in keyof Kinds]: Kinds[Name] extends Kind ? Name : never }[keyof Kinds];

const { OperationError: _, ...classes } = kinds;
const byName = new Map<string, Kind>(Object.entries(classes));

/** The error with a name that was carried as a value; for any other name, KafkaUnavailable. */
export function errorNamed(name: string, ...args: ConstructorParameters<Kind>): kinds.OperationError {
  return new (byName.get(name) ?? kinds.KafkaUnavailable)(...args);
}
