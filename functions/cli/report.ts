import * as z from "zod/mini";
import { type Fields, parseJson } from "../shared/core/json/json.ts";
import type { Run } from "./command.ts";
import { type ExitCode, exit } from "./exit-codes.ts";
import { readAnswer, unread } from "./invoke.ts";
import { sayWarnings } from "./output.ts";

/** Shows the offset mapping report of a snapshot; without one, of a snapshot that is taken first. */
export async function report(run: Run): Promise<ExitCode> {
  const { snapshot_id, groups, ...rest } = run.request;
  const ofGroups = groups === undefined ? {} : { groups };
  const wanted = snapshot_id === undefined ? { snapshot_id: await taken(run, ofGroups) } : { snapshot_id, ...ofGroups };
  const { content, ...answer } = await run.call("show", { ...rest, ...wanted, format: "report" });
  if (content === undefined) throw unread(answer, "show");
  sayWarnings(answer.result);
  await run.show({ text: content, result: parseJson(content) });
  return exit.done;
}

/** Takes a snapshot of these groups, and says so. */
async function taken(run: Run, ofGroups: Fields): Promise<string> {
  const answer = await run.call("snapshot", { ...ofGroups, description: "For a report" });
  const { snapshot_id } = readAnswer(z.looseObject({ snapshot_id: z.string() }), answer, "snapshot", true);
  run.say(`Snapshot ${snapshot_id} was taken for the report.`);
  sayWarnings(answer.result);
  return snapshot_id;
}
