/** The formats that an import reads. */
export const importFormats = ["json", "csv", "kafka-csv", "rpk", "kafka-utils", "kafka-backup"] as const;
export type ImportFormat = (typeof importFormats)[number];

/** How long the content of an import may be, in bytes: some million lines. */
export const LONGEST_IMPORT = 64 * 1024 * 1024;

/** The formats that `show` writes as text. `json` is the result itself. */
export const textFormats = ["report", "csv", "kafka-csv", "rpk", "kafka-utils", "kafka-backup"] as const;
export type TextFormat = (typeof textFormats)[number];
