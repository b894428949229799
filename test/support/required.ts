/**
 * A value that must exist.
 *
 * @throws Error if it is undefined
 */
export const required = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("the value is missing");
  return value;
};
