import { describe } from "vitest";
import { describeBrokerConfigs } from "../../../../functions/shared/kafka/wire/configs.ts";
import { answer, checkExamples, example } from "./examples.ts";

const examples = [
  example(
    describeBrokerConfigs,
    4,
    answer((w) => {
      w.noTags();
      w.int32(0);
      w.array([0], () => {
        w.int16(0);
        w.nullableString(null);
        w.int8(4);
        w.string("1");
        w.array(["10080", null], (value) => {
          w.string(value === null ? "secret" : "offsets.retention.minutes");
          w.nullableString(value);
          w.boolean(true);
          w.int8(5);
          w.boolean(value === null);
          w.array([0], () => {
            w.string("offsets.retention.minutes");
            w.nullableString(value);
            w.int8(5);
            w.noTags();
          });
          w.int8(3);
          w.nullableString(null);
          w.noTags();
        });
        w.noTags();
      });
      w.noTags();
    }),
    {
      code: 0,
      values: new Map([
        ["offsets.retention.minutes", "10080"],
        ["secret", null],
      ]),
    },
  ),
];

describe("codecs", () => {
  checkExamples(examples);
});
