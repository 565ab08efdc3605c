/**
 * Names that are answered here, and what is said of them: those of the LAN's own domain, and those that must never be asked of a
 * server (RFC 6761 6, RFC 7686, RFC 6303, RFC 9462 6.4).
 */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import { DnsType } from "../wire/dns-message.ts";

/** Who is who on the LAN, as the DHCP server knows it. */
export interface HostNames {
  /** The addresses of the host of this name (one label, lower case); empty: nobody has it. */
  addressesOf(label: string): readonly IpAddress[];
  /** The name of the host with this address, one label. */
  nameOf(address: IpAddress): string | undefined;
}

/** What is answered: NXDOMAIN, or records (none: the name is there, and has none of that type). */
export interface LocalAnswer {
  readonly exists: boolean;
  readonly addresses: readonly IpAddress[];
  /** For PTR: a whole name, without the last dot. */
  readonly target: string | undefined;
  /** Of how many labels, counted from the right, the zone is that says so. */
  readonly zone: number;
}

export interface LocalNamesOptions {
  readonly hostname: string;
  /** Such as "lan", lower case. */
  readonly domain: string;
  readonly hosts: HostNames;
  /** The gateway's own addresses with the prefixes of the LAN. */
  readonly networks: () => readonly Cidr[];
}

const LOOPBACK4 = IpAddress.fromIpv4(0x7f000001);
const LOOPBACK6 = new IpAddress(0, 0, 0, 1);

/**
 * Zones of which a private network's questions are answered here (RFC 6303 4, RFC 7793 2), with how many labels the zone has: the
 * servers of the internet know nothing about them, and should not be told which addresses are in use here.
 */
const PRIVATE_ZONES: readonly (readonly [network: Cidr, labels: number])[] = [
  [v4(0x00000000, 8), 3],
  [v4(0x0a000000, 8), 3],
  [v4(0x64400000, 10), 4],
  [v4(0x7f000000, 8), 3],
  [v4(0xa9fe0000, 16), 4],
  [v4(0xac100000, 12), 4],
  [v4(0xc0a80000, 16), 4],
  [v4(0xffffffff | 0, 32), 6],
  [new Cidr(new IpAddress(0, 0, 0, 0), 127), 33],
  [new Cidr(new IpAddress(0xfd000000 | 0, 0, 0, 0), 8), 4],
  [new Cidr(new IpAddress(0xfe800000 | 0, 0, 0, 0), 10), 5],
];

function v4(word: number, prefix: number): Cidr {
  return new Cidr(IpAddress.fromIpv4(word), prefix);
}

const missing = (zone: number): LocalAnswer => ({ exists: false, addresses: [], target: undefined, zone });
const empty = (zone: number): LocalAnswer => ({ exists: true, addresses: [], target: undefined, zone });

export class LocalNames {
  readonly #options: LocalNamesOptions;
  readonly #hostname: string;
  readonly #domain: readonly string[];

  constructor(options: LocalNamesOptions) {
    this.#options = options;
    this.#hostname = options.hostname.toLowerCase();
    this.#domain = options.domain.split(".");
  }

  /** Whether a name is in the LAN's domain. */
  isOwn(labels: readonly string[]): boolean {
    return endsWith(labels, this.#domain);
  }

  /**
   * What is said here of a name; undefined: it is asked of a server.
   * @param isSplit whether the tunnel brought a server for just this name, which may know a private network's names
   */
  answer(labels: readonly string[], type: number, isSplit: boolean): LocalAnswer | undefined {
    const special = specialName(labels, type);
    if (special !== undefined) return special;
    if (this.isOwn(labels)) return this.#own(labels, type);
    const [top, second] = [labels.at(-1), labels.at(-2)];
    if (top === "arpa" && (second === "in-addr" || second === "ip6")) return this.#reverse(labels, type, isSplit);
    // A name without a domain is looked for among ours first; who has the right search list never gets here.
    if (labels.length !== 1 || !isAddress(type)) return undefined;
    const addresses = this.#addressesOf(labels[0] as string);
    return addresses.length === 0 ? undefined : { ...empty(1), addresses: ofType(addresses, type) };
  }

  #own(labels: readonly string[], type: number): LocalAnswer {
    const zone = this.#domain.length;
    if (labels.length === zone) return empty(zone);
    const addresses = labels.length === zone + 1 ? this.#addressesOf(labels[0] as string) : [];
    return addresses.length === 0 ? missing(zone) : { ...empty(zone), addresses: ofType(addresses, type) };
  }

  #addressesOf(label: string): readonly IpAddress[] {
    if (label === this.#hostname) return this.#options.networks().map(({ address }) => address);
    return this.#options.hosts.addressesOf(label);
  }

  #reverse(labels: readonly string[], type: number, isSplit: boolean): LocalAnswer | undefined {
    const found = reversed(labels);
    if (found === undefined) return undefined;
    const { network, rest } = found;
    const networks = this.#options.networks();
    const own = networks.find((lan) => lan.prefix <= network.prefix && lan.contains(network.address));
    if (own !== undefined) {
      const zone = zoneLabels(own);
      if (rest > 0 || network.prefix < network.address.bits) return rest > 0 ? missing(zone) : empty(zone);
      const name = networks.some(({ address }) => address.equals(network.address))
        ? this.#hostname
        : this.#options.hosts.nameOf(network.address);
      if (name === undefined) return missing(zone);
      const target = type === DnsType.PTR ? `${name}.${this.#domain.join(".")}` : undefined;
      return { ...empty(zone), target };
    }
    if (isSplit) return undefined;
    for (const [range, zone] of PRIVATE_ZONES)
      if (range.prefix <= network.prefix && range.contains(network.address))
        return labels.length === zone ? empty(zone) : missing(zone);
    return undefined;
  }
}

function specialName(labels: readonly string[], type: number): LocalAnswer | undefined {
  switch (labels.at(-1)) {
    case "localhost": {
      if (!isAddress(type)) return empty(1);
      return { ...empty(1), addresses: [type === DnsType.A ? LOOPBACK4 : LOOPBACK6] };
    }
    case "invalid":
    case "onion":
      return missing(1);
    case "arpa":
      // RFC 9462 6.4: the server behind is not this one, and cannot prove that it is.
      return labels.at(-2) === "resolver" ? empty(2) : undefined;
    default:
      return undefined;
  }
}

const isAddress = (type: number): boolean => type === DnsType.A || type === DnsType.AAAA;

const ofType = (addresses: readonly IpAddress[], type: number): IpAddress[] =>
  addresses.filter((address) => type === (address.isIpv4 ? DnsType.A : DnsType.AAAA));

const endsWith = (labels: readonly string[], suffix: readonly string[]): boolean =>
  labels.length >= suffix.length && suffix.every((label, i) => label === labels[labels.length - suffix.length + i]);

/** Of how many labels the reverse zone of a network is that is no smaller than the network: whole octets or nibbles. */
function zoneLabels({ prefix, isIpv4 }: Cidr): number {
  return 2 + Math.floor(prefix / (isIpv4 ? 8 : 4));
}

/**
 * The network that a name under in-addr.arpa (RFC 1035 3.5) or ip6.arpa (RFC 3596 2.5) stands for, and how many labels in front of it
 * are no part of an address.
 */
function reversed(labels: readonly string[]): { readonly network: Cidr; readonly rest: number } | undefined {
  const isIpv4 = labels.at(-2) === "in-addr";
  const bytes = new Uint8Array(isIpv4 ? 4 : 16);
  const most = isIpv4 ? 4 : 32;
  let n = 0;
  for (; n < most; n++) {
    const label = labels[labels.length - 3 - n];
    if (label === undefined) break;
    if (isIpv4) {
      if (!/^(0|[1-9]\d{0,2})$/.test(label) || Number(label) > 255) break;
      bytes[n] = Number(label);
    } else {
      if (!/^[0-9a-f]$/.test(label)) break;
      bytes[n >> 1]! |= Number.parseInt(label, 16) << (n % 2 === 0 ? 4 : 0);
    }
  }
  if (n === 0) return undefined;
  const address = IpAddress.fromBytes(bytes);
  // ::ffff:0:0/96 is IPv4 in disguise, and no network that anybody asks for.
  if (address.isIpv4 !== isIpv4) return undefined;
  return { network: new Cidr(address, n * (isIpv4 ? 8 : 4)), rest: labels.length - 2 - n };
}

/** Names that are private by their top: no public zone has them (RFC 6762 appendix G, and what ICANN has set aside). */
const PRIVATE_TOPS: ReadonlySet<string> = new Set([
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "local",
  "localdomain",
  "mail",
  "test",
]);

/** Whether a name is no public one by its form: one label, a top that no public zone has, or a host of a home network (RFC 8375). */
export const isPrivateName = (labels: readonly string[]): boolean =>
  labels.length <= 1 ||
  PRIVATE_TOPS.has(labels.at(-1) as string) ||
  (labels.at(-1) === "arpa" && labels.at(-2) === "home");
