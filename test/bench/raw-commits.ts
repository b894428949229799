import { connect, type Socket } from "node:net";
import type { GroupCommits } from "../../functions/shared/core/model.ts";
import { placeOf } from "../../functions/shared/core/model.ts";

/** Connections to one broker, which send frames as fast as it answers. */
export interface RawConnections {
  /** Sends each frame on a free connection, one at a time per connection, and waits for its answer. */
  sendAll(frames: readonly Buffer[]): Promise<void>;
  close(): void;
}

/** Opens plain sockets, to measure the limit without a client. */
export async function openRawConnections(host: string, port: number, count: number): Promise<RawConnections> {
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ host, port, noDelay: true });
      await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
      return socket;
    }),
  );
  return {
    async sendAll(frames) {
      const queue = frames.values();
      await Promise.all(sockets.map((socket) => sendOn(socket, queue)));
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function sendOn(socket: Socket, queue: Iterator<Buffer>): Promise<void> {
  return new Promise((resolve, reject) => {
    let rest = Buffer.alloc(0);
    const next = () => {
      const { value, done } = queue.next();
      if (done === true) resolve();
      else socket.write(value);
    };
    socket.once("error", reject).once("close", () => reject(new Error("a broker closed a connection of the raw loop")));
    socket.on("data", (data) => {
      rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
      if (rest.length < 4 || rest.length < 4 + rest.readInt32BE(0)) return;
      rest = rest.subarray(4 + rest.readInt32BE(0));
      next();
    });
    next();
  });
}

/** An encoded OffsetCommit request, version 8, for each group. It does not use the code under test. */
export function rawCommitsOf(groups: Iterable<readonly [string, GroupCommits]>): Buffer[] {
  return [...groups].map(([group, partitions], correlationId) => frameOf(group, partitions, correlationId));
}

function frameOf(group: string, partitions: GroupCommits, correlationId: number): Buffer {
  const [first = ""] = partitions.keys();
  const parts = [...partitions].map(([key, { offset, leaderEpoch = -1 }]) => {
    const { partition } = placeOf(key);
    return Buffer.concat([int32(partition), int64(offset), int32(leaderEpoch), compact(""), noTags]);
  });
  const body = Buffer.concat([
    Buffer.from([0, 8, 0, 8]), // OffsetCommit, version 8
    int32(correlationId),
    Buffer.from([0xff, 0xff]), // no client id
    noTags,
    compact(group),
    int32(-1), // generation
    compact(""), // member
    Buffer.from([0]), // no instance
    lengthOf(1),
    compact(placeOf(first).topic),
    lengthOf(parts.length),
    ...parts,
    noTags,
    noTags,
  ]);
  return Buffer.concat([int32(body.length), body]);
}

const noTags = Buffer.from([0]);
const lengthOf = (length: number) => Buffer.from([length + 1]); // all lengths here are below 127
const compact = (text: string) => Buffer.concat([lengthOf(Buffer.byteLength(text)), Buffer.from(text)]);

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}
