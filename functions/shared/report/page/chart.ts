import uPlot from "uplot";
import { type Data, exactOf, isEntries, listOf } from "./data.ts";
import { h, show, unseen } from "./dom.ts";
import { instants, type Point, seriesOf } from "./series.ts";
import { count, digits, name, plain, time } from "./text.ts";
import { signOf } from "./words.ts";

/** How many points a table shows before it is asked for more. */
const MOST_POINTS = 200;

/** The colour that a class has now, light or dark. */
function colourOf(className: string): string {
  const probe = h("span", { class: className });
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The ticks of a time axis, by their distance in seconds, as uPlot takes them: day and time in 24 hours. */
const day = "\n{YYYY}-{MM}-{DD}";
const timeTicks: uPlot.Axis.Values = [
  [86_400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", day, null, day, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", day, null, day, null, null, null, 1],
];

/** Between which times of the axis something happened, and what. */
function bandsOf(data: Data, row: number): { readonly word: string; readonly from: number; readonly to: number }[] {
  return listOf(data.field(row, "events")).flatMap((event) => {
    if (!isEntries(event)) return [];
    const [from, to] = [event.after, event.before].map((value) => new Date(String(value)).getTime() / 1000);
    if (to === undefined || from === undefined || Number.isNaN(to)) return [];
    return [{ word: String(event.kind), from: Number.isNaN(from) ? to : from, to }];
  });
}

/** Draws a band for each event, with its sign above: what happened is in the list of events. */
function drawBands(plot: uPlot, bands: ReturnType<typeof bandsOf>, fill: string, ink: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.textAlign = "center";
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  for (const { word, from, to } of bands) {
    const [left, right] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)];
    if (right < bbox.left || left > bbox.left + bbox.width) continue;
    ctx.globalAlpha = 0.2;
    ctx.fillStyle = fill;
    ctx.fillRect(left, bbox.top, Math.max(2, right - left), bbox.height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = ink;
    ctx.fillText(signOf(word), (left + right) / 2, bbox.top + 13 * devicePixelRatio);
  }
  ctx.restore();
}

/**
 * Offset and lag of a group's partitions over time: one partition at a time, the one with the largest lag first. What is
 * drawn stays in memory until it is cleared: uPlot listens to the window.
 */
export function history(data: Data, group: number): { readonly element: HTMLElement; draw(): void; clear(): void } {
  const rows = data
    .rowsOf(group)
    .sort((a, b) => Number(exactOf(data.field(b, "lag")) ?? -1) - Number(exactOf(data.field(a, "lag")) ?? -1));
  const times = instants(data.head);
  const select = h(
    "select",
    { change: draw },
    rows.map((row, at) => h("option", { value: at }, plain(data.placeText(data.placeOf(row))))),
  );
  const plots = h("div", { class: "plots" });
  const table = h("details", { toggle: () => table.open && fillTable() });
  const element = h("div", { class: "history" }, h("label", {}, "Over time: ", select), plots, table);
  let drawn: uPlot[] = [];

  const chosen = () => rows[Number(select.value)] ?? rows[0];

  function fillTable(): void {
    const row = chosen();
    if (row === undefined) return;
    const points = seriesOf(data, row);
    const newest = points.slice(-MOST_POINTS).reverse();
    show(
      table,
      h("summary", {}, "These points as a table"),
      h(
        "table",
        {},
        h(
          "caption",
          {},
          points.length > newest.length
            ? `The newest ${newest.length} of ${points.length} points`
            : count(points.length, "point"),
        ),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["Time", "Committed", "Log end", "Lag"].map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h(
          "tbody",
          {},
          newest.map((point) => h("tr", {}, cellsOf(point))),
        ),
      ),
    );
  }

  const cellsOf = ({ at, offset, end }: Point) => {
    const snapshot = listOf(data.head.snapshots)[at];
    const number = (value: bigint | null) => h("td", { class: "numeric" }, value === null ? "unknown" : digits(value));
    return [
      h("td", {}, time(isEntries(snapshot) ? (snapshot.created_at ?? null) : null)),
      number(offset),
      number(end),
      number(offset === null || end === null ? null : end - offset),
    ];
  };

  function clear(): void {
    for (const plot of drawn) plot.destroy();
    drawn = [];
    plots.replaceChildren();
  }

  function draw(): void {
    clear();
    const row = chosen();
    if (row === undefined) return;
    const place = data.placeText(data.placeOf(row));
    const bands = bandsOf(data, row);
    const values = {
      offset: times.map((): number | null => null),
      end: times.map((): number | null => null),
      lag: times.map((): number | null => null),
    };
    for (const { at, offset, end } of seriesOf(data, row)) {
      if (offset !== null) values.offset[at] = Number(offset);
      if (end !== null) values.end[at] = Number(end);
      if (offset !== null && end !== null) values.lag[at] = Number(end - offset);
    }
    const ink = colourOf("ink");
    const grid = { stroke: colourOf("grid"), width: 1 };
    const width = Math.max(
      240,
      Math.min(560, element.clientWidth > 640 ? element.clientWidth / 2 - 12 : element.clientWidth),
    );
    const axis = { stroke: ink, grid, ticks: grid, font: "11px system-ui, sans-serif" };
    const line = (text: string, className: string, dash: number[] = []) => ({
      label: text,
      stroke: colourOf(className),
      width: 1.5,
      dash,
      points: { size: 4 },
      value: (_: uPlot, value: number | null) => (value === null ? "–" : value.toLocaleString("en")),
    });
    const plot = (title: string, series: uPlot.Series[], ...columns: (number | null)[][]) => {
      const options: uPlot.Options = {
        title: `${plain(place)}: ${title}`,
        width,
        hooks: { drawClear: [(drawing) => drawBands(drawing, bands, colourOf("band"), ink)] },
        height: 200,
        series: [{ label: "Time", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" }, ...series],
        axes: [
          { ...axis, values: timeTicks },
          {
            ...axis,
            size: 72,
            values: (_, splits) =>
              splits.map((split) =>
                split.toLocaleString("en", {
                  notation: split >= 1e7 ? "compact" : "standard",
                  maximumFractionDigits: 3,
                }),
              ),
          },
        ],
        cursor: { drag: { x: true, y: false } },
      };
      const holder = h("figure", {}, unseen(`${plain(place)}: ${title}. The points are in the table below.`));
      plots.append(holder);
      return new uPlot(options, [times, ...columns], holder);
    };
    drawn = [
      plot(
        "committed offset and log end",
        [line("log end", "end", [4, 3]), line("committed", "committed")],
        values.end,
        values.offset,
      ),
      plot("lag", [line("lag", "lag")], values.lag),
    ];
    for (const canvas of plots.querySelectorAll("canvas")) canvas.setAttribute("aria-hidden", "true");
    show(table, h("summary", {}, "These points as a table"));
    if (table.open) fillTable();
  }

  if (rows.length === 0) show(element, name("no partitions"));
  return { element, draw, clear };
}
