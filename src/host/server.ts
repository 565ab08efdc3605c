/**
 * The server on the kernel of this machine: the listener between ports of the kernel and a tun device. Nothing but a signal ends it,
 * and what it needs to begin with: its device, its addresses, one port.
 */
import { dirname, isAbsolute, join } from "node:path";
import type { Log } from "../lib/log.ts";
import { Arena } from "../lib/slab.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import type { ServerFiles } from "../platform/config/server-files.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { DateWatch } from "../platform/crypto/date-watch.ts";
import { Passwords } from "../platform/crypto/password.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import { TUN_DEVICE_BYTES } from "../platform/dev/tun.ts";
import { monotonic } from "../platform/loop.ts";
import { RouteMonitor } from "../platform/net/route-monitor.ts";
import { openStateFolder } from "../platform/state/folder.ts";
import { keptPool, leasesOfBoth, type ServerKeys, serverKeys } from "../platform/state/server.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import type { Decompressors } from "../protocol/ports.ts";
import { Entrance, type EntranceSetup } from "../protocol/server/entrance.ts";
import type { PoolLease } from "../protocol/server/pool.ts";
import { Listener } from "../tunnel/listener.ts";
import type { ServerSide } from "../tunnel/server-side.ts";
import { Succession } from "../tunnel/succession.ts";
import { takeServed } from "../tunnel/take-served.ts";
import { Changes } from "./changes.ts";
import { Hold } from "./hold.ts";
import { KERNEL_TAP_BYTES, ServedTap } from "./kernel-tap.ts";
import { type PoolFilePlace, PoolKeeper } from "./pool-keeper.ts";
import type { HostParts } from "./process.ts";
import { Quiet } from "./quiet.ts";
import { SERVED_TUN_BYTES, ServedTun } from "./served-tun.ts";
import { KernelPorts, SERVER_PORTS_BYTES } from "./server-ports.ts";
import { ServerRoute } from "./server-route.ts";
import { TunNetwork } from "./tun-network.ts";
import type { HostEnd } from "./turns.ts";

const SCRATCH_BYTES = 2 << 20;
/** Native memory of one server. */
export const HOST_SERVER_BYTES =
  TUN_DEVICE_BYTES + Math.max(SERVED_TUN_BYTES, KERNEL_TAP_BYTES) + SERVER_PORTS_BYTES + SCRATCH_BYTES + (1 << 20);

/** Clients are told that the server leaves; longer than that nobody waits for them. */
const LEAVE_WITHIN_MS = 4000;
/** Of the kernel at once, where all go by streams: a super-frame, behind which it is seen whether there is room for the next one. */
const STREAM_PACKETS = 32;
const NEVER = Number.POSITIVE_INFINITY;

/** A profile with the files that it names. */
export interface Served {
  readonly config: ServerConfig;
  readonly files: Pick<ServerFiles, "clients" | "users" | "leases">;
}

export interface HostServerOptions extends HostParts {
  readonly profile: Served;
  /** Reads the profile again; undefined: what runs goes on. */
  readonly reload: () => Served | undefined;
  /** It listens. */
  readonly listening: () => void;
}

export class HostServer implements HostEnd {
  readonly leaveWithinMs = LEAVE_WITHIN_MS;
  readonly side: ServedTun | ServedTap;
  readonly scratch: Arena;
  readonly #options: HostServerOptions;
  readonly #log: Log;
  readonly #network: TunNetwork;
  readonly #ports: KernelPorts;
  readonly #hold: Hold;
  readonly #passwords = new Passwords();
  readonly #aead: LibcryptoAead;
  readonly #cbc: LibcryptoCbc;
  readonly #decompressors: Decompressors;
  readonly #control = new LibcryptoPrimitives();
  readonly #monitor = new RouteMonitor();
  readonly #quiet = new Quiet();
  readonly #dates: DateWatch;
  /** Of cookies and tokens: they are good at the next listener too. */
  readonly #keys: ServerKeys;
  /** Who had which address before this server began. */
  readonly #leases: readonly PoolLease[];
  readonly #keeper: PoolKeeper;
  readonly #joins: ServerSide;
  readonly #listeners = new Succession<Listener>({
    make: () => this.#newListener(),
    start: (now, listener) => this.#listen(now, listener),
    discard: (now, listener) => {
      this.side.close();
      this.#ports.closeAll();
      listener.discard(now);
    },
  });
  #served: Served;
  #entrance: Entrance | undefined;
  #hasListened = false;

  constructor(options: HostServerOptions) {
    this.#options = options;
    const { memory, log, device, poller, journal, profile } = options;
    this.#log = log;
    this.#served = profile;
    const hostChanges = new Changes(log, journal);
    this.#network = new TunNetwork({
      device: { index: device.index, name: device.name },
      deviceChanges: device.isPersistent ? hostChanges : new Changes(log, undefined),
      hostChanges,
      serverRoute: new ServerRoute(hostChanges, () => device.index),
      log,
      withRoutes: true,
      killSwitch: false,
      resolvers: () => [],
    });
    const ServedSide = profile.config.deviceType === "tap" ? ServedTap : ServedTun;
    this.side = new ServedSide({ device, network: this.#network, memory });
    this.#joins = whereKept(this.side, (now) => this.#keeper.changed(now));
    const state = openStateFolder(process.env, log);
    const now = monotonic();
    this.#dates = new DateWatch(now, { log, config: () => this.#served.config, unixSeconds });
    this.#keys = serverKeys(now, state, systemRandom);
    this.#leases = leasesOfBoth(profile.files.leases, keptPool(now, state) ?? []);
    this.#keeper = new PoolKeeper({
      state,
      file: poolFile(profile.config),
      leases: () => this.#entrance?.leases() ?? this.#leases,
      log,
    });
    this.#ports = new KernelPorts({ memory, poller });
    const piece = memory.take(SCRATCH_BYTES, 64);
    this.scratch = new Arena(memory, piece.at, piece.at + piece.length);
    this.#aead = new LibcryptoAead(memory, memory.pointer);
    this.#cbc = new LibcryptoCbc(memory, memory.pointer);
    this.#decompressors = findDecompressors(memory, memory.pointer);
    let bit = poller.add(device.fd);
    this.#hold = new Hold((isWatched) => {
      if (isWatched) bit = poller.add(device.fd);
      else poller.remove(bit);
    });
    poller.add(this.#monitor.fd);
  }

  get left(): boolean {
    return this.#listeners.left;
  }

  /** @throws UnusableTls where own material cannot be used */
  start(now: number): boolean {
    this.#listeners.begin(now);
    return this.#hasListened;
  }

  fromKernel(now: number, budget: number): number {
    if (this.#hold.look(now, this.#ports.areFull(now))) return 0;
    return this.side.receive(now, this.#ports.areStreams ? Math.min(budget, STREAM_PACKETS) : budget);
  }

  fromNetwork(now: number, budget: number): number {
    const count = this.#ports.receive(now, budget);
    this.#hold.look(now, this.#ports.areFull(now));
    return count;
  }

  get kernelDrained(): boolean {
    return this.#hold.isHeld || this.#options.device.drained;
  }

  get networkDrained(): boolean {
    return this.#ports.drained;
  }

  get runs(): number {
    return this.#ports.runs;
  }

  poll(now: number): void {
    if (this.#monitor.drain()) this.#quiet.changed(now);
    if (now >= this.#quiet.lookAt) this.#quiet.looked(this.#network.mend(now));
    this.#passwords.poll(now);
    this.#listeners.poll(now);
    this.#listeners.current?.poll(now);
    this.#keeper.poll(now);
    this.#dates.poll(now);
  }

  pollAt(): number {
    const listener = this.#listeners.current;
    const own = Math.min(
      this.#quiet.lookAt,
      this.#hold.overAt,
      this.#listeners.pollAt(),
      this.#passwords.pollAt(),
      this.#keeper.pollAt(),
      this.#dates.pollAt(),
    );
    return Math.min(listener?.pollAt() ?? NEVER, own);
  }

  /** Reads the profile again, and takes what can be taken without ending a session. */
  reload(now: number): void {
    this.#log.write("info", "reload", "reading the profile again; sessions go on");
    const profile = this.#options.reload();
    if (profile === undefined) return;
    this.#served = profile;
    const entrance = this.#entrance;
    const listener = this.#listeners.current;
    if (entrance === undefined || listener === undefined) return;
    const running = { listener, entrance, lan: NO_LAN, log: this.#log };
    takeServed(now, unixSeconds(), running, { ...profile.files, config: profile.config });
  }

  leave(now: number): void {
    this.#listeners.leave(now);
  }

  stop(now: number): void {
    this.#listeners.current?.stop(now, "shutdown");
  }

  discard(): void {
    this.side.discard();
  }

  /** Ends every session. The next listener has the leases and keys of this one, and its clients come again. */
  giveUp(now: number): void {
    this.#listeners.giveUp(now);
  }

  logStatistics(now: number): void {
    const listener = this.#listeners.current;
    this.#log.write("info", "statistics.server", "", listener?.counters() ?? {});
    for (const { upAt, ...fields } of listener?.peers() ?? [])
      this.#log.write("info", "statistics.peer", "", { ...fields, minutes: Math.round((now - upAt) / 60_000) });
  }

  async close(): Promise<void> {
    this.#ports.closeAll();
    this.#network.end();
    this.#monitor.close();
    await this.#keeper.end(monotonic);
  }

  #newListener(): Listener {
    const { memory } = this.#options;
    const served = this.#served;
    const leases = this.#entrance?.leases() ?? this.#leases;
    const entrance = new Entrance(setupOf(served), {
      primitives: this.#control,
      random: systemRandom,
      tokenKey: this.#keys.token,
    });
    for (const problem of entrance.restore(unixSeconds(), leases)) this.#log.write("warn", "pool.lease", problem);
    this.#entrance = entrance;
    return new Listener({
      config: served.config,
      entrance,
      side: this.#joins,
      ports: this.#ports,
      passwords: this.#passwords,
      slab: memory,
      scratch: this.scratch,
      aead: this.#aead,
      cbc: this.#cbc,
      decompressors: this.#decompressors,
      control: this.#control,
      tls: libsslTls,
      cookieKey: this.#keys.cookie,
      log: this.#log,
      random: systemRandom,
      unixSeconds,
    });
  }

  #listen(now: number, listener: Listener): void {
    const problem = listener.networkUp(now);
    if (problem === undefined) {
      this.#hasListened = true;
      return this.#options.listening();
    }
    // Who has served already waits until that can be again.
    if (this.#hasListened) return this.#listeners.giveUp(now, problem);
    this.#log.write("error", "server.failed", problem);
  }
}

/** The host's own networks are not known here. */
const NO_LAN: EntranceSetup["lan"] = [];

const setupOf = ({ config, files }: Served): EntranceSetup => ({
  ...{ config, clients: files.clients, users: files.users },
  lan: NO_LAN,
});

/** The file of ifconfig-pool-persist; undefined: there is none, or it is only read. */
function poolFile({ file, network: { persist, topology } }: ServerConfig): PoolFilePlace | undefined {
  if (persist === undefined || persist.seconds === 0) return undefined;
  const path = isAbsolute(persist.file) ? persist.file : join(dirname(file), persist.file);
  return { path, seconds: persist.seconds, isNet30: topology === "net30" };
}

/** A side that tells when somebody has come or gone. */
const whereKept = (side: ServerSide, changed: (now: number) => void): ServerSide => ({
  open: (now, tunnel) => side.open(now, tunnel),
  close: (now) => side.close(now),
  join: (now, peer, client) => {
    side.join(now, peer, client);
    changed(now);
  },
  leave: (now, peer) => {
    side.leave(now, peer);
    changed(now);
  },
  deliver: (now, rows) => side.deliver(now, rows),
});
