import { Validations } from "aws-cdk-lib";
import {
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { CfnFunction } from "aws-cdk-lib/aws-lambda";
import { Construct } from "constructs";
import { envNames } from "../functions/shared/lambda/env.ts";
import type { Deployment } from "./config.ts";
import type { OperationFunction } from "./operation-function.ts";

type Network = NonNullable<Deployment["network"]>;

/** `IVpc` without the field that `Vpc` has as undefined, which exact optional types reject. */
type AnyVpc = Omit<IVpc, "vpnGatewayId">;

const https = Port.tcp(443);

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
  // AlterGroup and ReadData commit offsets; DeleteGroup deletes a commit, for `uncommitted: "delete"`. The
  // cluster's configuration says how long offsets are kept.
  write: {
    cluster: ["kafka-cluster:DescribeClusterDynamicConfiguration"],
    topic: ["kafka-cluster:ReadData"],
    group: ["kafka-cluster:AlterGroup", "kafka-cluster:DeleteGroup"],
  },
} as const;

/** Access to the brokers: network, log-in and addresses. Only functions with a grant have any of it. */
export class KafkaAccess extends Construct {
  readonly #cluster: Deployment["cluster"];
  readonly #placement: CfnFunction.VpcConfigProperty | undefined;

  constructor(scope: Construct, id: string, { cluster, network }: Deployment) {
    super(scope, id);
    this.#cluster = cluster;
    if (network === null) return;

    const { vpc, subnets } = this.#vpc(network.vpc);
    const functions = this.#securityGroup(vpc, "Functions", "Offset rollback functions that reach Kafka");
    functions.addEgressRule(Peer.anyIpv4(), https, "S3, DynamoDB, Secrets Manager, token endpoint");
    this.#openBrokers(functions, network.broker_security_group_ids);
    this.#addEndpoints(vpc, subnets, functions, network.endpoints);
    const subnetIds = subnets.map(({ subnetId }) => subnetId);
    this.#placement = { subnetIds, securityGroupIds: [functions.securityGroupId] };
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
      ...(connections_per_broker && { [envNames.connectionsPerBroker]: `${connections_per_broker}` }),
    });
    for (const { secret_arn, kms_key_arn } of secretsOf(security)) {
      fn.allow(["secretsmanager:GetSecretValue"], secret_arn);
      if (kms_key_arn !== undefined) fn.allow(["kms:Decrypt"], kms_key_arn);
    }
    this.#allowIam(fn, "read");
    this.#place(fn);
  };

  /** As `grantRead`, and allows it to commit and delete offsets. Without IAM, only Kafka's ACLs decide that. */
  readonly grantWrite = (fn: OperationFunction): void => {
    this.grantRead(fn);
    this.#allowIam(fn, "write");
  };

  #allowIam(fn: OperationFunction, rights: keyof typeof iamRights): void {
    const { sasl } = this.#cluster.security;
    if (sasl?.mechanism !== "AWS_MSK_IAM") return;
    const { cluster, topic, group } = iamRights[rights];
    const all = (kind: string) => `${sasl.cluster_arn.replace(":cluster/", `:${kind}/`)}/*`;
    if (cluster.length > 0) fn.allow(cluster, sasl.cluster_arn);
    for (const [kind, actions] of Object.entries({ topic, group })) {
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
    // As in AWSLambdaVPCAccessExecutionRole, without its logs: network interfaces have no names to restrict this to.
    fn.allow(
      [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
      ],
      "*",
    );
    Validations.of(fn.executionRole).acknowledge({
      id: "AwsSolutions-IAM5[Resource::*]",
      reason: "Lambda creates network interfaces in the VPC for the function; they have no names to restrict this to.",
    });
  }

  #vpc({ existing, create }: Network["vpc"]): { vpc: AnyVpc; subnets: ISubnet[] } {
    if (existing !== undefined) {
      const vpc = Vpc.fromVpcAttributes(this, "Vpc", {
        vpcId: existing.vpc_id,
        availabilityZones: existing.availability_zones,
        privateSubnetIds: existing.private_subnet_ids,
        ...(existing.private_route_table_ids && { privateSubnetRouteTableIds: existing.private_route_table_ids }),
      });
      return { vpc, subnets: vpc.privateSubnets };
    }
    const vpc = new Vpc(this, "Vpc", {
      ...(create && { ipAddresses: IpAddresses.cidr(create.cidr), maxAzs: create.max_azs }),
      natGateways: 0,
      subnetConfiguration: [{ name: "Functions", subnetType: SubnetType.PRIVATE_ISOLATED }],
      // It needs a custom resource, and nothing uses the default group.
      restrictDefaultSecurityGroup: false,
    });
    vpc.addFlowLog("Rejected", { trafficType: FlowLogTrafficType.REJECT });
    return { vpc, subnets: vpc.isolatedSubnets };
  }

  #openBrokers(functions: SecurityGroup, groupIds: readonly string[] | undefined): void {
    const ports = this.#cluster.bootstrap_servers.map((server) => Number(server.slice(server.lastIndexOf(":") + 1)));
    for (const port of new Set(ports)) {
      if (groupIds === undefined) functions.addEgressRule(Peer.anyIpv4(), Port.tcp(port), "Kafka brokers");
      for (const groupId of groupIds ?? []) {
        const brokers = SecurityGroup.fromSecurityGroupId(this, `Brokers-${groupId}-${port}`, groupId);
        brokers.connections.allowFrom(functions, Port.tcp(port), "Offset rollback functions to Kafka brokers");
      }
    }
  }

  #addEndpoints(vpc: AnyVpc, subnets: ISubnet[], functions: SecurityGroup, endpoints: Network["endpoints"]): void {
    const { S3, DYNAMODB } = GatewayVpcEndpointAwsService;
    if (endpoints.s3) vpc.addGatewayEndpoint("S3", { service: S3, subnets: [{ subnets }] });
    if (endpoints.dynamodb) vpc.addGatewayEndpoint("DynamoDb", { service: DYNAMODB, subnets: [{ subnets }] });
    if (endpoints.secrets_manager && secretsOf(this.#cluster.security).length > 0) {
      const description = "Secrets Manager for offset rollback functions";
      const endpoint = this.#securityGroup(vpc, "SecretsManagerEndpoint", description);
      endpoint.addIngressRule(functions, https, "Offset rollback functions");
      vpc.addInterfaceEndpoint("SecretsManager", {
        service: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
        subnets: { subnets },
        securityGroups: [endpoint],
        open: false,
      });
    }
  }

  #securityGroup(vpc: AnyVpc, id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc, description, allowAllOutbound: false });
  }
}
