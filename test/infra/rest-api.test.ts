import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { parseJson } from "../../functions/shared/core/json/json.ts";
import { httpEvent, requestOf } from "../../functions/shared/lambda/http.ts";
import { example, local } from "./configs.ts";
import { render, templateOf } from "./support.ts";

const template = templateOf(example());
const only = (type: string, has: (properties: Record<string, unknown>) => boolean = () => true) => {
  const found = Object.values(template.findResources(type)).filter(({ Properties }) => has(Properties));
  expect(found).toHaveLength(1);
  return found[0]?.Properties;
};

/**
 * What API Gateway makes of a mapping template, as far as ours use it: `#set` lines vanish, `$util.base64Encode($input.body)` and
 * `$util.escapeJavaScript(…)` are applied, and variables are replaced once. Whatever is left of VTL fails the test.
 */
function rendered(vtl: string, body: string, context: Readonly<Record<string, string>>): string {
  const lines = vtl.split("\n").filter((line) => !line.startsWith("#set("));
  const known = (name: string) => context[name] ?? expect.fail(`$context.${name} is not known`);
  const text = lines
    .join("\n")
    .replace("$util.base64Encode($input.body)", () => Buffer.from(body).toString("base64"))
    .replace(/\$util\.escapeJavaScript\(\$context\.([\w.]+)\)/g, (_, name) => known(name).replaceAll("/", "\\/"))
    .replace(/\$context\.([a-z]\w*(?:\.[a-z]\w*)*)/gi, (_, name) => known(name))
    .replaceAll("$id", () => context["requestOverride.path.rollback_id"] ?? "");
  expect(text).not.toMatch(/\$(input|util|context)|#set/);
  return text;
}

const method = only("AWS::ApiGateway::Method", ({ Integration }) => Object(Integration).Type === "AWS");
const context = {
  requestId: "5ad92cd3-28f3-4d0b-a3d7-0a6f4f2d8a51",
  "identity.userArn": "arn:aws:sts::111122223333:assumed-role/on-call/ana@example.com",
  domainName: "api-id.execute-api.eu-west-1.amazonaws.com",
  path: "/v1/rollbacks",
  "requestOverride.path.rollback_id": "restore-orders:1",
};

describe("POST /rollbacks", () => {
  test("invokes the alias of rollback asynchronously and answers 202, signed with IAM, for JSON alone", () => {
    expect(method).toMatchObject({
      HttpMethod: "POST",
      AuthorizationType: "AWS_IAM",
      MethodResponses: [{ StatusCode: "202" }],
      Integration: {
        IntegrationHttpMethod: "POST",
        PassthroughBehavior: "NEVER",
        RequestParameters: { "integration.request.header.X-Amz-Invocation-Type": "'Event'" },
        IntegrationResponses: [{ StatusCode: "202" }],
        TimeoutInMillis: 29_000,
      },
    });
    expect(render(method?.Integration.Uri)).toMatch(/:lambda:path\/2015-03-31\/functions\/<rollbackapi>\/invocations$/);
    expect(Object.keys(method?.Integration.RequestTemplates)).toEqual(["application/json"]);
  });

  test.each([
    ["a request", '{"rollback_id": "r-1", "snapshot_id": "latest", "groups": ["orders-*"]}'],
    ["quotes, line breaks and code of templates", '{"groups":["a\\"b\\n","$context.requestId","#set($x = 1)","$x"]}'],
    ["fields of the event", '{"groups":["\\"},\\"requestContext\\":{\\"identity\\":{\\"userArn\\":\\"root\\"}}"]}'],
    ["letters beyond ASCII and large integers", '{"groups":["größe \u{1F600}"],"n":9007199254740993}'],
  ])("hands the function the body as it came: %s", (_, body) => {
    const vtl = method?.Integration.RequestTemplates["application/json"];
    const event = JSON.parse(rendered(vtl, body, context));
    expect(Object.keys(event)).toEqual([
      ...["httpMethod", "resource", "path", "requestContext", "isBase64Encoded", "body"],
    ]);
    expect(event).toMatchObject({
      ...{ httpMethod: "POST", resource: "/rollbacks", path: "/rollbacks" },
      requestContext: { requestId: context.requestId, identity: { userArn: context["identity.userArn"] } },
    });
    expect(requestOf(httpEvent.parse(event), "snapshot_id")).toEqual(parseJson(body));
  });

  test("answers with the id and where to look it up", () => {
    const [{ ResponseTemplates }] = method?.Integration.IntegrationResponses ?? [];
    expect(JSON.parse(rendered(ResponseTemplates["application/json"], "", context))).toEqual({
      rollback_id: "restore-orders:1",
      status_url: "https://api-id.execute-api.eu-west-1.amazonaws.com/v1/rollbacks/restore-orders:1",
      request_id: context.requestId,
    });
    expect(ResponseTemplates["application/json"]).toContain("$context.requestOverride.path.rollback_id");
    expect(method?.Integration.RequestTemplates["application/json"]).toContain(
      "#set($context.requestOverride.path.rollback_id = $util.escapeJavaScript($input.path('$.rollback_id')))\n",
    );
  });

  test("is checked before with a model, which refuses what the function would, and ids that would need escaping", () => {
    expect(method?.RequestModels).toEqual({ "application/json": { Ref: expect.stringContaining("Later") } });
    expect(method?.RequestValidatorId).toEqual({ Ref: expect.stringContaining("BodyValidator") });
    expect(only("AWS::ApiGateway::RequestValidator")).toMatchObject({ ValidateRequestBody: true });
    const { ContentType, Schema } = only("AWS::ApiGateway::Model");
    expect(ContentType).toBe("application/json");
    const { $schema, ...schema } = Schema;
    expect($schema).toBe("http://json-schema.org/draft-04/schema#");
    expect(JSON.stringify(schema)).not.toMatch(/"(format|description|const|\$ref)":"|"propertyNames":/);
    const isValid = new Ajv({ strict: false }).compile(schema);
    const request = { rollback_id: "r-1:a.b_c", snapshot_id: "latest", groups: ["orders-*", { name: "a*b" }] };
    const more = {
      topics: ["orders:0,3"],
      wait_for_empty_seconds: 840,
      group_map: { a: "b" },
      plan_digest: "a".repeat(64),
    };
    expect([isValid(request), isValid({ ...request, ...more })]).toEqual([true, true]);
    const { rollback_id: _, ...unnamed } = request;
    const { snapshot_id: __, ...untargeted } = request;
    const wrong = [
      unnamed,
      untargeted,
      ...['a"b', "a/b", "a b", "", "..", ".", "x".repeat(129), "a\n", 7].map((id) => ({ ...request, rollback_id: id })),
      { ...request, dry_run: true },
      { ...request, resume: "r-0" },
      { ...request, grups: ["a"] },
      { ...request, groups: [] },
      { ...request, wait_for_empty_seconds: 841 },
      [],
    ];
    expect(wrong.filter((body) => isValid(body))).toEqual([]);
  });
});

test("API Gateway's own errors have the form of the functions' errors", () => {
  const answers = Object.fromEntries(
    Object.values(template.findResources("AWS::ApiGateway::GatewayResponse")).map(({ Properties }) => {
      const { ResponseType, ResponseTemplates, StatusCode } = Properties;
      expect(StatusCode).toBeUndefined(); // API Gateway's own
      const values = {
        "error.responseType": "THROTTLED",
        "error.messageString": '"Too many \\"requests\\""',
        ...context,
      };
      return [ResponseType, JSON.parse(rendered(ResponseTemplates["application/json"], "", values))];
    }),
  );
  const own = { error: "THROTTLED", message: 'Too many "requests"', details: null, request_id: context.requestId };
  expect(answers).toEqual({
    DEFAULT_4XX: own,
    DEFAULT_5XX: own,
    BAD_REQUEST_BODY: {
      ...own,
      error: "InvalidRequest",
      message: expect.stringMatching(/^InvalidRequest: .* Nothing was changed\. .*\/plan/),
    },
  });
});

test("the API is throttled as the config says", () => {
  const limits = (config: unknown) => {
    const [stage] = Object.values(templateOf(config).findResources("AWS::ApiGateway::Stage"));
    const [{ ThrottlingRateLimit, ThrottlingBurstLimit }] = stage?.Properties.MethodSettings ?? [];
    return [ThrottlingRateLimit, ThrottlingBurstLimit];
  };
  expect(limits(local())).toEqual([10, 20]);
  expect(limits({ ...local(), api: { throttling: { rate: 50 } } })).toEqual([50, 20]);
  expect(limits({ ...local(), api: { throttling: { rate: 1, burst: 5 } } })).toEqual([1, 5]);
});
