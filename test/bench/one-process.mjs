/**
 * A process for the bundle of one function, like that of Lambda. It loads the bundle, invokes it with an event this many times,
 * and prints the times and the peak of its memory. It is plain JavaScript, so that Node loads nothing else.
 */
const [file, event, times = "0"] = process.argv.slice(2);
const started = performance.now();
const { handler } = await import(file);
const loadMs = performance.now() - started;
const context = () => {
  const end = Date.now() + 300_000;
  return {
    functionName: "bench",
    functionVersion: "$LATEST",
    invokedFunctionArn: "arn:aws:lambda:us-east-1:000000000000:function:bench",
    memoryLimitInMB: "2048",
    awsRequestId: "request-1",
    getRemainingTimeInMillis: () => end - Date.now(),
  };
};
const invocations = [];
const results = [];
for (let i = 0; i < Number(times); i++) {
  const before = performance.now();
  const { status, groups, offsets } = await handler(JSON.parse(event), context());
  invocations.push(performance.now() - before);
  results.push({ status, groups, offsets });
}
const maxRssMb = process.resourceUsage().maxRSS / 1024;
process.stdout.write(`${JSON.stringify({ loadMs, invocations, results, maxRssMb })}\n`, () => process.exit());
