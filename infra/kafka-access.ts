import { Annotations, Fn, RemovalPolicy, Validations } from "aws-cdk-lib";
import {
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { CfnFunction } from "aws-cdk-lib/aws-lambda";
import { CfnLogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { envNames } from "../functions/shared/lambda/env.ts";
import { portsOf } from "./config/network.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

type Network = NonNullable<Deployment["network"]>;

/** `IVpc` without the field that `Vpc` has as undefined, which exact optional types reject. */
type AnyVpc = Omit<IVpc, "vpnGatewayId">;

const https = Port.tcp(443);

/** Read by the AWS SDK: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html */
const secretsManagerEndpoint = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

/** The secrets with the credentials. */
const secretsOf = ({ sasl, tls }: Deployment["cluster"]["security"]) => [
  ...(sasl !== undefined && "secret_arn" in sasl ? [sasl] : []),
  ...(tls === undefined ? [] : [tls]),
];

/** Kafka's rights as IAM actions (READ on a group is AlterGroup), by resource. */
const iamRights = {
  read: {
    cluster: ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"],
    topic: ["kafka-cluster:DescribeTopic"],
    group: ["kafka-cluster:DescribeGroup"],
  },
  // The cluster's configuration says how long offsets are kept.
  plan: { cluster: ["kafka-cluster:DescribeClusterDynamicConfiguration"], topic: [], group: [] },
  // AlterGroup and ReadData commit offsets; DeleteGroup deletes a commit, for `uncommitted: "delete"`.
  write: {
    cluster: [],
    topic: ["kafka-cluster:ReadData"],
    group: ["kafka-cluster:AlterGroup", "kafka-cluster:DeleteGroup"],
  },
} as const;

/** As in AWSLambdaVPCAccessExecutionRole, without its logs: network interfaces have no names to restrict this to. */
const networkInterfaces = [
  "ec2:CreateNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:DeleteNetworkInterface",
  "ec2:AssignPrivateIpAddresses",
  "ec2:UnassignPrivateIpAddresses",
];

/** Access to the brokers: network, log-in and addresses. Only functions with a grant have any of it. */
export class KafkaAccess extends Construct {
  readonly #cluster: Deployment["cluster"];
  readonly #placement: CfnFunction.VpcConfigProperty | undefined;
  /** Where the functions reach Secrets Manager, if not by its public name. */
  readonly #secretsManagerUrl: string | undefined;
  /** What an administrator needs to peer the network with that of the brokers. */
  readonly outputs: Readonly<Record<string, string>> = {};

  constructor(scope: Construct, id: string, { cluster, network, kms_key_arn }: Deployment) {
    super(scope, id);
    this.#cluster = cluster;
    if (network === null) return;

    const { vpc, subnets } = this.#vpc(network.vpc, kms_key_arn);
    const functions = this.#functionsGroup(vpc, network);
    this.#openBrokers(functions, network);
    this.#addGateways(vpc, subnets, network.endpoints);
    this.#secretsManagerUrl = this.#addSecretsManager(vpc, subnets, functions, network.endpoints);
    const subnetIds = subnets.map(({ subnetId }) => subnetId);
    this.#placement = { subnetIds, securityGroupIds: [functions.securityGroupId] };
    this.outputs = {
      FunctionsSecurityGroupId: functions.securityGroupId,
      ...(network.vpc.create && {
        VpcId: vpc.vpcId,
        RouteTableIds: subnets.map(({ routeTable }) => routeTable.routeTableId).join(","),
      }),
    };
  }

  /** Places the function in the brokers' network, allows it to log in and read offsets, and configures it. */
  readonly grantRead = (fn: OperationFunction): void => {
    const { name, bootstrap_servers, security, connections_per_broker } = this.#cluster;
    const { sasl, tls } = security;
    fn.configure({
      [envNames.clusterName]: name,
      [envNames.bootstrapServers]: bootstrap_servers.join(","),
      [envNames.securityProtocol]: security.protocol,
      ...(sasl && { [envNames.saslMechanism]: sasl.mechanism }),
      ...(sasl && "secret_arn" in sasl && { [envNames.secretArn]: sasl.secret_arn }),
      ...(tls && { [envNames.tlsSecretArn]: tls.secret_arn }),
      ...(this.#secretsManagerUrl && { [secretsManagerEndpoint]: this.#secretsManagerUrl }),
      ...(connections_per_broker && { [envNames.connectionsPerBroker]: `${connections_per_broker}` }),
    });
    for (const { secret_arn, kms_key_arn } of secretsOf(security)) {
      fn.allow(["secretsmanager:GetSecretValue"], secret_arn);
      if (kms_key_arn !== undefined) fn.allow(["kms:Decrypt"], kms_key_arn);
    }
    this.#allowIam(fn, "read");
    this.#place(fn);
  };

  /** As `grantRead`, and allows it to read what a plan warns of. */
  readonly grantPlan = (fn: OperationFunction): void => {
    this.grantRead(fn);
    this.#allowIam(fn, "plan");
  };

  /** As `grantPlan`, and allows it to commit and delete offsets. Without IAM, only Kafka's ACLs decide that. */
  readonly grantWrite = (fn: OperationFunction): void => {
    this.grantPlan(fn);
    this.#allowIam(fn, "write");
  };

  #allowIam(fn: OperationFunction, rights: keyof typeof iamRights): void {
    const { sasl } = this.#cluster.security;
    if (sasl?.mechanism !== "AWS_MSK_IAM") return;
    const { cluster, topic, group } = iamRights[rights];
    const all = (kind: string) => `${sasl.cluster_arn.replace(":cluster/", `:${kind}/`)}/*`;
    if (cluster.length > 0) fn.allow(cluster, sasl.cluster_arn);
    for (const [kind, actions] of Object.entries({ topic, group })) {
      if (actions.length === 0) continue;
      fn.allow(actions, all(kind));
      Validations.of(fn.executionRole).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${all(kind)}]`,
        reason: `Any ${kind} may be part of a snapshot: a request selects them.`,
      });
    }
  }

  #place(fn: OperationFunction): void {
    if (this.#placement === undefined) return;
    if (fn.node.defaultChild instanceof CfnFunction) fn.node.defaultChild.vpcConfig = this.#placement;
    fn.allow(networkInterfaces, "*");
    fn.denyToCode(networkInterfaces);
    Validations.of(fn.executionRole).acknowledge({
      id: "AwsSolutions-IAM5[Resource::*]",
      reason:
        "Lambda creates network interfaces in the VPC for the function; they have no names to restrict this to. The function's code is denied it.",
    });
  }

  #vpc({ existing, create }: Network["vpc"], kmsKeyArn: string | undefined): { vpc: AnyVpc; subnets: ISubnet[] } {
    if (existing !== undefined) {
      const vpc = Vpc.fromVpcAttributes(this, "Vpc", {
        vpcId: existing.vpc_id,
        availabilityZones: existing.availability_zones,
        privateSubnetIds: existing.private_subnet_ids,
        ...(existing.private_route_table_ids && { privateSubnetRouteTableIds: existing.private_route_table_ids }),
      });
      // Without gateway endpoints nothing needs the route tables.
      Annotations.of(this).acknowledgeWarning("@aws-cdk/aws-ec2:noSubnetRouteTableId");
      return { vpc, subnets: vpc.privateSubnets };
    }
    const vpc = new Vpc(this, "Vpc", {
      ...(create && { ipAddresses: IpAddresses.cidr(create.cidr), maxAzs: create.max_azs }),
      natGateways: 0,
      subnetConfiguration: [{ name: "Functions", subnetType: SubnetType.PRIVATE_ISOLATED }],
      // It needs a custom resource, and nothing uses the default group.
      restrictDefaultSecurityGroup: false,
    });
    const { logGroup } = vpc.addFlowLog("Rejected", { trafficType: FlowLogTrafficType.REJECT });
    logGroup?.applyRemovalPolicy(RemovalPolicy.DESTROY);
    const logs = logGroup?.node.defaultChild;
    if (logs instanceof CfnLogGroup && kmsKeyArn !== undefined) logs.kmsKeyId = kmsKeyArn;
    return { vpc, subnets: vpc.isolatedSubnets };
  }

  /** The group of the functions: one that exists stays as it is. */
  #functionsGroup(vpc: AnyVpc, { security_group_id }: Network): ISecurityGroup {
    if (security_group_id !== undefined)
      return SecurityGroup.fromSecurityGroupId(this, "Functions", security_group_id, { mutable: false });
    const functions = this.#securityGroup(vpc, "Functions", "Offset rollback functions that reach Kafka");
    functions.addEgressRule(Peer.anyIpv4(), https, "S3, DynamoDB, Secrets Manager, token endpoint");
    return functions;
  }

  #openBrokers(functions: ISecurityGroup, { broker_security_group_ids, broker_ports = [] }: Network): void {
    const bootstrap = this.#cluster.bootstrap_servers.map((server) => server.slice(server.lastIndexOf(":") + 1));
    for (const ports of new Set([...bootstrap, ...broker_ports.map(String)])) {
      const { from, to } = portsOf(ports) ?? { from: 0, to: 0 };
      const port = from === to ? Port.tcp(from) : Port.tcpRange(from, to);
      if (broker_security_group_ids === undefined) functions.addEgressRule(Peer.anyIpv4(), port, "Kafka brokers");
      for (const groupId of broker_security_group_ids ?? []) {
        const brokers = SecurityGroup.fromSecurityGroupId(this, `Brokers-${groupId}-${ports}`, groupId);
        brokers.connections.allowFrom(functions, port, "Offset rollback functions to Kafka brokers");
      }
    }
  }

  #addGateways(vpc: AnyVpc, subnets: ISubnet[], endpoints: Network["endpoints"]): void {
    const { S3, DYNAMODB } = GatewayVpcEndpointAwsService;
    if (endpoints.s3) vpc.addGatewayEndpoint("S3", { service: S3, subnets: [{ subnets }] });
    if (endpoints.dynamodb) vpc.addGatewayEndpoint("DynamoDb", { service: DYNAMODB, subnets: [{ subnets }] });
  }

  /**
   * An endpoint for Secrets Manager that only these functions use, by its own name. With private DNS it would answer to the
   * service's name in the whole VPC, and refuse everybody else there. Returns its URL.
   */
  #addSecretsManager(
    vpc: AnyVpc,
    subnets: ISubnet[],
    functions: ISecurityGroup,
    endpoints: Network["endpoints"],
  ): string | undefined {
    if (!endpoints.secrets_manager || secretsOf(this.#cluster.security).length === 0) return undefined;
    const group = this.#securityGroup(vpc, "SecretsManagerEndpoint", "Secrets Manager for offset rollback functions");
    group.addIngressRule(functions, https, "Offset rollback functions");
    const zones = subnets.map(({ availabilityZone }) => availabilityZone);
    const { vpcEndpointDnsEntries } = vpc.addInterfaceEndpoint("SecretsManager", {
      service: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
      // An endpoint has one subnet in a zone at most.
      subnets: { subnets: subnets.filter((_, index) => zones.indexOf(zones[index] ?? "") === index) },
      securityGroups: [group],
      open: false,
      privateDnsEnabled: false,
    });
    // An entry is "<hosted zone>:<name>"; the first one is of the endpoint in all its zones.
    return `https://${Fn.select(1, Fn.split(":", Fn.select(0, vpcEndpointDnsEntries)))}`;
  }

  #securityGroup(vpc: AnyVpc, id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc, description, allowAllOutbound: false });
  }
}
