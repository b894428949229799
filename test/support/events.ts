import type { APIGatewayProxyEvent, Context } from "aws-lambda";

/** An event of the REST API as Lambda receives it. */
export function proxyEvent(event: Partial<APIGatewayProxyEvent>): APIGatewayProxyEvent {
  const requestContext = {
    accountId: "000000000000",
    apiId: "api",
    authorizer: null,
    httpMethod: "POST",
    identity: {
      accessKey: null,
      accountId: null,
      apiKey: null,
      apiKeyId: null,
      caller: null,
      clientCert: null,
      cognitoAuthenticationProvider: null,
      cognitoAuthenticationType: null,
      cognitoIdentityId: null,
      cognitoIdentityPoolId: null,
      principalOrgId: null,
      sourceIp: "127.0.0.1",
      user: null,
      userAgent: null,
      userArn: "arn:aws:iam::000000000000:user/ana",
    },
    path: "/",
    protocol: "HTTP/1.1",
    requestId: "http-1",
    requestTimeEpoch: 0,
    resourceId: "r",
    resourcePath: "/",
    stage: "v1",
  };
  return {
    httpMethod: "POST",
    path: "/",
    resource: "/",
    headers: {},
    multiValueHeaders: {},
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    pathParameters: null,
    stageVariables: null,
    body: null,
    isBase64Encoded: false,
    requestContext,
    ...event,
  };
}

/** The context of a call that came through API Gateway: it invokes the alias. */
export const apiContext = (remainingMs = 30_000): Context => ({
  ...context(remainingMs),
  invokedFunctionArn: `${context().invokedFunctionArn}:api`,
});

/** The context of a direct invocation with this much remaining time. */
export function context(remainingMs = 30_000): Context {
  const end = Date.now() + remainingMs;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: "test",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:test",
    memoryLimitInMB: "512",
    awsRequestId: "request-1",
    logGroupName: "g",
    logStreamName: "s",
    getRemainingTimeInMillis: () => end - Date.now(),
    done: () => {},
    fail: () => {},
    succeed: () => {},
  };
}
