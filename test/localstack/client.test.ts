import { createServer } from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { createClient } from "../../localstack/client.ts";

/** A client of a cloud whose functions and API answer with this result. */
async function clientOf(result: unknown) {
  const server = createServer((request, response) => {
    request.resume().on("end", () => response.end(JSON.stringify(result)));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void server.close());
  const address = server.address();
  const endpointUrl = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const outputs = {
    stack: "OffsetRollback",
    functions: { show: "offset-show" },
    api_url: endpointUrl,
    bucket: "b",
    path: "s3://b/",
    table: "t",
    endpoint_url: endpointUrl,
    bootstrap_servers: "127.0.0.1:1",
    region: "us-east-1",
  };
  const cloud = { kind: "docker", flavour: "localstack", endpointUrl, region: "us-east-1" } as const;
  return { endpointUrl, client: createClient(outputs, { ...cloud, environment: {}, stateDir: "" }) };
}

const signed = "/b/results/1.json?X-Amz-Expires=86400&X-Amz-Signature=a%2Fb";

it("changes links to large results to the port that this machine reaches, for invocations and HTTP", async () => {
  const result = { snapshot_id: "s", result_url: `http://172.18.0.3:4566${signed}`, expires_in_seconds: 86400 };
  const { client, endpointUrl } = await clientOf(result);
  const here = { ...result, result_url: `${endpointUrl}${signed}` };
  expect(await client.invoke("show", {})).toEqual({ result: here });
  expect(await client.http("GET", "/snapshots/s")).toEqual({ status: 200, body: here });
});

it("returns other results unchanged", async () => {
  for (const result of [null, "text", [1], { snapshots: [] }, { result_url: 3 }]) {
    const { client } = await clientOf(result);
    expect(await client.invoke("show", {})).toEqual({ result });
  }
});
