import { document, flag, nullable, text } from "../core/json/codec.ts";
import { inText, isoTime } from "./items.ts";

/** Since when, by whom and why a snapshot is held; null is not known. `byProven`: API Gateway has established who; else it is claimed. */
export interface Hold {
  /** ISO 8601, UTC. */
  readonly at: string | null;
  readonly by: string | null;
  readonly byProven: boolean;
  readonly reason: string | null;
}

/**
 * That a snapshot was held or released since it was taken. The bucket has the last one of each snapshot: it is written before
 * the row of the index, so that a lost index can be made again with all holds.
 */
export interface HoldChange {
  readonly held: boolean;
  readonly reason: string | null;
  readonly by: string | null;
  readonly byProven: boolean;
  readonly at: string;
  /** No other change has it. The row of the snapshot has that of the last one. */
  readonly change: string;
}

/** A hold in an attribute of a row. */
export const holdText = inText(
  document({ at: nullable(isoTime), by: nullable(text), by_proven: flag, reason: nullable(text) }, "ignored"),
);

/** The last change of a hold, as the bucket has it. */
export const holdChangeText = inText(
  document(
    { held: flag, reason: nullable(text), by: nullable(text), by_proven: flag, at: isoTime, change: text },
    "ignored",
  ),
);
