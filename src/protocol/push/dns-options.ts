/**
 * The resolvers that a tunnel brings (man openvpn, --dns and --dhcp-option): `dns server N ...`, `dns search-domains ...`, and the
 * older `dhcp-option DNS | DNS6 | DOMAIN | DOMAIN-SEARCH | ADAPTER_DOMAIN_SUFFIX`. A pushed server takes the place of the profile's with the same number; servers of
 * `dns` that are for all names take the place of those of dhcp-option.
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import { type IpAddress, parseIp, parseIpv4 } from "../../lib/ip.ts";

export interface TunnelDnsServer {
  readonly addresses: readonly Endpoint[];
  /** Only names below these are for it (lower case, no last dot); empty: all names. */
  readonly domains: readonly string[];
  readonly transport: DnsTransport;
  /** The name in its certificate; undefined: it was not told. */
  readonly serverName: string | undefined;
}

export type DnsTransport = "plain" | "DoT" | "DoH";

export interface TunnelDns {
  /** In the order in which they are to be asked. */
  readonly servers: readonly TunnelDnsServer[];
  readonly searchDomains: readonly string[];
}

/** man openvpn: eight addresses a server; the others are our choice. */
const MAX_ADDRESSES = 8;
const MAX_SERVERS = 16;
const MAX_DOMAINS = 64;
const DNS_PORT = 53;
const DOT_PORT = 853;

interface Building {
  readonly isPushed: boolean;
  readonly addresses: { readonly address: IpAddress; readonly port: number | undefined }[];
  readonly domains: string[];
  transport: DnsTransport;
  serverName: string | undefined;
}

type Bad = (why: string) => void;

export class DnsReading {
  readonly #servers = new Map<number, Building>();
  readonly #ofDhcp: IpAddress[] = [];
  readonly #search: string[] = [];

  /** A line that begins with `dns`. */
  take(words: readonly string[], isPushed: boolean, bad: Bad): void {
    const [, what, number, property, ...values] = words;
    if (what === "search-domains") return addDomains(this.#search, words.slice(2), bad);
    if (what !== "server") return bad("neither server nor search-domains");
    const n = /^-?\d{1,3}$/.test(number ?? "") ? Number(number) : Number.NaN;
    if (!(n >= -128 && n <= 127)) return bad("no number of a server from -128 to 127");
    if (values.length === 0) return bad("no value");
    let server = this.#servers.get(n);
    if (server === undefined || (isPushed && !server.isPushed)) {
      if (this.#servers.size >= MAX_SERVERS) return bad(`more than ${MAX_SERVERS} servers`);
      server = { isPushed, addresses: [], domains: [], transport: "plain", serverName: undefined };
      this.#servers.set(n, server);
    }
    this.#property(server, property, values, bad);
  }

  #property(server: Building, property: string | undefined, values: readonly string[], bad: Bad): void {
    const [first = ""] = values;
    switch (property) {
      case "address":
        for (const text of values) {
          const endpoint = parseDnsAddress(text);
          if (endpoint === undefined) bad("not an address");
          else if (!endpoint.address.isHost) bad("not a host's address");
          else if (server.addresses.length < MAX_ADDRESSES) server.addresses.push(endpoint);
        }
        return;
      case "resolve-domains":
        return addDomains(server.domains, values, bad);
      case "transport":
        if (first !== "plain" && first !== "DoT" && first !== "DoH") return bad("none of plain, DoT, DoH");
        server.transport = first;
        return;
      case "sni":
        server.serverName = first;
        return;
      // What is validated is the asking host's choice: DNSSEC records pass unchanged.
      case "dnssec":
        return;
      default:
        bad("no property of a DNS server");
    }
  }

  /** A line that begins with `dhcp-option`. */
  takeDhcp([, type, value]: readonly string[], bad: Bad): void {
    if (type === undefined) return bad("no type");
    switch (type.toUpperCase()) {
      case "DNS":
      case "DNS6": {
        const server = parseIp(value ?? "");
        if (server === undefined) bad("not an address");
        else if (!server.isHost) bad("not a host's address");
        else if (this.#ofDhcp.length < MAX_ADDRESSES && !this.#ofDhcp.some((known) => known.equals(server)))
          this.#ofDhcp.push(server);
        return;
      }
      case "DOMAIN":
      case "DOMAIN-SEARCH":
      case "ADAPTER_DOMAIN_SUFFIX":
        return addDomains(this.#search, value === undefined ? [] : [value], bad);
    }
  }

  finish(): TunnelDns {
    const ordered = [...this.#servers].sort(([a], [b]) => a - b).map(([, server]) => server);
    const servers = ordered
      .filter(({ addresses }) => addresses.length > 0)
      .map(({ addresses, domains, transport, serverName }) => {
        const usual = transport === "DoT" ? DOT_PORT : DNS_PORT;
        return {
          addresses: addresses.map((a) => ({ address: a.address, port: a.port ?? usual })),
          domains,
          transport,
          serverName,
        };
      });
    if (this.#ofDhcp.length > 0 && servers.every(({ domains }) => domains.length > 0)) {
      const addresses = this.#ofDhcp.map((address) => ({ address, port: DNS_PORT }));
      servers.push({ addresses, domains: [], transport: "plain", serverName: undefined });
    }
    return { servers, searchDomains: this.#search };
  }
}

function addDomains(to: string[], names: readonly string[], bad: Bad): void {
  if (names.length === 0) bad("no domain");
  for (const name of names) {
    const domain = name.replace(/^\.|\.$/g, "").toLowerCase();
    if (!isDomain(domain)) bad("not a domain");
    else if (to.length < MAX_DOMAINS && !to.includes(domain)) to.push(domain);
  }
}

const isDomain = (text: string): boolean =>
  text.length <= 253 && text.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));

/** "192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]:5353". */
function parseDnsAddress(text: string): { readonly address: IpAddress; readonly port: number | undefined } | undefined {
  const plain = parseIp(text);
  if (plain !== undefined) return { address: plain, port: undefined };
  const [, ipv6, ipv4, digits] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const address = ipv6 === undefined ? parseIpv4(ipv4 ?? "") : parseIp(ipv6);
  return address === undefined || !(port >= 1 && port <= 65_535) ? undefined : { address, port };
}
