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

/** What the API documents say of an operation beside the descriptions of its fields. */
export interface Documentation<
  Request extends z.ZodMiniType = z.ZodMiniType,
  Result extends z.ZodMiniType = z.ZodMiniType,
> {
  /** What it does, in a sentence. */
  readonly summary: string;
  readonly routes: readonly Route[];
  /** The field of the request that the snapshot in the path is for; `snapshot_id` unless given. */
  readonly snapshotField?: string;
  readonly example: { readonly request: z.input<Request>; readonly result: z.input<Result> };
}
