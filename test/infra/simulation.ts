import type { Template } from "aws-cdk-lib/assertions";
import { z } from "zod";
import { isLike } from "../support/enforcing-cloud.ts";
import { render } from "./support.ts";

/** A call of AWS, as IAM judges it: `context` has the condition keys that the call has, each with its values. */
export interface AwsCall {
  readonly action: string;
  readonly resource: string;
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
}

const oneOrMore = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const texts = z
  .unknown()
  .transform((value) => [value].flat())
  .pipe(z.array(z.unknown()));
const statement = z.strictObject({
  Sid: z.optional(z.string()),
  Effect: z.enum(["Allow", "Deny"]),
  Action: oneOrMore,
  Resource: texts,
  Condition: z.optional(z.record(z.string(), z.record(z.string(), texts))),
});
type Statement = z.output<typeof statement>;

type Operator = (found: readonly string[] | undefined, wanted: readonly string[]) => boolean;

/** The operators of conditions that this program uses, as IAM documents them. A key that the call lacks is undefined. */
const operators: Readonly<Record<string, Operator>> = {
  StringEquals: (found, wanted) => found?.length === 1 && wanted.includes(found[0] ?? ""),
  "ForAllValues:StringEquals": (found = [], wanted) => found.every((value) => wanted.includes(value)),
  Null: (found, [isAbsent]) => (found === undefined) === (isAbsent === "true"),
};

function holds({ Condition = {} }: Statement, { context = {} }: AwsCall): boolean {
  return Object.entries(Condition).every(([name, keys]) => {
    const operator = operators[name];
    if (operator === undefined) throw new Error(`the simulation does not know the operator ${name}`);
    return Object.entries(keys).every(([key, wanted]) => {
      const found = context[key];
      return operator(found === undefined ? undefined : [found].flat(), wanted.map(render));
    });
  });
}

const isAbout = ({ Action, Resource }: Statement, { action, resource }: AwsCall) =>
  Action.some((pattern) => isLike(action.toLowerCase(), pattern.toLowerCase())) &&
  Resource.some((pattern) => isLike(resource, render(pattern)));

/** Whether statements allow a call: one does, and none denies it. References in them are as `render` writes them. */
export function allows(statements: readonly unknown[], call: AwsCall): boolean {
  const relevant = statements
    .map((one) => statement.parse(one))
    .filter((one) => isAbout(one, call) && holds(one, call));
  return relevant.some(({ Effect }) => Effect === "Allow") && !relevant.some(({ Effect }) => Effect === "Deny");
}

/** The statements of a role's own policies. */
export function statementsOfRole(template: Template, role: unknown): unknown[] {
  const name = render(role);
  return Object.values(template.findResources("AWS::IAM::Policy"))
    .filter(({ Properties }) => Properties.Roles.map(render).includes(name))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
}
