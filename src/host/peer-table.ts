/** Which client has an address: its own by look-up, networks behind it by the longest prefix. */
import type { Cidr } from "../lib/cidr.ts";
import { wordMask } from "../lib/cidr.ts";
import { wordsOf } from "../lib/ip.ts";

/** The word before the last of an IPv4 address in four words. */
const MAPPED = 0xffff;

interface Entry {
  readonly words: Int32Array;
  /** In the 128 bits that every address has. */
  readonly prefix: number;
  readonly peer: number;
}

export class PeerTable {
  readonly #byPeer = new Map<number, readonly Entry[]>();
  /** Addresses alone, by their last word: there are few with the same. */
  readonly #hosts = new Map<number, Entry[]>();
  /** Networks, the longest prefix first. */
  #networks: Entry[] = [];
  readonly #words = new Int32Array(4);

  /** In the place of what the peer had. */
  set(peer: number, networks: readonly Cidr[]): void {
    this.remove(peer);
    const entries = networks.map(({ network, prefix }) => ({
      words: wordsOf(network.address),
      prefix: network.isIpv4 ? 96 + prefix : prefix,
      peer,
    }));
    this.#byPeer.set(peer, entries);
    for (const entry of entries) {
      if (entry.prefix < 128) this.#networks.push(entry);
      else {
        const last = entry.words[3]!;
        this.#hosts.set(last, [...(this.#hosts.get(last) ?? []), entry]);
      }
    }
    this.#networks.sort((a, b) => b.prefix - a.prefix);
  }

  remove(peer: number): void {
    for (const entry of this.#byPeer.get(peer) ?? []) {
      const last = entry.words[3]!;
      const others = this.#hosts.get(last)?.filter((other) => other !== entry);
      if (others === undefined || others.length === 0) this.#hosts.delete(last);
      else this.#hosts.set(last, others);
    }
    this.#networks = this.#networks.filter((entry) => entry.peer !== peer);
    this.#byPeer.delete(peer);
  }

  clear(): void {
    this.#byPeer.clear();
    this.#hosts.clear();
    this.#networks = [];
  }

  /** The peer that has the address at `at` of a packet, -1: none has. */
  find(view: DataView, at: number, isV6: boolean): number {
    const words = this.#words;
    words[0] = isV6 ? view.getInt32(at) : 0;
    words[1] = isV6 ? view.getInt32(at + 4) : 0;
    words[2] = isV6 ? view.getInt32(at + 8) : MAPPED;
    words[3] = view.getInt32(isV6 ? at + 12 : at);
    const hosts = this.#hosts.get(words[3]);
    if (hosts !== undefined) for (const entry of hosts) if (covers(entry, words)) return entry.peer;
    for (const entry of this.#networks) if (covers(entry, words)) return entry.peer;
    return -1;
  }
}

function covers({ words: own, prefix }: Entry, words: Int32Array): boolean {
  for (let i = 0; i < 4; i++) if (((own[i]! ^ words[i]!) & wordMask(prefix, i)) !== 0) return false;
  return true;
}
