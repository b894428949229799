import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { htmlReport } from "../../functions/shared/report/html.ts";
import type { HtmlReport } from "../../functions/shared/report/island.ts";
import { asRead, diff, dryRun, history, rollback, snapshot } from "../support/results.ts";

/** Debian's Chromium, or the one that the environment names. */
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

const results = {
  snapshot: ["show", snapshot],
  comparison: ["diff", diff],
  "dry run": ["rollback", dryRun],
  rollback: ["rollback", rollback],
  history: ["history", history],
} as const satisfies { [name: string]: readonly [HtmlReport, object] };
export type Name = keyof typeof results;
export const names = Object.keys(results).filter((name): name is Name => Object.hasOwn(results, name));
/** The report of a result of `test/support/results.ts`. */
export const fileOf = (name: Name) => htmlReport(results[name][0], asRead(results[name][1]));

export const textOf = (page: Page, selector: string) => page.locator(selector).first().innerText();
export const groupsShown = (page: Page) => page.locator("tr.group .disclosure").allInnerTexts();

/** The ways to open a file in Chromium, from a server. */
interface Chromium {
  /** Opens a file and hands it to `use`. Anything in the console, any error and any other request fails the test. */
  opened(file: string, use: (page: Page) => Promise<void>, options?: BrowserContextOptions): Promise<void>;
  /** Opens a file and hands it to `use`, whatever the page does. `requested`: the paths that the server was asked for. */
  openedUnchecked(file: string, use: (page: Page, requested: readonly string[]) => Promise<void>): Promise<void>;
}

/** Tests in one Chromium. Where it is not installed they are skipped, and their name says so. */
export function describeInChromium(title: string, tests: (chromium: Chromium) => void): void {
  const isInstalled = existsSync(executablePath);
  const skipped = `${title}, skipped: Chromium is not installed: apt-get install chromium`;
  if (!isInstalled) console.warn(`HTML reports, ${skipped}`);

  describe.skipIf(!isInstalled)(isInstalled ? title : skipped, () => {
    let browser: Browser;
    let server: Server;
    let address: string;
    let requested: string[] = [];
    let served = "";

    beforeAll(async () => {
      browser = await chromium.launch({
        executablePath,
        args: "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(
          " ",
        ),
      });
      server = createServer(({ url = "" }, response) => {
        requested.push(url);
        response.setHeader("content-type", "text/html; charset=utf-8").end(served);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const bound = server.address();
      address = `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}/report`;
    });

    afterAll(async () => {
      await browser?.close();
      await new Promise((resolve) => server?.close(resolve));
    });

    async function inContext(options: BrowserContextOptions, use: (page: Page) => Promise<void>): Promise<void> {
      const context = await browser.newContext({ timezoneId: "Europe/Berlin", locale: "en-GB", ...options });
      try {
        await use(await context.newPage());
      } finally {
        await context.close();
      }
    }

    async function open(page: Page, file: string): Promise<void> {
      served = file;
      requested = [];
      await page.goto(address);
    }

    tests({
      opened: (file, use, options = {}) =>
        inContext(options, async (page) => {
          const problems: string[] = [];
          const requests: string[] = [];
          page.on("console", (message) => problems.push(message.text()));
          page.on("pageerror", (error) => problems.push(error.message));
          page.on("request", (request) => requests.push(request.url()));
          await open(page, file);
          if (options.javaScriptEnabled !== false) await page.locator("main, .fallback[role=alert]").first().waitFor();
          await use(page);
          expect(problems).toEqual([]);
          expect(requests).toEqual([address]);
          if (!options.bypassCSP) expect(requested).toEqual(["/report"]);
        }),
      openedUnchecked: (file, use) =>
        inContext({}, async (page) => {
          await open(page, file);
          await use(page, requested);
        }),
    });
  });
}
