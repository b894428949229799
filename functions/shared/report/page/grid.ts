import type { Data } from "./data.ts";
import { h, show, unseen } from "./dom.ts";
import { createGroupRows } from "./group-rows.ts";
import { createLevels, find } from "./levels.ts";
import { maskRows, ranking } from "./order.ts";
import { partitionRow } from "./partitions.ts";
import { spaced } from "./text.ts";
import type { View } from "./view.ts";
import { labelOf } from "./words.ts";

/** How many partitions are printed. */
export const MOST_PRINTED = 5_000;
/** Groups of a report that has no more are open from the start. */
const FEW_GROUPS = 5;

/** The groups and partitions of a report: searched, filtered, sorted, a page at a time. */
export function createGrid(data: Data, view: View) {
  const ranks = ranking(data);
  const masks = maskRows(data, view);
  const levels = createLevels(data, view, ranks, masks);

  let level: keyof typeof levels = "groups";
  let sort = { key: "", down: false };
  let page = 0;
  let ids: readonly number[] = [];
  const allGroups = Array.from({ length: data.groupCount }, (_, group) => group);
  const urgent = allGroups.filter((group) => masks.groupUrgency[group] === 0);
  const open = new Set(data.groupCount <= FEW_GROUPS ? allGroups : urgent.slice(0, FEW_GROUPS));
  const groupRows = createGroupRows(data, view, ranks, open, drawOpenAll);

  // What stands around the table

  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Group, topic or topic-partition",
    autocomplete: "off",
    spellcheck: "false",
    input: update,
  });
  const filter = h(
    "select",
    { id: "filter", change: update },
    h("option", { value: 0 }, "Everything"),
    masks.words.map((word, at) =>
      h("option", { value: 2 ** at }, `${labelOf(word)} (${spaced(masks.groupsWith(at))})`),
    ),
  );
  const sorting = h("select", { id: "sort", change: () => sortBy(sorting.value, false) });
  const direction = h("button", { type: "button", click: () => sortBy(sort.key, !sort.down) });
  const levelSelect = h(
    "select",
    {
      id: "level",
      change: () => {
        level = levelSelect.value === "partitions" ? "partitions" : "groups";
        sort = { key: "", down: false };
        head();
        update();
      },
    },
    h("option", { value: "groups" }, `Groups (${spaced(data.groupCount)})`),
    h("option", { value: "partitions" }, `Partitions (${spaced(data.rowCount)})`),
  );
  const sizes = h(
    "select",
    { id: "size", change: update },
    [25, 50, 100, 500].map((n) => h("option", { value: n, selected: n === 50 }, String(n))),
  );
  const size = () => Number(sizes.value);
  const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const openAll = h("button", { type: "button", click: toggleAll });
  const pageButton = (text: string, title: string, target: () => number) =>
    h("button", { type: "button", "aria-label": title, title, click: () => goTo(target()) }, text);
  const lastPage = () => Math.max(0, Math.ceil(ids.length / size()) - 1);
  const buttons = [
    pageButton("«", "First page", () => 0),
    pageButton("‹", "Previous page", () => page - 1),
    pageButton("›", "Next page", () => page + 1),
    pageButton("»", "Last page", lastPage),
  ] as const;
  const pageText = h("span", { class: "page" });
  const caption = h("caption", { class: "unseen" });
  const thead = h("thead", { role: "rowgroup" });
  const tbody = h("tbody", { role: "rowgroup" });
  const table = h("table", { class: "main", role: "table" }, caption, thead, tbody);
  const printed = h("p", { class: "printed" });

  const labelled = (text: string, control: HTMLElement) => h("label", {}, h("span", {}, text), control);
  const element = h(
    "section",
    { "aria-labelledby": "groups-title" },
    h("h2", { id: "groups-title" }, "Groups and partitions"),
    h(
      "div",
      { class: "controls", role: "search" },
      labelled("Search ( / )", search),
      labelled("Show only", filter),
      labelled("List", levelSelect),
      labelled("Sort", h("span", { class: "pair" }, sorting, direction)),
      labelled("Per page", sizes),
      openAll,
    ),
    printed,
    status,
    h("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Table of groups and partitions" }, table),
    h("nav", { class: "pages", "aria-label": "Pages" }, buttons[0], buttons[1], pageText, buttons[2], buttons[3]),
  );

  // Drawing

  function head(): void {
    const { fields } = levels[level];
    show(
      thead,
      h(
        "tr",
        { role: "row" },
        fields.map(({ key, label, numeric }) =>
          h(
            "th",
            { scope: "col", role: "columnheader", class: numeric ? "numeric" : undefined, "data-key": key },
            h(
              "button",
              { type: "button", click: () => sortBy(key, sort.key === key ? !sort.down : Boolean(numeric)) },
              label,
              h("span", { "aria-hidden": "true", class: "arrow" }),
            ),
          ),
        ),
      ),
    );
    show(
      sorting,
      h("option", { value: "" }, "Attention first"),
      fields.map(({ key, label }) => h("option", { value: key }, label)),
    );
    show(
      caption,
      level === "groups" ? "Groups. A row can be opened to see its partitions." : "Partitions of all groups.",
    );
    openAll.hidden = level !== "groups";
    markSort();
  }

  function markSort(): void {
    for (const cell of thead.querySelectorAll("th")) {
      const isSorted = cell.dataset.key === sort.key;
      if (isSorted) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      const arrow = cell.querySelector(".arrow");
      if (arrow !== null) arrow.textContent = isSorted ? (sort.down ? " ▼" : " ▲") : "";
    }
    sorting.value = sort.key;
    show(direction, sort.down ? "▼" : "▲", unseen(sort.down ? " descending" : " ascending"));
  }

  function sortBy(key: string, down: boolean): void {
    sort = { key, down };
    markSort();
    update();
  }

  function choose(): void {
    ids = find(levels[level], { query: search.value, wanted: Number(filter.value), sort });
  }

  function update(): void {
    choose();
    goTo(0);
  }

  function goTo(target: number): void {
    page = Math.min(Math.max(0, target), lastPage());
    const first = page * size();
    const shown = onPage();
    drawRows(shown, false);
    const { size: total, noun } = levels[level];
    const all = ids.length === total ? "" : ` that match, of ${spaced(total)} in all`;
    const range = `${spaced(first + 1)} to ${spaced(first + shown.length)} of ${spaced(ids.length)}`;
    status.textContent =
      total === 0
        ? `There are no ${noun}s in this report.`
        : ids.length === 0
          ? `No ${noun} matches, of ${spaced(total)} in all.`
          : `${noun === "group" ? "Groups" : "Partitions"} ${range}${all}.`;
    pageText.textContent = `Page ${spaced(page + 1)} of ${spaced(lastPage() + 1)}`;
    for (const [at, button] of buttons.entries()) {
      button.setAttribute("aria-disabled", String(at < 2 ? page === 0 : page === lastPage()));
    }
    drawOpenAll();
  }

  function drawRows(shown: readonly number[], isPrint: boolean): void {
    if (level === "groups") groupRows.draw(tbody, shown, isPrint);
    else {
      groupRows.clear();
      show(
        tbody,
        shown.map((row) => partitionRow(row, levels.partitions.fields)),
      );
    }
  }

  const onPage = () => ids.slice(page * size(), (page + 1) * size());
  const allOpen = () => onPage().every((group) => open.has(group));

  function toggleAll(): void {
    const isAll = allOpen();
    for (const group of onPage()) {
      if (isAll) open.delete(group);
      else open.add(group);
    }
    goTo(page);
  }

  function drawOpenAll(): void {
    openAll.textContent = level === "groups" && allOpen() ? "Close all on this page" : "Open all on this page";
  }

  /** How many of the groups have no more partitions than are printed: at least one. */
  function howManyPrinted(): number {
    let partitions = 0;
    const end = ids.findIndex((group) => {
      partitions += data.rowsOf(group).length;
      return partitions > MOST_PRINTED;
    });
    return end < 0 ? ids.length : Math.max(1, end);
  }

  /** Draws all that is to be printed, and says what is not. */
  function print(): void {
    const total = levels[level].size;
    const shown = ids.slice(0, level === "groups" ? howManyPrinted() : MOST_PRINTED);
    const isCut = shown.length < ids.length;
    const what = `${levels[level].noun}s`;
    printed.textContent =
      `Printed: ${isCut ? `only the first ${shown.length} of ` : "all "}${ids.length} ${what}` +
      `${ids.length < total ? ` that match the search and the filter, of ${total} in all` : ""}. ` +
      `${isCut ? `At most ${MOST_PRINTED} partitions are printed: search for what is missing, or use CSV.` : ""}`;
    drawRows(shown, true);
  }

  head();
  choose();
  return {
    /** It has no rows before `draw`, which needs it in the document: charts have its width. */
    element,
    search,
    print,
    /** Draws the page: at first, after printing, and in other colours. */
    draw: () => goTo(page),
  };
}
