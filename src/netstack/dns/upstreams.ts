/**
 * The servers that questions are asked of: for which names each is, and how it does (RFC 1035 7.2, RFC 9520 3.1). The first one that
 * is well is asked, in the order in which they were given; one that is silent twice in a row, or cannot answer again and again, is
 * passed over for a while, which doubles, and then gets one question to prove itself. Where none is well, the one whose rest ends first is asked.
 */
import { type Endpoint, formatEndpoint } from "../../lib/endpoint.ts";

/** DNS over TLS (RFC 7858). */
export interface DnsTls {
  /** What the server's certificate must say that it is; undefined: nobody has told, and whatever it shows is taken (RFC 8310 5, opportunistic). */
  readonly name: string | undefined;
}

export interface DnsServerGroup {
  /** For these names and what is below them (lower case, no last dot); empty: for all that no other group has. */
  readonly domains: readonly string[];
  readonly servers: readonly Endpoint[];
  /** They are asked by TLS alone. */
  readonly tls?: DnsTls | undefined;
}

// Our choices, ms.
const FIRST_TIMEOUT = 1000;
const MIN_TIMEOUT = 300;
const MAX_TIMEOUT = 2000;
const FIRST_REST = 5000;
const MAX_REST = 120_000;
/** In a row: no answer; an answer that is none (which may be the name's fault). */
const SILENCES = 2;
const FAILURES = 10;
/** How long a server is asked without what it could not do: random capitals, EDNS. */
const WITHOUT_MS = 3_600_000;
const CASE_MISSES = 3;
const MAX_SERVERS = 8;
const MAX_DOMAINS = 64;

export class Upstream {
  readonly server: Endpoint;
  readonly tls: DnsTls | undefined;
  readonly name: string;
  /** How long an answer takes, smoothed, and how much that varies (RFC 6298 2); negative: not known. */
  #srtt = -1;
  #rttvar = 0;
  #silences = 0;
  #failures = 0;
  #rest = FIRST_REST;
  restUntil = Number.NEGATIVE_INFINITY;
  #provingUntil = Number.NEGATIVE_INFINITY;
  #caseMisses = 0;
  #noCaseUntil = Number.NEGATIVE_INFINITY;
  #noEdnsUntil = Number.NEGATIVE_INFINITY;

  constructor(server: Endpoint, tls: DnsTls | undefined) {
    this.server = server;
    this.tls = tls;
    this.name = upstreamName(server, tls);
  }

  /** How long to wait for it, ms. */
  get timeout(): number {
    if (this.#srtt < 0) return FIRST_TIMEOUT;
    return Math.min(MAX_TIMEOUT, Math.max(MIN_TIMEOUT, this.#srtt + 4 * this.#rttvar));
  }

  isResting(now: number): boolean {
    return now < this.restUntil || now < this.#provingUntil;
  }

  /** It is asked a question: after a rest the others wait for what becomes of it. */
  asked(now: number): void {
    if (this.restUntil > Number.NEGATIVE_INFINITY && now >= this.restUntil) this.#provingUntil = now + this.timeout;
  }

  /** Whether it is asked with random capitals: nobody else can answer in a TLS session. */
  mixesCase(now: number): boolean {
    return this.tls === undefined && now >= this.#noCaseUntil;
  }

  hasEdns(now: number): boolean {
    return now >= this.#noEdnsUntil;
  }

  /** @param took ms @returns true: it is well again, after a rest */
  answered(took: number): boolean {
    this.#srtt = this.#srtt < 0 ? took : this.#srtt + (took - this.#srtt) / 8;
    this.#rttvar += (Math.abs(took - this.#srtt) - this.#rttvar) / 4;
    const wasIll = this.restUntil > Number.NEGATIVE_INFINITY;
    this.#silences = 0;
    this.#failures = 0;
    this.#rest = FIRST_REST;
    this.restUntil = Number.NEGATIVE_INFINITY;
    this.#provingUntil = Number.NEGATIVE_INFINITY;
    return wasIll;
  }

  /** @returns true: from now on it rests, and did not before */
  wasSilent(now: number): boolean {
    this.#silences++;
    return this.#silences >= SILENCES && this.#beginRest(now);
  }

  /** SERVFAIL, REFUSED and the like. */
  failed(now: number): boolean {
    this.#silences = 0;
    this.#failures++;
    return this.#failures >= FAILURES && this.#beginRest(now);
  }

  /** It gave the name in other letters than it was asked. */
  missedCase(now: number): void {
    if (++this.#caseMisses >= CASE_MISSES) this.#noCaseUntil = now + WITHOUT_MS;
  }

  keptCase(): void {
    this.#caseMisses = 0;
  }

  /** It does not understand EDNS (RFC 6891 7). */
  refusedEdns(now: number): void {
    this.#noEdnsUntil = now + WITHOUT_MS;
  }

  #beginRest(now: number): boolean {
    if (now < this.restUntil) return false;
    const isNew = this.restUntil === Number.NEGATIVE_INFINITY;
    this.restUntil = now + this.#rest;
    this.#rest = Math.min(MAX_REST, this.#rest * 2);
    return isNew;
  }
}

/** For logs: "10.8.0.1:53", "tls://10.8.0.1:853", "tls://10.8.0.1:853#dns.example". */
export function upstreamName(server: Endpoint, tls: DnsTls | undefined): string {
  if (tls === undefined) return formatEndpoint(server);
  return `tls://${formatEndpoint(server)}${tls.name === undefined ? "" : `#${tls.name}`}`;
}

export class Upstreams {
  #groups = new Map<string, readonly Upstream[]>();
  #config = "";

  /** Takes other servers; what is known of those that stay is kept. @returns false: they are the same as before */
  set(groups: readonly DnsServerGroup[]): boolean {
    const config = JSON.stringify(
      groups.map(({ domains, servers, tls }) => [domains, servers.map((server) => upstreamName(server, tls))]),
    );
    if (config === this.#config) return false;
    this.#config = config;
    const known = new Map([...this.#groups.values()].flat().map((upstream) => [upstream.name, upstream]));
    this.#groups = new Map();
    for (const { domains, servers, tls } of groups) {
      const list = servers.slice(0, MAX_SERVERS).map((server) => {
        const upstream = known.get(upstreamName(server, tls)) ?? new Upstream(server, tls);
        known.set(upstream.name, upstream);
        return upstream;
      });
      if (list.length === 0) continue;
      for (const domain of domains.length === 0 ? [""] : domains.slice(0, MAX_DOMAINS))
        this.#groups.set(domain, [...(this.#groups.get(domain) ?? []), ...list]);
    }
    return true;
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  /** Whether a server is there for just this name, or a domain that it is in. */
  isSplit(labels: readonly string[]): boolean {
    return this.#domainOf(labels) !== "";
  }

  /** Those for a name; empty: there are none. */
  for(labels: readonly string[]): readonly Upstream[] {
    return this.#groups.get(this.#domainOf(labels)) ?? [];
  }

  /** The longest domain that a group has. */
  #domainOf(labels: readonly string[]): string {
    for (let i = 0; i < labels.length; i++) {
      const domain = labels.slice(i).join(".");
      if (this.#groups.has(domain)) return domain;
    }
    return "";
  }
}

/** Whom to ask next: of those that were not asked yet the first that is well, else the one that is well soonest. */
export function nextUpstream(
  now: number,
  upstreams: readonly Upstream[],
  asked: readonly Upstream[],
): Upstream | undefined {
  let best: Upstream | undefined;
  for (const upstream of upstreams) {
    if (asked.includes(upstream)) continue;
    if (!upstream.isResting(now)) return upstream;
    if (best === undefined || upstream.restUntil < best.restUntil) best = upstream;
  }
  return best;
}
