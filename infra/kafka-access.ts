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

/** `IVpc` as `Vpc` fits it: the class has an undefined `vpnGatewayId`, which exact optional types refuse. */
type AnyVpc = Omit<IVpc, "vpnGatewayId">;

const https = Port.tcp(443);

/** The way to the brokers: network, log-in and addresses. Only functions given `grantConnect` have any of it. */
export class KafkaAccess extends Construct {
  readonly #cluster: Deployment["cluster"];
  readonly #placement: { readonly subnetIds: string[]; readonly securityGroupIds: string[] } | undefined;

  constructor(scope: Construct, id: string, { cluster, network }: Deployment) {
    super(scope, id);
    this.#cluster = cluster;
    if (network === null) return;

    const { vpc, subnets } = this.#vpc(network.vpc);
    const functions = this.#securityGroup(vpc, "Functions", "Offset rollback functions that reach Kafka");
    functions.addEgressRule(Peer.anyIpv4(), https, "S3, DynamoDB and Secrets Manager");
    this.#openBrokers(functions, network.broker_security_group_ids);
    this.#addEndpoints(vpc, subnets, functions, network.endpoints);
    this.#placement = {
      subnetIds: subnets.map(({ subnetId }) => subnetId),
      securityGroupIds: [functions.securityGroupId],
    };
  }

  /** Places the function where the brokers are reachable, lets it read the log-in, and tells it both. */
  grantConnect(fn: OperationFunction): void {
    const { name, bootstrap_servers, security } = this.#cluster;
    fn.configure({
      [envNames.clusterName]: name,
      [envNames.bootstrapServers]: bootstrap_servers.join(","),
      [envNames.securityProtocol]: security.protocol,
    });
    if (security.sasl !== undefined) {
      const { mechanism, secret_arn, kms_key_arn } = security.sasl;
      fn.configure({ [envNames.saslMechanism]: mechanism, [envNames.secretArn]: secret_arn });
      fn.allow(["secretsmanager:GetSecretValue"], secret_arn);
      if (kms_key_arn !== undefined) fn.allow(["kms:Decrypt"], kms_key_arn);
    }
    if (this.#placement !== undefined) this.#place(fn, this.#placement);
  }

  #place(fn: OperationFunction, placement: CfnFunction.VpcConfigProperty): void {
    if (fn.node.defaultChild instanceof CfnFunction) fn.node.defaultChild.vpcConfig = placement;
    // What AWSLambdaVPCAccessExecutionRole has, without its logs: network interfaces have no names to narrow it to.
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
      reason: "Lambda makes network interfaces in the VPC for the function; they have no names to narrow it to.",
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
      // A custom resource would do it; nothing here uses the default group.
      restrictDefaultSecurityGroup: false,
    });
    vpc.addFlowLog("Rejected", { trafficType: FlowLogTrafficType.REJECT });
    return { vpc, subnets: vpc.isolatedSubnets };
  }

  #openBrokers(functions: SecurityGroup, groupIds: readonly string[] | undefined): void {
    const ports = new Set(
      this.#cluster.bootstrap_servers.map((server) => Number(server.slice(server.lastIndexOf(":") + 1))),
    );
    for (const port of ports) {
      if (groupIds === undefined) functions.addEgressRule(Peer.anyIpv4(), Port.tcp(port), "Kafka brokers");
      for (const groupId of groupIds ?? []) {
        const brokers = SecurityGroup.fromSecurityGroupId(this, `Brokers-${groupId}-${port}`, groupId);
        brokers.connections.allowFrom(functions, Port.tcp(port), "Offset rollback functions to Kafka brokers");
      }
    }
  }

  #addEndpoints(vpc: AnyVpc, subnets: ISubnet[], functions: SecurityGroup, endpoints: Network["endpoints"]): void {
    if (endpoints.s3)
      vpc.addGatewayEndpoint("S3", { service: GatewayVpcEndpointAwsService.S3, subnets: [{ subnets }] });
    if (endpoints.dynamodb) {
      vpc.addGatewayEndpoint("DynamoDb", { service: GatewayVpcEndpointAwsService.DYNAMODB, subnets: [{ subnets }] });
    }
    if (endpoints.secrets_manager && this.#cluster.security.sasl !== undefined) {
      const endpoint = this.#securityGroup(
        vpc,
        "SecretsManagerEndpoint",
        "Secrets Manager for offset rollback functions",
      );
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
