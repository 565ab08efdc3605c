/**
 * Answers that were given, for as long as their TTL says (RFC 1035 7.4, RFC 2308, RFC 9520): whole messages, found by the bytes of
 * their question without case. A look-up makes no object; what is stored is copied out by whoever asks, and its TTLs are
 * counted down there (reply.ts).
 *
 * Bounded in entries and bytes. Each entry is charged to the host whose question brought it (hosts are told apart by a hash); when there is no
 * room, the entry that was used the longest ago gives way of the one who has most, so that who asks for names without end pushes out
 * its own.
 */
import { Chains } from "../../lib/chains.ts";
import { mix } from "../../lib/hash.ts";
import { DNS_HEADER_LEN, dnsSameName, lowerByte } from "../wire/dns-message.ts";

/** Our choices: what a home or an office asks for in a day, in a twentieth of a small machine's memory. */
const MAX_ENTRIES = 8192;
const MAX_BYTES = 6 * 1024 * 1024;
/** Nothing is kept longer (RFC 8767 4 thinks of days; a name that moved should be found again). */
const MAX_TTL_S = 86_400;
/** Longer than any question of use has an answer; such a one is asked for again. */
const MAX_MESSAGE = 16_384;
const SLOTS = 16_384;
const OWNERS = 64;
/** What an entry costs beside its bytes. */
const OVERHEAD = 200;

/** Hash of a question without case, of its type and of what else changes the answer. */
export function questionHash(seed: number, bytes: Uint8Array, nameEnd: number, type: number, key: number): number {
  let hash = mix(seed, (type << 8) | key);
  for (let i = DNS_HEADER_LEN; i < nameEnd; i++) hash = mix(hash, lowerByte(bytes[i]!));
  return hash;
}

export interface AnswerCacheOptions {
  /** Keeps hosts from choosing names that fall into one place. */
  readonly seed: number;
  readonly maxEntries?: number;
  readonly maxBytes?: number;
}

export class AnswerCache {
  readonly seed: number;
  /** Bytes that the entries hold. */
  bytes = 0;
  size = 0;

  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #heads = new Int32Array(SLOTS);
  readonly #next: Int32Array;
  readonly #hash: Int32Array;
  readonly #type: Uint16Array;
  readonly #key: Uint8Array;
  readonly #nameEnd: Uint16Array;
  readonly #owner: Uint8Array;
  readonly #storedAt: Float64Array;
  readonly #expiresAt: Float64Array;
  readonly #cost: Int32Array;
  /** The message up to its OPT record, and where its TTLs are. */
  readonly #messages: (Uint8Array | undefined)[];
  readonly #ttls: (Uint16Array | undefined)[];
  /** By owner, the entry used the longest ago first. */
  readonly #uses: Chains;
  readonly #ownerBytes = new Int32Array(OWNERS);
  #free = 0;

  constructor({ seed, maxEntries = MAX_ENTRIES, maxBytes = MAX_BYTES }: AnswerCacheOptions) {
    this.seed = seed;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    const n = maxEntries + 1;
    this.#next = new Int32Array(n);
    this.#hash = new Int32Array(n);
    this.#type = new Uint16Array(n);
    this.#key = new Uint8Array(n);
    this.#nameEnd = new Uint16Array(n);
    this.#owner = new Uint8Array(n);
    this.#storedAt = new Float64Array(n);
    this.#expiresAt = new Float64Array(n);
    this.#cost = new Int32Array(n);
    this.#messages = new Array<Uint8Array | undefined>(n).fill(undefined);
    this.#ttls = new Array<Uint16Array | undefined>(n).fill(undefined);
    this.#uses = new Chains(maxEntries, OWNERS);
    this.clear();
  }

  clear(): void {
    this.#heads.fill(0);
    this.#messages.fill(undefined);
    this.#ttls.fill(undefined);
    this.#uses.clear();
    this.#ownerBytes.fill(0);
    this.bytes = 0;
    this.size = 0;
    // The free ones are a list by #next.
    this.#free = 1;
    for (let i = 1; i <= this.#maxEntries; i++) this.#next[i] = i === this.#maxEntries ? 0 : i + 1;
  }

  /**
   * The entry of a question, 0: there is none.
   * @param bytes a message with the question @param hash {@link questionHash} of it
   */
  find(now: number, hash: number, bytes: Uint8Array, nameEnd: number, type: number, key: number): number {
    const i = this.#lookUp(hash, bytes, nameEnd, type, key);
    if (i === 0) return 0;
    if (now >= this.#expiresAt[i]!) {
      this.#remove(i);
      return 0;
    }
    const owner = this.#owner[i]!;
    this.#uses.remove(owner, i);
    this.#uses.append(owner, i);
    return i;
  }

  /** The message of an entry, which stays the cache's. */
  message(i: number): Uint8Array {
    return this.#messages[i]!;
  }

  /** Where its TTLs are. */
  ttls(i: number): Uint16Array {
    return this.#ttls[i]!;
  }

  /** How old it is, s. */
  age(now: number, i: number): number {
    return Math.floor((now - this.#storedAt[i]!) / 1000);
  }

  /**
   * Keeps an answer in the place of the one before.
   * @param message begins with the question; the cache's from now on @param ttl s, 0: it is not kept @param host whoever asked
   */
  put(
    now: number,
    hash: number,
    message: Uint8Array,
    nameEnd: number,
    type: number,
    key: number,
    ttls: Uint16Array,
    ttl: number,
    host: number,
  ): void {
    const before = this.#lookUp(hash, message, nameEnd, type, key);
    if (before !== 0) this.#remove(before);
    if (ttl <= 0 || message.length > MAX_MESSAGE) return;
    const cost = message.length + 2 * ttls.length + OVERHEAD;
    while (this.#free === 0 || this.bytes + cost > this.#maxBytes) {
      if (this.size === 0) return;
      this.#evict();
    }
    const i = this.#free;
    this.#free = this.#next[i]!;
    const slot = hash & (SLOTS - 1);
    this.#next[i] = this.#heads[slot]!;
    this.#heads[slot] = i;
    this.#hash[i] = hash;
    this.#type[i] = type;
    this.#key[i] = key;
    this.#nameEnd[i] = nameEnd;
    this.#storedAt[i] = now;
    this.#expiresAt[i] = now + Math.min(ttl, MAX_TTL_S) * 1000;
    this.#cost[i] = cost;
    this.#messages[i] = message;
    this.#ttls[i] = ttls;
    const owner = mix(this.seed, host) & (OWNERS - 1);
    this.#owner[i] = owner;
    this.#uses.append(owner, i);
    this.#ownerBytes[owner]! += cost;
    this.bytes += cost;
    this.size++;
  }

  #lookUp(hash: number, bytes: Uint8Array, nameEnd: number, type: number, key: number): number {
    let i = this.#heads[hash & (SLOTS - 1)]!;
    while (i !== 0) {
      if (
        this.#hash[i] === hash &&
        this.#type[i] === type &&
        this.#key[i] === key &&
        this.#nameEnd[i] === nameEnd &&
        dnsSameName(this.#messages[i]!, DNS_HEADER_LEN, bytes, DNS_HEADER_LEN, nameEnd - DNS_HEADER_LEN)
      )
        return i;
      i = this.#next[i]!;
    }
    return 0;
  }

  #evict(): void {
    let most = 0;
    for (let owner = 1; owner < OWNERS; owner++) if (this.#ownerBytes[owner]! > this.#ownerBytes[most]!) most = owner;
    this.#remove(this.#uses.first(most));
  }

  #remove(i: number): void {
    const slot = this.#hash[i]! & (SLOTS - 1);
    let p = this.#heads[slot]!;
    if (p === i) this.#heads[slot] = this.#next[i]!;
    else {
      while (this.#next[p] !== i) p = this.#next[p]!;
      this.#next[p] = this.#next[i]!;
    }
    const owner = this.#owner[i]!;
    this.#uses.remove(owner, i);
    this.#ownerBytes[owner]! -= this.#cost[i]!;
    this.bytes -= this.#cost[i]!;
    this.size--;
    this.#messages[i] = undefined;
    this.#ttls[i] = undefined;
    this.#next[i] = this.#free;
    this.#free = i;
  }
}
