import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { htmlReport } from "../../functions/shared/report/html.ts";
import type { HtmlReport } from "../../functions/shared/report/island.ts";
import { asRead, diff, dryRun, history, hostileNames, manyGroups, rollback, snapshot } from "../support/results.ts";

/** Debian's Chromium, or the one that the environment names. */
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const isInstalled = existsSync(executablePath);

const results = {
  snapshot: ["show", snapshot],
  comparison: ["diff", diff],
  "dry run": ["rollback", dryRun],
  rollback: ["rollback", rollback],
  history: ["history", history],
} as const satisfies { [name: string]: readonly [HtmlReport, object] };
type Name = keyof typeof results;
const names = Object.keys(results).filter((name): name is Name => Object.hasOwn(results, name));
const fileOf = (name: Name) => htmlReport(results[name][0], asRead(results[name][1]));

const title = isInstalled ? "a report in Chromium" : "skipped: Chromium is not installed: apt-get install chromium";
if (!isInstalled) console.warn(`HTML reports, ${title}`);

describe.skipIf(!isInstalled)(title, () => {
  let browser: Browser;
  let server: Server;
  let address: string;
  /** What the server was asked for. */
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
    address = `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
  });

  afterAll(async () => {
    await browser?.close();
    await new Promise((resolve) => server?.close(resolve));
  });

  /** Opens a file and hands it to `use`. Anything in the console, any error and any other request fails the test. */
  async function opened(
    file: string,
    use: (page: Page) => Promise<void>,
    options: BrowserContextOptions = {},
  ): Promise<void> {
    const context = await browser.newContext({ timezoneId: "Europe/Berlin", locale: "en-GB", ...options });
    const problems: string[] = [];
    const requests: string[] = [];
    try {
      const page = await context.newPage();
      page.on("console", (message) => problems.push(message.text()));
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("request", (request) => requests.push(request.url()));
      served = file;
      requested = [];
      await page.goto(`${address}/report`);
      if (options.javaScriptEnabled !== false) await page.locator("main, .fallback[role=alert]").first().waitFor();
      await use(page);
      expect(problems).toEqual([]);
      expect(requests).toEqual([`${address}/report`]);
      if (!options.bypassCSP) expect(requested).toEqual(["/report"]);
    } finally {
      await context.close();
    }
  }

  const textOf = (page: Page, selector: string) => page.locator(selector).first().innerText();
  const groupsShown = (page: Page) => page.locator("tr.group .disclosure").allInnerTexts();

  describe.each(names)("of a %s", (name) => {
    test("says first what happened, then what is wrong, then everything", async () => {
      await opened(fileOf(name), async (page) => {
        const sections = await page
          .locator("main > section")
          .evaluateAll((all) => all.map(({ className }) => className.split(" ")[0]));
        expect(sections[0]).toBe("verdict");
        expect(sections.lastIndexOf("notice")).toBeLessThan(sections.indexOf(""));
        const verdicts: { readonly [N in Name]: RegExp } = {
          snapshot: /The snapshot is partial: not every selected group is in it.\s+1 group could not be captured/,
          comparison: /5 commits changed/,
          "dry run":
            /Blocked: this rollback would be refused.\s+3 blockers.*\s+A dry run: nothing was changed.\s+.*replay an unknown number of records and skip at most 30 records/,
          rollback: /Partial success: 2 groups not at the targets, 1 at the targets.\s+Not verified/,
          history: /1 group of 2 may need attention/,
        };
        expect(await textOf(page, ".verdict")).toMatch(verdicts[name]);
      });
    });

    test("is accessible, light and dark, wide and narrow (axe)", async () => {
      // axe needs to read and write styles, which the policy of the page forbids.
      await opened(
        fileOf(name),
        async (page) => {
          await page.evaluate(axe.source);
          for (const [colorScheme, width] of [
            ["light", 1600],
            ["dark", 1600],
            ["light", 400],
          ] as const) {
            await page.setViewportSize({ width, height: 900 });
            await page.emulateMedia({ colorScheme });
            const violations = await page.evaluate(async () => {
              const found = await Reflect.get(globalThis, "axe").run(document, { resultTypes: ["violations"] });
              return found.violations.map((one: { id: string; nodes: { html: string; failureSummary: string }[] }) => [
                one.id,
                one.nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
              ]);
            });
            expect(violations).toEqual([]);
          }
        },
        { bypassCSP: true },
      );
    });

    test("is no wider than the screen, from 400 to 1600 pixels", async () => {
      await opened(fileOf(name), async (page) => {
        for (const width of [400, 700, 701, 1024, 1600]) {
          await page.setViewportSize({ width, height: 900 });
          expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
        }
      });
    });

    test("shows no state by colour alone", async () => {
      await opened(fileOf(name), async (page) => {
        const badges = await page
          .locator(".badge")
          .evaluateAll((all) =>
            all.map((badge) => [badge.querySelector(".sign")?.textContent ?? "", badge.textContent ?? ""]),
          );
        for (const [sign = "", text = ""] of badges) {
          expect(sign).not.toBe("");
          expect(text.replace(sign, "").trim()).not.toBe("");
        }
        expect(await textOf(page, ".verdict .sign")).not.toBe("");
      });
    });

    test("prints on paper", async () => {
      await opened(fileOf(name), async (page) => {
        const pdf = await page.pdf({ preferCSSPageSize: true });
        expect(pdf.subarray(0, 5).toString()).toBe("%PDF-");
        await page.locator(".status", { hasText: "Groups 1 to" }).waitFor();
      });
    });
  });

  describe("names from outside", () => {
    test("are text, whatever is in them", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        expect(await page.title()).toBe("Snapshot snapshot-2025-01-15T10:30:00Z");
        expect(await page.locator("img, iframe, #report script, #report style, [onerror], [onmouseover]").count()).toBe(
          0,
        );
        expect(await page.locator("script").count()).toBe(2);
        const shown = await groupsShown(page);
        for (const name of hostileNames.filter((text) => /^[ -~]*$/.test(text) && text === text.trim())) {
          expect(shown).toContain(name);
        }
      });
    });

    test("show what would be invisible in them, and do not reverse what follows", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        const shown = await groupsShown(page);
        expect(shown).toEqual(
          expect.arrayContaining([
            "adminU+202Etxt.exe",
            "aU+2028bU+2029c",
            "U+0000U+0007U+001B[31m",
            "zeroU+200Bwidth",
            "U+0020leading andU+0020 doubleU+0020",
            "U+D800",
            "مجموعة",
          ]),
        );
        expect(await page.locator("#report").innerText()).not.toMatch(/[\u200B-\u200F\u202A-\u202E\u2066-\u2069]/);
      });
    });

    test("can be searched by what is shown of them", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        await page.locator("#search").fill("U+202e");
        expect(await groupsShown(page)).toEqual(["adminU+202Etxt.exe"]);
      });
    });

    test("stay apart where only their way of writing differs", async () => {
      const partitions = new Map([["orders-0", { offset: 1n, metadata: "" }]]);
      const consumer_groups = new Map(["caf\u00E9", "cafe\u0301"].map((name) => [name, { partitions }]));
      await opened(htmlReport("show", { ...snapshot, errors: [], consumer_groups, observed: {} }), async (page) => {
        expect((await groupsShown(page)).sort()).toEqual(["cafeU+0301", "caf\u00E9"]);
      });
    });
  });

  describe("its policy", () => {
    test("lets no other script run, no markup be written, and nothing be loaded", async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      served = fileOf("snapshot");
      requested = [];
      await page.goto(`${address}/report`);
      const outcome = await page.evaluate(async (url) => {
        const attempt = async (act: () => unknown) => {
          try {
            await act();
            return "done";
          } catch (error) {
            return error instanceof Error ? error.name : String(error);
          }
        };
        const image = new Image();
        const failed = new Promise((resolve) => image.addEventListener("error", () => resolve("refused")));
        image.src = `${url}/image`;
        return {
          markup: await attempt(() => document.body.insertAdjacentHTML("beforeend", "<b>x</b>")),
          script: await attempt(() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
          }),
          fetch: await attempt(() => fetch(`${url}/fetch`)),
          image: await failed,
          title: document.title,
        };
      }, address);
      expect(outcome).toEqual({
        markup: "TypeError",
        script: "TypeError",
        fetch: "TypeError",
        image: "refused",
        title: "Snapshot snapshot-2025-01-15T10:30:00Z",
      });
      expect(requested).toEqual(["/report"]);
      await context.close();
    });
  });

  describe("offsets", () => {
    test("are exact beyond 2^53, also where they are computed, and copy as digits", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        const cells = await page
          .locator("tr", { hasText: "checkpoint=12" })
          .last()
          .locator("td")
          .evaluateAll((all) => all.map(({ textContent }) => textContent));
        expect(cells.slice(0, 4)).toEqual(["9007199254740993", "9007199254740000", "9007199254741993", "1000"]);
      });
      await opened(fileOf("history"), async (page) => {
        await page.locator(".history select").selectOption({ label: "orders-2" });
        await page.getByText("These points as a table").first().click();
        expect(
          await page
            .locator(".history details tbody tr")
            .first()
            .locator("td")
            .evaluateAll((all) => all.map(({ textContent }) => textContent).slice(1)),
        ).toEqual(["9007199254761293", "9007199254768293", "7000"]);
      });
    });

    test("that are unknown are unknown, and not 0; no commit is none", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        const row = page.locator("tr.detail tbody", { hasText: "payments" }).locator("tr").last();
        expect((await row.locator("td").allInnerTexts()).slice(0, 5)).toEqual([
          "100",
          "unknown",
          "unknown",
          "unknown",
          "log unknown",
        ]);
      });
      await opened(fileOf("comparison"), async (page) => {
        const removed = page.locator("tr.detail tr", { hasText: "removed" }).last();
        expect((await removed.locator("td").allInnerTexts()).slice(1, 4)).toEqual(["12", "none", "–"]);
      });
    });

    test("that a failed rollback did not reach are not drawn as moved", async () => {
      await opened(fileOf("rollback"), async (page) => {
        const cellsOf = async (text: string) =>
          (await page.locator("tr.detail tr", { hasText: text }).last().locator("td").allInnerTexts()).slice(0, 5);
        expect(await cellsOf("not attempted")).toEqual(["✕ not attempted", "9", "4", "unknown", "–"]);
        expect(await cellsOf("commit deleted")).toEqual(["✓ commit deleted", "400", "none", "none", "–"]);
        expect(await cellsOf("moved since")).toEqual(["⚠ moved since", "300", "250", "260", "−40"]);
        expect(await page.locator("tr.detail tr", { hasText: "not attempted" }).last().locator("svg").count()).toBe(0);
      });
    });
  });

  describe("search, filter, sorting and pages", () => {
    const many = () => htmlReport("show", manyGroups(130));

    test("find groups by name, topic and partition, and say how many", async () => {
      await opened(many(), async (page) => {
        const status = page.getByRole("status");
        expect(await status.innerText()).toBe("Groups 1 to 50 of 130.");
        await page.locator("#search").fill("SERVICE-12");
        expect(await status.innerText()).toBe("Groups 1 to 11 of 11 that match, of 130 in all.");
        await page.locator("#search").fill("service .v77-3");
        expect(await groupsShown(page)).toEqual(["team-37.service-77.consumer"]);
        await page.locator("#search").fill("no-such-group");
        expect(await status.innerText()).toBe("No group matches, of 130 in all.");
      });
    });

    test("sort by a column in both directions, and say so", async () => {
      await opened(many(), async (page) => {
        const header = page.getByRole("columnheader", { name: "Lag" });
        await header.getByRole("button").click();
        expect(await header.getAttribute("aria-sort")).toBe("descending");
        const lags = async () =>
          await page
            .locator("tr.group td[data-label=Lag] .value")
            .evaluateAll((all) => all.map(({ textContent }) => Number(textContent)));
        const falling = await lags();
        expect(falling).toEqual(falling.toSorted((a, b) => b - a));
        await header.getByRole("button").click();
        expect(await header.getAttribute("aria-sort")).toBe("ascending");
        expect((await lags())[0]).toBeLessThan(falling[0] ?? 0);
        await page.getByRole("columnheader", { name: "Group" }).getByRole("button").click();
        expect((await groupsShown(page)).slice(0, 3)).toEqual([
          "team-0.service-0.consumer",
          "team-0.service-40.consumer",
          "team-0.service-80.consumer",
        ]);
      });
    });

    test("go through the pages, and show partitions in a list of their own", async () => {
      await opened(many(), async (page) => {
        const next = page.getByRole("button", { name: "Next page" });
        const seen = new Set(await groupsShown(page));
        await next.click();
        for (const group of await groupsShown(page)) seen.add(group);
        await next.click();
        for (const group of await groupsShown(page)) seen.add(group);
        expect(seen.size).toBe(130);
        expect(await next.getAttribute("aria-disabled")).toBe("true");
        await next.click({ force: true });
        expect(await page.getByRole("status").innerText()).toBe("Groups 101 to 130 of 130.");
        await page.locator("#level").selectOption("partitions");
        expect(await page.getByRole("status").innerText()).toBe("Partitions 1 to 50 of 1\u202F560.");
      });
    });

    test("show what is wrong first, and alone where asked to", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        expect((await groupsShown(page)).slice(0, 2)).toEqual(["audit", "orders-streams"]);
        await page.locator("#filter").selectOption({ label: "below log start (1)" });
        expect(await groupsShown(page)).toEqual(["orders-streams"]);
        await page.locator("#level").selectOption("partitions");
        expect(await page.locator(".main tbody th").allInnerTexts()).toEqual(["orders-streams · orders-10"]);
      });
    });

    test("keep nothing in memory of the charts that they replace", async () => {
      await opened(fileOf("history"), async (page) => {
        const session = await page.context().newCDPSession(page);
        await session.send("Performance.enable");
        const nodesAfter = async (searches: number) => {
          await page.evaluate((times) => {
            for (let n = 0; n < times; n++) document.querySelector("#search")?.dispatchEvent(new Event("input"));
          }, searches);
          await session.send("HeapProfiler.collectGarbage");
          const { metrics } = await session.send("Performance.getMetrics");
          return metrics.find(({ name }) => name === "Nodes")?.value ?? Number.NaN;
        };
        const few = await nodesAfter(1);
        expect(await nodesAfter(20)).toBeLessThan(2 * few);
      });
    });

    test("work with the keyboard alone", async () => {
      await opened(many(), async (page) => {
        await page.keyboard.press("/");
        await page.keyboard.type("service-99");
        expect(await groupsShown(page)).toEqual(["team-19.service-99.consumer"]);
        const disclosure = page.locator(".disclosure");
        for (let n = 0; n < 30 && !(await disclosure.evaluate((button) => button === document.activeElement)); n++) {
          await page.keyboard.press("Tab");
        }
        await page.keyboard.press("Enter");
        expect(await disclosure.getAttribute("aria-expanded")).toBe("true");
        expect(await page.locator(`#${await disclosure.getAttribute("aria-controls")} tbody tr`).count()).toBe(13);
        await page.keyboard.press("Space");
        expect(await disclosure.getAttribute("aria-expanded")).toBe("false");
      });
    });
  });

  describe("paper, colours and time", () => {
    test("prints all groups, opened, and only those that a search has found", async () => {
      await opened(htmlReport("show", manyGroups(60)), async (page) => {
        const print = () => page.evaluate(() => dispatchEvent(new Event("beforeprint")));
        await page.emulateMedia({ media: "print" });
        await print();
        expect(await page.locator("tr.detail").count()).toBe(60);
        expect(await textOf(page, ".printed")).toBe("Printed: all 60 groups.");
        await page.evaluate(() => dispatchEvent(new Event("afterprint")));
        expect(await page.locator("tr.detail").count()).toBe(0);
        await page.emulateMedia({ media: "screen" });
        await page.locator("#search").fill("service-5");
        await page.emulateMedia({ media: "print" });
        await print();
        expect(await textOf(page, ".printed")).toBe(
          "Printed: all 11 groups that match the search and the filter, of 60 in all.",
        );
      });
    });

    test("says on paper what is not printed", async () => {
      await opened(htmlReport("show", manyGroups(500)), async (page) => {
        await page.emulateMedia({ media: "print" });
        await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
        expect(await page.locator("tr.detail").count()).toBe(416);
        expect(await textOf(page, ".printed")).toContain("only the first 416 of 500 groups");
      });
    });

    test("follows the colours of the system, and those that are chosen", async () => {
      const luminance = (page: Page) =>
        page.evaluate(() => Number(/\d+/.exec(getComputedStyle(document.body).backgroundColor)?.[0]));
      await opened(
        fileOf("history"),
        async (page) => {
          expect(await luminance(page)).toBeLessThan(60);
          await page.getByRole("button", { name: "Colours" }).click();
          expect(await luminance(page)).toBeGreaterThan(200);
        },
        { colorScheme: "dark" },
      );
    });

    test("has times in UTC, and in the zone of the reader where that is another", async () => {
      await opened(fileOf("snapshot"), async (page) => {
        expect(await textOf(page, ".facts dd")).toBe(
          "2025-01-15 10:30:00 UTC = 2025-01-15 11:30:00 GMT+1 (Europe/Berlin)",
        );
      });
      await opened(
        fileOf("snapshot"),
        async (page) => expect(await textOf(page, ".facts dd")).toBe("2025-01-15 10:30:00 UTC"),
        { timezoneId: "UTC" },
      );
    });

    test("draws offset and lag over time", async () => {
      await opened(fileOf("history"), async (page) => {
        const painted = await page.locator("canvas").evaluateAll((all) =>
          all.map((canvas) => {
            if (!(canvas instanceof HTMLCanvasElement)) return 0;
            const { data } = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
            return data.filter((value, at) => at % 4 === 3 && value > 0).length;
          }),
        );
        expect(painted).toHaveLength(2);
        for (const pixels of painted) expect(pixels).toBeGreaterThan(500);
      });
    });
  });

  describe("a report that is not whole", () => {
    test("says so where the result is a summary", async () => {
      const summary = {
        ...dryRun,
        groups: undefined,
        blockers: undefined,
        omitted: { groups: 10_000, blockers: 31 },
      };
      await opened(htmlReport("rollback", summary), async (page) => {
        expect(await textOf(page, ".notice")).toMatch(
          /This report is not the whole result[\s\S]*groups: 10 ?000 left out/,
        );
        expect(await textOf(page, ".verdict")).toContain("Blocked");
      });
    });

    test("says so where its data cannot be read", async () => {
      const cut = fileOf("snapshot").replace(/(<script id="data"[^>]*>.{500}).*?(<\/script>)/, "$1$2");
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.setContent(cut);
      expect(await page.getByRole("alert").innerText()).toMatch(/^This report could not be drawn: .*JSON/);
      await context.close();
    });

    test("says so where scripts are not allowed", async () => {
      await opened(
        fileOf("snapshot"),
        async (page) => expect(await textOf(page, "noscript p")).toContain("Allow JavaScript"),
        { javaScriptEnabled: false },
      );
    });
  });

  test("of 10,000 groups with 12 partitions each opens in time", async () => {
    const file = htmlReport("show", manyGroups(10_000));
    const start = performance.now();
    await opened(file, async (page) => {
      await page.locator("tr.group").first().waitFor();
      const openedMs = performance.now() - start;
      const keyMs = await page.evaluate(() => {
        const search = document.querySelector<HTMLInputElement>("#search");
        if (search === null) return Number.NaN;
        const began = performance.now();
        search.value = "service-77.";
        search.dispatchEvent(new Event("input"));
        document.body.getBoundingClientRect();
        return performance.now() - began;
      });
      const figures = `${(file.length / 1e6).toFixed(1)} MB, opened in ${Math.round(openedMs)} ms, a key of the search takes ${Math.round(keyMs)} ms`;
      console.log(`HTML report of 10,000 groups × 12: ${figures}`);
      expect(openedMs).toBeLessThan(15_000);
      expect(await groupsShown(page)).toContain("team-37.service-77.consumer");
    });
  });
});
