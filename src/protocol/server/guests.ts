/** Who is in, and what is whose: addresses of the pool and of files, networks behind clients. */
import { Cidr } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { printable } from "../config/lexer.ts";
import type { ClientFile } from "../config/server-types.ts";
import { commonPush } from "../push/common-push.ts";
import { fileOf } from "./client-name.ts";
import { clientNetworks } from "./client-networks.ts";
import { type ClientAddresses, clientOptions, secondOf } from "./client-options.ts";
import type { EntranceSetup, Reloaded } from "./entrance.ts";
import type { Refused } from "./entry.ts";
import type { Guest, Identity } from "./guest.ts";
import { AddressPool, type PoolPlace } from "./pool.ts";

/** What is kept of a guest beside what it is. */
interface Kept {
  readonly place: PoolPlace | undefined;
  tokenAt: number | undefined;
}

/** A client for which no address is left asks again after so many seconds: our choice. */
const ASK_AGAIN_S = 30;

export class Guests {
  #setup: EntranceSetup;
  #pool: AddressPool;
  readonly #kept = new Map<Guest, Kept>();
  /** Whose each network is, addresses among them. */
  readonly #owners = new Map<string, Guest>();

  constructor(setup: EntranceSetup) {
    this.#setup = setup;
    this.#pool = poolOf(setup);
  }

  get pool(): AddressPool {
    return this.#pool;
  }

  add(unixSeconds: number, identity: Identity): Guest | Refused {
    const file = fileOf(this.#setup.clients, identity.name);
    const conflict = this.#conflict(file);
    if (conflict !== undefined) return refused(conflict);
    let place: PoolPlace | undefined;
    if (this.#needsPlace(file)) {
      place = this.#pool.take(nameInPool(identity));
      if (place === undefined && file?.address === undefined)
        return refused(
          `the pool of ${this.#pool.size} addresses is used up: make it larger (server, ifconfig-pool), or end sessions that are not used`,
        );
    }
    const addresses = this.#addresses(file, place);
    // With tap the LAN's own DHCP may give it one.
    const needsOne = this.#setup.config.deviceType !== "tap";
    if (needsOne && addresses.address === undefined && addresses.address6 === undefined)
      return refused(
        `there is no address for "${printable(identity.name)}": the server has no pool, so that its file in client-config-dir needs ifconfig-push`,
      );
    const guest = this.#guest({ ...identity, since: unixSeconds }, file, addresses);
    this.#keep(guest, { place, tokenAt: undefined });
    return guest;
  }

  remove(unixSeconds: number, guest: Guest): void {
    const kept = this.#kept.get(guest);
    if (kept === undefined) return;
    this.#drop(guest);
    if (kept.place !== undefined) this.#pool.release(unixSeconds, kept.place.place);
  }

  /** Seconds until a token is due; 0: now. A clock that is set back makes it due. */
  untilToken(unixSeconds: number, guest: Guest, renewal: number): number {
    const kept = this.#kept.get(guest);
    if (kept === undefined) return Number.POSITIVE_INFINITY;
    if (kept.tokenAt === undefined || unixSeconds < kept.tokenAt) return 0;
    return renewal === 0 ? Number.POSITIVE_INFINITY : Math.max(0, kept.tokenAt + renewal - unixSeconds);
  }

  /** A token was made now. */
  tokenMade(unixSeconds: number, guest: Guest): void {
    const kept = this.#kept.get(guest);
    if (kept !== undefined) kept.tokenAt = unixSeconds;
  }

  /** @param mayStay why somebody may not */
  reload(unixSeconds: number, setup: EntranceSetup, mayStay: (guest: Guest) => string | undefined): Reloaded {
    const leases = this.#pool.leases();
    this.#setup = setup;
    this.#pool = poolOf(setup);
    const problems = this.#pool.restore(unixSeconds, leases);
    const gone: { guest: Guest; cause: string }[] = [];
    const changed: { guest: Guest; now: Guest }[] = [];
    const before = [...this.#kept];
    this.#kept.clear();
    this.#owners.clear();
    for (const [guest, kept] of before) {
      const file = fileOf(setup.clients, guest.name);
      const stays = this.#again(guest, kept, file);
      const cause = mayStay(guest) ?? (typeof stays === "string" ? stays : undefined);
      if (typeof stays === "string" || cause !== undefined) {
        if (typeof stays !== "string" && stays.place !== undefined) this.#pool.release(unixSeconds, stays.place.place);
        gone.push({ guest, cause: cause ?? "" });
        continue;
      }
      const next = this.#guest(guest, file, this.#addresses(file, stays.place));
      const isSame = sameGuest(guest, next);
      this.#keep(isSame ? guest : next, { place: stays.place, tokenAt: kept.tokenAt });
      if (!isSame) changed.push({ guest, now: next });
    }
    return { gone, changed, problems };
  }

  /** What a guest keeps in a new pool, or why it cannot. */
  #again(guest: Guest, { place }: Kept, file: ClientFile | undefined): { place: PoolPlace | undefined } | string {
    const conflict = this.#conflict(file);
    if (conflict !== undefined) return conflict;
    if (place !== undefined && !this.#needsPlace(file))
      return `the address of "${printable(guest.name)}" comes from elsewhere now`;
    const held = place === undefined ? undefined : this.#pool.hold(nameInPool(guest), place.address, place.address6);
    const has = this.#addresses(file, held);
    const isSame = sameIp(has.address, guest.address) && sameIp(has.address6?.address, guest.address6);
    if ((place === undefined || held !== undefined) && isSame) return { place: held };
    if (held !== undefined) this.#pool.release(0, held.place);
    return `"${printable(guest.name)}" has another address now`;
  }

  #addresses(file: ClientFile | undefined, place: PoolPlace | undefined): ClientAddresses {
    const { network } = this.#setup.config;
    const fixed = file?.address;
    const fixed6 = file?.address6;
    const pooled6 = place?.address6 ?? this.#besideFixed(file);
    const prefix6 = network.address6?.prefix ?? 64;
    return {
      address: fixed?.local ?? place?.address,
      second: fixed?.second.toString() ?? secondOf(network, place?.serverEnd),
      address6: fixed6?.local ?? (pooled6 === undefined ? undefined : new Cidr(pooled6, prefix6)),
      gateway6: fixed6?.gateway ?? network.address6?.address,
    };
  }

  /**
   * ifconfig-push takes the place of the pool's IPv4 address. OpenVPN says that it gives no IPv6 address then, and pushes one all the same
   * that is somebody else's soon; here the client has it: the one of the same place, or a place of its own.
   */
  #needsPlace(file: ClientFile | undefined): boolean {
    const wants6 = this.#pool.hasIpv6 && file?.address6 === undefined;
    if (file?.address === undefined) return this.#pool.hasIpv4 || wants6;
    return wants6 && this.#pool.placeOf(file.address.local) === undefined;
  }

  /** The IPv6 address in the place of a fixed IPv4 address, unless a file gives it to somebody. */
  #besideFixed(file: ClientFile | undefined): IpAddress | undefined {
    if (file?.address === undefined || file.address6 !== undefined) return undefined;
    const address6 = this.#pool.placeOf(file.address.local)?.address6;
    const isOfAnother = [...this.#setup.clients.values()].some((other) =>
      sameIp(other.address6?.local.address, address6),
    );
    return isOfAnother ? undefined : address6;
  }

  /** Why a client cannot have the addresses that its file gives it. */
  #conflict(file: ClientFile | undefined): string | undefined {
    const { config, lan } = this.#setup;
    const own = [config.network.address, config.network.address6].flatMap((cidr) => (cidr ? [cidr.address] : []));
    for (const [directive, address] of fixedAddresses(file)) {
      const words = `${file?.file}: ${directive}: ${address}`;
      const owner = this.#owners.get(`${new Cidr(address, address.bits)}`);
      if (own.some((server) => server.equals(address))) return `${words} is the server's own address`;
      if (owner !== undefined)
        return `${words} is in use by "${printable(owner.name)}": give each of the two an address of its own`;
      if (lan.some((network) => network.contains(address))) return `${words} lies within the LAN`;
    }
    return undefined;
  }

  #guest(who: Identity & { readonly since: number }, file: ClientFile | undefined, addresses: ClientAddresses): Guest {
    const { config, lan } = this.#setup;
    const { network, limits } = config;
    const { address, address6 } = addresses;
    const own = [address, address6?.address].flatMap((ip) => (ip === undefined ? [] : [new Cidr(ip, ip.bits)]));
    const tunnel = [network.address, network.address6].filter((cidr) => cidr !== undefined);
    const owner = (other: Cidr): string | undefined => this.#owners.get(`${other}`)?.name;
    const behind = clientNetworks(file, { lan, tunnel, owner }, own.length, limits.maxRoutesPerClient);
    const { options, warnings } = clientOptions(commonPush(config), file, addresses, behind.networks);
    const { name, isSingle, user, hash, certificateName, fingerprint, token, since } = who;
    return {
      name,
      isSingle,
      user,
      hash,
      certificateName,
      fingerprint,
      token,
      since,
      address,
      address6: address6?.address,
      networks: [...own, ...behind.networks],
      options,
      warnings: [...this.#addressWarnings(file, address6), ...behind.warnings, ...warnings],
    };
  }

  #addressWarnings(file: ClientFile | undefined, address6: Cidr | undefined): string[] {
    const { network } = this.#setup.config;
    const outside = fixedAddresses(file).flatMap(([directive, address]) => {
      const tunnel = address.isIpv4 ? network.address : network.address6;
      if (tunnel === undefined || tunnel.contains(address)) return [];
      return [
        `${file?.file}: ${directive}: ${address} is not of the tunnel's network ${tunnel.network}; other clients and the LAN need a route to it`,
      ];
    });
    const lacks6 = file?.address !== undefined && address6 === undefined && this.#pool.hasIpv6;
    const lack = `${file?.file}: ifconfig-push: no IPv6 address of the pool is left for it; ifconfig-ipv6-push gives it one`;
    return lacks6 ? [...outside, lack] : outside;
  }

  #keep(guest: Guest, kept: Kept): void {
    this.#kept.set(guest, kept);
    for (const network of guest.networks) this.#owners.set(`${network}`, guest);
  }

  #drop(guest: Guest): void {
    this.#kept.delete(guest);
    for (const network of guest.networks)
      if (this.#owners.get(`${network}`) === guest) this.#owners.delete(`${network}`);
  }
}

function poolOf({ config, clients }: EntranceSetup): AddressPool {
  const pool = new AddressPool(config.network, config.entry.duplicateNames);
  for (const file of clients.values()) pool.fix(fixedAddresses(file).map(([, address]) => address));
  return pool;
}

/** Of whom several may be in at once has no address of its own to come back to, as in OpenVPN, where such a client has no name. */
const nameInPool = ({ name, isSingle, user }: Identity): string | undefined =>
  isSingle || user !== undefined ? name : undefined;

function fixedAddresses(file: ClientFile | undefined): [string, IpAddress][] {
  const { address, address6 } = file ?? {};
  return [
    ...(address === undefined ? [] : [["ifconfig-push", address.local] as [string, IpAddress]]),
    ...(address6 === undefined ? [] : [["ifconfig-ipv6-push", address6.local.address] as [string, IpAddress]]),
  ];
}

const refused = (cause: string): Refused => ({
  refused: cause,
  reason: "The server has no address for this client",
  temporary: { backoff: ASK_AGAIN_S, advance: undefined },
});

const sameIp = (a: IpAddress | undefined, b: IpAddress | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b);

const sameGuest = (a: Guest, b: Guest): boolean =>
  `${a.networks}` === `${b.networks}` && a.options.join("\n") === b.options.join("\n");
