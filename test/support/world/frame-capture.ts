/**
 * Records the head of every frame on an interface into a pcap file: `bun frame-capture.ts DEVICE FILE`. For user namespaces, where tcpdump
 * cannot change its user and gives up. Prints "listening on" like the original.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { FrameSocket, waitFor } from "./sockets.ts";

const SNAP = 256;
const [device = "", path = ""] = process.argv.slice(2);
const socket = new FrameSocket(device);
const file = openSync(path, "w");
const header = new Uint8Array(24);
const view = new DataView(header.buffer);
view.setUint32(0, 0xa1b2c3d4, true);
view.setUint16(4, 2, true);
view.setUint16(6, 4, true);
view.setUint32(16, SNAP, true);
view.setUint32(20, 1, true);
writeSync(file, header);
let ending = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => (ending = true));
console.log(`listening on ${device}`);
while (!ending) {
  waitFor([socket], 50);
  for (let frame = socket.head(SNAP); frame !== undefined; frame = socket.head(SNAP)) {
    const record = new Uint8Array(16 + frame.data.length);
    const fields = new DataView(record.buffer);
    const now = Date.now();
    fields.setUint32(0, now / 1000, true);
    fields.setUint32(4, (now % 1000) * 1000, true);
    fields.setUint32(8, frame.data.length, true);
    fields.setUint32(12, frame.length, true);
    record.set(frame.data, 16);
    writeSync(file, record);
  }
  await new Promise(setImmediate);
}
closeSync(file);
process.exit(0);
