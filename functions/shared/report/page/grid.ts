import { history } from "./chart.ts";
import type { Data } from "./data.ts";
import { type Child, h, show, unseen } from "./dom.ts";
import { compare, maskRows, once, ranking, searchable } from "./order.ts";
import { digits, name, spaced } from "./text.ts";
import type { Field, View } from "./view.ts";
import { labelOf } from "./words.ts";

/** How many partitions are printed, and how many of a group are shown at once. */
const MOST_PRINTED = 5_000;
const MOST_IN_GROUP = 200;
/** Groups of a report that has no more are open from the start. */
const FEW_GROUPS = 5;
const MOST_CHARTS_PRINTED = 30;

type Level = "groups" | "partitions";

/** The groups and partitions of a report: searched, filtered, sorted, a page at a time. */
export function createGrid(data: Data, view: View) {
  const ranks = ranking(data);
  const masks = maskRows(data, view);

  const nameField: Field = {
    key: "name",
    label: "Group",
    cell: (group) => name(data.nameOf(group)),
    order: (group) => ranks.groups[group],
  };
  const placeField: Field = {
    key: "name",
    label: "Group and partition",
    cell: (row) => [
      name(data.nameOf(data.groupOf(row))),
      h("span", { class: "aside" }, " · "),
      name(data.placeText(data.placeOf(row))),
    ],
    order: (row) => (ranks.groups[data.groupOf(row)] ?? 0) * data.rowCount + ranks.place(data.placeOf(row)) / 1e6,
  };
  const levels = {
    groups: { size: data.groupCount, noun: "group", fields: [nameField, ...view.groupFields], masks: masks.groups },
    partitions: { size: data.rowCount, noun: "partition", fields: [placeField, ...view.rowFields], masks: masks.rows },
  };

  let level: Level = "groups";
  let query = "";
  let wanted = 0;
  let sort = { key: "", down: false };
  let page = 0;
  let size = 50;
  let ids: readonly number[] = [];
  const open = new Set<number>();
  const allGroups = Array.from({ length: data.groupCount }, (_, group) => group);
  const urgent = allGroups.filter((group) => masks.groupUrgency[group] === 0);
  for (const group of data.groupCount <= FEW_GROUPS ? allGroups : urgent.slice(0, FEW_GROUPS)) open.add(group);
  let charts: (() => void)[] = [];

  // Search, filters, sorting

  const groupTexts = once(() => Array.from({ length: data.groupCount }, (_, group) => searchable(data.nameOf(group))));
  const placeTexts = once(() =>
    Array.from({ length: data.placeCount }, (_, place) => searchable(data.placeText(place))),
  );

  function find(): void {
    const terms = query
      .toLowerCase()
      .split(/\s+/)
      .filter((term) => term !== "");
    const { size: total, masks: marks } = levels[level];
    let found = Array.from({ length: total }, (_, id) => id);
    if (wanted !== 0) found = found.filter((id) => ((marks[id] ?? 0) & wanted) !== 0);
    for (const term of terms) {
      const inGroup = groupTexts().map((text) => text.includes(term));
      const inPlace = placeTexts().map((text) => text.includes(term));
      found =
        level === "groups"
          ? found.filter((group) => inGroup[group] || data.rowsOf(group).some((row) => inPlace[data.placeOf(row)]))
          : found.filter((row) => inGroup[data.groupOf(row)] || inPlace[data.placeOf(row)]);
    }
    ids = order(found);
  }

  function order(found: number[]): number[] {
    const { fields } = levels[level];
    const [first] = fields;
    const field = fields.find(({ key }) => key === sort.key);
    const urgencies = level === "groups" ? masks.groupUrgency : masks.rowUrgency;
    const keyOf = field === undefined ? (id: number) => urgencies[id] : (id: number) => field.order(id);
    const keys = new Map(found.map((id) => [id, keyOf(id)]));
    const ties = new Map(found.map((id) => [id, first?.order(id)]));
    const down = sort.down ? -1 : 1;
    return found.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (x !== y && (x === undefined || y === undefined)) return x === undefined ? 1 : -1;
      return compare(x, y) * down || compare(ties.get(a), ties.get(b));
    });
  }

  // What stands around the table

  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Group, topic or topic-partition",
    autocomplete: "off",
    spellcheck: "false",
    input: () => {
      query = search.value;
      update();
    },
  });
  const filter = h(
    "select",
    {
      id: "filter",
      change: () => {
        wanted = Number(filter.value);
        update();
      },
    },
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
    {
      id: "size",
      change: () => {
        size = Number(sizes.value);
        update();
      },
    },
    [25, 50, 100, 500].map((n) => h("option", { value: n, selected: n === size }, String(n))),
  );
  const status = h("p", { class: "status", role: "status", "aria-live": "polite" });
  const openAll = h("button", { type: "button", click: toggleAll });
  const pageButton = (text: string, title: string, target: () => number) =>
    h("button", { type: "button", "aria-label": title, title, click: () => goTo(target()) }, text);
  const lastPage = () => Math.max(0, Math.ceil(ids.length / size) - 1);
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

  function update(): void {
    find();
    goTo(0);
  }

  function goTo(target: number): void {
    page = Math.min(Math.max(0, target), lastPage());
    const first = page * size;
    const shown = ids.slice(first, first + size);
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
    charts = [];
    show(
      tbody,
      level === "groups"
        ? shown.map((group) => groupRows(group, isPrint))
        : shown.map((row) => partitionRow(row, levels.partitions.fields)),
    );
    for (const draw of charts) draw();
  }

  const cell = (field: Field, id: number) =>
    h(
      "td",
      { role: "cell", class: field.numeric ? "numeric" : undefined, "data-label": field.label },
      h("span", { class: "value" }, field.cell(id)),
    );

  function groupRows(group: number, isPrint: boolean): Child {
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
      } else {
        open.add(group);
        charts = [];
        details = detail(group, id, false);
        row.after(details);
        for (const draw of charts) draw();
      }
      button.setAttribute("aria-expanded", String(details !== undefined));
      drawOpenAll();
    }
    return [row, details];
  }

  function detail(group: number, id: string, isPrint: boolean): HTMLElement {
    const notes = view.groupNotes(group);
    const chart =
      data.kind === "history" && data.rowsOf(group).length > 0 && (!isPrint || charts.length < MOST_CHARTS_PRINTED)
        ? history(data, group)
        : undefined;
    if (chart !== undefined) charts.push(chart.draw);
    const rows = data.rowsOf(group).sort((a, b) => ranks.place(data.placeOf(a)) - ranks.place(data.placeOf(b)));
    const holder = h("div", { class: "partitions" });
    const fill = (most: number) =>
      show(
        holder,
        rows.length > 0
          ? partitionTable(group, rows.slice(0, most))
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

  function partitionTable(group: number, rows: readonly number[]): HTMLElement {
    const byTopic = Map.groupBy(rows, (row) => data.topicAt(data.placeOf(row)));
    // A column in which this group has nothing is left out.
    const fields = view.rowFields.filter(
      (field) => field.key !== "notes" || rows.some((row) => field.order(row) !== undefined),
    );
    const partitionField: Field = {
      key: "partition",
      label: "Partition",
      cell: (row) => digits(data.partitionAt(data.placeOf(row))),
      order: () => undefined,
    };
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
          [partitionField, ...fields].map(({ key, label, numeric }) =>
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
              { scope: "rowgroup", role: "rowheader", colspan: fields.length + 1 },
              name(topic),
              h(
                "span",
                { class: "aside" },
                ` · ${ofTopic.length} partition${ofTopic.length === 1 ? "" : "s"} · `,
                view.topicSummary(ofTopic),
              ),
            ),
          ),
          ofTopic.map((row) => partitionRow(row, [partitionField, ...fields])),
        ),
      ),
    );
  }

  const partitionRow = (row: number, [first, ...rest]: readonly Field[]) =>
    h(
      "tr",
      { role: "row" },
      h("th", { scope: "row", role: "rowheader", "data-label": first?.label }, first?.cell(row)),
      rest.map((field) => cell(field, row)),
    );

  const onPage = () => ids.slice(page * size, (page + 1) * size);
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

  /** Draws all that is to be printed, and says what is not. */
  function print(): void {
    const total = levels[level].size;
    let shown = ids;
    let partitions = ids.length;
    if (level === "groups") {
      partitions = 0;
      const end = ids.findIndex((group) => {
        partitions += data.rowsOf(group).length;
        return partitions > MOST_PRINTED;
      });
      shown = end < 0 ? ids : ids.slice(0, Math.max(1, end));
    } else shown = ids.slice(0, MOST_PRINTED);
    const isCut = shown.length < ids.length;
    const what = `${levels[level].noun}s`;
    printed.textContent =
      `Printed: ${isCut ? `only the first ${shown.length} of ` : "all "}${ids.length} ${what}` +
      `${ids.length < total ? ` that match the search and the filter, of ${total} in all` : ""}. ` +
      `${isCut ? `At most ${MOST_PRINTED} partitions are printed: search for what is missing, or use CSV.` : ""}`;
    drawRows(shown, true);
  }

  head();
  update();
  return {
    element,
    search,
    print,
    /** Draws the page again, after printing or in other colours. */
    redraw: () => goTo(page),
  };
}
