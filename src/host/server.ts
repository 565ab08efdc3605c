/**
 * The server on the kernel of this machine: the listener between ports of the kernel and a tun device. Nothing but a signal ends it,
 * and what it needs to begin with: its device, its addresses, one port.
 */
import { FailureLog } from "../lib/failure-log.ts";
import type { Log } from "../lib/log.ts";
import { Arena } from "../lib/slab.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import type { ServerFiles } from "../platform/config/server-files.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { Passwords } from "../platform/crypto/password.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import { TUN_DEVICE_BYTES } from "../platform/dev/tun.ts";
import type { Part } from "../platform/loop.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import { Entrance, type EntranceSetup } from "../protocol/server/entrance.ts";
import { Listener } from "../tunnel/listener.ts";
import { Changes } from "./changes.ts";
import { type HostEnd, type HostParts, logDevice } from "./process.ts";
import { SERVED_TUN_BYTES, ServedTun } from "./served-tun.ts";
import { KernelPorts, SERVER_PORTS_BYTES } from "./server-ports.ts";
import { ServerRoute } from "./server-route.ts";
import { TunNetwork } from "./tun-network.ts";

const SCRATCH_BYTES = 2 << 20;
/** Native memory of one server. */
export const HOST_SERVER_BYTES = TUN_DEVICE_BYTES + SERVED_TUN_BYTES + SERVER_PORTS_BYTES + SCRATCH_BYTES + (1 << 20);

/** What a turn takes of each side at most, in packets: neither waits longer for the other. */
const TURN_PACKETS = 256;
/** Clients are told that the server leaves; longer than that nobody waits for them. */
const LEAVE_WITHIN_MS = 4000;
const KEY_BYTES = 32;
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
  hasFailed = false;
  readonly #options: HostServerOptions;
  readonly #log: Log;
  readonly #failures: FailureLog;
  readonly #network: TunNetwork;
  readonly #side: ServedTun;
  readonly #ports: KernelPorts;
  readonly #passwords = new Passwords();
  readonly #scratch: Arena;
  readonly #entrance: Entrance;
  readonly #listener: Listener;
  #statisticsAt = NEVER;
  #reloadWanted = false;
  #leaveCause: string | undefined;
  #leaveBy = NEVER;
  #done = false;

  /** @throws UnusableTls where own material cannot be used */
  constructor(options: HostServerOptions) {
    this.#options = options;
    const { memory, log, device, poller, journal, profile } = options;
    this.#log = log;
    this.#failures = new FailureLog(log);
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
    this.#side = new ServedTun({ device, network: this.#network, memory });
    this.#ports = new KernelPorts({ memory, poller });
    const piece = memory.take(SCRATCH_BYTES, 64);
    this.#scratch = new Arena(memory, piece.at, piece.at + piece.length);
    const control = new LibcryptoPrimitives();
    this.#entrance = new Entrance(setupOf(profile), {
      primitives: control,
      random: systemRandom,
      tokenKey: randomKey(),
    });
    for (const problem of this.#entrance.restore(unixSeconds(), profile.files.leases))
      log.write("warn", "pool.lease", problem);
    this.#listener = new Listener({
      config: profile.config,
      entrance: this.#entrance,
      side: this.#side,
      ports: this.#ports,
      passwords: this.#passwords,
      slab: memory,
      scratch: this.#scratch,
      aead: new LibcryptoAead(memory, memory.pointer),
      cbc: new LibcryptoCbc(memory, memory.pointer),
      decompressors: findDecompressors(memory, memory.pointer),
      control,
      tls: libsslTls,
      cookieKey: randomKey(),
      log,
      random: systemRandom,
      unixSeconds,
    });
    poller.add(device.fd);
  }

  start(now: number): void {
    const problem = this.#listener.networkUp(now);
    if (problem === undefined) return this.#options.listening();
    this.#log.write("error", "server.failed", problem);
    this.hasFailed = true;
    this.#finish(now);
  }

  receive(now: number): boolean {
    let [fromKernel, fromClients] = [TURN_PACKETS, TURN_PACKETS];
    for (let isActive = true; isActive; ) {
      const down = fromKernel > 0 ? this.#side.receive(now, fromKernel) : 0;
      this.#scratch.reset();
      const up = fromClients > 0 ? this.#ports.receive(now, fromClients) : 0;
      this.#scratch.reset();
      fromKernel -= down;
      fromClients -= up;
      isActive = down > 0 || up > 0;
    }
    return fromKernel < TURN_PACKETS || fromClients < TURN_PACKETS;
  }

  control(now: number): void {
    if (this.#leaveCause !== undefined && this.#leaveBy === NEVER) this.#leave(now, this.#leaveCause);
    if (this.#reloadWanted) this.#reload(now);
    this.#passwords.poll(now);
    this.#listener.poll(now);
    if (now >= this.#statisticsAt) this.#logStatistics(now);
    this.#scratch.reset();
    if (this.#options.device.isGone && !this.#done) this.#lose(now);
    if (this.#leaveBy !== NEVER && (this.#listener.left || now >= this.#leaveBy)) this.#finish(now);
  }

  pollAt(): number {
    if (this.#reloadWanted || (this.#leaveCause !== undefined && this.#leaveBy === NEVER))
      return Number.NEGATIVE_INFINITY;
    return Math.min(this.#listener.pollAt(), this.#passwords.pollAt(), this.#statisticsAt, this.#leaveBy);
  }

  done(): boolean {
    return this.#done;
  }

  failed(now: number, error: unknown, _during: Part): void {
    this.#side.discard();
    this.#scratch.reset();
    this.#failures.write(now, error);
    if (now >= this.#leaveBy) this.#done = true;
  }

  /** Command: tell the clients, take everything back, and end. */
  leave(cause: string): void {
    this.#leaveCause ??= cause;
  }

  /** Command: read the profile again, and take what can be taken without ending a session. */
  reconnect(): void {
    this.#reloadWanted = true;
  }

  /** Command: log the statistics. */
  askForStatistics(): void {
    this.#statisticsAt = Number.NEGATIVE_INFINITY;
  }

  async close(): Promise<void> {
    this.#ports.closeAll();
    this.#network.end();
  }

  #leave(now: number, cause: string): void {
    this.#leaveBy = now + LEAVE_WITHIN_MS;
    this.#log.write("info", "shutdown", "", { cause });
    this.#listener.leave(now);
  }

  #finish(now: number): void {
    this.#listener.stop(now, "shutdown");
    this.#done = true;
  }

  /** Without its device it can do nothing: whoever watches over it starts it anew. */
  #lose(now: number): void {
    this.#log.write("error", "interface.lost", `${this.#options.device.name} was deleted by somebody else`);
    this.hasFailed = true;
    this.#finish(now);
  }

  #reload(now: number): void {
    this.#reloadWanted = false;
    if (this.#leaveBy !== NEVER) return;
    this.#log.write("info", "reload", "reading the profile again; sessions go on");
    const profile = this.#options.reload();
    if (profile === undefined) return;
    const problems: string[] = [];
    const untaken = this.#listener.reload(now, profile.config, this.#entrance, (config) => {
      const guests = this.#entrance.reload(unixSeconds(), setupOf({ ...profile, config }));
      problems.push(...guests.problems);
      return guests;
    });
    for (const problem of [...untaken, ...problems]) this.#log.write("warn", "config.warning", problem);
  }

  #logStatistics(now: number): void {
    this.#statisticsAt = NEVER;
    logDevice(this.#log, this.#options.device, this.#side);
    this.#log.write("info", "statistics.server", "", this.#listener.counters());
    for (const { upAt, ...fields } of this.#listener.peers())
      this.#log.write("info", "statistics.peer", "", { ...fields, minutes: Math.round((now - upAt) / 60_000) });
  }
}

const unixSeconds = (): number => Math.floor(Date.now() / 1000);

const setupOf = ({ config, files }: Served): EntranceSetup => ({
  ...{ config, clients: files.clients, users: files.users },
  lan: [],
});

function randomKey(): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  systemRandom.fill(key);
  return key;
}
