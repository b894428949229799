import type { Data } from "./data.ts";
import { h } from "./dom.ts";
import { digits, name } from "./text.ts";
import type { Field, View } from "./view.ts";

/** A cell of a table: on a narrow screen, where rows are blocks, with its label. */
export const cell = (field: Field, row: number) =>
  h(
    "td",
    { role: "cell", class: field.numeric ? "numeric" : undefined, "data-label": field.label },
    h("span", { class: "value" }, field.cell(row)),
  );

/** A partition as a row, whose first field says which one it is. */
export const partitionRow = (row: number, [first, ...rest]: readonly Field[]) =>
  h(
    "tr",
    { role: "row" },
    h("th", { scope: "row", role: "rowheader", "data-label": first?.label }, first?.cell(row)),
    rest.map((field) => cell(field, row)),
  );

/** Partitions of a group, by topic. */
export function partitionTable(data: Data, view: View, group: number, rows: readonly number[]): HTMLElement {
  const byTopic = Map.groupBy(rows, (row) => data.topicAt(data.placeOf(row)));
  const partitionField: Field = {
    key: "partition",
    label: "Partition",
    cell: (row) => digits(data.partitionAt(data.placeOf(row))),
    order: () => undefined,
  };
  // A column in which this group has nothing is left out.
  const fields = [
    partitionField,
    ...view.rowFields.filter((field) => field.key !== "notes" || rows.some((row) => field.order(row) !== undefined)),
  ];
  return h(
    "table",
    { role: "table" },
    h("caption", { class: "unseen" }, "Partitions of group ", name(data.nameOf(group))),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        fields.map(({ key, label, numeric }) =>
          h(
            "th",
            { scope: "col", role: "columnheader", class: numeric ? "numeric" : undefined, "data-key": key },
            label,
          ),
        ),
      ),
    ),
    [...byTopic].map(([topic, ofTopic]) =>
      h(
        "tbody",
        { role: "rowgroup" },
        h(
          "tr",
          { role: "row", class: "topic" },
          h(
            "th",
            { scope: "rowgroup", role: "rowheader", colspan: fields.length },
            name(topic),
            h(
              "span",
              { class: "aside" },
              ` · ${ofTopic.length} partition${ofTopic.length === 1 ? "" : "s"} · `,
              view.topicSummary(ofTopic),
            ),
          ),
        ),
        ofTopic.map((row) => partitionRow(row, fields)),
      ),
    ),
  );
}
