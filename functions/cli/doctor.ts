import * as z from "zod/mini";
import { verbs } from "../operations.ts";
import { encodeJson, type Fields } from "../shared/core/json/json.ts";
import { count, nameSome } from "../shared/core/text.ts";
import { dryRunResult } from "../snapshot/schema.ts";
import type { Run } from "./command.ts";
import { type ExitCode, exit } from "./exit-codes.ts";
import { countOf, Failed, Findings, findingsText, NotChecked } from "./findings.ts";
import { fieldsOf } from "./flags.ts";
import { readAnswer } from "./invoke.ts";
import { OperationFailed } from "./problems.ts";
import { literal, proofs, requireRights, type Sample } from "./proofs.ts";
import { DOCTOR_GROUP, Rehearsal } from "./rehearsal.ts";
import { checkSurroundings } from "./surroundings.ts";

/** What would be captured, as far as it is read here. */
const captured = z.looseObject({
  groups: z.int(),
  offsets: z.int(),
  errors: dryRunResult.shape.errors,
  unlisted: dryRunResult.shape.unlisted,
  warnings: z.array(z.string()),
  consumer_groups: z.record(z.string(), z.looseObject({ partitions: z.record(z.string(), z.unknown()) })),
});
type Captured = z.output<typeof captured>;

/**
 * Checks a deployment by real calls of its functions, with the caller's rights. Nothing is changed, except with `write`: then a group
 * is rolled back that is the doctor's own, and all of that is removed. Exits with 0 only if no check failed.
 */
export async function doctor(run: Run): Promise<ExitCode> {
  const { deployment, request, here } = run;
  const { group: wanted, write = false } = request;
  const findings = new Findings(here);
  const call = run.call;
  await findings.make("deployment", async () => {
    const lacking = verbs.filter((verb) => deployment.functions[verb] === undefined);
    const without = lacking.length === 0 ? "" : `, none for ${lacking.join(", ")}`;
    return `the outputs of ${deployment.name} can be read: ${count(Object.keys(deployment.functions).length, "function")}${without}`;
  });
  let seen: Captured | undefined;
  await findings.make("snapshot", async () => {
    requireFunction(run, "snapshot");
    const answer = await call("snapshot", { allow_partial: true, dry_run: true });
    seen = readAnswer(captured, answer, "snapshot");
    requireRights(answer);
    return readAll(seen, call);
  });
  const sample: Sample = { call, path: deployment.path, group: groupOf(seen, wanted) };
  const prove = async () => {
    for (const verb of verbs) {
      if (verb === "snapshot") continue;
      const proof = proofs[verb];
      if (proof === undefined && write === true) continue;
      await findings.make(verb, async () => {
        requireFunction(run, verb);
        if (proof === undefined) throw new NotChecked("only with --write");
        return proof(sample);
      });
    }
  };
  if (write === true) await rehearse(run, findings, new Rehearsal(findings, sample, here), prove);
  else {
    await prove();
    findings.all.push(onlyByWriting);
  }
  await checkSurroundings(findings, deployment, call);
  const { all, leftBehind } = findings;
  const failed = countOf(all, "failed");
  const result = {
    deployment: deployment.name,
    write: write === true,
    passed: countOf(all, "passed"),
    failed,
    not_checked: countOf(all, "not_checked"),
    checks: all.map((finding) => ({ ...finding })),
    left_behind: leftBehind.map((each) => ({ ...each })),
  };
  await run.show({ text: encodeJson(result), result, lines: findingsText(all, leftBehind) });
  return failed === 0 && leftBehind.length === 0 ? exit.done : exit.failed;
}

/** Rehearses, with the proofs amid it. Whatever ends it, what it has made is removed, or named. */
async function rehearse(run: Run, findings: Findings, rehearsal: Rehearsal, prove: () => Promise<void>): Promise<void> {
  const stopped = () => {
    rehearsal.nameLeftovers();
    run.say(
      "",
      "Interrupted.",
      ...findings.leftBehind.map(({ what, remove }) => `Left behind: ${what}. Remove it: ${remove}`),
    );
    process.exit(exit.failed);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stopped);
  try {
    await rehearsal.takeSnapshots();
    await prove();
    if (run.deployment.functions.hold !== undefined) await rehearsal.hold();
    await rehearsal.rollBack();
  } finally {
    await rehearsal.remove().finally(() => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stopped);
    });
  }
}

const onlyByWriting = {
  check: "write",
  outcome: "not_checked",
  message:
    "writes to S3, DynamoDB and Kafka are proved only by writing: --write takes a snapshot of one group, rolls " +
    `${DOCTOR_GROUP} back to it, and removes all of that`,
} as const;

/** @throws NotChecked where the deployment has no function for an operation */
function requireFunction({ deployment }: Run, verb: string): void {
  if (deployment.functions[verb] !== undefined) return;
  throw new NotChecked("the deployment has no such function: it is read-only, or of an older version");
}

/** What a snapshot of all groups proves: secret, log-in, list of groups and its proof, commits, log ranges. */
async function readAll(seen: Captured, call: Run["call"]): Promise<string> {
  const { groups, offsets, errors, unlisted, warnings } = seen;
  const problems = [
    ...errors.map(({ group, message }) => `${group}: ${message}`),
    ...(unlisted ? [unlisted.message] : []),
  ];
  if (problems.length > 0) throw new Failed(problems.slice(0, 10).join("\n"));
  if (groups === 0) await requireGroupRight(call);
  if (groups === 0)
    throw new NotChecked(`Kafka is reached, and has no group that the principal may describe: ${warnings.join(" ")}`);
  const unproved = warnings.filter((text) => text.startsWith("The list of groups may be incomplete"));
  const list = unproved.length === 0 ? "the list of groups is complete" : unproved.join(" ");
  return `reads Kafka: ${count(groups, "group")}, ${count(offsets, "offset")}, log ranges; ${list} (dry run)`;
}

/** Where no group is listed, a group by name shows whether the right is missing. */
async function requireGroupRight(call: Run["call"]): Promise<void> {
  await call("snapshot", { groups: [literal(DOCTOR_GROUP)], dry_run: true }).catch((error: unknown) => {
    if (!(error instanceof OperationFailed && error.name === "GroupNotFound")) throw error;
  });
}

/** The group to look at: the one that is wanted, or else the one with the fewest commits. */
function groupOf(seen: Captured | undefined, wanted: Fields[string]): Sample["group"] {
  if (seen === undefined) return { none: "no group is known: see snapshot" };
  const asSample = ({ name, partitions }: (typeof withCommits)[number]) => ({ name, partitions: fieldsOf(partitions) });
  const withCommits = Object.entries(seen.consumer_groups)
    .map(([name, { partitions }]) => ({ name, partitions, size: Object.keys(partitions).length }))
    .filter(({ size }) => size > 0);
  if (typeof wanted === "string") {
    const found = withCommits.find(({ name }) => name === wanted);
    return found === undefined ? { none: `group ${nameSome([wanted])} has no commits` } : asSample(found);
  }
  // A name with these would be a pattern in a group map.
  const usable = withCommits.filter(({ name }) => name !== DOCTOR_GROUP && !/[*?]/.test(name));
  const [smallest] = usable.sort((a, b) => a.size - b.size);
  return smallest === undefined ? { none: "no group has commits" } : asSample(smallest);
}
