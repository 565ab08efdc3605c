/**
 * A TCP host that is our own stack on a packet device: `bun own-host.ts DEVICE ADDRESS/PREFIX GATEWAY COMMAND` (program.ts), of the family that
 * the address has. The kernel beside it must have no address on the device.
 */
import { Batch, MAX_SEGMENTS } from "../../../src/lib/batch.ts";
import { parseCidr } from "../../../src/lib/cidr.ts";
import { parseIp } from "../../../src/lib/ip.ts";
import type { Outlet } from "../../../src/lib/outlet.ts";
import { Arena } from "../../../src/lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../../../src/netstack/interface.ts";
import {
  CONNECTED,
  type Connection,
  ENDED,
  FINISHED,
  READABLE,
  WRITABLE,
} from "../../../src/netstack/tcp/connection.ts";
import type { ListenSocket } from "../../../src/netstack/tcp/listen-socket.ts";
import { PagePool } from "../../../src/netstack/tcp/pages.ts";
import type { Tcp } from "../../../src/netstack/tcp/tcp.ts";
import { systemRandom } from "../../../src/platform/crypto/random.ts";
import { PACKET_DEVICE_BYTES, PacketDevice, RX_SLOTS } from "../../../src/platform/dev/packet.ts";
import { monotonic, runLoop } from "../../../src/platform/loop.ts";
import { NativeMemory } from "../../../src/platform/sys/memory.ts";
import { Poller } from "../../../src/platform/sys/poller.ts";
import { runCommand, type Transport } from "./program.ts";
import type { Handlers, Stream } from "./transfer.ts";

const ARENA = 2 << 20;
const PAGE = 16 << 10;
const PAGES = 8192;
const CONNECTIONS = 4096;
const BUFFER = 16 << 20;

class OwnHost implements Transport {
  private readonly memory = new NativeMemory(PACKET_DEVICE_BYTES + 2 * ARENA + PAGE * PAGES + (64 << 10));
  private readonly device: PacketDevice;
  private readonly interface: EthernetInterface;
  private readonly tcp: Tcp;
  private readonly outlet: Outlet;
  private readonly poller = new Poller();
  private readonly rx = new Batch(RX_SLOTS);
  private readonly listeners: { readonly listener: ListenSocket; readonly accept: () => Handlers }[] = [];

  constructor(name: string, address: string, gateway: string) {
    const { memory } = this;
    this.device = PacketDevice.open(name, memory);
    this.poller.add(this.device.fd);
    const arena = (): Arena => {
      const piece = memory.take(ARENA, 64);
      return new Arena(memory, piece.at, piece.at + piece.length);
    };
    const batch = new Batch(1024);
    const frames = arena();
    this.outlet = {
      batch,
      arena: frames,
      flush: () => {
        this.device.send(batch);
        batch.clear();
        frames.reset();
      },
    };
    this.interface = ethernetInterface({
      slab: memory,
      outlet: this.outlet,
      arena: frames,
      scratch: arena(),
      name: "lan",
      mac: this.device.mac,
      mtu: this.device.mtu,
      random: systemRandom,
      policy: { echo: true, errors: true, announce: true },
    });
    const own = parseCidr(address)!;
    if (own.address.isIpv4) this.interface.configure({ address: own, gateway: parseIp(gateway) });
    else
      this.interface.configure6(monotonic(), {
        addresses: [{ address: own }],
        onLink: [own],
        gateway: parseIp(gateway),
      });
    const pages = memory.take(PAGE * PAGES, 64);
    this.tcp = this.interface.openTcp({
      pool: new PagePool(memory, pages.at, PAGE, PAGES),
      connections: CONNECTIONS,
      timeWait: CONNECTIONS,
    });
  }

  listen(port: number, accept: () => Handlers): void {
    const listener = this.tcp.listen(port, { backlog: 1024, noDelay: true, receiveBuffer: BUFFER, sendBuffer: BUFFER });
    if (listener === undefined) throw new Error(`${port}: taken`);
    this.listeners.push({ listener, accept });
  }

  connect(host: string, port: number, handlers: Handlers): void {
    const options = { noDelay: true, receiveBuffer: BUFFER, sendBuffer: BUFFER };
    const c = this.tcp.connect(monotonic(), { address: parseIp(host)!, port }, options);
    if (typeof c === "string") queueMicrotask(() => handlers.closed(c));
    else c.user = handlers;
    this.outlet.flush();
  }

  /** Resolves when others have not objected to the address (RFC 4862 5.4). */
  ready(): Promise<void> {
    const { addressing } = this.interface.v6;
    if (addressing.addresses.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.interface.link.nd.events = {
        onUsable: () => resolve(),
        onTaken: (_now, { value }) => reject(new Error(`${value}: taken`)),
        onConflict: () => {},
        onNeighborConflict: () => {},
        onUnreachable: () => {},
      };
    });
  }

  run(): Promise<void> {
    return runLoop(
      {
        receive: (now) => {
          this.device.receive(this.rx, MAX_SEGMENTS);
          if (this.rx.count === 0) return false;
          this.interface.ingest(now, this.rx);
          this.outlet.flush();
          return true;
        },
        control: (now) => {
          this.tell();
          if (this.interface.pollAt() <= now) this.interface.handleTimeout(now);
          this.outlet.flush();
        },
        pollAt: () => this.interface.pollAt(),
        done: () => false,
        failed: (_now, error) => {
          throw error;
        },
      },
      { poller: this.poller, clock: monotonic },
    );
  }

  /** Tells the owners of connections what has happened. */
  private tell(): void {
    for (const { listener, accept } of this.listeners)
      for (let c = listener.accept(); c !== undefined; c = listener.accept()) c.user = accept();
    for (let c = this.tcp.pollReady(); c !== undefined; c = this.tcp.pollReady()) {
      const events = c.takeEvents();
      const handlers = c.user as Handlers;
      if ((events & CONNECTED) !== 0) handlers.opened(streamOf(c));
      if ((events & READABLE) !== 0) this.read(c, handlers);
      if ((events & WRITABLE) !== 0) handlers.writable();
      if ((events & FINISHED) !== 0) handlers.ended();
      if ((events & ENDED) === 0) continue;
      handlers.closed(c.end === "closed" ? undefined : c.end);
      c.close();
    }
  }

  private read(c: Connection, handlers: Handlers): void {
    while (c.readable > 0) {
      const at = c.peekAt();
      const n = c.peekRun();
      handlers.data(this.memory.bytes.subarray(at, at + n));
      c.consume(n);
    }
  }
}

const streamOf = (c: Connection): Stream => ({
  write: (bytes) => c.writeBytes(bytes),
  end: () => c.shutdown(),
  abort: () => c.abort(),
});

const [device = "", address = "", gateway = "", ...command] = process.argv.slice(2);
const host = new OwnHost(device, address, gateway);
const isReady = host.ready();
void host.run();
await isReady;
await runCommand(host, command);
process.exit(0);
