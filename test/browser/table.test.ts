import { describe, expect, test } from "vitest";
import { htmlReport } from "../../functions/shared/report/html.ts";
import { manyGroups } from "../support/results.ts";
import { describeInChromium, fileOf, groupsShown, textOf } from "./chromium.ts";

describeInChromium("the table of a report", ({ opened }) => {
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
