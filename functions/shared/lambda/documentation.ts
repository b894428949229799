import * as z from "zod/mini";

/** The result of an operation. With the mark of a pure call before it, the bundles of the functions, which do not use it, drop it. */
export const resultObject = <Fields extends z.core.$ZodLooseShape>(fields: () => Fields) => z.strictObject(fields());

/** A field with its description, which the API documents show. */
export const described = <T extends z.ZodMiniType>(field: T, description: string): T =>
  field.check(z.describe(description));

/** The same for a field that may be left out. */
export const optional = <T extends z.ZodMiniType>(field: T, description: string) =>
  described(z.optional(field), description);

/** A method and path of the REST API that an operation answers. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** `/snapshots/{snapshot_id}`. */
  readonly path: string;
  /** The request, where it is answered with 202 at once and runs afterwards. API Gateway checks it: no function could answer. */
  readonly later?: z.ZodMiniType;
}

/** The field of a request that a parameter of a path is for. */
export function fieldOf(parameter: string, snapshotField = "snapshot_id"): string {
  if (parameter === "snapshot_id") return snapshotField;
  return parameter === "group" ? "groups" : parameter;
}
