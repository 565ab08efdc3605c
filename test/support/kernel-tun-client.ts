/**
 * A client on the kernel's tun device, as a program for the tests: the dialer between a UDP socket of the kernel and a tun
 * device. Usage: kernel-tun-client.ts PROFILE LOGIN DEVICE. It ends at SIGTERM.
 */
import "reflect-metadata";
import { readFileSync } from "node:fs";
import { KernelTun } from "../../src/host/kernel-tun.ts";
import { Batch } from "../../src/lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../../src/lib/endpoint.ts";
import { parseIp } from "../../src/lib/ip.ts";
import type { Log } from "../../src/lib/log.ts";
import { Arena, HEADROOM } from "../../src/lib/slab.ts";
import { findDecompressors } from "../../src/platform/compression/decompressors.ts";
import { LibcryptoAead } from "../../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../../src/platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../../src/platform/crypto/control-primitives.ts";
import { systemRandom } from "../../src/platform/crypto/random.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { TUN_DEVICE_BYTES, TunDevice } from "../../src/platform/dev/tun.ts";
import { monotonic } from "../../src/platform/loop.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { NOTHING_SEEN } from "../../src/protocol/session/sightings.ts";
import { Dialer } from "../../src/tunnel/dialer.ts";
import { DialHistory } from "../../src/tunnel/history.ts";
import type { Link, LinkReceiver } from "../../src/tunnel/link.ts";

const [profile, login, device] = process.argv.slice(2) as [string, string, string];
const SLOT = 4096;
const SCRATCH = 64 * 1024;
const memory = new NativeMemory(TUN_DEVICE_BYTES + SCRATCH + SLOT);

/** The kernel's socket, connected to the server. Its datagrams wait until the loop takes them. */
async function socketTo({
  address,
  port,
}: Endpoint): Promise<{ send(bytes: Uint8Array): void; waiting: Uint8Array[] }> {
  const waiting: Uint8Array[] = [];
  const socket = await Bun.udpSocket({
    connect: { hostname: `${address}`, port },
    socket: { data: (_socket, bytes) => void waiting.push(Uint8Array.from(bytes)) },
  });
  return { send: (bytes) => void socket.send(bytes), waiting };
}

const result = parseConfig({ file: profile, text: readFileSync(profile, "utf8") }, () => undefined, {
  roles: ["client"],
  defaultCredentials: { text: readFileSync(login, "utf8"), label: "login" },
});
if (!result.ok) throw new Error(JSON.stringify(result.problems));
const tun = new TunDevice(memory, device);
const side = new KernelTun(tun, memory);
const piece = memory.take(SCRATCH, 64);
const scratch = new Arena(memory, piece.at, piece.at + piece.length);
const slot = memory.take(SLOT, 64).at + HEADROOM;
const remote = result.config.remotes[0]!;
const socket = await socketTo({ address: parseIp(remote.host)!, port: remote.port });
let receiver: LinkReceiver | undefined;

const log: Log = {
  enabled: () => true,
  write: (level, event, text, fields) => console.log(level, event, text, JSON.stringify(fields ?? {})),
};
const dialer = new Dialer({
  config: result.config,
  history: new DialHistory(result.config, systemRandom),
  side,
  links: {
    refusal: () => undefined,
    open: (_now, request, to): Link => {
      receiver = to;
      const datagram = (at: number, len: number): void => socket.send(memory.bytes.slice(at, at + len));
      return {
        overhead: 28,
        isStream: false,
        isOpen: true,
        admit: (rows) => rows.count,
        drops: () => ({}),
        mtu: 1500,
        send: (_now, _path, rows) => {
          for (let i = 0; i < rows.count; i++) datagram(rows.at[i]!, rows.len[i]!);
        },
        sendPacket: (_now, _path, packet) => socket.send(packet),
        settle: () => {},
        endpoint: () => request.remote,
        sightings: () => NOTHING_SEEN,
        close: () => {
          receiver = undefined;
        },
      };
    },
  },
  resolver: {
    resolve: (_now, name) => {
      throw new Error(`${name} is not an address`);
    },
    cancel: () => {},
    pollAt: () => Number.POSITIVE_INFINITY,
    poll: () => {},
  },
  slab: memory,
  scratch,
  aead: new LibcryptoAead(memory, memory.pointer),
  cbc: new LibcryptoCbc(memory, memory.pointer),
  decompressors: findDecompressors(memory, memory.pointer),
  control: new LibcryptoPrimitives(),
  tls: libsslTls,
  log,
  random: systemRandom,
  unixSeconds: () => Math.floor(Date.now() / 1000),
});

process.on("SIGTERM", () => dialer.leave(monotonic()));
console.log(`device ${tun.name}, server ${formatEndpoint({ address: parseIp(remote.host)!, port: remote.port })}`);
dialer.networkUp(monotonic());
const rows = new Batch(1);
while (!dialer.left) {
  const now = monotonic();
  for (const bytes of socket.waiting.splice(0)) {
    memory.bytes.set(bytes, slot);
    rows.clear();
    rows.push(slot, bytes.length);
    receiver?.handleRows(now, 0, rows);
    scratch.reset();
  }
  while (side.receive(now)) scratch.reset();
  dialer.poll(now);
  await Bun.sleep(2);
}
tun.close();
process.exit(0);
