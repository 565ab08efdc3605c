/**
 * The ARP cache of one interface (RFC 826, RFC 1122 2.3.2): address -> MAC, requests with retries and a rate limit, and
 * bounded queues of packets that wait for an answer.
 *
 * What is believed: a reply to a request that is under way, and, for an address that nothing is known of, a request to us
 * (as a guess that is verified at its first use). Anything else that contradicts an entry only makes us ask again. An
 * entry is re-confirmed by unicast after REACHABLE_MS of use, and asked for anew by broadcast when that is not answered,
 * so a forged or mistaken entry lives for seconds.
 *
 * Per entry:  incomplete --reply--> reachable --30 s of use, or a different claim--> probing --reply--> reachable
 *             incomplete --3 requests--> failed --1 s--> (asked again)      probing --2 requests--> incomplete
 */
export const FOUND = 0;
export const PENDING = 1;
export const UNREACHABLE = 2;

/** A packet that waits, with the vnet fields that it is to be sent with. */
export interface Parked {
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly hdrLen: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** What the cache needs from its interface. */
export interface NeighborPort {
  /** Sends an ARP request for `ip`, to that MAC or to everybody (0xffff, -1). */
  requestArp(ip: number, macHi: number, macLo: number): void;
  /** `ip` is known now: sends what waited for it. */
  release(ip: number, macHi: number, macLo: number, parked: readonly Parked[]): void;
  /** `ip` does not answer: what waited is lost. */
  abandon(ip: number, parked: readonly Parked[]): void;
}

/** Our choice: re-confirm an entry in use this long after its last confirmation (RFC 4861 10 uses the same for IPv6). */
export const REACHABLE_MS = 30_000;
/** Our choice: forget what nobody used for this long. */
export const IDLE_MS = 300_000;
/** Requests for one address at most this often (RFC 1122 2.3.2.1: one a second). */
const REQUEST_MS = 1000;
const REQUEST_TRIES = 3;
const PROBE_MS = 500;
const PROBE_TRIES = 2;
/** After a failure the answer is "unreachable" for this long, then it is tried again. */
const FAILED_MS = 1000;
/** A different claim makes us ask again at most this often. */
const CLAIM_MS = 2000;

const MAX_ENTRIES = 1024;
/** One 64 KiB datagram in fragments of a small MTU fits. */
const MAX_PARKED_PACKETS = 128;
const MAX_PARKED_BYTES = 160 * 1024;
const MAX_PARKED_BYTES_ALL = 1024 * 1024;

type State = "incomplete" | "reachable" | "probing" | "failed";

class Entry {
  readonly ip: number;
  state: State = "incomplete";
  macHi = 0;
  macLo = 0;
  /** When this entry acts next (request, probe, end of failure); when reachable: when a use makes it probe. */
  at = 0;
  tries = 0;
  usedAt: number;
  claimAt = Number.NEGATIVE_INFINITY;
  /** It has answered, and not failed to since. */
  confirmed = false;
  parked: Parked[] = [];
  parkedBytes = 0;

  constructor(ip: number, now: number) {
    this.ip = ip;
    this.usedAt = now;
  }
}

export type Claim = "learnt" | "confirmed" | "unsolicited" | "conflicting" | "full";

export class NeighborCache {
  /** The MAC of the last lookup that was FOUND. */
  macHi = 0;
  macLo = 0;

  readonly #port: NeighborPort;
  readonly #entries = new Map<number, Entry>();
  #last: Entry | undefined;
  #parkedBytes = 0;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(port: NeighborPort) {
    this.#port = port;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** FOUND (macHi, macLo are set), PENDING (park the packet), or UNREACHABLE. Asks where it has to. */
  lookup(now: number, ip: number): number {
    let entry = this.#last;
    if (entry === undefined || entry.ip !== ip) {
      entry = this.#entries.get(ip);
      if (entry === undefined) {
        entry = this.#add(ip, now, true);
        if (entry === undefined) return UNREACHABLE;
        this.#ask(entry, now);
        return PENDING;
      }
      this.#last = entry;
    }
    entry.usedAt = now;
    if (entry.state === "reachable") {
      if (now >= entry.at) this.#probe(entry, now);
    } else if (entry.state === "failed") {
      if (now < entry.at) return UNREACHABLE;
      this.#ask(entry, now);
      return PENDING;
    } else if (entry.state === "incomplete") {
      return PENDING;
    }
    this.macHi = entry.macHi;
    this.macLo = entry.macLo;
    return FOUND;
  }

  /** Keeps a packet (the bytes become the cache's own) for an address whose lookup was PENDING; false when there is no room. */
  park(ip: number, packet: Parked): boolean {
    const size = packet.bytes.length;
    const entry = this.#entries.get(ip);
    if (entry === undefined || !this.hasRoomFor(ip, size)) return false;
    entry.parked.push(packet);
    entry.parkedBytes += size;
    this.#parkedBytes += size;
    return true;
  }

  /** Whether so many bytes can be parked for `ip`: to be asked before they are copied. */
  hasRoomFor(ip: number, size: number): boolean {
    const entry = this.#entries.get(ip);
    return (
      entry !== undefined &&
      entry.state === "incomplete" &&
      entry.parked.length < MAX_PARKED_PACKETS &&
      entry.parkedBytes + size <= MAX_PARKED_BYTES &&
      this.#parkedBytes + size <= MAX_PARKED_BYTES_ALL
    );
  }

  /** An ARP reply to us: `ip` is said to be at that MAC. The caller has checked that both can be. */
  onReply(now: number, ip: number, macHi: number, macLo: number): Claim {
    const entry = this.#entries.get(ip);
    if (entry === undefined) return "unsolicited";
    const same = entry.macHi === macHi && entry.macLo === macLo;
    switch (entry.state) {
      case "incomplete":
        this.#confirm(entry, now, macHi, macLo);
        return "learnt";
      case "probing":
        if (!same) return "conflicting"; // the probe went to the known MAC alone; if that is silent, everybody is asked
        this.#confirm(entry, now, macHi, macLo);
        return "confirmed";
      case "reachable":
        return same ? "unsolicited" : this.#contradict(entry, now);
      case "failed":
        return "unsolicited";
    }
  }

  /** An ARP request to us from `ip`. */
  onRequest(now: number, ip: number, macHi: number, macLo: number): Claim {
    const entry = this.#entries.get(ip);
    if (entry === undefined) {
      const fresh = this.#add(ip, now, false);
      if (fresh === undefined) return "full";
      this.#guess(fresh, now, macHi, macLo);
      return "learnt";
    }
    switch (entry.state) {
      case "incomplete":
      case "failed":
        this.#guess(entry, now, macHi, macLo);
        return "learnt";
      case "probing":
      case "reachable":
        if (entry.macHi === macHi && entry.macLo === macLo) return "confirmed";
        return this.#contradict(entry, now);
    }
  }

  /**
   * ARP that is not for us says that `ip` is at that MAC: nothing is learnt, but a known address that it contradicts is
   * asked for (an announcement after a failover or a move, RFC 5227 3).
   */
  onClaim(now: number, ip: number, macHi: number, macLo: number): void {
    const entry = this.#entries.get(ip);
    if (entry !== undefined && (entry.macHi !== macHi || entry.macLo !== macLo)) this.#contradict(entry, now);
  }

  pollAt(): number {
    return this.#timerAt;
  }

  handleTimeout(now: number): void {
    if (now < this.#timerAt) return;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) this.#tick(entry, now);
  }

  /** Forgets everything, as after a change of address or link. */
  clear(): void {
    for (const entry of this.#entries.values()) this.#drop(entry);
    this.#entries.clear();
    this.#last = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #tick(entry: Entry, now: number): void {
    if (entry.state === "reachable" || entry.state === "failed") {
      if (now >= entry.usedAt + IDLE_MS) {
        this.#remove(entry);
        return;
      }
      this.#wake(entry.usedAt + IDLE_MS);
      return;
    }
    if (now < entry.at) {
      this.#wake(entry.at);
      return;
    }
    if (entry.state === "probing") {
      if (entry.tries < PROBE_TRIES) this.#request(entry, now, PROBE_MS, entry.macHi, entry.macLo);
      else this.#ask(entry, now);
    } else if (entry.tries < REQUEST_TRIES) {
      this.#request(entry, now, REQUEST_MS, 0xffff, -1);
    } else {
      entry.state = "failed";
      entry.confirmed = false;
      entry.at = now + FAILED_MS;
      this.#wake(entry.usedAt + IDLE_MS);
      this.#drop(entry);
    }
  }

  #add(ip: number, now: number, wanted: boolean): Entry | undefined {
    if (this.#entries.size >= MAX_ENTRIES && !this.#evict(now, wanted)) return undefined;
    const entry = new Entry(ip, now);
    this.#entries.set(ip, entry);
    return entry;
  }

  /**
   * Makes room: of those that never answered, so that a scan pushes out itself, else of all, the one that has been unused
   * the longest; for a mere guess only one that is not in use.
   */
  #evict(now: number, wanted: boolean): boolean {
    let victim: Entry | undefined;
    for (const entry of this.#entries.values()) {
      const better =
        victim === undefined ||
        (entry.confirmed === victim.confirmed ? entry.usedAt < victim.usedAt : victim.confirmed);
      if (better) victim = entry;
    }
    if (victim === undefined || (!wanted && now - victim.usedAt < REACHABLE_MS)) return false;
    this.#remove(victim);
    return true;
  }

  #remove(entry: Entry): void {
    this.#drop(entry);
    this.#entries.delete(entry.ip);
    if (this.#last === entry) this.#last = undefined;
  }

  #drop(entry: Entry): void {
    if (entry.parked.length === 0) return;
    const parked = this.#unpark(entry);
    this.#port.abandon(entry.ip, parked);
  }

  #unpark(entry: Entry): Parked[] {
    const parked = entry.parked;
    this.#parkedBytes -= entry.parkedBytes;
    entry.parked = [];
    entry.parkedBytes = 0;
    return parked;
  }

  #confirm(entry: Entry, now: number, macHi: number, macLo: number): void {
    entry.confirmed = true;
    this.#settle(entry, macHi, macLo, now + REACHABLE_MS);
  }

  /** Learnt but not verified: usable, and probed at the first use. */
  #guess(entry: Entry, now: number, macHi: number, macLo: number): void {
    this.#settle(entry, macHi, macLo, now);
  }

  #settle(entry: Entry, macHi: number, macLo: number, at: number): void {
    entry.state = "reachable";
    entry.macHi = macHi;
    entry.macLo = macLo;
    entry.at = at;
    entry.tries = 0;
    this.#wake(entry.usedAt + IDLE_MS);
    if (entry.parked.length > 0) this.#port.release(entry.ip, macHi, macLo, this.#unpark(entry));
  }

  #contradict(entry: Entry, now: number): Claim {
    if (entry.state === "reachable" && now >= entry.claimAt + CLAIM_MS) {
      entry.claimAt = now;
      this.#probe(entry, now);
    }
    return "conflicting";
  }

  #probe(entry: Entry, now: number): void {
    entry.state = "probing";
    entry.tries = 0;
    this.#request(entry, now, PROBE_MS, entry.macHi, entry.macLo);
  }

  #ask(entry: Entry, now: number): void {
    entry.state = "incomplete";
    entry.tries = 0;
    this.#request(entry, now, REQUEST_MS, 0xffff, -1);
  }

  #request(entry: Entry, now: number, wait: number, macHi: number, macLo: number): void {
    entry.tries++;
    entry.at = now + wait;
    this.#wake(entry.at);
    this.#port.requestArp(entry.ip, macHi, macLo);
  }

  #wake(at: number): void {
    if (at < this.#timerAt) this.#timerAt = at;
  }
}
