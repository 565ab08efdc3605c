/** Pings an address through an OpenVPN server over UDP and ends with the answer to the fourth: `ping.ts PROFILE ADDRESS` (docs/library.md). */
import { randomFillSync } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import * as vpn from "../../src/protocol/index.ts";
import { echoReply, echoRequest } from "./echo.ts";
import { nodeTls } from "./node-tls.ts";

const [file = "", target = ""] = process.argv.slice(2);
const parsed = vpn.parseConfig({ file, text: readFileSync(file) }, () => undefined, { roles: ["client"] });
if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
const { config } = parsed;
const { host, port } = config.remotes[0] as vpn.Remote;

const slab = vpn.slabOver(new ArrayBuffer(16_384));
const AT = 256; // where a packet lies, one at a time
const [received, plain, sealed] = [new vpn.Batch(1), new vpn.Batch(1), new vpn.Batch(1)];
function put(batch: vpn.Batch, packet: Uint8Array): vpn.Batch {
  for (const each of [received, plain, sealed]) each.clear();
  slab.bytes.set(packet, AT);
  batch.push(AT, packet.length);
  return batch;
}
const row = ({ at: [at = 0], len: [len = 0] }: vpn.Batch): Uint8Array => slab.bytes.slice(at, at + len);
const tls = nodeTls(vpn.tlsParameters(config.tls, config.verify), () => turn((now) => session.handleTls(now)));
const crypto = { aead: vpn.nobleAead(slab), cbc: vpn.nobleCbc(slab), control: vpn.noblePrimitives, tls };
const random = { fill: (out: Uint8Array) => void randomFillSync(out) };
const memory = { slab, scratch: new vpn.Arena(slab, 8192, 16_384), decompressors: vpn.NO_DECOMPRESSORS };
const start = { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000) };
const session = new vpn.ClientSession(config, { ...memory, ...crypto, random }, start);
const socket = createSocket("udp4", (datagram) => turn((now) => receive(now, datagram)));
let [timer, sent] = [undefined as NodeJS.Timeout | undefined, 0];
turn((now) => session.start(now));

function turn(call: (now: number) => void): void {
  const now = performance.now();
  call(now);
  for (let p = session.pollTransmit(now); p; p = session.pollTransmit(now)) socket.send(p, port, host);
  for (let event = session.pollEvent(); event; event = session.pollEvent()) handle(event);
  clearTimeout(timer);
  const wait = Math.min(60_000, Math.max(0, session.pollAt() - now));
  timer = setTimeout(() => turn((late) => session.handleTimeout(late)), wait);
}
function handle(event: vpn.SessionEvent): void {
  console.log(JSON.stringify(event));
  if (event.kind === "ended") process.exit(event.end.kind === "closed" ? 0 : 1);
  if (event.kind !== "up") return;
  const result = vpn.parseTunnelOptions(event.options, config.tunnel.localOptions, { lan: [] });
  if (result.ok) setInterval(() => turn((now) => ping(now, `${result.tunnel.address?.address}`)), 250);
}
function ping(now: number, own: string): void {
  session.sealBatch(now, put(plain, echoRequest(own, target, ++sent)), sealed);
  socket.send(row(sealed), port, host);
}
function receive(now: number, datagram: Uint8Array): void {
  session.handleBatch(now, put(received, datagram), plain);
  const sequence = plain.count > 0 ? echoReply(row(plain)) : undefined;
  if (sequence !== undefined) console.log(`answer ${sequence}`);
  if (sequence !== undefined && sequence >= 4) session.close(now);
}
