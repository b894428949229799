import { expect, inject, test } from "vitest";
import { withCluster } from "../../../functions/shared/kafka/connection/access.ts";
import { ana } from "../../support/auth/broker.ts";
import { within } from "../../support/deadline.ts";
import {
  accessTo,
  errorOf,
  offsetsBy,
  offsetsIn,
  rotate,
  scramAccess,
  secretOf,
  setScramPassword,
  someGroup,
} from "./support.ts";

const { ca, otherCa } = inject("auth");
const { group, commits } = someGroup();
const committedOffsets = [...commits].map(([key, { offset }]) => [key, offset]);
const mechanism = "SCRAM-SHA-256";

test("a password that was changed after the last invocation is read again", async () => {
  await setScramPassword(mechanism, "first sesame");
  const arn = await secretOf({ ...ana, password: "first sesame" });
  const access = await scramAccess(mechanism, arn);
  expect(await offsetsBy(access, group)).toEqual(committedOffsets);
  await setScramPassword(mechanism, "second sesame");
  expect(await errorOf(access)).toMatchObject({ name: "KafkaAuthentication" });
  await rotate(arn, { ...ana, password: "second sesame" });
  expect(await offsetsBy(access, group)).toEqual(committedOffsets);
});

test("a password that is changed during an invocation is read again for the next connection", async () => {
  await setScramPassword(mechanism, "third sesame");
  const arn = await secretOf({ ...ana, password: "third sesame" });
  await withCluster(await scramAccess(mechanism, arn), within(30_000), async (cluster) => {
    await setScramPassword(mechanism, "fourth sesame");
    await rotate(arn, { ...ana, password: "fourth sesame" });
    expect(await offsetsIn(cluster, group)).toEqual(committedOffsets);
  });
});

test("a password that is changed during an invocation, but not in its secret, is KafkaAuthentication", async () => {
  await setScramPassword(mechanism, "fifth sesame");
  const arn = await secretOf({ ...ana, password: "fifth sesame" });
  await withCluster(await scramAccess(mechanism, arn), within(30_000), async (cluster) => {
    await setScramPassword(mechanism, "sixth sesame");
    await expect(offsetsIn(cluster, group)).rejects.toMatchObject({ name: "KafkaAuthentication" });
  });
});

test("an authority that was replaced is read again", async () => {
  const arn = await secretOf({ ca: otherCa });
  const access = accessTo("TLS", { protocol: "SSL", tls: { secretArn: arn } });
  expect(await errorOf(access)).toMatchObject({ name: "KafkaCertificate" });
  await rotate(arn, { ca });
  expect(await offsetsBy(access, group)).toEqual(committedOffsets);
});

test("a secret that was corrected is read again", async () => {
  const arn = await secretOf({});
  const access = accessTo("BARE", { protocol: "SASL_PLAINTEXT", sasl: { mechanism: "PLAIN", secretArn: arn } });
  expect(await errorOf(access)).toMatchObject({ name: "Configuration" });
  await rotate(arn, ana);
  expect(await offsetsBy(access, group)).toEqual(committedOffsets);
});
