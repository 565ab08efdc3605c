/**
 * The LAN's IPv6: the gateway's addresses, and what its hosts are told of them (netstack/ra/advertiser.ts). The network is one of our
 * own (ULA, RFC 4193), the same after every start, or the one of the settings. Hosts hear of a way out only while the tunnel has IPv6.
 */
import type { BoundedLog } from "../lib/bounded-log.ts";
import { Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { Mac } from "../lib/mac.ts";
import type { Random } from "../lib/random.ts";
import type { EthernetInterface } from "../netstack/interface.ts";
import { type AdvertisedLink, RouterAdvertiser } from "../netstack/ra/advertiser.ts";
import { type AddressPrf, stableAddress } from "../netstack/ra/stable-address.ts";
import { firstHost, ulaPrefix } from "../netstack/ra/ula.ts";
import { routerAdvertParse } from "../netstack/wire/router-advert.ts";
import type { StateStore } from "../platform/state/store.ts";
import { lanConflict, neighborConflict } from "./conflicts.ts";

/** RFC 4193 3.1, with the L bit. */
const ULA = new Cidr(new IpAddress(0xfd00_0000, 0, 0, 0), 8);
const LINK_LOCAL = new Cidr(new IpAddress(0xfe80_0000, 0, 0, 0), 64);
/** RFC 7217 6: IDGEN_RETRIES. */
const RETRIES = 3;

export interface Lan6Options {
  readonly lan: EthernetInterface;
  /** The device's name, for the log. */
  readonly device: string;
  readonly mac: Mac;
  /** Of the gateway, with the /64 of its hosts. */
  readonly address: Cidr;
  readonly prf: AddressPrf;
  readonly random: Random;
  readonly log: Log;
  /** For warnings that hosts can cause as often as they like. */
  readonly heard: BoundedLog;
}

/** The gateway's address in a network of its own, which follows from what tells this gateway from others. */
export function ownNetwork(prf: AddressPrf): Cidr {
  const prefix = ulaPrefix(prf(Uint8Array.from("ula", (c) => c.charCodeAt(0))));
  return new Cidr(firstHost(prefix), prefix.prefix);
}

/** What the network is kept under. */
const NETWORK = "ula";

/** The same, but what it was before a restart, where that was kept: a NIC or the name may have changed since. */
export function keptNetwork(now: number, prf: AddressPrf, state: StateStore | undefined): Cidr {
  const kept = state?.read(now, NETWORK, (data) => {
    const network = parseCidr(String(data));
    if (network?.prefix !== 64 || !ULA.contains(network.address)) throw new Error("no /64 of fd00::/8");
    return network;
  });
  const own = ownNetwork(prf);
  if (kept !== undefined) return new Cidr(firstHost(kept), kept.prefix);
  state?.keep(now, NETWORK, () => `${own.network}`);
  return own;
}

export class Lan6 {
  /** For the statistics. */
  readonly counters = { lanSolicitations: 0, lanSolicitationsIgnored: 0, lanAdverts: 0 };
  readonly #options: Lan6Options;
  readonly #advertiser: RouterAdvertiser;
  #link: AdvertisedLink;
  /** Link-local addresses that others have. */
  #taken = 0;
  #isFresh = false;

  constructor(options: Lan6Options) {
    this.#options = options;
    const { lan, mac, random, address, heard } = options;
    this.#advertiser = new RouterAdvertiser({ mac, random });
    this.#link = { prefix: address.network, isDefaultRouter: false, dns: [], domains: [], mtu: undefined };
    lan.v6.onRouterSolicit = (now, _source, message) => {
      this.counters.lanSolicitations++;
      if (this.#advertiser.handleSolicitation(now, message) === undefined) this.#isFresh = true;
      else this.counters.lanSolicitationsIgnored++;
    };
    lan.v6.onRouterAdvert = (now, source, message) => this.#heardRouter(now, source, message);
    lan.link.nd.events = {
      onUsable: (now, { value }) => this.#usable(now, value),
      onTaken: (now, { value }, otherMac) => {
        heard.write(now, "warn", "lan.conflict", lanConflict(value, otherMac));
        if (!value.isLinkLocal || this.#taken >= RETRIES) return;
        this.#taken++;
        this.#configure(now);
      },
      onConflict: (now, { value }, otherMac) => heard.write(now, "warn", "lan.conflict", lanConflict(value, otherMac)),
      onNeighborConflict: (now, neighbour, kept, other) =>
        heard.write(now, "warn", "lan.neighbor-conflict", neighborConflict(neighbour, kept, other)),
      onUnreachable: () => {},
    };
  }

  start(now: number): void {
    const { device, log, address } = this.#options;
    this.#configure(now);
    log.write("info", "lan.configured", "", { interface: device, address: `${address}` });
  }

  /** What the hosts are told from now on. */
  tell(now: number, news: Partial<Omit<AdvertisedLink, "prefix">>): void {
    this.#link = { ...this.#link, ...news };
    this.#advertiser.update(now, this.#link);
    this.#isFresh = true;
  }

  /** The end: the hosts are told that we are no router any more. */
  leave(now: number): void {
    this.#advertiser.stop();
    this.#send(now);
  }

  pollAt(): number {
    return this.#isFresh ? Number.NEGATIVE_INFINITY : this.#advertiser.pollAt();
  }

  handleTimeout(now: number): void {
    this.#isFresh = false;
    this.#advertiser.handleTimeout(now);
    this.#send(now);
  }

  #configure(now: number): void {
    const { lan, mac, prf, address } = this.#options;
    const own = new Cidr(stableAddress(prf, LINK_LOCAL.address, mac, this.#taken), LINK_LOCAL.prefix);
    lan.configure6(now, { addresses: [{ address: own }, { address }], onLink: [address.network], isRouter: true });
  }

  #usable(now: number, address: IpAddress): void {
    if (!address.isLinkLocal) return;
    this.#advertiser.start(now, address, this.#link);
    this.#isFresh = true;
  }

  #send(now: number): void {
    const { lan } = this.#options;
    for (let sent = this.#advertiser.pollTransmit(); sent !== undefined; sent = this.#advertiser.pollTransmit()) {
      this.counters.lanAdverts++;
      lan.v6.sendNd(now, sent.source, sent.destination, sent.message);
    }
  }

  /** Hosts that follow another router send past the tunnel: the operator has to know. */
  #heardRouter(now: number, source: IpAddress, message: Uint8Array): void {
    const advert = routerAdvertParse(message);
    if (typeof advert === "string" || (advert.lifetime === 0 && advert.routes.length === 0)) return;
    this.#options.heard.write(
      now,
      "warn",
      "lan.other-router",
      `another IPv6 router (${source}) advertises itself on the LAN: hosts send through it what should go through the tunnel; switch it off there`,
      { router: `${source}` },
    );
  }
}
