import "./reflect.ts";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

const DAY_MS = 86_400_000;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate and its key, in PEM. */
export interface Pem {
  readonly certificate: string;
  readonly key: string;
}

/** The content of a certificate: common name, host names and addresses, and when it expires (by default in a day). */
export interface Subject {
  readonly name: string;
  readonly hosts?: readonly { readonly type: "dns" | "ip"; readonly value: string }[];
  readonly validUntil?: Date;
}

/** A certificate authority. */
export interface Authority {
  readonly certificate: string;
  issue(subject: Subject): Promise<Pem>;
}

/** Creates an authority with a new key and a self-signed certificate. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(Date.now() - 30 * DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const root = await X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      ...validity,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    },
    webcrypto,
  );
  return {
    certificate: root.toString("pem"),
    async issue({ name: subject, hosts = [], validUntil = validity.notAfter }) {
      const pair = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
      const certificate: X509Certificate = await X509CertificateGenerator.create(
        {
          subject: `CN=${subject}`,
          issuer: root.subject,
          publicKey: pair.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: algorithm,
          notBefore: validity.notBefore,
          notAfter: validUntil,
          extensions: [new SubjectAlternativeNameExtension([...hosts])],
        },
        webcrypto,
      );
      const key = PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", pair.privateKey), "PRIVATE KEY");
      return { certificate: certificate.toString("pem"), key };
    },
  };
}
