const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/** A call that is answered sooner shows nothing. */
const QUIET_MS = 300;

/** Says on a terminal what runs, and for how long, until it ends. Nothing where stderr is none. */
export async function withProgress<T>(what: string, work: () => Promise<T>): Promise<T> {
  const { stderr } = process;
  if (!stderr.isTTY) return work();
  const started = performance.now();
  const timer = setInterval(() => {
    const passed = performance.now() - started;
    if (passed < QUIET_MS) return;
    const frame = FRAMES[Math.floor(passed / 100) % FRAMES.length];
    const line = `${frame} ${(passed / 1000).toFixed(0)} s  ${what}`;
    stderr.write(`\r\u001B[K${line.slice(0, (stderr.columns || 80) - 1)}`);
  }, 100);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (performance.now() - started >= QUIET_MS) stderr.write("\r\u001B[K");
  }
}
