/**
 * The client on the kernel of this machine: the dialer between sockets of the kernel and a tun device. From its start on nothing
 * but a signal, or a profile that cannot be used at the start, ends it.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Log } from "../lib/log.ts";
import { Arena } from "../lib/slab.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { DateWatch } from "../platform/crypto/date-watch.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import { TUN_DEVICE_BYTES } from "../platform/dev/tun.ts";
import { monotonic } from "../platform/loop.ts";
import { defaultRouteMac, machineInfo } from "../platform/machine.ts";
import { RouteMonitor } from "../platform/net/route-monitor.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import type { Decompressors } from "../protocol/ports.ts";
import { Dialer } from "../tunnel/dialer.ts";
import { DialHistory } from "../tunnel/history.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { Succession } from "../tunnel/succession.ts";
import { Changes } from "./changes.ts";
import { HostDns, hostResolvers } from "./dns.ts";
import { KERNEL_TAP_BYTES, KernelTap } from "./kernel-tap.ts";
import { KERNEL_TUN_BYTES, KernelTun } from "./kernel-tun.ts";
import { HOST_LINKS_BYTES, HostLinks } from "./links.ts";
import type { HostParts } from "./process.ts";
import { Quiet } from "./quiet.ts";
import { HostResolver } from "./resolver.ts";
import { END_CONNECTIONS, END_PORTS_BYTES, KernelPorts } from "./server-ports.ts";
import { ServerRoute } from "./server-route.ts";
import { TunNetwork } from "./tun-network.ts";
import type { HostEnd } from "./turns.ts";

const SCRATCH_BYTES = 1 << 20;
/** Native memory of one client. */
export const HOST_CLIENT_BYTES =
  TUN_DEVICE_BYTES +
  Math.max(KERNEL_TUN_BYTES, KERNEL_TAP_BYTES) +
  HOST_LINKS_BYTES +
  END_PORTS_BYTES +
  SCRATCH_BYTES +
  (1 << 16);

/** Longest goodbye: the exit notify and its repetitions. */
const LEAVE_WITHIN_MS = 3000;
const NEVER = Number.POSITIVE_INFINITY;

export interface HostClientOptions extends HostParts {
  readonly config: DialConfig;
  /** Reads the profile again; undefined: what runs goes on. */
  readonly reload: () => DialConfig | undefined;
  readonly withRoutes: boolean;
  readonly withDns: boolean;
  readonly killSwitch: boolean;
  /** Told of each tunnel that is open, when the host is set up for it, and that there is none. */
  readonly changed: (tunnel: OpenTunnel | undefined) => void;
}

const NO_CLIENT_NAT =
  "client-nat is not carried out on a tun device of the kernel: packets keep their addresses; the appliance does it, or rules of nftables do";

export class HostClient implements HostEnd {
  readonly leaveWithinMs = LEAVE_WITHIN_MS;
  readonly side: KernelTun | KernelTap;
  readonly scratch: Arena;
  readonly #options: HostClientOptions;
  readonly #log: Log;
  readonly #heard: BoundedLog;
  readonly #network: TunNetwork;
  readonly #dns: HostDns | undefined;
  readonly #serverRoute: ServerRoute;
  readonly #links: HostLinks;
  /** For an end of a tunnel of two that waits for its peer. */
  readonly #ports: KernelPorts;
  readonly #resolver = new HostResolver();
  readonly #aead: LibcryptoAead;
  readonly #cbc: LibcryptoCbc;
  readonly #decompressors: Decompressors;
  readonly #control = new LibcryptoPrimitives();
  readonly #monitor = new RouteMonitor();
  readonly #dialers = new Succession<Dialer>({
    make: () => this.#newDialer(),
    start: (now, dialer) => dialer.networkUp(now),
    discard: (now, dialer) => {
      this.side.down(now);
      this.#links.closeAll();
      this.#ports.closeAll();
      dialer.discard(now);
    },
  });
  #config: DialConfig;
  #history: DialHistory;
  readonly #quiet = new Quiet();
  readonly #dates: DateWatch;
  /** There was no way to the server when that was looked at last. */
  #isCutOff = false;

  constructor(options: HostClientOptions) {
    this.#options = options;
    const { memory, log, device, poller, journal, config } = options;
    this.#log = log;
    this.#heard = new BoundedLog(log);
    const hostChanges = new Changes(log, journal);
    const ref = { index: device.index, name: device.name };
    this.#serverRoute = new ServerRoute(hostChanges, () => device.index);
    this.#dns = options.withDns ? new HostDns({ device: ref, changes: hostChanges, log }) : undefined;
    this.#dns?.recover();
    const resolvers = hostResolvers();
    this.#network = new TunNetwork({
      device: ref,
      deviceChanges: device.isPersistent ? hostChanges : new Changes(log, undefined),
      hostChanges,
      serverRoute: this.#serverRoute,
      log,
      withRoutes: options.withRoutes,
      killSwitch: options.killSwitch,
      resolvers: () => resolvers,
    });
    this.#network.takeOver(journal?.takenOver ?? []);
    const changed = (_now: number, tunnel: OpenTunnel | undefined): void => this.#changed(tunnel);
    let bit = poller.add(device.fd);
    const plain = { device, network: this.#network, memory, changed };
    this.side =
      config.deviceType === "tap"
        ? new KernelTap(plain)
        : new KernelTun({
            ...plain,
            isHeld: () => this.#links.isFull,
            watch: (isWatched) => {
              if (isWatched) bit = poller.add(device.fd);
              else poller.remove(bit);
            },
          });
    this.#links = new HostLinks({
      memory,
      poller,
      prepare: (address) => this.#serverRoute.prepare(address)?.mtu,
      prepareBeside: (address) => this.#serverRoute.prepareBeside(address)?.mtu,
    });
    this.#ports = new KernelPorts({
      memory,
      poller,
      connections: END_CONNECTIONS,
      prepare: (address) => void this.#serverRoute.prepare(address),
    });
    const piece = memory.take(SCRATCH_BYTES, 64);
    this.scratch = new Arena(memory, piece.at, piece.at + piece.length);
    this.#aead = new LibcryptoAead(memory, memory.pointer);
    this.#cbc = new LibcryptoCbc(memory, memory.pointer);
    this.#decompressors = findDecompressors(memory, memory.pointer);
    this.#config = config;
    this.#dates = new DateWatch(monotonic(), { log, config: () => this.#config, unixSeconds });
    this.#history = new DialHistory(config, systemRandom);
    poller.add(this.#monitor.fd);
  }

  get left(): boolean {
    return this.#dialers.left;
  }

  start(now: number): boolean {
    this.#dialers.begin(now);
    return true;
  }

  fromKernel(now: number, budget: number): number {
    return this.side.receive(now, budget);
  }

  fromNetwork(now: number, budget: number): number {
    const count = this.#links.receive(now, budget) + this.#ports.receive(now, budget);
    this.side.look();
    return count;
  }

  get kernelDrained(): boolean {
    return this.side.drained;
  }

  get networkDrained(): boolean {
    return this.#links.drained && this.#ports.drained;
  }

  get runs(): number {
    return this.#links.runs + this.#ports.runs;
  }

  poll(now: number): void {
    if (this.#monitor.drain()) this.#quiet.changed(now);
    if (now >= this.#quiet.lookAt) this.#look(now);
    this.#dialers.poll(now);
    this.#dialers.current?.poll(now);
    this.#dates.poll(now);
  }

  pollAt(): number {
    const own = Math.min(this.#quiet.lookAt, this.#dates.pollAt());
    return Math.min(own, this.#dialers.pollAt(), this.#dialers.current?.pollAt() ?? NEVER);
  }

  /** Reads the profile again and connects anew with it; with problems in it what runs goes on. */
  reload(now: number): void {
    this.#log.write("info", "reconnect", "reading the profile again, and connecting anew when it is good");
    const config = this.#options.reload();
    if (config === undefined) return;
    this.#dialers.current?.stop(now, "reconnect requested");
    this.#config = config;
    this.#history = new DialHistory(config, systemRandom);
    this.#dialers.begin(now);
  }

  leave(now: number): void {
    this.#dialers.leave(now);
  }

  stop(now: number): void {
    this.#dialers.current?.stop(now, "shutdown");
  }

  discard(): void {
    this.side.discard();
  }

  /** Closes the tunnel. The next dialer knows only the history of the attempts of this one. */
  giveUp(now: number): void {
    this.#dialers.giveUp(now);
  }

  logStatistics(): void {
    const dialer = this.#dialers.current;
    this.#log.write("info", "statistics.session", "", dialer?.counters() ?? {});
    const url = dialer?.loginPage;
    if (url !== undefined)
      this.#log.write("info", "statistics.login", "the login waits for somebody at a web page", { url });
  }

  /** Takes back what this host was told. */
  async close(): Promise<void> {
    await this.#dns?.clear();
    this.#network.end();
    this.#monitor.close();
  }

  #changed(tunnel: OpenTunnel | undefined): void {
    const { changed } = this.#options;
    const dns = this.#dns;
    if (tunnel !== undefined && tunnel.options.clientNat.length > 0)
      this.#log.write("warn", "host.client-nat", NO_CLIENT_NAT);
    if (tunnel === undefined || dns === undefined) return changed(tunnel);
    dns.set(tunnel.options.dns).then(
      () => changed(tunnel),
      () => {},
    );
  }

  /** The host's network has changed: what matters is the way to the server, and what of ours is not there any more. */
  #look(now: number): void {
    this.#quiet.looked(NEVER);
    const found = this.#serverRoute.look();
    if (found === "lost") {
      this.#isCutOff = true;
      this.#dialers.current?.networkDown(now, "this host has no way to the server any more");
    } else if (found === "moved") {
      const text = this.#isCutOff ? "there is a way to the server again" : "the way to the server is another one now";
      this.#heard.write(now, "info", "host.moved", text);
      this.#isCutOff = false;
      this.#dialers.current?.networkUp(now);
    }
    this.#quiet.looked(this.#network.mend(now));
  }

  #newDialer(): Dialer {
    return new Dialer({
      config: this.#config,
      history: this.#history,
      side: this.side,
      links: this.#links,
      ports: this.#ports,
      resolver: this.#resolver,
      slab: this.#options.memory,
      scratch: this.scratch,
      aead: this.#aead,
      cbc: this.#cbc,
      decompressors: this.#decompressors,
      control: this.#control,
      tls: libsslTls,
      log: this.#log,
      random: systemRandom,
      unixSeconds,
      machine: () => machineInfo(defaultRouteMac()),
    });
  }
}
