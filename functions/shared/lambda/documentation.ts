import type * as z from "zod/mini";

/** A method and path of the REST API that an operation answers. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** `/snapshots/{snapshot_id}`. */
  readonly path: string;
}

/** The names of the fields of an object, or of each of several. */
type Field<T> = T extends unknown ? keyof T & string : never;

/** What the API documents say of an operation beside its schemas: every field is described, or it does not compile. */
export interface Documentation<Request extends z.ZodMiniType, Result extends z.ZodMiniType> {
  /** What it does, in a sentence. */
  readonly summary: string;
  readonly routes: readonly Route[];
  /** The field of the request that the snapshot in the path is for; `snapshot_id` unless given. */
  readonly snapshotField?: Field<z.input<Request>>;
  readonly request: Readonly<Record<Field<z.input<Request>>, string>>;
  readonly result: Readonly<Record<Field<z.output<Result>>, string>>;
  readonly example: { readonly request: z.input<Request>; readonly result: z.input<Result> };
}
