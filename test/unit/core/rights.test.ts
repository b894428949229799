import { describe, expect, test } from "vitest";
import { missingRights, principalLacks, principalNeeds, roleNeeds } from "../../../functions/shared/core/rights.ts";

const user = "User: arn:aws:sts::1:assumed-role/offset-list/offset-list is not authorized to perform: ";

describe("the missing rights of a message", () => {
  test.each([
    [
      "those that AWS names, with the ARN",
      `${user}dynamodb:Query on resource: arn:aws:dynamodb:eu-west-1:1:table/t because no identity-based policy allows the dynamodb:Query action. ${roleNeeds(["dynamodb:Query"], "table t (rows snapshot)")}, and the right.`,
      ["dynamodb:Query on arn:aws:dynamodb:eu-west-1:1:table/t"],
    ],
    [
      "those of S3, which quotes the ARN",
      `AccessDenied: ${user}s3:GetObject on resource: "arn:aws:s3:::b/snapshots/x.json.gz" because no identity-based policy allows it`,
      ["s3:GetObject on arn:aws:s3:::b/snapshots/x.json.gz"],
    ],
    ["an action alone, where AWS says no more", `${user}scheduler:ListSchedules.`, ["scheduler:ListSchedules"]],
    [
      "what the role needs, where AWS names nothing",
      `AccessDenied: Access Denied. ${roleNeeds(["dynamodb:UpdateItem", "dynamodb:PutItem"], "table my.t-1 (rows snapshot, deletion)")}, and the right to use the key.`,
      ["dynamodb:UpdateItem and dynamodb:PutItem on table my.t-1 (rows snapshot, deletion)"],
    ],
    [
      "what the role needs on a secret",
      `${roleNeeds(["secretsmanager:GetSecretValue"], "arn:aws:secretsmanager:eu-west-1:1:secret:a/b-Xy12Z")}, and kms:Decrypt.`,
      ["secretsmanager:GetSecretValue on arn:aws:secretsmanager:eu-west-1:1:secret:a/b-Xy12Z"],
    ],
    [
      "what the principal needs on a group, whose name may have anything in it",
      `could not read: ${principalNeeds('DESCRIBE on group "a \\", (b)."')} (30 GROUP_AUTHORIZATION_FAILED)`,
      ['DESCRIBE on group "a \\", (b)."'],
    ],
    [
      "what it lacks on several topics",
      `Commits may be missing: ${principalLacks('DESCRIBE on topic "a", "b", "c" and 4 more')}, which the last snapshot contains.`,
      ['DESCRIBE on topic "a", "b", "c" and 4 more'],
    ],
    [
      "what it lacks on all groups, once",
      `${principalLacks("DESCRIBE on all groups")}. And ${principalLacks("DESCRIBE on all groups")}.`,
      ["DESCRIBE on all groups"],
    ],
    ["none, where the request is at fault", "InvalidRequest: the request needs groups on a topic.", []],
  ])("are %s", (_, message, rights) => {
    expect(missingRights(message)).toEqual(rights);
  });
});
