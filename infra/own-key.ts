import { type IKey, Key } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import type { Deployment } from "./config.ts";

type Keyed = Pick<Deployment, "kms_key_arn">;

/**
 * The key of `kms_key_arn`, which encrypts what the stack creates: bucket, table, logs and dead letters. Undefined: AWS's own
 * keys do. Its policy is not the stack's: infra/README.md has the statements that it must have.
 */
export const ownKey = (scope: Construct, id: string, { kms_key_arn }: Keyed): IKey | undefined =>
  kms_key_arn === undefined ? undefined : Key.fromKeyArn(scope, id, kms_key_arn);

/** The setting by which a log group is encrypted with that key. */
export function logEncryption(scope: Construct, id: string, deployment: Keyed): { readonly encryptionKey?: IKey } {
  const encryptionKey = ownKey(scope, id, deployment);
  return encryptionKey === undefined ? {} : { encryptionKey };
}
