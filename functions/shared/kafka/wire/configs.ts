import type { Api } from "./api.ts";

const BROKER = 4;

/** Settings of one broker by name; those that it does not have are absent. Only that broker answers for them. */
export const describeBrokerConfigs: Api<
  { readonly node: number; readonly names: readonly string[] },
  { readonly code: number; readonly values: ReadonlyMap<string, string | null> }
> = {
  key: 32,
  name: "DescribeConfigs",
  versions: [4, 4],
  since: "2.8",
  flexible: true,
  encode(writer, { node, names }) {
    writer.structures([node], () => {
      writer.int8(BROKER);
      writer.string(String(node));
      writer.nullableArray(names, (name) => writer.string(name));
    });
    writer.boolean(false); // include_synonyms
    writer.boolean(false); // include_documentation
  },
  decode(reader) {
    reader.int32(); // throttle_time_ms
    const [answer] = reader.structures(() => {
      const code = reader.int16();
      reader.skipBytes(); // error_message
      reader.int8(); // resource_type
      reader.skipBytes(); // resource_name
      const values = reader.structures(() => {
        const value = [reader.string(), reader.nullableString()] as const;
        reader.boolean(); // read_only
        reader.int8(); // config_source
        reader.boolean(); // is_sensitive
        reader.structures(() => {
          reader.skipBytes(2); // name, value
          reader.int8(); // source
        });
        reader.int8(); // config_type
        reader.skipBytes(); // documentation
        return value;
      });
      return { code, values: new Map(values) };
    });
    return answer ?? { code: -1, values: new Map() };
  },
};
