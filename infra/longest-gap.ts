const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const units = { minute: MINUTE, hour: HOUR, day: DAY } as const;

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/** Years that show every gap of a cron expression without years: a leap year comes at least every eight years, as in 2096–2104. */
const [FIRST_YEAR, LAST_YEAR] = [2094, 2106];

/**
 * The longest time between two runs of a schedule, in seconds; undefined where it runs at most once. Clocks that are put forward
 * or back may add an hour to it or take one off.
 *
 * @param expression valid for EventBridge Scheduler: `rate(…)`, `cron(…)` or `at(…)`
 */
export function longestGap(expression: string): number | undefined {
  const [, count, unit] = /^rate\((\d+) (minute|hour|day)s?\)$/.exec(expression) ?? [];
  if (unit === "minute" || unit === "hour" || unit === "day") return Number(count) * units[unit];
  const [, fields = ""] = /^cron\((.*)\)$/.exec(expression) ?? [];
  const [minutes = "", hours = "", days = "", month = "", weekday = "", years = "*"] = fields.split(" ");
  if (fields === "") return undefined;
  const inDay = valuesOf(hours, 0, 23).flatMap((hour) =>
    valuesOf(minutes, 0, 59).map((minute) => hour * HOUR + minute * MINUTE),
  );
  const [first, last] = [inDay[0], inDay.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const runs = (years === "*" ? range(FIRST_YEAR, LAST_YEAR, 1) : valuesOf(years, 1970, 2199)).flatMap((year) =>
    valuesOf(month, 1, 12, months).flatMap((oneMonth) => daysIn(year, oneMonth, days, weekday)),
  );
  const betweenDays = gapsOf(runs).map((gap) => gap + first - last);
  const gaps = [...betweenDays, ...(runs.length === 0 ? [] : gapsOf(inDay))];
  return gaps.length === 0 ? undefined : Math.max(...gaps);
}

const gapsOf = (sorted: readonly number[]) => sorted.slice(1).map((value, i) => value - Number(sorted[i]));

const range = (from: number, to: number, step: number): number[] =>
  from > to ? [] : Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

/** The values of a field such as `*`, `1,15`, `MON-FRI` or `0/5`, sorted. A range may wrap around: `FRI-MON`. */
function valuesOf(field: string, least: number, most: number, names: readonly string[] = []): number[] {
  const number = (text: string) => (names.includes(text) ? names.indexOf(text) + 1 : Number(text));
  const values = field.split(",").flatMap((part) => {
    const [span = "", step] = part.split("/");
    const [from = "", to] = span === "*" ? [String(least), String(most)] : span.split("-");
    const [start, end] = [number(from), to === undefined ? (step === undefined ? number(from) : most) : number(to)];
    const wrapped = start > end ? [...range(start, most, 1), ...range(least, end, 1)] : range(start, end, 1);
    return wrapped.filter((_, i) => i % Number(step ?? 1) === 0);
  });
  return [...new Set(values)].sort((a, b) => a - b);
}

/** The days of a month on which a schedule runs, in seconds since 1970. */
function daysIn(year: number, month: number, days: string, weekday: string): number[] {
  const length = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const at = (day: number) => Date.UTC(year, month - 1, day) / 1_000;
  const weekdayOf = (day: number) => new Date(at(day) * 1_000).getUTCDay() + 1;
  const isWorkday = (day: number) => ![1, 7].includes(weekdayOf(day));
  const nearestWorkday = (day: number) =>
    [day, day - 1, day + 1, day - 2, day + 2].find((near) => near >= 1 && near <= length && isWorkday(near)) ?? day;
  const all = range(1, length, 1);
  const chosen = (days === "?" ? weekday : days).split(",").flatMap((part) => {
    if (days !== "?") {
      if (part === "L") return [length];
      if (part === "LW") return [nearestWorkday(length)];
      if (part.endsWith("W")) return [nearestWorkday(Number(part.slice(0, -1)))];
      return valuesOf(part, 1, 31).filter((day) => day <= length);
    }
    const [name = "", nth] = part.split("#");
    const isLast = name.length > 1 && name.endsWith("L");
    const wanted = name === "L" ? [7] : valuesOf(isLast ? name.slice(0, -1) : name, 1, 7, weekdays);
    const found = all.filter((day) => wanted.includes(weekdayOf(day)));
    if (isLast) return found.slice(-1);
    return nth === undefined ? found : found.slice(Number(nth) - 1, Number(nth));
  });
  return [...new Set(chosen)].sort((a, b) => a - b).map(at);
}
