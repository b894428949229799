import * as z from "zod/mini";

/** A schema of results. With the mark of a pure call before it, the bundles of the functions, which do not use it, drop it. */
export const unbundled = <T>(schema: () => T): T => schema();

/** A field with its description, which the API documents show. */
export const described = <T extends z.ZodMiniType>(field: T, description: string): T =>
  field.check(z.describe(description));

/** A method and path of the REST API that an operation answers. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `/snapshots/{snapshot_id}`. */
  readonly path: string;
}
