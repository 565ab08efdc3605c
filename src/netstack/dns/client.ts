/**
 * Stub resolver (RFC 1034 5.3.1, RFC 1035 7, RFC 5452) for the names of remotes, as a pure machine.
 *
 * For each name A and AAAA are asked in parallel of one server, then of the next; what comes back decides by itself:
 * once one family has addresses, the other is waited for only briefly, and its refusal is no failure.
 *
 * Use: setServers(), query(now, name); send what pollTransmit() gives to port 53 of `server`, from one UDP port of
 * its own for each `socket` (RFC 5452 9.2; the number is the query's id and ends with its event); feed answers to handleMessage() with that
 * socket; call handleTimeout() at pollAt(). Drain pollTransmit() and pollEvent() after each call. Times are monotonic ms.
 * Address literals are not names: the caller handles them.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import {
  DNS_A,
  DNS_AAAA,
  type DnsRefusal,
  type DnsResponse,
  dnsAddresses,
  dnsNameValid,
  dnsParse,
  dnsQuery,
  RCODE_NAME_ERROR,
  RCODE_OK,
  RCODE_REFUSED,
} from "../wire/dns.ts";
import { DnsCache } from "./cache.ts";

export type DnsFailure = "nxdomain" | "no-address" | "timeout" | "refused" | "no-servers" | "bad-name" | "busy";

export type DnsEvent =
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly name: string;
      readonly ipv4: readonly IpAddress[];
      readonly ipv6: readonly IpAddress[];
      /** Seconds that the answer holds; 0 when stale. */
      readonly ttl: number;
      readonly source: "server" | "cache" | "stale";
      /** For a person, when stale: why the old answer had to do. */
      readonly text: string | undefined;
    }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly name: string;
      readonly reason: DnsFailure;
      /** One sentence for a person. */
      readonly text: string;
    };

export interface DnsTransmit {
  readonly payload: Uint8Array;
  /** Port 53. */
  readonly server: IpAddress;
  /** The id of the query: use one local port for each. */
  readonly socket: number;
}

/** Why a message was ignored. */
export type DnsDrop = DnsRefusal | "unexpected" | "wrong-server" | "wrong-socket" | "wrong-question";

// Our choices.
const FIRST_TIMEOUT = 2000;
const TIMEOUT_STEP = 1000;
const TOTAL_LIMIT = 16_000;
/** How long to wait for AAAA once there is A, and the other way round (this version connects over IPv4). */
const GRACE_FOR_AAAA = 300;
const GRACE_FOR_A = 2000;
const MAX_SERVERS = 4;
const MAX_QUERIES = 32;
const MAX_ADDRESSES = 32;
const NEVER = Number.POSITIVE_INFINITY;

/** One family's half of a query. */
interface Half {
  readonly type: number;
  /** asking: no final answer yet. */
  state: "asking" | "answered" | "empty" | "nxdomain";
  addresses: readonly IpAddress[];
  ttl: number;
  edns: boolean;
  /** The server asked last refused or could not; nothing is expected of it any more. */
  refused: boolean;
  /** What was sent and may still be answered. */
  sent: { wireId: number; server: IpAddress }[];
}

interface Query {
  readonly id: number;
  readonly name: string;
  readonly halves: readonly [Half, Half];
  readonly endsAt: number;
  attempt: number;
  server: IpAddress;
  attemptEndsAt: number;
  graceEndsAt: number;
  /** Servers that refused or failed; when every one did, asking on is of no use. */
  readonly refusedBy: Set<IpAddress>;
  rcode: number;
}

export class DnsClient {
  readonly #random: Random;
  readonly #cache = new DnsCache();
  readonly #queries = new Map<number, Query>();
  readonly #transmits: DnsTransmit[] = [];
  readonly #events: DnsEvent[] = [];
  #servers: readonly IpAddress[] = [];
  #lastId = 0;

  constructor(options: { readonly random: Random }) {
    this.#random = options.random;
  }

  get servers(): readonly IpAddress[] {
    return this.#servers;
  }

  /** Replaces the servers (at most 4 are used). Queries under way go on with the new ones at their next attempt. */
  setServers(servers: readonly IpAddress[]): void {
    this.#servers = servers.filter((s, i) => servers.findIndex((t) => t.equals(s)) === i).slice(0, MAX_SERVERS);
    for (const query of this.#queries.values()) query.refusedBy.clear();
  }

  /** Asks for a name's addresses. The event with the returned id may be there at once (cache, bad name, no servers). */
  query(now: number, name: string): number {
    const id = ++this.#lastId;
    const key = (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
    const cached = this.#cache.fresh(now, key);
    if (!dnsNameValid(name)) {
      this.#fail(id, name, "bad-name", `"${name}" is not a valid host name`);
    } else if (cached) {
      const ttl = Math.ceil((cached.freshUntil - now) / 1000);
      const { ipv4, ipv6 } = cached;
      this.#events.push({ kind: "answer", id, name, ipv4, ipv6, ttl, source: "cache", text: undefined });
    } else if (this.#servers.length === 0) {
      this.#failOrStale(now, id, name, "no-servers", "no DNS server is known (neither from DHCP nor configured)");
    } else if (this.#queries.size >= MAX_QUERIES) {
      this.#fail(id, name, "busy", "too many names are being looked up");
    } else {
      const query: Query = {
        id,
        name,
        halves: [half(DNS_A), half(DNS_AAAA)],
        endsAt: now + TOTAL_LIMIT,
        attempt: 0,
        server: this.#servers[0] as IpAddress,
        attemptEndsAt: NEVER,
        graceEndsAt: NEVER,
        refusedBy: new Set(),
        rcode: RCODE_OK,
      };
      this.#queries.set(id, query);
      this.#attempt(now, query);
    }
    return id;
  }

  /** Forgets a query; no event follows. */
  cancel(id: number): void {
    this.#queries.delete(id);
    for (let i = this.#transmits.length - 1; i >= 0; i--) {
      if (this.#transmits[i]?.socket === id) this.#transmits.splice(i, 1);
    }
  }

  /** Forgets what a name resolved to, so that the next query asks again (its addresses did not work). */
  forget(name: string): void {
    this.#cache.remove((name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase());
  }

  /** Whether a query is still under way: its socket is in use. */
  isOpen(id: number): boolean {
    return this.#queries.has(id);
  }

  /**
   * A UDP payload from port 53 of `server`.
   * @param socket of the transmit that used the port on which it arrived, where known
   * @returns why it was ignored, undefined when it was used
   */
  handleMessage(now: number, server: IpAddress, message: Uint8Array, socket?: number): DnsDrop | undefined {
    const response = dnsParse(message);
    if (typeof response === "string") {
      // A refusal may come without the question (FORMERR of servers that could not read it): only the timeout helps.
      return response;
    }
    let drop: DnsDrop = "unexpected";
    for (const query of this.#queries.values()) {
      for (const part of query.halves) {
        const sent = part.sent.find((s) => s.wireId === response.id);
        if (!sent || part.type !== response.question.type) continue;
        if (part.state !== "asking") continue;
        if (!sent.server.equals(server)) drop = "wrong-server";
        else if (socket !== undefined && socket !== query.id) drop = "wrong-socket";
        else if (response.question.name !== bareName(query.name)) drop = "wrong-question";
        else {
          this.#handleResponse(now, query, part, server, response);
          return undefined;
        }
      }
    }
    return drop;
  }

  handleTimeout(now: number): void {
    for (const query of [...this.#queries.values()]) {
      if (now >= query.graceEndsAt || now >= query.endsAt) this.#finish(now, query);
      else if (now >= query.attemptEndsAt) {
        if (query.halves[0].state === "asking" && query.halves[0].refused) query.refusedBy.add(query.server);
        this.#attempt(now, query);
      }
    }
  }

  /** When handleTimeout is due next; Infinity when nothing is under way. */
  pollAt(): number {
    let at = NEVER;
    for (const q of this.#queries.values()) at = Math.min(at, q.attemptEndsAt, q.graceEndsAt, q.endsAt);
    return at;
  }

  /** A query to send, or undefined. */
  pollTransmit(_now: number): DnsTransmit | undefined {
    return this.#transmits.shift();
  }

  pollEvent(): DnsEvent | undefined {
    return this.#events.shift();
  }

  /** Asks the next server for every half that has no answer. */
  #attempt(now: number, query: Query): void {
    const servers = this.#servers;
    const usable = servers.filter((s) => !query.refusedBy.has(s));
    if (usable.length === 0) {
      this.#finish(now, query);
      return;
    }
    // In turn over all servers, but those that refused are passed over.
    let index = query.attempt % servers.length;
    while (query.refusedBy.has(servers[index] as IpAddress)) index = (index + 1) % servers.length;
    query.server = servers[index] as IpAddress;
    const round = Math.floor(query.attempt / servers.length);
    query.attempt = round * servers.length + index + 1;
    query.attemptEndsAt = now + FIRST_TIMEOUT + round * TIMEOUT_STEP;
    for (const part of query.halves) {
      if (part.state !== "asking") continue;
      part.refused = false;
      this.#ask(query, part, query.server);
    }
  }

  #ask(query: Query, part: Half, server: IpAddress): void {
    const word = new Uint8Array(2);
    this.#random.fill(word);
    const wireId = new DataView(word.buffer).getUint16(0);
    part.sent.push({ wireId, server });
    this.#transmits.push({ payload: dnsQuery(wireId, query.name, part.type, part.edns), server, socket: query.id });
  }

  #handleResponse(now: number, query: Query, part: Half, server: IpAddress, response: DnsResponse): void {
    const { rcode } = response;
    if (rcode === RCODE_OK || rcode === RCODE_NAME_ERROR) {
      const { addresses, ttl } = dnsAddresses(response);
      if (addresses.length > 0) {
        part.state = "answered";
        part.addresses = addresses.slice(0, MAX_ADDRESSES).map(IpAddress.fromBytes);
        part.ttl = ttl;
        this.#settle(now, query);
        return;
      }
      if (!response.truncated) {
        part.state = rcode === RCODE_NAME_ERROR ? "nxdomain" : "empty";
        this.#settle(now, query);
        return;
      }
      if (!part.edns) {
        // Nothing of use fitted into 512 bytes: the same server again, with room (RFC 6891).
        part.edns = true;
        this.#ask(query, part, server);
        return;
      }
      // Nothing even so: a server that wants to be asked over TCP. That says nothing about the name (RFC 2181 9).
    }
    query.rcode = rcode;
    if (!server.equals(query.server)) return;
    part.refused = true;
    this.#settle(now, query);
  }

  /** Decides what follows an answer to one half. */
  #settle(now: number, query: Query): void {
    const [a, aaaa] = query.halves;
    const open = query.halves.filter((h) => h.state === "asking");
    if (open.length === 0) {
      this.#finish(now, query);
      return;
    }
    const haveAny = a.state === "answered" || aaaa.state === "answered";
    if (open.every((h) => h.refused)) {
      // AAAA alone refused while A is there is no failure. Otherwise another server may know.
      if (a.state === "answered") {
        this.#finish(now, query);
      } else {
        query.refusedBy.add(query.server);
        this.#attempt(now, query);
      }
      return;
    }
    if (haveAny || a.state === "nxdomain") {
      const grace = a.state === "asking" ? GRACE_FOR_A : GRACE_FOR_AAAA;
      query.graceEndsAt = Math.min(query.graceEndsAt, now + grace);
    }
  }

  /** Ends a query with what there is. */
  #finish(now: number, query: Query): void {
    const { id, name } = query;
    const key = bareName(name);
    this.cancel(id);
    const [a, aaaa] = query.halves;
    if (a.state === "answered" || aaaa.state === "answered") {
      const ipv4 = a.addresses;
      const ipv6 = aaaa.addresses;
      const ttl = this.#cache.put(now, key, ipv4, ipv6, Math.min(a.ttl, aaaa.ttl));
      this.#events.push({ kind: "answer", id, name, ipv4, ipv6, ttl, source: "server", text: undefined });
      return;
    }
    const asked = this.#servers.join(", ");
    if (a.state === "nxdomain" || (aaaa.state === "nxdomain" && a.state !== "empty")) {
      this.#fail(id, name, "nxdomain", `the name "${name}" does not exist (says the DNS server ${query.server})`);
    } else if (a.state === "empty") {
      this.#fail(id, name, "no-address", `the name "${name}" exists but has no address`);
    } else if (query.refusedBy.size > 0) {
      this.#failOrStale(now, id, name, "refused", `the DNS server ${asked} ${refusal(query.rcode)} for "${name}"`);
    } else {
      this.#failOrStale(now, id, name, "timeout", `no answer for "${name}" from the DNS server ${asked}`);
    }
  }

  /** An old answer is better than none when the servers do not say otherwise (RFC 8767). */
  #failOrStale(now: number, id: number, name: string, reason: DnsFailure, text: string): void {
    const old = this.#cache.stale(now, bareName(name));
    if (!old) {
      this.#fail(id, name, reason, text);
      return;
    }
    const { ipv4, ipv6 } = old;
    this.#events.push({ kind: "answer", id, name, ipv4, ipv6, ttl: 0, source: "stale", text });
  }

  #fail(id: number, name: string, reason: DnsFailure, text: string): void {
    this.#events.push({ kind: "failed", id, name, reason, text });
  }
}

const half = (type: number): Half => ({
  type,
  state: "asking",
  addresses: [],
  ttl: NEVER,
  edns: false,
  refused: false,
  sent: [],
});

function refusal(rcode: number): string {
  if (rcode === RCODE_OK) return "has no answer that fits into UDP";
  return rcode === RCODE_REFUSED ? "refused the question" : `could not answer (code ${rcode})`;
}

const bareName = (name: string): string => (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
