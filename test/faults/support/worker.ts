/** A process for one invocation: its parent sends the request, receives the answer, and may kill the process. */
import { isVerb, run } from "./handlers.ts";

process.once("message", async (message) => {
  const { verb, event, remainingMs } = Object(message);
  if (!isVerb(verb)) throw new Error(`there is no function for ${verb}`);
  const text = await run(verb, event, remainingMs);
  process.send?.(text, () => process.exit());
});
process.once("disconnect", () => process.exit());
process.send?.("ready");
