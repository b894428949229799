/**
 * The functions of `reflect-metadata` that @peculiar/x509 calls. It does not depend on that package, and its classes have no
 * injected parameters, so there is no metadata. Import this before @peculiar/x509.
 */
Object.assign(Reflect, { getMetadata: () => undefined, getOwnMetadata: () => undefined, defineMetadata: () => {} });
