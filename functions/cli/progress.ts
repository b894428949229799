/** Shows on a terminal that something runs, and for how long, until it ends. Nothing where stderr is none. */
export async function withProgress<T>(what: string, work: () => Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return work();
  const { spinner } = await import("@clack/prompts");
  const shown = spinner({ indicator: "timer", output: process.stderr });
  shown.start(what);
  try {
    return await work();
  } finally {
    shown.clear();
  }
}
