/** The data of an object, without its functions: what a set-up can provide to tests. */
export const plain = <T extends object>(value: T): T => JSON.parse(JSON.stringify(value));
