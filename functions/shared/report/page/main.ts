import type { Island } from "../island.ts";
import { dataOf } from "./data.ts";
import { h, show } from "./dom.ts";
import { createGrid, MOST_PRINTED as MOST_PARTITIONS_PRINTED } from "./grid.ts";
import { viewOf } from "./kinds.ts";
import { name, plain, spaced } from "./text.ts";
import type { Notice, View } from "./view.ts";
import { badge } from "./words.ts";

const FIRST_ITEMS = 8;
const MORE_ITEMS = 100;
const MOST_PRINTED = 500;

function draw(root: HTMLElement): void {
  // The data of the page is written by html.ts in this form.
  const island: Island = JSON.parse(document.getElementById("data")?.textContent ?? "");
  const data = dataOf(island);
  const view = viewOf(data);
  const grid = createGrid(data, view);
  const notices = view.notices.filter(({ items }) => items.length > 0).map(createNotice);
  const kept = keptFields(island.head);
  document.title = plain(`${view.kind} ${textContent(view)}`);
  show(
    root,
    header(view, () => grid.draw()),
    h(
      "main",
      {},
      verdict(view),
      notices.map(({ element }) => element),
      h(
        "section",
        { "aria-label": "Figures" },
        h(
          "dl",
          { class: "figures" },
          view.figures.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
        ),
      ),
      grid.element,
      kept,
    ),
    footer(view),
  );
  grid.draw();

  let theme: string | undefined;
  addEventListener("beforeprint", () => {
    theme = document.documentElement.dataset.theme;
    setTheme("light"); // for the curves, which are drawn before the paper is white
    for (const { print } of notices) print();
    grid.print();
  });
  addEventListener("afterprint", () => {
    setTheme(theme);
    grid.draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => grid.draw());
  addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      grid.search.focus();
    }
  });
}

function setTheme(theme: string | undefined): void {
  if (theme === undefined) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

const textContent = ({ title }: View) => h("span", {}, title).textContent ?? "";

function header({ kind, title, facts }: View, recolour: () => void): HTMLElement {
  const themes = [undefined, "light", "dark"] as const;
  let theme = 0;
  const button = h("button", {
    type: "button",
    click: () => {
      theme = (theme + 1) % themes.length;
      setTheme(themes[theme]);
      nameTheme();
      recolour();
    },
  });
  const nameTheme = () => show(button, `Colours: ${themes[theme] ?? "as the system"}`);
  nameTheme();
  return h(
    "header",
    {},
    h(
      "div",
      { class: "top" },
      h("div", {}, h("p", { class: "kind" }, kind), h("h1", {}, title)),
      h("div", { class: "actions" }, button, h("button", { type: "button", click: () => print() }, "Print")),
    ),
    h(
      "dl",
      { class: "facts" },
      facts.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
    ),
  );
}

const verdict = ({ verdict: { tone, sign, headline, lines } }: View) =>
  h(
    "section",
    { class: `verdict ${tone}`, "aria-label": "Verdict" },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    h(
      "div",
      {},
      h("h2", {}, headline),
      lines.map((line) => line !== false && h("p", {}, line)),
    ),
  );

function createNotice({ title, tone, lead, items }: Notice) {
  const list = h("ul", {});
  const more = h("button", { type: "button", click: () => add(MORE_ITEMS) });
  let shown = 0;
  function add(n: number): void {
    const next = items.slice(shown, shown + n);
    shown += next.length;
    for (const { word, group, text } of next) {
      list.append(
        h(
          "li",
          {},
          word !== undefined && [badge(word, 1, tone), " "],
          group !== undefined && [h("span", { class: "group-name" }, name(group)), " "],
          text(),
        ),
      );
    }
    const left = items.length - shown;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(MORE_ITEMS, left)} more (${left} left)`;
    rest.textContent = left > 0 ? `${left} more are not printed.` : "";
  }
  const rest = h("p", { class: "printed" });
  add(FIRST_ITEMS);
  const kinds = [...Map.groupBy(items, ({ word = "" }) => word)].filter(([word]) => word !== "");
  const element = h(
    "section",
    { class: `notice ${tone}` },
    h("h2", {}, `${title} (${items.length})`),
    lead !== undefined && h("p", {}, lead),
    items.length > FIRST_ITEMS &&
      kinds.length > 0 &&
      h(
        "p",
        { class: "badges" },
        kinds.map(([word, of]) => badge(word, of.length, tone)),
      ),
    list,
    more,
    rest,
  );
  return { element, print: () => add(Math.max(0, MOST_PRINTED - shown)) };
}

/** The whole head of the result, for what the page shows nowhere else. */
function keptFields(head: Island["head"]): HTMLElement {
  const details = h("details", {
    class: "kept",
    toggle: () => {
      if (details.open)
        show(
          details,
          summary,
          h("pre", { tabindex: 0 }, plain(JSON.stringify(head, null, 1)).replaceAll("[U+000A]", "\n")),
        );
    },
  });
  const summary = h("summary", {}, "All other fields of the result, as JSON (integers beyond 2^53 in quotes)");
  details.append(summary);
  return details;
}

const footer = ({ reading }: View) =>
  h(
    "footer",
    {},
    h("h2", {}, "How to read this"),
    h(
      "ul",
      {},
      reading.map((line) => h("li", {}, line)),
      h("li", {}, "“unknown” is what could not be observed. It is never 0. Offsets are exact over int64."),
      h("li", {}, "Characters of names that do not show are written as their code, such as U+202E."),
      h(
        "li",
        {},
        `Printing prints the groups that search and filter let through, with all their partitions, up to ${spaced(MOST_PARTITIONS_PRINTED)} partitions. It says what it leaves out.`,
      ),
      h("li", {}, "This file has all of its data and loads nothing from the network. Key: / searches."),
    ),
  );

const root = document.getElementById("report");

try {
  if (root !== null) draw(root);
} catch (error) {
  if (root !== null) {
    const reason = error instanceof Error ? error.message : String(error);
    show(
      root,
      h(
        "p",
        { class: "fallback", role: "alert" },
        "This report could not be drawn: ",
        reason,
        ". Use the same result as text or JSON.",
      ),
    );
  }
  throw error;
}
