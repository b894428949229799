import { describe, expect, test } from "vitest";
import { htmlReport } from "../../functions/shared/report/html.ts";
import { diff, dryRun, history, hostileNames, rollback, snapshot } from "../support/results.ts";
import { describeInChromium, fileOf, groupsShown, textOf } from "./chromium.ts";

describeInChromium("a report of hostile or missing data", ({ opened, openedUnchecked }) => {
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
      await openedUnchecked(fileOf("snapshot"), async (page, requested) => {
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
        }, new URL(page.url()).origin);
        expect(outcome).toEqual({
          markup: "TypeError",
          script: "TypeError",
          fetch: "TypeError",
          image: "refused",
          title: "Snapshot snapshot-2025-01-15T10:30:00Z",
        });
        expect(requested).toEqual(["/report"]);
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
        expect(await textOf(page, ".verdict")).toMatch(/Blocked: this rollback would be refused\.\s+3 blockers\./);
      });
    });

    test("does not say that nothing would change where it has no totals", async () => {
      const { totals: _, ...former } = { ...dryRun, blockers: [] };
      await opened(htmlReport("rollback", former), async (page) => {
        expect(await textOf(page, ".verdict")).toMatch(
          /would change an unknown number of commits.*[\s\S]*replay an unknown number of records/,
        );
      });
      const { summary: __, ...uncounted } = { ...diff, consumer_groups: new Map() };
      await opened(htmlReport("diff", uncounted), async (page) => {
        expect(await textOf(page, ".verdict")).toMatch(/an unknown number of commits changed/);
      });
    });

    test("shows a group that the snapshot lacks as left out of the rollback, not as failed", async () => {
      const left_out = [{ kind: "not_captured", group: "lost", message: 'Group "lost" is not in the snapshot.' }];
      await opened(htmlReport("rollback", { ...rollback, left_out }), async (page) => {
        expect(await textOf(page, ".notice")).toContain("Groups that are not at their targets (2)");
        expect(await page.locator("tr.group", { hasText: "lost" }).innerText()).toMatch(/not captured\s+unknown/);
      });
    });

    test("of no groups has the sign of a warning", async () => {
      await opened(htmlReport("history", { ...history, groups: new Map() }), async (page) => {
        expect(await textOf(page, ".verdict")).toMatch(/^⚠\s+No groups were found\./);
      });
    });

    test("says so where its data cannot be read", async () => {
      const cut = fileOf("snapshot").replace(/(<script id="data"[^>]*>.{500}).*?(<\/script>)/, "$1$2");
      await openedUnchecked(cut, async (page) => {
        expect(await page.getByRole("alert").innerText()).toMatch(/^This report could not be drawn: .*JSON/);
      });
    });

    test("says so where scripts are not allowed", async () => {
      await opened(
        fileOf("snapshot"),
        async (page) => expect(await textOf(page, "noscript p")).toContain("Allow JavaScript"),
        { javaScriptEnabled: false },
      );
    });
  });
});
