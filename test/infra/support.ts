import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { afterAll } from "vitest";
import { z } from "zod";
import { parseDeployment } from "../../infra/config.ts";
import { OffsetRollbackStack } from "../../infra/offset-rollback-stack.ts";
import { root } from "./configs.ts";

/** The folder for the synthesized apps of a test file, deleted after its tests. */
const output = mkdtempSync(join(tmpdir(), "offset-rollback-infra-"));
afterAll(() => rmSync(output, { recursive: true, force: true }));

/** The CDK's feature flags, as its command line gives them to the app. */
export const featureFlags = z
  .object({ context: z.record(z.string(), z.unknown()) })
  .parse(JSON.parse(readFileSync(join(root, "cdk.json"), "utf8"))).context;

/** The stack of a config, without bundles. */
export function stackOf(config: unknown): { app: App; stack: OffsetRollbackStack } {
  const outdir = mkdtempSync(join(output, "app-"));
  const app = new App({
    analyticsReporting: false,
    outdir,
    context: { ...featureFlags, "aws:cdk:bundling-stacks": [] },
  });
  return { app, stack: new OffsetRollbackStack(app, parseDeployment(config, "of the test")) };
}

/** The template of a config's stack. */
export const templateOf = (config: unknown): Template => Template.fromStack(stackOf(config).stack);

/** An ARN, a name or a text with references, as text. Logical ids are shortened to the names of their constructs. */
export function render(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if ("Ref" in value) return `<${shorten(value.Ref)}>`;
  if ("Fn::GetAtt" in value && Array.isArray(value["Fn::GetAtt"])) return `<${shorten(value["Fn::GetAtt"][0])}>`;
  if ("Fn::Join" in value && Array.isArray(value["Fn::Join"])) return value["Fn::Join"][1].map(render).join("");
  return JSON.stringify(value);
}

const shorten = (logicalId: unknown) => String(logicalId).replace(/[0-9A-F]{8}$/, "");

/** The properties of the function of a verb. */
export function functionOf(template: Template, verb: string) {
  const found = Object.values(template.findResources("AWS::Lambda::Function")).find(
    ({ Properties }) => Properties.FunctionName === `offset-${verb}`,
  );
  if (found === undefined) throw new Error(`no function for ${verb}`);
  return found.Properties;
}

const onlyNew = z.strictObject({ Null: z.strictObject({ "s3:if-none-match": z.literal("false") }) });
const onlyRows = z.strictObject({
  "ForAllValues:StringEquals": z.strictObject({ "dynamodb:LeadingKeys": z.array(z.string()) }),
});

const deniedToCode = z.strictObject({
  Null: z.strictObject({ "lambda:SourceFunctionArn": z.literal("false") }),
});

/** To what the condition of a statement limits it: rows, or objects that do not exist. Throws for any other condition. */
function limitOf(condition: unknown): string {
  if (condition === undefined) return "";
  if (onlyNew.safeParse(condition).success) return " only new";
  const { "ForAllValues:StringEquals": keys } = onlyRows.parse(condition);
  return ` only ${keys["dynamodb:LeadingKeys"].sort().join(", ")}`;
}

/**
 * The rights of a role, as sorted lines `action resource`, with `only` and the rows of the table, and what is denied to
 * the code of functions. Rights of managed policies are not included.
 */
export function rightsOf(template: Template, role: unknown): string[] {
  const roleName = render(role);
  return Object.values(template.findResources("AWS::IAM::Policy"))
    .filter(({ Properties }) => Properties.Roles.map(render).includes(roleName))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
    .flatMap(({ Effect, Action, Resource, Condition }) =>
      [Action].flat().flatMap((action) =>
        [Resource].flat().map((resource) => {
          if (Effect !== "Deny") return `${action} ${render(resource)}${limitOf(Condition)}`;
          deniedToCode.parse(Condition);
          return `denied to code: ${action} ${render(resource)}`;
        }),
      ),
    )
    .sort();
}
