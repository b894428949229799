import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { describeInChromium, fileOf, textOf } from "./chromium.ts";

describeInChromium("the figures of a report", ({ opened }) => {
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
});
