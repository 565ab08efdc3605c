/**
 * Stub resolver (RFC 1034 5.3.1, RFC 1035 7, RFC 5452) for the names of remotes, as a pure machine.
 *
 * For each name A and AAAA are asked in parallel of one server, then of the next; outcome.ts says what follows from what
 * they answer. It never gives an address that no host can have: a resolver that blocks names answers with 0.0.0.0.
 *
 * Commands: setServers(), query(), cancel(); results come from pollEvent(). Each query has a socket of its own, by its id,
 * with a random port (RFC 5452 9.2); service.ts says how it is driven. What fits no datagram is asked for by TCP (RFC 7766 5), through
 * whoever carries out pollDial(). Address literals are not names: the caller handles them.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import type { Datagram, UdpService } from "../service.ts";
import {
  DNS_A,
  DNS_AAAA,
  DNS_PORT,
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
import { type Dial, Dials } from "./dials.ts";
import { ENDS, type Outcome, STEPS } from "./outcome.ts";

/**
 * blocked: the resolver gives an address of this host or none at all, as filters do; unusable: another one that the name
 * cannot have
 */
export type DnsFailure =
  | "nxdomain"
  | "no-address"
  | "blocked"
  | "unusable"
  | "timeout"
  | "refused"
  | "no-servers"
  | "bad-name"
  | "busy";

export type DnsEvent =
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly name: string;
      readonly ipv4: readonly IpAddress[];
      readonly ipv6: readonly IpAddress[];
      /** For a person, where an old answer had to do: why. */
      readonly stale: string | undefined;
    }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly name: string;
      readonly reason: DnsFailure;
      /** One sentence for a person. */
      readonly text: string;
    };

/** Why a message was ignored. */
export type DnsDrop = DnsRefusal | "unexpected" | "wrong-server" | "wrong-socket" | "wrong-question";

export interface DnsClientOptions {
  readonly random: Random;
  /** Why an address of a host cannot be the one that was asked for, in words that follow "is"; undefined: it can. */
  readonly refuse?: ((address: IpAddress) => string | undefined) | undefined;
}

// Our choices.
const FIRST_TIMEOUT = 2000;
const TIMEOUT_STEP = 1000;
const TOTAL_LIMIT = 16_000;
/** Where an old answer would do: two servers are asked once each. */
const STALE_LIMIT = 4000;
/** How long to wait for AAAA once there is A, and the other way round. */
const GRACE_FOR_AAAA = 300;
const GRACE_FOR_A = 2000;
/** A handshake and an answer. */
const DIAL_TIMEOUT = 3000;
const MAX_SERVERS = 4;
const MAX_QUERIES = 32;
const MAX_ADDRESSES = 32;
const NEVER = Number.POSITIVE_INFINITY;

/** One family of a query. */
interface Family {
  readonly type: number;
  outcome: Outcome;
  addresses: readonly IpAddress[];
  /** The address that makes it unusable. */
  unusable: IpAddress | undefined;
  ttl: number;
  edns: boolean;
  /** What was sent and may still be answered. */
  sent: Sent[];
}

interface Sent {
  readonly wireId: number;
  readonly server: IpAddress;
  /** By TCP: its number; 0: by UDP. */
  readonly dial: number;
}

interface Query {
  readonly id: number;
  readonly name: string;
  readonly a: Family;
  readonly aaaa: Family;
  readonly endsAt: number;
  /** Whose turn it is among the servers, counted on over all rounds. */
  turn: number;
  server: IpAddress;
  attemptEndsAt: number;
  graceEndsAt: number;
  /** Servers that refused or failed; when every one did, asking on is of no use. */
  readonly refusedBy: Set<IpAddress>;
  /** Of the last refusal. */
  rcode: number;
}

export class DnsClient implements UdpService {
  /** One for each query that is under way. */
  readonly sockets = new Map<number, number>();
  readonly #random: Random;
  readonly #refuse: (address: IpAddress) => string | undefined;
  readonly #cache = new DnsCache();
  readonly #queries = new Map<number, Query>();
  readonly #transmits: Datagram[] = [];
  readonly #events: DnsEvent[] = [];
  readonly #dials = new Dials();
  #lastDial = 0;
  #servers: readonly IpAddress[] = [];
  #lastId = 0;

  constructor(options: DnsClientOptions) {
    this.#random = options.random;
    this.#refuse = options.refuse ?? (() => undefined);
  }

  /** Replaces the servers (at most 4 are used). Queries under way go on with the new ones at their next attempt. */
  setServers(servers: readonly IpAddress[]): void {
    this.#servers = servers.filter((s, i) => servers.findIndex((t) => t.equals(s)) === i).slice(0, MAX_SERVERS);
    for (const query of this.#queries.values()) query.refusedBy.clear();
  }

  /** Asks for a name's addresses. The event with the returned id may be there at once (bad name, no servers). */
  query(now: number, name: string): number {
    const id = ++this.#lastId;
    const [server] = this.#servers;
    if (!dnsNameValid(name)) {
      this.#fail(id, name, "bad-name", `"${name}" is not a valid host name`);
    } else if (server === undefined) {
      this.#failOrStale(
        now,
        id,
        name,
        "no-servers",
        "no DNS server is known: the network tells of none, and [wan] dns in appliance.toml names none",
      );
    } else if (this.#queries.size >= MAX_QUERIES) {
      this.#fail(id, name, "busy", "too many names are being looked up");
    } else {
      const limit = this.#cache.stale(now, bareName(name)) === undefined ? TOTAL_LIMIT : STALE_LIMIT;
      const query: Query = {
        id,
        name,
        a: family(DNS_A),
        aaaa: family(DNS_AAAA),
        endsAt: now + limit,
        turn: 0,
        server,
        attemptEndsAt: NEVER,
        graceEndsAt: NEVER,
        refusedBy: new Set(),
        rcode: RCODE_OK,
      };
      this.#queries.set(id, query);
      this.sockets.set(id, 0);
      this.#attempt(now, query);
    }
    return id;
  }

  /** Forgets a query; no event follows. */
  cancel(id: number): void {
    const query = this.#queries.get(id);
    for (const { dial } of [...(query?.a.sent ?? []), ...(query?.aaaa.sent ?? [])])
      if (dial !== 0) this.#dials.withdraw(dial);
    this.#queries.delete(id);
    this.sockets.delete(id);
    for (let i = this.#transmits.length - 1; i >= 0; i--) {
      if (this.#transmits[i]?.socket === id) this.#transmits.splice(i, 1);
    }
  }

  handle(now: number, { socket, peer, payload }: Datagram): DnsDrop | undefined {
    const response = dnsParse(payload);
    // A refusal may come without the question (FORMERR of servers that could not read it): only the timeout helps.
    if (typeof response === "string") return response;
    let drop: DnsDrop = "unexpected";
    for (const query of this.#queries.values()) {
      const part = response.question.type === DNS_A ? query.a : query.aaaa;
      if (part.type !== response.question.type || !isOpen(part)) continue;
      const sent = part.sent.find((s) => s.wireId === response.id && s.dial === 0);
      if (sent === undefined) continue;
      if (!sent.server.equals(peer.address) || peer.port !== DNS_PORT) drop = "wrong-server";
      else if (socket !== query.id) drop = "wrong-socket";
      else if (response.question.name !== bareName(query.name)) drop = "wrong-question";
      else {
        this.#answered(now, query, part, sent, response);
        return undefined;
      }
    }
    return drop;
  }

  /** What a server said by TCP. */
  handleMessage(now: number, id: number, payload: Uint8Array): void {
    const found = this.#dialed(id);
    const response = dnsParse(payload);
    if (found === undefined) return;
    const { query, part, sent } = found;
    const isAnswer =
      typeof response === "object" &&
      response.id === sent.wireId &&
      response.question.type === part.type &&
      response.question.name === bareName(query.name);
    if (isAnswer && isOpen(part)) this.#answered(now, query, part, sent, response);
    else this.handleDialEnd(now, id);
  }

  /** A server could not be reached by TCP, or said nothing of use. */
  handleDialEnd(now: number, id: number): void {
    const found = this.#dialed(id);
    if (found === undefined) return;
    const { query, part, sent } = found;
    if (!isOpen(part) || !sent.server.equals(query.server)) return;
    part.outcome = "refused";
    this.#proceed(now, query);
  }

  handleTimeout(now: number): void {
    for (const query of [...this.#queries.values()]) {
      if (now >= query.graceEndsAt || now >= query.endsAt) this.#end(now, query);
      else if (now >= query.attemptEndsAt) {
        if (query.a.outcome === "refused") query.refusedBy.add(query.server);
        this.#attempt(now, query);
      }
    }
  }

  pollAt(): number {
    let at = NEVER;
    for (const q of this.#queries.values()) at = Math.min(at, q.attemptEndsAt, q.graceEndsAt, q.endsAt);
    return at;
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  /** A question to put to a server by TCP, or undefined. */
  pollDial(): Dial | undefined {
    return this.#dials.poll();
  }

  /** The number of a dial that nobody needs any more, or undefined. */
  pollHangUp(): number | undefined {
    return this.#dials.pollHangUp();
  }

  pollEvent(): DnsEvent | undefined {
    return this.#events.shift();
  }

  /** Asks the next server that has not refused for every family that is open. */
  #attempt(now: number, query: Query): void {
    const servers = this.#servers;
    const isUsable = (server: IpAddress): boolean => !query.refusedBy.has(server);
    if (!servers.some(isUsable)) return this.#end(now, query);
    const next = (): IpAddress => servers[query.turn % servers.length] as IpAddress;
    while (!isUsable(next())) query.turn++;
    query.server = next();
    query.attemptEndsAt = now + FIRST_TIMEOUT + Math.floor(query.turn / servers.length) * TIMEOUT_STEP;
    query.turn++;
    for (const part of [query.a, query.aaaa]) {
      if (!isOpen(part)) continue;
      part.outcome = "waiting";
      this.#ask(query, part, query.server);
    }
  }

  #ask(query: Query, part: Family, server: IpAddress, isDialed = false): void {
    const word = new Uint8Array(2);
    this.#random.fill(word);
    const wireId = new DataView(word.buffer).getUint16(0);
    const dial = isDialed ? ++this.#lastDial : 0;
    part.sent.push({ wireId, server, dial });
    const question = dnsQuery(wireId, query.name, part.type, part.edns);
    const peer = { address: server, port: DNS_PORT };
    if (isDialed) this.#dials.add({ id: dial, server: peer, tls: undefined, question });
    else this.#transmits.push({ socket: query.id, peer, payload: question });
  }

  /** What was asked by TCP under a number, while somebody wants to know. */
  #dialed(id: number): { readonly query: Query; readonly part: Family; readonly sent: Sent } | undefined {
    for (const query of this.#queries.values()) {
      for (const part of [query.a, query.aaaa]) {
        const sent = part.sent.find(({ dial }) => dial === id);
        if (sent !== undefined) return { query, part, sent };
      }
    }
    return undefined;
  }

  /** Notes what an answer says about one family. */
  #answered(now: number, query: Query, part: Family, { server, dial }: Sent, response: DnsResponse): void {
    const outcome = this.#outcome(part, response);
    if (outcome === "refused") {
      query.rcode = response.rcode;
      if (response.truncated && dial === 0 && isAboutName(response)) {
        // Nothing of use fitted: the same server again, with room (RFC 6891), and then by TCP.
        const isDialed = part.edns;
        part.edns = true;
        if (isDialed) query.attemptEndsAt = Math.max(query.attemptEndsAt, now + DIAL_TIMEOUT);
        return this.#ask(query, part, server, isDialed);
      }
      // A late refusal says nothing about the server that is asked now.
      if (!server.equals(query.server)) return;
    }
    part.outcome = outcome;
    this.#proceed(now, query);
  }

  #outcome(part: Family, response: DnsResponse): Outcome {
    if (!isAboutName(response)) return "refused";
    const { addresses, ttl } = dnsAddresses(response);
    const found = addresses.slice(0, MAX_ADDRESSES).map(IpAddress.fromBytes);
    // What was cut off says nothing about the name (RFC 2181 9).
    if (found.length === 0 && response.truncated) return "refused";
    if (found.length === 0) return response.rcode === RCODE_NAME_ERROR ? "nxdomain" : "empty";
    part.addresses = found.filter((address) => address.isHost && this.#refuse(address) === undefined);
    part.unusable = found[0];
    part.ttl = ttl;
    return part.addresses.length > 0 ? "addresses" : "unusable";
  }

  #proceed(now: number, query: Query): void {
    switch (STEPS[query.a.outcome][query.aaaa.outcome]) {
      case "wait":
        return;
      case "brief-a":
        query.graceEndsAt = Math.min(query.graceEndsAt, now + GRACE_FOR_A);
        return;
      case "brief-aaaa":
        query.graceEndsAt = Math.min(query.graceEndsAt, now + GRACE_FOR_AAAA);
        return;
      case "next":
        query.refusedBy.add(query.server);
        return this.#attempt(now, query);
      case "end":
        return this.#end(now, query);
    }
  }

  /** Ends a query with what there is. */
  #end(now: number, query: Query): void {
    const { id, name, a, aaaa, server } = query;
    this.cancel(id);
    switch (ENDS[a.outcome][aaaa.outcome]) {
      case "answer": {
        const ttl = Math.min(a.ttl, aaaa.ttl);
        this.#cache.put(now, bareName(name), a.addresses, aaaa.addresses, ttl);
        this.#events.push({ kind: "answer", id, name, ipv4: a.addresses, ipv6: aaaa.addresses, stale: undefined });
        return;
      }
      case "nxdomain":
        return this.#fail(id, name, "nxdomain", `the name "${name}" does not exist (says the DNS server ${server})`);
      case "no-address":
        return this.#fail(id, name, "no-address", `the name "${name}" exists but has no address`);
      case "unusable": {
        const address = (a.outcome === "unusable" ? a.unusable : aaaa.unusable) as IpAddress;
        const says = `the DNS server ${server} gives ${address} for "${name}"`;
        if (address.isUnspecified || address.isLoopback)
          return this.#fail(id, name, "blocked", `the resolver blocks this name: ${says}; use another DNS server`);
        const why = this.#refuse(address) ?? "no address of a host";
        return this.#fail(id, name, "unusable", `${says}, which is ${why}`);
      }
      case "unanswered": {
        const asked = this.#servers.join(", ");
        if (query.refusedBy.size === 0)
          return this.#failOrStale(now, id, name, "timeout", `no answer for "${name}" from the DNS server ${asked}`);
        const text = `the DNS server ${asked} ${refusal(query.rcode)} for "${name}"`;
        return this.#failOrStale(now, id, name, "refused", text);
      }
    }
  }

  /** An old answer is better than none when the servers do not say otherwise (RFC 8767). */
  #failOrStale(now: number, id: number, name: string, reason: DnsFailure, text: string): void {
    const old = this.#cache.stale(now, bareName(name));
    if (old === undefined) this.#fail(id, name, reason, text);
    else this.#events.push({ kind: "answer", id, name, ipv4: old.ipv4, ipv6: old.ipv6, stale: text });
  }

  #fail(id: number, name: string, reason: DnsFailure, text: string): void {
    this.#events.push({ kind: "failed", id, name, reason, text });
  }
}

const family = (type: number): Family => ({
  type,
  outcome: "waiting",
  addresses: [],
  unusable: undefined,
  ttl: NEVER,
  edns: false,
  sent: [],
});

/** No final answer yet. */
const isOpen = (part: Family): boolean => part.outcome === "waiting" || part.outcome === "refused";

/** Whether it says something about the name, and not about the server. */
const isAboutName = ({ rcode }: DnsResponse): boolean => rcode === RCODE_OK || rcode === RCODE_NAME_ERROR;

function refusal(rcode: number): string {
  if (rcode === RCODE_OK) return "has no answer that fits into UDP, and gives none by TCP";
  return rcode === RCODE_REFUSED ? "refused the question" : `could not answer (code ${rcode})`;
}

const bareName = (name: string): string => (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
