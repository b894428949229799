const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const units = { minute: MINUTE, hour: HOUR, day: DAY } as const;

/** A field of a cron expression: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html */
interface Field {
  readonly what: string;
  readonly least: number;
  readonly most: number;
  /** Of its values, beginning with 1. */
  readonly names?: readonly string[];
}

const MINUTES: Field = { what: "minutes", least: 0, most: 59 };
const HOURS: Field = { what: "hours", least: 0, most: 23 };
const DAYS: Field = { what: "day-of-month", least: 1, most: 31 };
const MONTHS: Field = {
  what: "month",
  least: 1,
  most: 12,
  names: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
const WEEKDAYS: Field = {
  what: "day-of-week",
  least: 1,
  most: 7,
  names: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};
const NTH: Field = { what: "day-of-week after #", least: 1, most: 5 };
const YEARS: Field = { what: "year", least: 1970, most: 2199 };

/** Years that show every gap of a cron expression without years: a leap year comes at least every eight years, as in 2096–2104. */
const [FIRST_YEAR, LAST_YEAR] = [2094, 2106];

/** An expression that EventBridge Scheduler would refuse, or that never runs. The message says what an expression must be. */
export class InvalidExpression extends Error {
  override readonly name = "InvalidExpression";
}

const forms =
  'must be "rate(1 hour)", with minutes, hours or days, "cron(minutes hours day-of-month month day-of-week year)" with ? for ' +
  'one of the two days, or "at(2030-01-31T22:00:00)" for one run';

/**
 * The longest time between two runs of a schedule, in seconds; undefined where it runs at most once. Clocks that are put forward
 * or back may add an hour to it or take one off. Throws `InvalidExpression`.
 *
 * @param expression of EventBridge Scheduler: `rate(…)`, `cron(…)` or `at(…)`
 */
export function longestGap(expression: string): number | undefined {
  const [, count, unit] = /^rate\(([1-9]\d{0,8}) (minute|hour|day)s?\)$/.exec(expression) ?? [];
  if (unit === "minute" || unit === "hour" || unit === "day") return Number(count) * units[unit];
  const [, time] = /^at\((.*)\)$/.exec(expression) ?? [];
  if (time !== undefined) {
    if (isTime(time)) return undefined;
    throw new InvalidExpression("must be a time that exists, without a zone: at(yyyy-mm-ddThh:mm:ss)");
  }
  return longestCronGap(expression);
}

/** Whether it is a date and a time of day, as in the calendar. */
function isTime(text: string): boolean {
  const parsed = new Date(`${text}Z`);
  return (
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text) &&
    Number.isFinite(parsed.getTime()) &&
    parsed.toISOString().startsWith(text)
  );
}

function longestCronGap(expression: string): number | undefined {
  const fields = /^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$/.exec(expression)?.slice(1);
  const [minutes = "", hours = "", days = "", month = "", weekday = "", years = ""] = fields ?? [];
  if (fields === undefined || (days === "?") === (weekday === "?")) throw new InvalidExpression(forms);
  const inDay = valuesOf(hours, HOURS).flatMap((hour) =>
    valuesOf(minutes, MINUTES).map((minute) => hour * HOUR + minute * MINUTE),
  );
  const [first = 0, last = 0] = [inDay[0], inDay.at(-1)];
  const inYear = valuesOf(month, MONTHS);
  const chosen = years === "*" ? range(FIRST_YEAR, LAST_YEAR, 1) : valuesOf(years, YEARS);
  const runs = chosen.flatMap((year) => inYear.flatMap((oneMonth) => daysIn(year, oneMonth, days, weekday)));
  if (runs.length === 0) throw new InvalidExpression("names no day that exists in these months and years");
  const gaps = [...gapsOf(runs).map((gap) => gap + first - last), ...gapsOf(inDay)];
  return gaps.length === 0 ? undefined : Math.max(...gaps);
}

const gapsOf = (sorted: readonly number[]) => sorted.slice(1).map((value, i) => value - Number(sorted[i]));

const range = (from: number, to: number, step: number): number[] =>
  from > to ? [] : Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);

/** The values of a field such as `*`, `1,15`, `MON-FRI` or `0/5`, sorted. A range may wrap around: `FRI-MON`. */
function valuesOf(field: string, { what, least, most, names = [] }: Field): number[] {
  const number = (text: string, from = least) => {
    const value = names.includes(text) ? names.indexOf(text) + 1 : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= from && value <= most) return value;
    const orNames = names.length === 0 ? "" : `, or ${names[0]} to ${names.at(-1)}`;
    throw new InvalidExpression(`has "${text}" in its field ${what}: must be ${from} to ${most}${orNames}`);
  };
  const values = field.split(",").flatMap((part) => {
    const [span = "", ...steps] = part.split("/");
    const [from = "", ...ends] = span === "*" ? [String(least), String(most)] : span.split("-");
    if (steps.length > 1 || ends.length > 1)
      throw new InvalidExpression(`has "${part}" in its field ${what}: must be like 5, 5-10, 0/15 or *`);
    const [start, step] = [number(from), number(steps[0] ?? "1", 1)];
    const end = ends[0] === undefined ? (steps.length === 0 ? start : most) : number(ends[0]);
    const wrapped = start > end ? [...range(start, most, 1), ...range(least, end, 1)] : range(start, end, 1);
    return wrapped.filter((_, i) => i % step === 0);
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
      const near = part.endsWith("W");
      const found = valuesOf(near ? part.slice(0, -1) : part, DAYS).filter((day) => day <= length);
      return near ? found.map(nearestWorkday) : found;
    }
    const [name = "", nth] = part.split("#");
    const isLast = name.length > 1 && name.endsWith("L");
    const wanted = name === "L" ? [7] : valuesOf(isLast ? name.slice(0, -1) : name, WEEKDAYS);
    const found = all.filter((day) => wanted.includes(weekdayOf(day)));
    if (isLast) return found.slice(-1);
    if (nth === undefined) return found;
    return valuesOf(nth, NTH).flatMap((one) => found.slice(one - 1, one));
  });
  return [...new Set(chosen)].sort((a, b) => a - b).map(at);
}
