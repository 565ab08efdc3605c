/**
 * The appliance between two devices: configuration, data path, WAN address, tunnel. It never ends by itself: a problem
 * of the configuration is logged at its line and the LAN stays closed; what can get better by itself is tried again.
 *
 * Commands (leave, reconnect, askForStatistics) come from signal handlers and buttons, where nobody would catch an error: they are
 * noted, and control() carries them out within the loop.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Log, LogLevel } from "../lib/log.ts";
import type { AddressPrf } from "../netstack/ra/stable-address.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import type { Part, Turns } from "../platform/loop.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import type { Decompressors } from "../protocol/ports.ts";
import { Dialer } from "../tunnel/dialer.ts";
import { DialHistory } from "../tunnel/history.ts";
import { lanConflict, neighborConflict } from "./conflicts.ts";
import { setForwards } from "./forwards.ts";
import { ownPrf } from "./identity.ts";
import { LanDhcp } from "./lan-dhcp.ts";
import { LanDns } from "./lan-dns.ts";
import { keptNetwork, Lan6 } from "./lan6.ts";
import { LinkWatch } from "./link-watch.ts";
import type { LoadResult } from "./profile.ts";
import { needRestart, sayLoaded } from "./reload.ts";
import { RemoteResolver } from "./remote-resolver.ts";
import { RouterSide } from "./router-side.ts";
import type { Settings } from "./settings.ts";
import { AutoSource6, type Source6, StaticSource6 } from "./source6.ts";
import type { StateStore } from "./state/store.ts";
import { logStatistics } from "./statistics.ts";
import { Uplinks } from "./uplinks.ts";
import { RouterPath } from "./wiring/router.ts";

export interface ApplianceOptions {
  readonly memory: NativeMemory;
  readonly wan: FrameDevice;
  readonly lan: FrameDevice;
  readonly log: Log;
  /** When it is made, by the clock of the loop. */
  readonly now: number;
  /** The configuration that it starts with. */
  readonly loaded: LoadResult;
  /** Reads it again, at every reconnect that a person asks for. */
  readonly load: () => LoadResult;
  readonly setLogLevel: (level: LogLevel) => void;
  /** How a mended configuration is taken, for the log. */
  readonly mending: string;
  /** What outlives a restart; undefined: nothing does. */
  readonly state: StateStore | undefined;
}

const STATISTICS_EVERY_MS = 3_600_000;
/** Longest goodbye: the exit notify and its repetitions. */
const LEAVE_WITHIN_MS = 3000;
/** Without a DHCP server nobody tells the names of the LAN's hosts. */
const NO_HOSTS = { addressesOf: () => [], nameOf: () => undefined };
const REVIVE_AFTER_MS = 5000;
const SAY_FAILURE_AGAIN_MS = 60_000;

export class Appliance implements Turns {
  readonly #options: ApplianceOptions;
  readonly #log: Log;
  /** For warnings that neighbours can cause as often as they like: it bounds them. */
  readonly #heard: BoundedLog;
  readonly #path: RouterPath;
  readonly #aead: LibcryptoAead;
  readonly #cbc: LibcryptoCbc;
  readonly #decompressors: Decompressors;
  readonly #control = new LibcryptoPrimitives();
  /** undefined: off. */
  readonly #dhcp: LanDhcp | undefined;
  #uplink: Uplinks;
  /** Our IPv6 address on the LAN and its network; undefined: no IPv6 there. */
  readonly #network6: Cidr | undefined;
  readonly #lan6: Lan6 | undefined;
  /** Those that it started with: interfaces and NAT stay as they are until it ends. */
  #settings: Settings;
  readonly #resolver: RemoteResolver;
  readonly #side: RouterSide;
  /** undefined: off. */
  readonly #dns: LanDns | undefined;
  readonly #prf: AddressPrf;
  #dialer: Dialer | undefined;
  readonly #links: LinkWatch;
  #statisticsAt: number;
  /** Commands that control() has not carried out yet. */
  #reconnectWanted = false;
  #leaveCause: string | undefined;
  /** It says goodbye, until then at the latest. */
  #leaveBy = Number.POSITIVE_INFINITY;
  #done = false;
  #failure = { text: "", at: Number.NEGATIVE_INFINITY };
  /** When a dialer takes the place of one that failed. */
  #reviveAt = Number.POSITIVE_INFINITY;
  #config: DialConfig | undefined;
  /** Of #config: a dialer that takes the place of one that failed goes on where that one was. */
  #history: DialHistory | undefined;

  /** Reads the configuration and brings the LAN up; everything else happens in the loop. */
  constructor(options: ApplianceOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#heard = new BoundedLog(options.log);
    const { now } = options;
    this.#statisticsAt = now + STATISTICS_EVERY_MS;
    const { loaded } = options;
    const { settings } = loaded;
    this.#settings = settings;
    options.setLogLevel(settings.log.level);
    this.#path = new RouterPath({
      memory: options.memory,
      wan: options.wan,
      lan: options.lan,
      wanMtu: settings.wan.mtu,
      nat: settings.vpn.nat,
      random: systemRandom,
    });
    this.#aead = new LibcryptoAead(options.memory, options.memory.pointer);
    this.#cbc = new LibcryptoCbc(options.memory, options.memory.pointer);
    this.#decompressors = findDecompressors(options.memory, options.memory.pointer);
    const lan = settings.lan.address;
    this.#prf = ownPrf([options.wan.mac, options.lan.mac], settings.hostname);
    const lan6 = this.#lanNetwork6(now);
    this.#network6 = lan6;
    this.#resolver = new RemoteResolver({
      wan: this.#path.wan,
      tcp: this.#path.wanTcp,
      slab: options.memory,
      random: systemRandom,
      refuse: (address) => this.#path.links.refusal(address),
    });
    this.#path.lan.link.arp.onConflict = (at, mac) =>
      this.#heard.write(at, "warn", "lan.conflict", lanConflict(lan.address, mac));
    for (const side of [this.#path.wan, this.#path.lan])
      side.link.arp.onNeighborConflict = (at, address, kept, other) =>
        this.#heard.write(at, "warn", `${side.name}.neighbor-conflict`, neighborConflict(address, kept, other));
    this.#path.lan.configure({ address: lan });
    this.#path.lan.link.probe();
    this.#log.write("info", "lan.configured", "", {
      interface: options.lan.name,
      address: `${lan}`,
    });
    this.#dhcp = this.#newDhcp();
    this.#dhcp?.restore(now);
    this.#dhcp?.start(now);
    this.#dns = this.#newDns();
    this.#side = new RouterSide(this.#path, lan6 === undefined ? [lan] : [lan, lan6], (at, tunnel) => {
      if (tunnel === undefined) this.#dns?.tunnelDown(at);
      else this.#dns?.tunnelUp(at, tunnel);
      this.#lan6?.tell(at, { isDefaultRouter: tunnel?.address6 !== undefined });
    });
    this.#lan6 = lan6 && this.#newLan6(lan6);
    const { dns } = settings.lan;
    if (lan6 !== undefined && dns !== undefined) this.#lan6?.tell(now, { dns: [lan6.address], domains: [dns.domain] });
    this.#lan6?.start(now);
    this.#uplink = this.#newUplink();
    this.#links = new LinkWatch(this.#path, this.#log, {
      wanUp: (at) => this.#uplink.start(at),
      wanDown: (at) => this.#uplink.stop(at, "the WAN link is down"),
      lanUp: (at) => this.#dhcp?.start(at),
    });
    this.#config = sayLoaded(this.#log, loaded, options.mending, undefined);
    setForwards(this.#path, this.#log, settings.vpn.forwards, lan6);
    this.#dialer = this.#newDialer();
    this.#path.flush(now);
  }

  receive(now: number): boolean {
    return this.#path.receive(now);
  }

  control(now: number): void {
    const path = this.#path;
    if (this.#leaveCause !== undefined && !this.#isLeaving) this.#leave(now, this.#leaveCause);
    if (this.#reconnectWanted) this.#reconnect(now);
    if (now >= this.#links.pollAt()) this.#links.look(now);
    if (path.pollAt() <= now) path.handleTimeout(now);
    if (this.#uplink.pollAt() <= now) this.#uplink.handleTimeout(now);
    if (this.#dhcp !== undefined && this.#dhcp.pollAt() <= now) this.#dhcp.handleTimeout(now);
    if (this.#lan6 !== undefined && this.#lan6.pollAt() <= now) this.#lan6.handleTimeout(now);
    if (now >= this.#reviveAt) this.#revive(now);
    this.#dialer?.poll(now);
    if (this.#dns !== undefined && this.#dns.pollAt() <= now) this.#dns.poll(now);
    if (now >= this.#statisticsAt) {
      this.#statisticsAt = now + STATISTICS_EVERY_MS;
      const ipv6 = { ...this.#uplink.counters, ...this.#lan6?.counters };
      logStatistics(this.#log, path, this.#dialer?.counters(), this.#dhcp, this.#dns, ipv6, this.#uplink.drops);
      const url = this.#dialer?.loginPage;
      if (url !== undefined)
        this.#log.write("info", "statistics.login", "the login waits for somebody at a web page", { url });
    }
    this.#options.state?.poll(now);
    path.flush(now);
    if (this.#isLeaving && (this.#hasLeft(now) || now >= this.#leaveBy)) this.#finish(now);
  }

  pollAt(): number {
    if (this.#reconnectWanted || (this.#leaveCause !== undefined && !this.#isLeaving)) return Number.NEGATIVE_INFINITY;
    return Math.min(
      this.#path.pollAt(),
      this.#uplink.pollAt(),
      this.#dhcp?.pollAt() ?? Number.POSITIVE_INFINITY,
      this.#lan6?.pollAt() ?? Number.POSITIVE_INFINITY,
      this.#dialer?.pollAt() ?? Number.POSITIVE_INFINITY,
      this.#links.pollAt(),
      this.#dns?.pollAt() ?? Number.POSITIVE_INFINITY,
      this.#options.state?.pollAt() ?? Number.POSITIVE_INFINITY,
      this.#statisticsAt,
      this.#reviveAt,
      this.#leaveBy,
    );
  }

  done(): boolean {
    return this.#done;
  }

  failed(now: number, error: unknown, during: Part): void {
    this.#path.discard();
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // The same failure at every turn would fill the log.
    if (text !== this.#failure.text || now >= this.#failure.at + SAY_FAILURE_AGAIN_MS) {
      this.#failure = { text, at: now };
      this.#log.write("error", "internal.error", text);
    }
    if (now >= this.#leaveBy) this.#done = true;
    // A packet that failed is gone, but a timer or an event would fail again.
    else if (during === "control") this.#giveUpDialer(now);
  }

  /** Command: say goodbye to the server and end. */
  leave(cause: string): void {
    this.#leaveCause ??= cause;
  }

  /** Command: read the configuration again and connect anew with it; with problems in it what runs goes on. */
  reconnect(): void {
    this.#reconnectWanted = true;
  }

  /** Command: log the statistics, which are next due an hour later. */
  askForStatistics(): void {
    this.#statisticsAt = Number.NEGATIVE_INFINITY;
  }

  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void {
    this.#dialer?.stop(now, reason);
    this.#path.flush(now);
  }

  get #isLeaving(): boolean {
    return this.#leaveBy !== Number.POSITIVE_INFINITY;
  }

  /** Goodbye was said, and what is to outlive the end is written. */
  #hasLeft(now: number): boolean {
    return (this.#dialer?.left ?? true) && (this.#options.state?.isIdle(now) ?? true);
  }

  #leave(now: number, cause: string): void {
    this.#leaveBy = now + LEAVE_WITHIN_MS;
    this.#options.state?.hurry(now);
    this.#log.write("info", "shutdown", "", { cause });
    this.#dialer?.leave(now);
  }

  #reconnect(now: number): void {
    this.#reconnectWanted = false;
    if (this.#isLeaving) return;
    this.#log.write("info", "reconnect", "reading the configuration again, and connecting anew when it is good");
    const loaded = this.#options.load();
    this.#config = sayLoaded(this.#log, loaded, this.#options.mending, this.#config);
    if (!loaded.ok) return;
    this.#dialer?.stop(now, "reconnect requested");
    this.#reload(now, loaded.settings);
    this.#history = undefined;
    this.#revive(now);
  }

  /** Takes what can change while it runs, and says what cannot. */
  #reload(now: number, settings: Settings): void {
    this.#options.setLogLevel(settings.log.level);
    setForwards(this.#path, this.#log, settings.vpn.forwards, this.#network6);
    if (this.#settings.wan.address === "none") this.#mendUplink(now, settings.wan);
    const text = needRestart(this.#settings, settings);
    if (text !== undefined) this.#log.write("warn", "config.warning", text);
  }

  /** The WAN had no address because of a problem in its settings, and now they are good. */
  #mendUplink(now: number, { address, gateway, address6, gateway6, dns }: Settings["wan"]): void {
    this.#settings = { ...this.#settings, wan: { ...this.#settings.wan, address, gateway, address6, gateway6, dns } };
    this.#uplink = this.#newUplink();
    if (this.#links.wanUp) this.#uplink.start(now);
  }

  /** Closes the tunnel. Later a new dialer takes the place of this one, and knows only the history of its attempts. */
  #giveUpDialer(now: number): void {
    const dialer = this.#dialer;
    this.#dialer = undefined;
    this.#reviveAt = now + REVIVE_AFTER_MS;
    try {
      dialer?.stop(now, "internal error");
    } catch {
      // The dialer itself is broken, so its tunnel and links are closed without it.
      this.#side.down(now);
      this.#path.links.closeAll();
      dialer?.discard(now);
    }
  }

  #revive(now: number): void {
    this.#reviveAt = Number.POSITIVE_INFINITY;
    this.#dialer = this.#newDialer();
    if (this.#uplink.isUp) this.#dialer?.networkUp(now);
  }

  #newUplink(): Uplinks {
    const { memory, wan, log } = this.#options;
    const settings = this.#settings;
    const source = this.#newSource6();
    return new Uplinks({
      wan: this.#path.wan,
      settings,
      slab: memory,
      mac: wan.mac,
      log,
      random: systemRandom,
      ipv6: source && { wan: this.#path.wan, source, log, heard: this.#heard },
      usesIpv6: () => this.#path.links.useIpv6,
      events: {
        up: (now) => {
          this.#warnAboutOverlap();
          this.#dialer?.networkUp(now);
        },
        resolvers: (servers) => this.#resolver.setServers(servers),
        lost: (reason) => log.write("warn", "wan.lost", reason),
        down: (now, reason) => this.#dialer?.networkDown(now, reason),
      },
    });
  }

  #newDhcp(): LanDhcp | undefined {
    const { memory, lan, log } = this.#options;
    const { hostname, lan: settings } = this.#settings;
    if (settings.dhcp === undefined) return undefined;
    return new LanDhcp({
      lan: this.#path.lan,
      mac: lan.mac,
      address: settings.address,
      hostname,
      settings: settings.dhcp,
      tunnelMtu: () => this.#path.tunnel.mtu,
      nameService: settings.dns && { server: settings.address.address, domain: settings.dns.domain },
      slab: memory,
      log,
      random: systemRandom,
      state: this.#options.state,
      unixMs: Date.now,
    });
  }

  #newDns(): LanDns | undefined {
    const { hostname, lan: settings } = this.#settings;
    if (settings.dns === undefined) return undefined;
    return new LanDns({
      lan: this.#path.lan,
      lan6: this.#network6,
      tunnel: this.#path.tunnel,
      lanTcp: this.#path.lanTcp,
      tunnelTcp: this.#path.tunnelTcp,
      slab: this.#options.memory,
      random: systemRandom,
      log: this.#log,
      hostname,
      settings: settings.dns,
      hosts: this.#dhcp?.names ?? NO_HOSTS,
      tls: libsslTls,
      authorities: () => (this.#config?.role === "client" ? this.#config.tls.ca : undefined),
    });
  }

  #newSource6(): Source6 | undefined {
    const { memory, wan } = this.#options;
    const { address6, gateway6 } = this.#settings.wan;
    if (address6 === "off") return undefined;
    const prf = this.#prf;
    if (address6 !== "auto") return gateway6 && new StaticSource6(address6, gateway6, wan.mac, prf);
    const own = { wan: this.#path.wan, slab: memory, mac: wan.mac, prf };
    return new AutoSource6({ ...own, random: systemRandom, heard: this.#heard });
  }

  /** The gateway's IPv6 address on the LAN and its network; undefined: there is none. */
  #lanNetwork6(now: number): Cidr | undefined {
    const { address6 } = this.#settings.lan;
    if (address6 === "off") return undefined;
    return address6 === "auto" ? keptNetwork(now, this.#prf, this.#options.state) : address6;
  }

  #newLan6(address: Cidr): Lan6 {
    const { name: device, mac } = this.#options.lan;
    const own = { lan: this.#path.lan, device, mac, address, prf: this.#prf };
    return new Lan6({ ...own, random: systemRandom, log: this.#log, heard: this.#heard });
  }

  #newDialer(): Dialer | undefined {
    const config = this.#config;
    if (config === undefined) return undefined;
    this.#history ??= new DialHistory(config, systemRandom);
    return new Dialer({
      config,
      history: this.#history,
      side: this.#side,
      links: this.#path.links,
      resolver: this.#resolver,
      slab: this.#options.memory,
      scratch: this.#path.sessionScratch,
      aead: this.#aead,
      cbc: this.#cbc,
      decompressors: this.#decompressors,
      control: this.#control,
      tls: libsslTls,
      log: this.#log,
      random: systemRandom,
      unixSeconds: () => Math.floor(Date.now() / 1000),
    });
  }

  #warnAboutOverlap(): void {
    const wan = this.#path.wan.address;
    const lan = this.#settings.lan.address;
    if (wan?.overlaps(lan) === true)
      this.#log.write(
        "warn",
        "wan.overlap",
        "the WAN network overlaps the LAN; give the LAN another network in appliance.toml ([lan] address)",
        { wan: `${wan}`, lan: `${lan}` },
      );
  }

  #finish(now: number): void {
    if (this.#done) return;
    this.stop(now, "shutdown");
    this.#lan6?.leave(now);
    this.#uplink.leave(now);
    this.#path.flush(now);
    this.#done = true;
  }
}
