import { expect } from "vitest";
import type { Commit } from "../../../../functions/shared/core/model.ts";
import { readCommits } from "../../../../functions/shared/kafka/groups/capture.ts";
import { show } from "../expected.ts";
import type { Verb } from "../handlers.ts";
import type { World } from "../model/journal.ts";
import type { Prediction } from "../model/prediction.ts";
import { perKey } from "../model/world.ts";
import type { Run } from "./run.ts";

/** The commits that kafkajs must read. */
export const expectedCommits = ({ world, names }: Run) =>
  new Map(
    names.groups.map((group) => {
      const commits = world.groups.get(group)?.commits ?? new Map<string, Commit>();
      return [group, perKey(commits, ({ offset, metadata }) => ({ offset, metadata }))];
    }),
  );

export async function compare(run: Run): Promise<void> {
  const inside = expectedCommits(run);
  expect(await run.outside.commitsOf(run.names.groups), "the commits that kafkajs reads").toEqual(inside);
  const { commits, errors } = await readCommits(
    run.cluster,
    perKey(inside, (of) => of.keys()),
  );
  expect(errors).toEqual([]);
  const whole = perKey(inside, (_, group) => run.world.groups.get(group)?.commits ?? new Map());
  expect(commits, "the commits that the code under test reads").toEqual(whole);
}

export function requireSame(run: Run, expected: unknown, actual: unknown, what: string): void {
  const wrong = run.seen.differences(expected, actual);
  if (wrong.length > 0) throw new Error(`${what}: not as predicted:\n${wrong.slice(0, 12).join("\n")}`);
}

/** Sends a request, compares the answer with the prediction, and returns the result or the details of the error. */
export async function ask(
  run: Run,
  verb: Verb,
  request: object,
  { expected, after }: Prediction<World>,
): Promise<{ readonly [field: string]: unknown }> {
  run.log(`${verb} ${JSON.stringify(request)}`);
  const { result, error } = await run.faults.ask(verb, JSON.parse(JSON.stringify(request)));
  run.log(`  ${(error === undefined ? show(result) : error.message).slice(0, 300)}`);
  run.count(`${verb} ${error === undefined ? "answers" : error.name}`);
  const details = "error" in expected && "details" in expected.error && { details: error?.details };
  const answer = error === undefined ? { result } : { error: { name: error.name, message: error.message, ...details } };
  requireSame(run, expected, answer, verb);
  run.world = after((unseen) => run.seen.of(unseen));
  return Object(result ?? error?.details ?? {});
}

/** The rows of a list with these ids, from all pages: other histories also have rows. */
export async function rowsOf(
  run: Run,
  verb: "list" | "rollbacks",
  request: object,
  field: string,
  ids: readonly string[],
) {
  const rows: { readonly [field: string]: unknown }[] = [];
  for (
    let page: { readonly [field: string]: unknown } | undefined;
    page === undefined || page.next_token !== undefined;
  ) {
    const next = page === undefined ? {} : { next_token: page.next_token };
    page = Object(await run.faults.call(verb, { ...request, ...next }));
    rows.push(...Object(page)[verb === "list" ? "snapshots" : "rollbacks"]);
  }
  run.log(`${verb} ${JSON.stringify(request)}: ${rows.length} rows`);
  run.count(`${verb} answers`);
  return rows.filter((row) => ids.includes(String(row[field])));
}
