import { RemovalPolicy } from "aws-cdk-lib";
import type { Deployment } from "./config.ts";

/**
 * What an update or the deletion of a stack does with data (bucket, table, audit logs): by default it keeps them. What a first
 * deployment has created before it failed is removed in any case: it is empty.
 */
export const dataRemoval = ({ removal_policy }: Pick<Deployment, "removal_policy">): RemovalPolicy =>
  removal_policy === "destroy" ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;
