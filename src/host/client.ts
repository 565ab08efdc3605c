/**
 * The client on the kernel of this machine: the dialer between sockets of the kernel and a tun device. From its start on nothing
 * but a signal, or a profile that cannot be used at the start, ends it.
 *
 * Commands (leave, reconnect, askForStatistics) come from signal handlers: they are noted, and control() carries them out.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import { FailureLog } from "../lib/failure-log.ts";
import type { Log } from "../lib/log.ts";
import { Arena } from "../lib/slab.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import { TUN_DEVICE_BYTES } from "../platform/dev/tun.ts";
import type { Part } from "../platform/loop.ts";
import { defaultRouteMac, machineInfo } from "../platform/machine.ts";
import { RouteMonitor } from "../platform/net/route-monitor.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import type { Decompressors } from "../protocol/ports.ts";
import { Dialer } from "../tunnel/dialer.ts";
import { DialHistory } from "../tunnel/history.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { Changes } from "./changes.ts";
import { HostDns, hostResolvers } from "./dns.ts";
import { KERNEL_TUN_BYTES, KernelTun } from "./kernel-tun.ts";
import { HOST_LINKS_BYTES, HostLinks } from "./links.ts";
import { type HostEnd, type HostParts, logDevice } from "./process.ts";
import { HostResolver } from "./resolver.ts";
import { ServerRoute } from "./server-route.ts";
import { TunNetwork } from "./tun-network.ts";

const SCRATCH_BYTES = 1 << 20;
/** Native memory of one client. */
export const HOST_CLIENT_BYTES = TUN_DEVICE_BYTES + KERNEL_TUN_BYTES + HOST_LINKS_BYTES + SCRATCH_BYTES + (1 << 16);

/** What a turn takes of each side at most, in packets: neither waits longer for the other. */
const TURN_PACKETS = 256;
/** Longest goodbye: the exit notify and its repetitions. */
const LEAVE_WITHIN_MS = 3000;
const REVIVE_AFTER_MS = 5000;
/** Addresses and routes change one after the other: looked at when so long nothing has changed. */
const SETTLE_MS = 300;
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
  /** It ends because it cannot go on. */
  hasFailed = false;
  readonly #options: HostClientOptions;
  readonly #log: Log;
  readonly #failures: FailureLog;
  readonly #heard: BoundedLog;
  readonly #side: KernelTun;
  readonly #network: TunNetwork;
  readonly #dns: HostDns | undefined;
  readonly #serverRoute: ServerRoute;
  readonly #links: HostLinks;
  readonly #resolver = new HostResolver();
  readonly #scratch: Arena;
  readonly #aead: LibcryptoAead;
  readonly #cbc: LibcryptoCbc;
  readonly #decompressors: Decompressors;
  readonly #control = new LibcryptoPrimitives();
  readonly #monitor = new RouteMonitor();
  #dialer: Dialer | undefined;
  #config: DialConfig;
  #history: DialHistory;
  /** When the network is looked at, after a change. */
  #lookAt = NEVER;
  /** There was no way to the server when that was looked at last. */
  #isCutOff = false;
  #statisticsAt = NEVER;
  #reviveAt = NEVER;
  #reconnectWanted = false;
  #leaveCause: string | undefined;
  #leaveBy = NEVER;
  #done = false;

  constructor(options: HostClientOptions) {
    this.#options = options;
    const { memory, log, device, poller, journal, config } = options;
    this.#log = log;
    this.#failures = new FailureLog(log);
    this.#heard = new BoundedLog(log);
    const hostChanges = new Changes(log, journal);
    const ref = { index: device.index, name: device.name };
    this.#serverRoute = new ServerRoute(hostChanges, () => device.index);
    this.#dns = options.withDns ? new HostDns({ device: ref, changes: hostChanges, log }) : undefined;
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
    const killSwitch = journal?.takenOver ?? [];
    hostChanges.takeOver(killSwitch);
    this.#network.takeOver(killSwitch);
    const changed = (_now: number, tunnel: OpenTunnel | undefined): void => this.#changed(tunnel);
    this.#side = new KernelTun({ device, network: this.#network, memory, changed });
    this.#links = new HostLinks({
      memory,
      poller,
      prepare: (address) => this.#serverRoute.prepare(address)?.mtu,
    });
    const piece = memory.take(SCRATCH_BYTES, 64);
    this.#scratch = new Arena(memory, piece.at, piece.at + piece.length);
    this.#aead = new LibcryptoAead(memory, memory.pointer);
    this.#cbc = new LibcryptoCbc(memory, memory.pointer);
    this.#decompressors = findDecompressors(memory, memory.pointer);
    this.#config = config;
    this.#history = new DialHistory(config, systemRandom);
    poller.add(device.fd);
    poller.add(this.#monitor.fd);
  }

  /** Connects. */
  start(now: number): void {
    this.#revive(now);
  }

  receive(now: number): boolean {
    let [fromKernel, fromServer] = [TURN_PACKETS, TURN_PACKETS];
    for (let isActive = true; isActive; ) {
      const up = fromKernel > 0 ? this.#side.receive(now, fromKernel) : 0;
      this.#scratch.reset();
      const down = fromServer > 0 ? this.#links.receive(now, fromServer) : 0;
      this.#scratch.reset();
      fromKernel -= up;
      fromServer -= down;
      isActive = up > 0 || down > 0;
    }
    return fromKernel < TURN_PACKETS || fromServer < TURN_PACKETS;
  }

  control(now: number): void {
    if (this.#leaveCause !== undefined && this.#leaveBy === NEVER) this.#leave(now, this.#leaveCause);
    if (this.#reconnectWanted) this.#reconnect(now);
    if (this.#monitor.drain()) this.#lookAt = now + SETTLE_MS;
    if (now >= this.#lookAt) this.#look(now);
    if (now >= this.#reviveAt) this.#revive(now);
    this.#dialer?.poll(now);
    if (now >= this.#statisticsAt) this.#logStatistics();
    this.#scratch.reset();
    if (this.#options.device.isGone && !this.#done) this.#lose(now);
    if (this.#leaveBy !== NEVER && (this.#dialer?.left !== false || now >= this.#leaveBy)) this.#finish(now);
  }

  pollAt(): number {
    if (this.#reconnectWanted || (this.#leaveCause !== undefined && this.#leaveBy === NEVER))
      return Number.NEGATIVE_INFINITY;
    const own = Math.min(this.#lookAt, this.#statisticsAt, this.#reviveAt, this.#leaveBy);
    return Math.min(own, this.#dialer?.pollAt() ?? NEVER);
  }

  done(): boolean {
    return this.#done;
  }

  failed(now: number, error: unknown, during: Part): void {
    this.#side.discard();
    this.#scratch.reset();
    this.#failures.write(now, error);
    if (now >= this.#leaveBy) this.#done = true;
    // A packet that failed is gone, but a timer or an event would fail again.
    else if (during === "control") this.#giveUpDialer(now);
  }

  /** Command: say goodbye to the server, take everything back, and end. */
  leave(cause: string): void {
    this.#leaveCause ??= cause;
  }

  /** Command: read the profile again and connect anew with it; with problems in it what runs goes on. */
  reconnect(): void {
    this.#reconnectWanted = true;
  }

  /** Command: log the statistics. */
  askForStatistics(): void {
    this.#statisticsAt = Number.NEGATIVE_INFINITY;
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

  #leave(now: number, cause: string): void {
    this.#leaveBy = now + LEAVE_WITHIN_MS;
    this.#log.write("info", "shutdown", "", { cause });
    this.#dialer?.leave(now);
  }

  #finish(now: number): void {
    this.#dialer?.stop(now, "shutdown");
    this.#done = true;
  }

  /** Without its device it can do nothing: whoever watches over it starts it anew. */
  #lose(now: number): void {
    this.#log.write("error", "interface.lost", `${this.#options.device.name} was deleted by somebody else`);
    this.hasFailed = true;
    this.#finish(now);
  }

  #reconnect(now: number): void {
    this.#reconnectWanted = false;
    if (this.#leaveBy !== NEVER) return;
    this.#log.write("info", "reconnect", "reading the profile again, and connecting anew when it is good");
    const config = this.#options.reload();
    if (config === undefined) return;
    this.#dialer?.stop(now, "reconnect requested");
    this.#config = config;
    this.#history = new DialHistory(config, systemRandom);
    this.#revive(now);
  }

  /** The host's network has changed: what matters is the way to the server. */
  #look(now: number): void {
    this.#lookAt = NEVER;
    const found = this.#serverRoute.look();
    if (found === "lost") {
      this.#isCutOff = true;
      this.#dialer?.networkDown(now, "this host has no way to the server any more");
    } else if (found === "moved") {
      const text = this.#isCutOff ? "there is a way to the server again" : "the way to the server is another one now";
      this.#heard.write(now, "info", "host.moved", text);
      this.#isCutOff = false;
      this.#dialer?.networkUp(now);
    }
  }

  /** Closes the tunnel. Later a new dialer takes the place of this one, and knows only the history of its attempts. */
  #giveUpDialer(now: number): void {
    const dialer = this.#dialer;
    this.#dialer = undefined;
    this.#reviveAt = now + REVIVE_AFTER_MS;
    try {
      dialer?.stop(now, "internal error");
    } catch {
      // The dialer itself is broken, so its tunnel and link are closed without it.
      this.#side.down(now);
      this.#links.closeAll();
      dialer?.discard(now);
    }
  }

  #revive(now: number): void {
    this.#reviveAt = NEVER;
    this.#dialer = new Dialer({
      config: this.#config,
      history: this.#history,
      side: this.#side,
      links: this.#links,
      resolver: this.#resolver,
      slab: this.#options.memory,
      scratch: this.#scratch,
      aead: this.#aead,
      cbc: this.#cbc,
      decompressors: this.#decompressors,
      control: this.#control,
      tls: libsslTls,
      log: this.#log,
      random: systemRandom,
      unixSeconds: () => Math.floor(Date.now() / 1000),
      machine: () => machineInfo(defaultRouteMac()),
    });
    this.#dialer.networkUp(now);
  }

  #logStatistics(): void {
    this.#statisticsAt = NEVER;
    logDevice(this.#log, this.#options.device, this.#side);
    this.#log.write("info", "statistics.session", "", this.#dialer?.counters() ?? {});
    const url = this.#dialer?.loginPage;
    if (url !== undefined)
      this.#log.write("info", "statistics.login", "the login waits for somebody at a web page", { url });
  }
}
