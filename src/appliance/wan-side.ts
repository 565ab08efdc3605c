/** The WAN: our addresses there, of both families, and how names of remotes are found. */
import type { BoundedLog } from "../lib/bounded-log.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { AddressPrf } from "../netstack/ra/stable-address.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import { RemoteResolver } from "./remote-resolver.ts";
import type { Settings } from "./settings/settings.ts";
import { AutoSource6, type Source6, StaticSource6 } from "./source6.ts";
import { Uplinks } from "./uplinks.ts";
import type { DataPath } from "./wiring/data-path.ts";

export interface WanSideOptions {
  readonly path: DataPath;
  readonly device: FrameDevice;
  readonly settings: Settings;
  readonly memory: NativeMemory;
  readonly log: Log;
  /** For warnings that neighbours can cause as often as they like. */
  readonly heard: BoundedLog;
  readonly prf: AddressPrf;
  readonly events: {
    /** There is a network, or another one. */
    up(now: number): void;
    down(now: number, reason: string): void;
  };
}

export class WanSide {
  readonly resolver: RemoteResolver;
  readonly #options: WanSideOptions;
  #settings: Settings;
  #uplinks: Uplinks;

  constructor(options: WanSideOptions) {
    const { path, memory, settings } = options;
    this.#options = options;
    this.#settings = settings;
    this.resolver = new RemoteResolver({
      wan: path.wan,
      tcp: path.wanTcp,
      slab: memory,
      random: systemRandom,
      refuse: (address) => path.links.refusal(address),
    });
    this.#uplinks = this.#newUplinks();
  }

  get isUp(): boolean {
    return this.#uplinks.isUp;
  }

  /** An IPv6 address of the settings is still looked for with somebody else (RFC 4862 5.4): nothing is heard there yet. */
  get isSettling(): boolean {
    const { address6 } = this.#settings.wan;
    if (address6 === "off" || address6 === "auto") return false;
    const own = this.#options.path.wan.v6.addressing.addresses.find(({ value }) => value.equals(address6.address));
    return own === undefined || own.state === "tentative";
  }

  /** The WAN has addresses of the family of this one, and this one is none of them. */
  lacks(address: IpAddress): boolean {
    const { wan } = this.#options.path;
    if (address.isIpv4) return wan.address !== undefined && !wan.address.address.equals(address);
    const own = wan.v6.addressing.addresses.filter(({ value }) => !value.isLinkLocal);
    return own.length > 0 && !own.some(({ value }) => value.equals(address));
  }

  get uplinks(): Uplinks {
    return this.#uplinks;
  }

  /** Where the address was missing because of a problem in its settings, good ones are taken. @param isLinkUp the cable is plugged in */
  reload(now: number, { wan }: Settings, isLinkUp: boolean): void {
    if (this.#settings.wan.address !== "none") return;
    const { address, gateway, address6, gateway6, dns } = wan;
    this.#settings = { ...this.#settings, wan: { ...this.#settings.wan, address, gateway, address6, gateway6, dns } };
    this.#uplinks = this.#newUplinks();
    if (isLinkUp) this.#uplinks.start(now);
  }

  /** Those that it started with, and what was mended: interfaces and NAT stay as they are until the end. */
  get settings(): Settings {
    return this.#settings;
  }

  pollAt(): number {
    return this.#uplinks.pollAt();
  }

  poll(now: number): void {
    if (this.#uplinks.pollAt() <= now) this.#uplinks.handleTimeout(now);
  }

  #newUplinks(): Uplinks {
    const { path, device, memory, log, heard, events } = this.#options;
    const source = this.#newSource6();
    return new Uplinks({
      wan: path.wan,
      settings: this.#settings,
      slab: memory,
      mac: device.mac,
      log,
      random: systemRandom,
      ipv6: source && { wan: path.wan, source, log, heard },
      usesIpv6: () => path.links.useIpv6,
      events: {
        up: (now) => {
          this.#warnAboutOverlap();
          events.up(now);
        },
        resolvers: (servers) => this.resolver.setServers(servers),
        lost: (reason) => log.write("warn", "wan.lost", reason),
        down: (now, reason) => events.down(now, reason),
      },
    });
  }

  #newSource6(): Source6 | undefined {
    const { path, device, memory, heard, prf } = this.#options;
    const { address6, gateway6 } = this.#settings.wan;
    if (address6 === "off") return undefined;
    if (address6 !== "auto") return gateway6 && new StaticSource6(address6, gateway6, device.mac, prf);
    const own = { wan: path.wan, slab: memory, mac: device.mac, prf };
    return new AutoSource6({ ...own, random: systemRandom, heard });
  }

  #warnAboutOverlap(): void {
    const { path, log } = this.#options;
    const wan = path.wan.address;
    const lan = path.lanNetwork;
    if (wan === undefined || lan === undefined || !wan.overlaps(lan)) return;
    const text = "the WAN network overlaps the LAN; give the LAN another network in appliance.toml ([lan] address)";
    log.write("warn", "wan.overlap", text, { wan: `${wan}`, lan: `${lan}` });
  }
}
