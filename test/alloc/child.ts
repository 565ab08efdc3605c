/**
 * Pushes packets through the data path and marks on stderr when that begins and ends:
 *
 *   bun child.ts CIPHER PACKETS [open|gso|epoch|closed|silent] [object|subarray]
 *
 * "gso": the WAN takes UDP super-frames. "epoch": data packets have the epoch format. "closed": no tunnel, so all that the LAN sends is refused. "silent": the LAN host answers no ARP any more. What is named last is allocated for each frame that the LAN
 * sends, to prove that it would be seen.
 */
import { writeSync } from "node:fs";
import type { AeadName } from "../../src/protocol/ports.ts";
import { Loopback, PACKETS_PER_TURN } from "../support/loopback.ts";

const [cipher, packets, way = "open", waste = ""] = process.argv.slice(2);
const bytes = new Uint8Array(4096);
let kept: unknown;
let n = 0;
const wastes: Record<string, () => void> = {
  object: () => {
    kept = { at: n++, len: 1 };
  },
  subarray: () => {
    kept = bytes.subarray(n++ & 1023, 2048);
  },
};
/** Enough for the compiler to have seen everything. */
const WARM_UP_TURNS = 4000;

const loopback = new Loopback(cipher as AeadName, wastes[waste], way === "gso", way === "epoch");
if (way === "closed") loopback.path.router.closeTunnel();
if (way === "silent") {
  loopback.lan.silent = true;
  loopback.path.lan.linkChanged();
}
/** There and back. */
const turns = Math.ceil(Number(packets) / (2 * PACKETS_PER_TURN));
for (let i = 0; i < WARM_UP_TURNS; i++) loopback.turn();
const [before, back, gathered] = [loopback.lan.received, loopback.wan.returned, loopback.wan.gathered];
writeSync(2, "FROM HERE\n");
const start = performance.now();
let [turnStart, longest] = [start, 0];
for (let i = 0; i < turns; i++) {
  loopback.turn();
  const end = performance.now();
  longest = Math.max(longest, end - turnStart);
  turnStart = end;
}
const ms = performance.now() - start;
writeSync(2, "TO HERE\n");
console.log(
  JSON.stringify({
    sent: turns * PACKETS_PER_TURN,
    returned: loopback.wan.returned - back,
    received: loopback.lan.received - before,
    gathered: loopback.wan.gathered - gathered,
    longestTurnMs: longest,
    nsPerPacket: Math.round((ms * 1e6) / (2 * turns * PACKETS_PER_TURN)),
    wasted: kept !== undefined,
  }),
);
