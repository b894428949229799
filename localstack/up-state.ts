import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CloudDescriptor } from "./cloud.ts";
import type { KafkaDescriptor } from "./kafka.ts";
import { localDir } from "./process.ts";

/** Where `local:up` keeps what it started. */
export const upDir = join(localDir, "up");

/** Where `local:up` says what it deployed. */
export const outputsFile = join(localDir, "outputs.json");

/** The stack that `local:up` deploys. */
export const upStack = "OffsetRollback";

/** What `local:up` has started, or uses. */
export interface UpState {
  readonly kafka?: KafkaDescriptor;
  readonly cloud?: CloudDescriptor;
}

const stateFile = join(upDir, "state.json");

/** What an earlier `local:up` of this checkout has started. */
export function readUpState(): UpState {
  if (!existsSync(stateFile)) return {};
  const state: UpState = JSON.parse(readFileSync(stateFile, "utf8")); // only writeUpState writes it
  return state;
}

/** Remembers what was started. */
export function writeUpState(state: UpState): void {
  mkdirSync(upDir, { recursive: true });
  writeFileSync(stateFile, JSON.stringify(state, null, 2));
}

/** Forgets it, and the outputs with it. */
export function removeUpState(): void {
  rmSync(upDir, { recursive: true, force: true });
  rmSync(outputsFile, { force: true });
}
