import { describe, expect, it } from "vitest";
import { commonVersion } from "../../../../functions/shared/kafka/wire/api.ts";

describe("commonVersion", () => {
  const api = { versions: [4, 6] } as const;

  it.each([
    [{ minVersion: 0, maxVersion: 9 }, 6],
    [{ minVersion: 0, maxVersion: 5 }, 5],
    [{ minVersion: 6, maxVersion: 9 }, 6],
    [{ minVersion: 0, maxVersion: 3 }, undefined],
    [{ minVersion: 7, maxVersion: 9 }, undefined],
    [undefined, undefined],
  ])("of 4–6 and %o is %s", (broker, version) => {
    expect(commonVersion(api, broker)).toBe(version);
  });
});
