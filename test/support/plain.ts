/** The data of an object without its functions: Vitest can provide only data to tests. */
export const plain = <T extends object>(value: T): T => JSON.parse(JSON.stringify(value));
