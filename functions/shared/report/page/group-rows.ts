import { history } from "./chart.ts";
import type { Data } from "./data.ts";
import { type Child, h, show } from "./dom.ts";
import type { ranking } from "./order.ts";
import { cell, partitionTable } from "./partitions.ts";
import { name } from "./text.ts";
import type { View } from "./view.ts";

/** How many partitions of a group are shown at once. */
const MOST_IN_GROUP = 200;
const MOST_CHARTS_PRINTED = 30;

/**
 * Groups as rows, each of which can be opened to see its partitions.
 *
 * @param open the groups that are open; a row that is opened or closed changes it
 * @param changed is called after that
 */
export function createGroupRows(
  data: Data,
  view: View,
  ranks: ReturnType<typeof ranking>,
  open: Set<number>,
  changed: () => void,
) {
  /** The charts of the groups that are shown. They are drawn in the document, whose width they have. */
  const charts = new Map<number, ReturnType<typeof history>>();

  function rowsOf(group: number, isPrint: boolean): Child {
    const isOpen = isPrint || open.has(group);
    const id = `g${group}`;
    const button = h(
      "button",
      { type: "button", class: "disclosure", "aria-expanded": String(isOpen), "aria-controls": id, click: toggle },
      name(data.nameOf(group)),
    );
    const row = h(
      "tr",
      { role: "row", class: "group" },
      h("th", { scope: "row", role: "rowheader" }, button),
      view.groupFields.map((field) => cell(field, group)),
    );
    let details = isOpen ? detail(group, id, isPrint) : undefined;

    function toggle(): void {
      if (open.delete(group)) {
        details?.remove();
        details = undefined;
        charts.get(group)?.clear();
      } else {
        open.add(group);
        details = detail(group, id, false);
        row.after(details);
        charts.get(group)?.draw();
      }
      button.setAttribute("aria-expanded", String(details !== undefined));
      changed();
    }
    return [row, details];
  }

  function detail(group: number, id: string, isPrint: boolean): HTMLElement {
    const notes = view.groupNotes(group);
    const rows = data.rowsOf(group).sort((a, b) => ranks.place(data.placeOf(a)) - ranks.place(data.placeOf(b)));
    const chart =
      data.kind === "history" && rows.length > 0 && (!isPrint || charts.size < MOST_CHARTS_PRINTED)
        ? history(data, group)
        : undefined;
    if (chart !== undefined) charts.set(group, chart);
    const holder = h("div", { class: "partitions" });
    const fill = (most: number) =>
      show(
        holder,
        rows.length > 0
          ? partitionTable(data, view, group, rows.slice(0, most))
          : h("p", {}, "No partitions are listed for this group."),
        rows.length > most &&
          h("button", { type: "button", click: () => fill(rows.length) }, `Show all ${rows.length} partitions`),
      );
    fill(isPrint ? rows.length : MOST_IN_GROUP);
    return h(
      "tr",
      { role: "row", class: "detail", id },
      h(
        "td",
        { role: "cell", colspan: view.groupFields.length + 1 },
        notes.length > 0 &&
          h(
            "ul",
            { class: "notes" },
            notes.map((note) => h("li", {}, note)),
          ),
        chart?.element,
        holder,
      ),
    );
  }

  /** Removes what is drawn of the groups that were shown. */
  function clear(): void {
    for (const chart of charts.values()) chart.clear();
    charts.clear();
  }

  return {
    clear,
    /** Shows these groups, and no others; for print, all are open. */
    draw(body: HTMLElement, groups: readonly number[], isPrint: boolean): void {
      clear();
      show(
        body,
        groups.map((group) => rowsOf(group, isPrint)),
      );
      for (const chart of charts.values()) chart.draw();
    },
  };
}
