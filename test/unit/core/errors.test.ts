import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorNamed } from "../../../functions/shared/core/error-names.ts";
import * as errors from "../../../functions/shared/core/errors.ts";

const { GroupNotFound, KafkaUnavailable, StorageUnavailable } = errors;

describe("an error", () => {
  test("has a message with its name, what happened, what was changed, and the next step", () => {
    const error = new GroupNotFound("no group", { next: "Look again." });
    expect(error.message).toBe("GroupNotFound: no group. Nothing was changed. Look again.");
    expect(error.name).toBe("GroupNotFound");
    expect(error.summary).toBe("no group. Look again.");
  });

  test("does not mention what was changed if that is not known", () => {
    expect(new StorageUnavailable("no answer").message).toBe("StorageUnavailable: no answer.");
  });

  test("without a next step has a summary of what happened", () => {
    expect(new GroupNotFound("no group").summary).toBe("no group");
  });

  test.each([
    ["it ended.", "it ended."],
    ["it ended!", "it ended!"],
    ["did it end?", "did it end?"],
    ["it. ended", "it. ended."],
  ])("ends its summary with one punctuation mark: %j", (what, sentence) => {
    expect(new StorageUnavailable(what).message).toBe(`StorageUnavailable: ${sentence}`);
  });

  test("has details and a cause only if they were given", () => {
    const cause = new Error("below");
    expect(new GroupNotFound("x", { cause, details: { a: 1 } })).toMatchObject({ cause, details: { a: 1 } });
    expect(new GroupNotFound("x").details).toBeUndefined();
    expect(new GroupNotFound("x")).not.toHaveProperty("cause");
  });

  test("can be given other details, made from those that it has", () => {
    const error = new GroupNotFound("x", { details: { a: 1 } });
    error.changeDetails((details) => ({ asked: true, ...details }));
    expect(error.details).toEqual({ asked: true, a: 1 });
    const without = new GroupNotFound("x");
    without.changeDetails((details) => ({ asked: true, ...details }));
    expect(without.details).toBeUndefined();
  });

  test("of unknown effect can be given the statement that nothing was changed, once", () => {
    const error = new StorageUnavailable("no answer");
    expect(error.effect).toBe("unknown");
    error.withoutEffect("No offset was committed.");
    error.withoutEffect("No offset was committed.");
    expect(error.effect).toBe("none");
    expect(error.message).toBe("StorageUnavailable: no answer. No offset was committed.");
  });

  test("has at most 4 kB, with its name, how it begins and ends, and the next step", () => {
    fc.assert(
      fc.property(fc.nat(9_000), fc.constantFrom("x", "é", "\u{1F600}"), fc.nat(3_000), (length, character, more) => {
        const what = `first ${character.repeat(length)} safety snapshot s-1`;
        const next = `Send {"resume": "r-1"}.${"y".repeat(more)} Then verify.`;
        const errors = [new StorageUnavailable(what, { next }), new GroupNotFound(what, { next })];
        for (const error of errors) {
          error.withoutEffect("Nothing was written: take the snapshot again.");
          expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(4_096);
          expect(error.message).toMatch(
            /^\w+: first .* safety snapshot s-1\. .*Send \{"resume": "r-1"\}\..* Then verify\.$/su,
          );
          expect(Buffer.byteLength(error.summary)).toBeLessThanOrEqual(4_096);
        }
      }),
    );
  });

  test("of a call without effects are thrown on with that statement, and others as they are", () => {
    const without = errors.OperationError.withoutEffect("Nothing was written.");
    expect(() => without(new StorageUnavailable("no answer"))).toThrow(
      "StorageUnavailable: no answer. Nothing was written.",
    );
    const other = new Error("no answer");
    expect(() => without(other)).toThrow(other);
  });

  test("that changed nothing states that once", () => {
    const error = new GroupNotFound("no group");
    error.withoutEffect("No offset was committed.");
    expect(error.message).toBe("GroupNotFound: no group. Nothing was changed.");
  });
});

describe("the kinds of errors", () => {
  const { OperationError: _, ...classes } = errors;
  const kinds = Object.entries(classes).map(([name, Kind]) => ({ name, ...kindOf(new Kind("x")) }));

  function kindOf(error: errors.OperationError) {
    return { is: error.name, retryable: error.retryable, effect: error.effect };
  }

  test("have the names of their classes", () => {
    expect(kinds.map(({ is }) => is)).toEqual(kinds.map(({ name }) => name));
  });

  test("can be retried if waiting may help", () => {
    const names = kinds.filter(({ retryable }) => retryable).map(({ name }) => name);
    expect(names.sort()).toEqual(["DeadlineExceeded", "KafkaUnavailable", "RollbackInProgress", "StorageUnavailable"]);
  });

  test("may have changed something if the call can fail after its first write", () => {
    const names = kinds.filter(({ effect }) => effect === "unknown").map(({ name }) => name);
    expect(names.sort()).toEqual([
      ...["Configuration", "DeadlineExceeded", "InternalError", "RollbackIncomplete", "StorageUnavailable"],
    ]);
  });
});

describe("errorNamed", () => {
  test("gives the error of that name, with message and next step", () => {
    const error = errorNamed("KafkaAuthorization", "no right", { next: "Grant it." });
    expect(error).toBeInstanceOf(errors.KafkaAuthorization);
    expect(error.summary).toBe("no right. Grant it.");
  });

  test.each(["", "PendingTransaction", "OperationError", "toString"])("gives KafkaUnavailable for %j", (name) => {
    expect(errorNamed(name, "x")).toBeInstanceOf(KafkaUnavailable);
  });
});
