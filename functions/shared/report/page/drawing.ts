import { type Exact, minus } from "./data.ts";
import { type Child, svg, unseen } from "./dom.ts";

/** The part of a distance, for drawing only. */
const part = (of: Exact, whole: Exact): number => {
  const ratio = Number(of) / Number(whole);
  return Number.isFinite(ratio) ? Math.min(1, Math.max(0, ratio)) : 0;
};

const picture = (width: number, height: number, ...children: Child[]) =>
  svg(
    "svg",
    { class: "drawing", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true", focusable: "false" },
    ...children,
  );

const WIDTH = 150;

/** A log from its start to its end, with the commit in it, and what is left to read hatched. Unknown ends are not drawn. */
export function position(offset: Exact | undefined, start: Exact | undefined, end: Exact | undefined): Child {
  if (start === undefined || end === undefined) return "log unknown";
  const length = minus(end, start);
  if (offset === undefined || length === undefined) return "no commit";
  if (start > end) return "log unknown";
  if (offset < start) return outside("◀", "below log start", 0);
  if (offset > end) return outside("▶", "above log end", WIDTH);
  if (length <= 0) return "empty log";
  const share = part(minus(offset, start) ?? 0, length);
  const x = share * WIDTH;
  const drawing = picture(
    WIDTH,
    14,
    svg("rect", { class: "log", x: 0.5, y: 3.5, width: WIDTH - 1, height: 7 }),
    svg("rect", { class: "read", x: 0.5, y: 3.5, width: Math.max(0, x - 0.5), height: 7 }),
    svg("path", { class: "commit", d: `M${x.toFixed(1)} 1v12` }),
  );
  return [drawing, unseen(`${(share * 100).toFixed(share < 1 && share > 0.995 ? 2 : 0)} % of the log`)];
}

const outside = (sign: string, text: string, x: number): Child => [
  picture(
    WIDTH,
    14,
    svg("rect", { class: "log", x: 0.5, y: 3.5, width: WIDTH - 1, height: 7 }),
    svg("path", { class: "commit off", d: `M${x === 0 ? 1 : x - 1} 0v14` }),
  ),
  ` ${sign} ${text}`,
];

/** A move to the left (back) or to the right (forward), on a logarithmic scale on which `longest` is half of the width. */
export function movement(distance: Exact | undefined, longest: Exact): Child {
  if (distance === undefined) return "";
  const middle = WIDTH / 2;
  const size = Math.log1p(Math.abs(Number(distance))) / Math.log1p(Math.max(1, Number(longest)));
  const reach = Math.min(1, size) * (middle - 6);
  const direction = distance < 0 ? -1 : 1;
  const tip = middle + direction * (reach + 5);
  const foot = middle + direction * reach;
  return picture(
    WIDTH,
    14,
    svg("path", { class: "axis", d: `M${middle} 0v14M0 7h${WIDTH}` }),
    Number(distance) !== 0 &&
      svg("path", {
        class: direction < 0 ? "back" : "forward",
        d: `M${middle} 4.5H${foot.toFixed(1)}V2L${tip.toFixed(1)} 7L${foot.toFixed(1)} 12V9.5H${middle}Z`,
      }),
  );
}

/** A line over time; what is unknown is a gap. */
export function sparkline(times: readonly number[], values: readonly (number | null)[]): Child {
  const known = values.filter((value) => value !== null);
  const [first = 0] = times;
  const span = (times.at(-1) ?? 0) - first || 1;
  const top = Math.max(1, ...known);
  let isDown = false;
  const path = values.map((value, at) => {
    if (value === null) {
      isDown = false;
      return "";
    }
    const x = (((times[at] ?? first) - first) / span) * (WIDTH - 2) + 1;
    const command = `${isDown ? "L" : "M"}${x.toFixed(1)} ${(19 - (value / top) * 17).toFixed(1)}`;
    const dot = !isDown && (values[at + 1] ?? null) === null ? "h0.1" : "";
    isDown = true;
    return command + dot;
  });
  return picture(
    WIDTH,
    20,
    svg("path", { class: "axis", d: `M0 19.5h${WIDTH}` }),
    svg("path", { class: "line", d: path.join("") }),
  );
}
