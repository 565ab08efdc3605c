/**
 * A client whose packets are recorded: `record-client.js PROFILE ADDRESS [prf]`, under Node.js with --tls-keylog. It pings through the tunnel, before and
 * behind a renegotiation, says goodbye, and prints what it sent, received and was told as JSON. With `prf` it does not announce that it takes keys of
 * the TLS exporter, so that the server does not either.
 */
import { randomFillSync } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { echoReply, echoRequest } from "../../docs/example/echo.ts";
import { nodeTls } from "../../docs/example/node-tls.ts";
import * as vpn from "../../src/protocol/index.ts";

const [file = "", target = "", derivation = ""] = process.argv.slice(2);
const login = { text: "ann\ncorrect horse\n", label: "auth.txt" };
const options = { roles: ["client"], defaultCredentials: login } as const;
const parsed = vpn.parseConfig({ file, text: readFileSync(file) }, () => undefined, options);
if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
const { config } = parsed;
const { host, port, protocol } = config.remotes[0] as vpn.Remote;
const isStream = protocol === "tcp";

const packets: { from: "client" | "server"; bytes: string }[] = [];
const seen = {
  options: [] as readonly string[],
  sent: [] as string[],
  received: [] as string[],
  rekeyed: [] as number[],
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const note = (from: "client" | "server", bytes: Uint8Array): void => void packets.push({ from, bytes: hex(bytes) });

const AT = 256;
const slab = vpn.slabOver(new ArrayBuffer(131_072));
const [received, plain, sealed] = [new vpn.Batch(1), new vpn.Batch(1), new vpn.Batch(1)];
function put(batch: vpn.Batch, packet: Uint8Array): vpn.Batch {
  for (const each of [received, plain, sealed]) each.clear();
  slab.bytes.set(packet, AT);
  batch.push(AT, packet.length);
  return batch;
}
const row = ({ at: [at = 0], len: [len = 0] }: vpn.Batch): Uint8Array => slab.bytes.slice(at, at + len);

const context = nodeTls(vpn.tlsParameters(config.tls, config.verify), () => turn((now) => session.handleTls(now)));
const tls: vpn.TlsContext = {
  engine(accept) {
    const engine = context.engine(accept);
    const send = engine.send.bind(engine);
    // The sum of the bits without that of the exporter, 8.
    const less = (text: string): string => text.replace("IV_PROTO=8094\n", "IV_PROTO=8086\n");
    engine.send = (bytes) =>
      send(derivation === "prf" ? Buffer.from(less(Buffer.from(bytes).toString("latin1")), "latin1") : bytes);
    return engine;
  },
  close: () => context.close(),
};
const crypto = { aead: vpn.nobleAead(slab), cbc: vpn.nobleCbc(slab), control: vpn.noblePrimitives, tls };
const random = { fill: (out: Uint8Array) => void randomFillSync(out) };
const memory = { slab, scratch: new vpn.Arena(slab, 65_536, 131_072), decompressors: vpn.NO_DECOMPRESSORS };
const start = { link: { overhead: isStream ? 42 : 28, isStream }, unixSeconds: Math.floor(Date.now() / 1000) };
const session = new vpn.ClientSession(config, { ...memory, ...crypto, random }, start);

let send: (packet: Uint8Array) => void;
if (isStream) {
  let held = Buffer.alloc(0);
  const socket = createConnection(port, host, () => turn((now) => session.start(now)));
  socket.on("data", (chunk: Buffer) => {
    note("server", chunk);
    held = Buffer.concat([held, chunk]);
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE()) {
      const packet = held.subarray(2, 2 + held.readUInt16BE());
      held = held.subarray(2 + packet.length);
      turn((now) => receive(now, packet));
    }
  });
  send = (packet) => {
    const framed = vpn.framePacket(packet);
    note("client", framed);
    socket.write(framed);
  };
} else {
  const socket = createSocket("udp4", (datagram) => {
    note("server", datagram);
    turn((now) => receive(now, datagram));
  });
  send = (packet) => {
    note("client", packet);
    socket.send(packet, port, host);
  };
  turn((now) => session.start(now));
}

let timer: NodeJS.Timeout | undefined;
let own = "";
let sequence = 0;

function turn(call: (now: number) => void): void {
  const now = performance.now();
  call(now);
  for (let p = session.pollTransmit(now); p; p = session.pollTransmit(now)) send(p);
  for (let event = session.pollEvent(); event; event = session.pollEvent()) handle(event);
  clearTimeout(timer);
  const wait = Math.min(60_000, Math.max(0, session.pollAt() - now));
  timer = setTimeout(() => turn((late) => session.handleTimeout(late)), wait);
}

function handle(event: vpn.SessionEvent): void {
  if (event.kind === "ended") {
    if (event.end.kind !== "closed") throw new Error(JSON.stringify(event.end));
    console.log(JSON.stringify({ packets, seen }));
    process.exit(0);
  }
  if (event.kind === "rekeyed") seen.rekeyed.push(event.keyId);
  if (event.kind !== "up") return;
  seen.options = event.options;
  const result = vpn.parseTunnelOptions(event.options, config.tunnel.localOptions, { lan: [] });
  if (!result.ok) throw new Error(result.problem);
  own = `${result.tunnel.address?.address}`;
  setInterval(() => turn(ping), 300);
}

function ping(now: number): void {
  const packet = echoRequest(own, target, ++sequence);
  seen.sent.push(hex(packet));
  session.sealBatch(now, put(plain, packet), sealed);
  send(row(sealed));
}

/** The goodbye is said by the second answer with the new key. */
let answersSince = 0;
function receive(now: number, packet: Uint8Array): void {
  session.handleBatch(now, put(received, packet), plain);
  if (plain.count === 0) return;
  seen.received.push(hex(row(plain)));
  if (echoReply(row(plain)) !== undefined && seen.rekeyed.length > 0 && ++answersSince === 2) session.close(now);
}
