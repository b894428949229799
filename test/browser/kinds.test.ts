import axe from "axe-core";
import { describe, expect, test } from "vitest";
import { describeInChromium, fileOf, type Name, names, textOf } from "./chromium.ts";

describeInChromium("a report", ({ opened }) => {
  test("of a snapshot has its labels, and says that it is held", async () => {
    await opened(fileOf("snapshot"), async (page) => {
      const facts = await textOf(page, ".facts");
      expect(facts).toMatch(/Labels\s+env=production/i);
      expect(facts).toMatch(/Held\s+yes/i);
    });
  });

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
});
