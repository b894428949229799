import type { Exact } from "./data.ts";
import type { Child } from "./dom.ts";
import type { Tone } from "./words.ts";

type Key = Exact | string | undefined;

/** A column of a table of groups or of partitions, by the number of the row. */
export interface Field {
  readonly key: string;
  readonly label: string;
  readonly numeric?: boolean;
  cell(row: number): Child;
  /** What it is sorted by; undefined, what is unknown, comes last. */
  order(row: number): Key;
}

/** A list that is shown before the groups. */
export interface Notice {
  readonly title: string;
  readonly tone: Tone;
  readonly lead?: string;
  readonly items: readonly { readonly word?: string; readonly group?: string; text(): Child }[];
}

/** What a kind of result shows, and where. */
export interface View {
  readonly kind: string;
  readonly title: Child;
  readonly verdict: {
    readonly tone: Tone;
    readonly sign: string;
    readonly headline: Child;
    readonly lines: readonly Child[];
  };
  readonly facts: readonly (readonly [string, Child])[];
  readonly figures: readonly (readonly [string, Child])[];
  readonly notices: readonly Notice[];
  readonly groupFields: readonly Field[];
  readonly rowFields: readonly Field[];
  groupMarks(group: number): readonly string[];
  rowMarks(row: number): readonly string[];
  /** What there is to say of the partitions of one topic of a group. */
  topicSummary(rows: readonly number[]): Child;
  /** The problems of a group, for the row that is opened. */
  groupNotes(group: number): readonly Child[];
  readonly reading: readonly Child[];
}
