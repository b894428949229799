/**
 * What @peculiar/x509 asks of `reflect-metadata`, which it does not bring along: its classes take nothing by injection, so
 * there is never any metadata. Import it before that.
 */
Object.assign(Reflect, { getMetadata: () => undefined, getOwnMetadata: () => undefined, defineMetadata: () => {} });
