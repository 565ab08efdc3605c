/**
 * The prefix list and the addresses that follow from it (RFC 4861 6.3.4, RFC 4862 5.5.3), bounded. Link-local addresses are of a
 * prefix as well, which nobody has to advertise.
 */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { AdvertisedPrefix } from "../wire/router-advert.ts";
import { givesWay } from "./fairness.ts";

/** RFC 4862 5.5.3 e: who is not authenticated cannot shorten what remains of an address below that. */
const TWO_HOURS_MS = 7_200_000;
/** RFC 7217 6: IDGEN_RETRIES. */
const RETRIES = 3;
// Our choices.
const MAX_PREFIXES = 16;
/** After so many addresses that were taken it is left alone for a while; then the reason may be gone. */
const TAKEN_REST_MS = 300_000;
const NEVER = Number.POSITIVE_INFINITY;
const NOBODY = new IpAddress(0, 0, 0, 0);
const LINK_LOCAL = new Cidr(new IpAddress(0xfe80_0000, 0, 0, 0), 64);

interface SlaacAddress {
  address: IpAddress;
  /** How many before it were taken (DAD_Counter of RFC 7217). */
  counter: number;
  /** tentative: the interface asks whether another host has it; taken: so are those before it */
  state: "tentative" | "usable" | "taken";
  preferredUntil: number;
  validUntil: number;
  /** In the state "taken": when it is tried anew. */
  retryAt: number;
}

interface Entry {
  readonly prefix: Cidr;
  /** Who advertised it last; the unspecified address for the link-local prefix. */
  router: IpAddress;
  /** 0: it is not on the link. */
  onLinkUntil: number;
  slaac: SlaacAddress | undefined;
}

/** An address that is ours, or would be. */
export interface HostAddress {
  readonly address: Cidr;
  readonly isUsable: boolean;
  /** Its preferred lifetime is over: good for what uses it already. */
  readonly isDeprecated: boolean;
}

export class Prefixes {
  readonly #entries: Entry[] = [];
  readonly #make: (prefix: IpAddress, counter: number) => IpAddress;

  /** @param make the address of a prefix, after `counter` that were taken */
  constructor(make: (prefix: IpAddress, counter: number) => IpAddress) {
    this.#make = make;
  }

  /** Forgets all; from now on there is the link-local address. */
  start(): void {
    const slaac = this.#slaac(LINK_LOCAL, NEVER, NEVER);
    this.#entries.splice(0, NEVER, { prefix: LINK_LOCAL, router: NOBODY, onLinkUntil: NEVER, slaac });
  }

  clear(): void {
    this.#entries.length = 0;
  }

  /** The link-local address, once nobody else has it. */
  get linkLocal(): IpAddress | undefined {
    const slaac = this.#entries[0]?.slaac;
    return slaac?.state === "usable" ? slaac.address : undefined;
  }

  /** @param now by which an address is deprecated or not */
  addresses(now: number): HostAddress[] {
    return this.#entries.flatMap(({ prefix, slaac }) => {
      if (slaac === undefined || slaac.state === "taken") return [];
      const isDeprecated = slaac.preferredUntil <= now;
      return [{ address: new Cidr(slaac.address, prefix.prefix), isUsable: slaac.state === "usable", isDeprecated }];
    });
  }

  /** Prefixes whose hosts are neighbours. */
  get onLink(): Cidr[] {
    return this.#entries.filter(({ onLinkUntil }) => onLinkUntil > 0).map(({ prefix }) => prefix);
  }

  /** @param gateway the default router that is in use: its prefixes give way to no other router's */
  update(now: number, router: IpAddress, gateway: IpAddress | undefined, advertised: AdvertisedPrefix): void {
    const { prefix: given, onLink, autonomous, valid, preferred } = advertised;
    const prefix = given.network;
    // RFC 4861 6.3.4 and RFC 4862 5.5.3 b: not the link-local one; and no prefix that no host's address can begin with.
    if (prefix.prefix === 0 || prefix.address.isIpv4 || prefix.address.isMulticast || prefix.address.isUnspecified)
      return;
    if (prefix.address.isLoopback || LINK_LOCAL.contains(prefix.address)) return;
    const isForAddress = autonomous && prefix.prefix === 64 && preferred <= valid; // RFC 4862 5.5.3 a, c, d
    if (!onLink && !isForAddress) return;
    const entry = this.#entries.find((e) => e.prefix.equals(prefix)) ?? this.#add(prefix, router, gateway, valid);
    if (entry === undefined) return;
    entry.router = router;
    if (onLink) entry.onLinkUntil = valid === 0 ? 0 : now + valid * 1000;
    if (isForAddress) {
      const preferredUntil = now + preferred * 1000;
      const validUntil = now + valid * 1000;
      if (entry.slaac !== undefined) prolong(now, entry.slaac, preferredUntil, validUntil);
      else if (valid > 0) entry.slaac = this.#slaac(prefix, preferredUntil, validUntil);
    }
    if (isOver(entry)) this.#entries.splice(this.#entries.indexOf(entry), 1);
  }

  /** Nobody else has the address. */
  usable(address: IpAddress): void {
    const slaac = this.#find(address)?.slaac;
    if (slaac?.state === "tentative") slaac.state = "usable";
  }

  /**
   * Another host has the address: the next one of its prefix takes its place (RFC 7217 6).
   * @returns that one, "none" when there is none for a while; undefined when the address was not ours
   */
  taken(now: number, address: IpAddress): IpAddress | "none" | undefined {
    const entry = this.#find(address);
    const slaac = entry?.slaac;
    if (entry === undefined || slaac === undefined) return undefined;
    if (slaac.counter >= RETRIES) {
      slaac.state = "taken";
      slaac.retryAt = now + TAKEN_REST_MS;
      return "none";
    }
    slaac.counter++;
    slaac.address = this.#make(entry.prefix.address, slaac.counter);
    slaac.state = "tentative";
    return slaac.address;
  }

  /** When something ends next, or is tried anew. @param now deprecation that is past is not due again */
  pollAt(now: number): number {
    let at = NEVER;
    for (const { onLinkUntil, slaac } of this.#entries) {
      if (onLinkUntil > 0) at = Math.min(at, onLinkUntil);
      if (slaac === undefined) continue;
      at = Math.min(at, slaac.validUntil, slaac.retryAt);
      if (slaac.preferredUntil > now) at = Math.min(at, slaac.preferredUntil);
    }
    return at;
  }

  handleTimeout(now: number): void {
    for (const entry of [...this.#entries]) {
      if (entry.onLinkUntil <= now) entry.onLinkUntil = 0;
      const { slaac } = entry;
      if (slaac !== undefined && slaac.validUntil <= now) entry.slaac = undefined;
      else if (slaac !== undefined && slaac.retryAt <= now)
        entry.slaac = this.#slaac(entry.prefix, slaac.preferredUntil, slaac.validUntil);
      if (isOver(entry)) this.#entries.splice(this.#entries.indexOf(entry), 1);
    }
  }

  #find(address: IpAddress): Entry | undefined {
    return this.#entries.find(
      ({ slaac }) => slaac !== undefined && slaac.state !== "taken" && slaac.address.equals(address),
    );
  }

  #slaac(prefix: Cidr, preferredUntil: number, validUntil: number): SlaacAddress {
    const address = this.#make(prefix.address, 0);
    return { address, counter: 0, state: "tentative", preferredUntil, validUntil, retryAt: NEVER };
  }

  /** A place for a prefix; undefined where there is none for this router. */
  #add(prefix: Cidr, router: IpAddress, gateway: IpAddress | undefined, valid: number): Entry | undefined {
    if (valid === 0) return undefined;
    if (this.#entries.length >= MAX_PREFIXES) {
      const victim = givesWay(this.#entries.slice(1), router, gateway);
      if (victim === undefined) return undefined;
      this.#entries.splice(this.#entries.indexOf(victim), 1);
    }
    const entry: Entry = { prefix, router, onLinkUntil: 0, slaac: undefined };
    this.#entries.push(entry);
    return entry;
  }
}

/** RFC 4862 5.5.3 e: the preferred lifetime is what is said, the valid one cannot be cut below two hours. */
function prolong(now: number, slaac: SlaacAddress, preferredUntil: number, validUntil: number): void {
  slaac.preferredUntil = preferredUntil;
  if (validUntil - now > TWO_HOURS_MS || validUntil > slaac.validUntil) slaac.validUntil = validUntil;
  else if (slaac.validUntil - now > TWO_HOURS_MS) slaac.validUntil = now + TWO_HOURS_MS;
}

const isOver = (entry: Entry): boolean => entry.onLinkUntil === 0 && entry.slaac === undefined;
