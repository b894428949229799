import { z } from "zod";
import { always, distinct, fields, flag, has, list, text, whole } from "./fields.ts";

const securityGroup = text(/^sg-[0-9a-f]+$/, 'the id of a security group, "sg-…"');

const existingVpc = fields("an existing VPC", {
  vpc_id: text(/^vpc-[0-9a-f]+$/, 'the id of the VPC, "vpc-…"'),
  availability_zones: list(text(/^[a-z0-9-]+$/, 'a zone such as "eu-west-1a"'), "zones, one per subnet"),
  private_subnet_ids: distinct(
    text(/^subnet-[0-9a-f]+$/, 'the id of a subnet, "subnet-…"'),
    "subnets that reach the brokers",
  ),
  /** Of those subnets, in the same order; required for the gateway endpoints in `endpoints`. */
  private_route_table_ids: list(
    text(/^rtb-[0-9a-f]+$/, 'the id of a route table, "rtb-…"'),
    "route tables, one per subnet",
  ).optional(),
})
  .refine((it) => it.availability_zones.length === it.private_subnet_ids.length, {
    path: ["availability_zones"],
    error: "must have one zone for each of private_subnet_ids, in the same order",
  })
  .refine((it) => (it.private_route_table_ids ?? it.private_subnet_ids).length === it.private_subnet_ids.length, {
    path: ["private_route_table_ids"],
    error: "must have one route table for each of private_subnet_ids, in the same order (repeat a shared one)",
  });

const newVpc = fields("a new VPC", {
  cidr: z.cidrv4('must be an IPv4 range such as "10.0.0.0/16"').default("10.0.0.0/16"),
  max_azs: whole(1, 3, "the number of zones").default(2),
  /** CloudFormation cannot name a security group of another VPC before the two are peered. */
  peered: flag("whether this VPC is peered with that of broker_security_group_ids", false),
});

/** The first and the last of a port, or of a range of ports such as "14001-14100"; undefined for anything else. */
export function portsOf(value: number | string): { readonly from: number; readonly to: number } | undefined {
  const [, from = 0, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value)) ?? [];
  const range = { from: Number(from), to: Number(to) };
  return range.from >= 1 && range.from <= range.to && range.to <= 65_535 ? range : undefined;
}

const ports = 'must be a port such as 9096, or a range of ports such as "14001-14100"';

/** The network of the functions that reach Kafka, and what they may reach there. */
export const network = fields("the network of the functions", {
  vpc: fields("the VPC", { create: newVpc.optional(), existing: existingVpc.optional() }).refine(
    (it) => has(it, "create") !== has(it, "existing"),
    { error: 'must have either "create" or "existing"', ...always },
  ),
  /** The functions' group, if it exists already: this stack sets no rule of it. */
  security_group_id: securityGroup.optional(),
  /** The brokers' groups. They allow the functions; on the brokers' ports the functions reach nothing else. */
  broker_security_group_ids: distinct(securityGroup, "the brokers' security groups").optional(),
  /** Ports of brokers that are not in `bootstrap_servers`, as behind a load balancer or PrivateLink. */
  broker_ports: distinct(
    z.union([z.number(), z.string()], ports).refine((value) => portsOf(value) !== undefined, ports),
    "ports or ranges of ports",
  ).optional(),
  /** Gateway endpoints change the route tables of everybody in the subnets: in a VPC that exists, only if that is set. */
  endpoints: fields("the VPC endpoints to create", {
    s3: z.boolean("must be true or false: whether to create a gateway endpoint for S3").optional(),
    dynamodb: z.boolean("must be true or false: whether to create a gateway endpoint for DynamoDB").optional(),
    secrets_manager: flag("whether to create an interface endpoint for Secrets Manager, if a secret is used", true),
  }).prefault({}),
})
  .superRefine((it, problems) => {
    const report = (path: PropertyKey[], message: string) => problems.addIssue({ code: "custom", path, message });
    const tables = ["vpc", "existing", "private_route_table_ids"];
    const hasTables = has(it?.vpc?.existing, "private_route_table_ids");
    const gateways = it?.endpoints?.s3 === true || it?.endpoints?.dynamodb === true;
    if (has(it?.vpc, "existing") && gateways && !hasTables)
      report(
        tables,
        "is missing: the gateway endpoints require it; add it, or remove endpoints.s3 and endpoints.dynamodb if the VPC reaches both services",
      );
    if (hasTables && !gateways)
      report(
        tables,
        "has no effect without a gateway endpoint: set endpoints.s3 and endpoints.dynamodb to true to create (or keep) them, or remove this field if the VPC reaches both services",
      );
    if (has(it?.vpc, "create") && has(it, "broker_security_group_ids") && it?.vpc?.create?.peered !== true)
      report(
        ["broker_security_group_ids"],
        "belong to another VPC than the new one, and cannot be named before the two are peered: remove them and deploy; peer the VPCs, with the outputs VpcId, RouteTableIds and FunctionsSecurityGroupId; then add them, with vpc.create.peered true",
      );
    if (has(it?.vpc, "create") && has(it, "security_group_id"))
      report(
        ["security_group_id"],
        "belongs to another VPC than the new one: remove it, the functions get a group of their own",
      );
    if (has(it, "security_group_id") && has(it, "broker_ports") && !has(it, "broker_security_group_ids"))
      report(
        ["broker_ports"],
        "have no effect on a security group that exists: allow them there and remove this field, or add broker_security_group_ids",
      );
  }, always)
  .transform(({ endpoints, ...settings }) => {
    const isNew = settings.vpc.create !== undefined;
    const { s3 = isNew, dynamodb = isNew, secrets_manager } = endpoints;
    return { ...settings, endpoints: { s3, dynamodb, secrets_manager } };
  });
