/**
 * Multicast listener discovery (RFC 3810, the listener's half): switches and routers are told which groups we listen to, so
 * that they send us what goes there: the groups of our addresses, and that of all routers. All nodes hear ff02::1 without a
 * word (RFC 3810 6). MLDv1 queriers are answered in version 2.
 */
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import { Packet } from "../packet.ts";
import { ICMPV6_MLD2_REPORT, icmpv6Emit } from "../wire/icmpv6.ts";
import {
  IPV6_DST,
  IPV6_HEADER_LEN,
  IPV6_SRC,
  ipv6Emit,
  ipv6HopLimit,
  ipv6IsLinkLocal,
  ipv6PseudoSum,
  ipv6PutWords,
  PROTO_ICMPV6,
} from "../wire/ipv6.ts";
import type { Ip6Addressing } from "./addressing.ts";
import type { Ip6Output } from "./output.ts";

/** RFC 3810 5.1.9 (Robustness Variable), 9.11 (Unsolicited Report Interval). */
const ROBUSTNESS = 2;
const REPORT_MS = 1000;
/** Our choice: reports are at least this far apart, whatever queries say. */
const LEAST_MS = 200;
/** Kinds of records (RFC 3810 5.2.12). */
const MODE_IS_EXCLUDE = 2;
const CHANGE_TO_INCLUDE = 3;
const CHANGE_TO_EXCLUDE = 4;
/** Bytes of a query of version 1; the delay in it. */
const QUERY_LEN = 24;
const QUERY_DELAY = 4;
const RECORD_LEN = 20;
const REPORT_HEADER_LEN = 8;
const HOP_BY_HOP = 0;
/** ff02::16, and ff02::2. */
const ALL_MLD2_ROUTERS = Int32Array.of(0xff020000 | 0, 0, 0, 0x16);
const ALL_ROUTERS = Int32Array.of(0xff020000 | 0, 0, 0, 2);
const NOBODY = new Int32Array(4);
const NEVER = Number.POSITIVE_INFINITY;

interface Group {
  readonly words: Int32Array;
  /** How often it is still to be told that we listen, or that we do not any more. */
  changes: number;
  isLeft: boolean;
}

export class MulticastListener {
  readonly #slab: Slab;
  readonly #addressing: Ip6Addressing;
  readonly #output: Ip6Output;
  readonly #random: Random;
  readonly #packet = new Packet(true);
  #groups: Group[] = [];
  #changeAt = NEVER;
  #answerAt = NEVER;
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(slab: Slab, addressing: Ip6Addressing, output: Ip6Output, random: Random) {
    this.#slab = slab;
    this.#addressing = addressing;
    this.#output = output;
    this.#random = random;
  }

  /** Addresses are others than before. */
  update(now: number): void {
    const wanted = this.#wanted();
    for (const words of wanted) {
      const known = this.#groups.find((group) => same(group.words, words));
      if (known !== undefined && !known.isLeft) continue;
      if (known !== undefined) this.#groups.splice(this.#groups.indexOf(known), 1);
      this.#groups.push({ words, changes: ROBUSTNESS, isLeft: false });
      this.#changeAt = now;
    }
    for (const group of this.#groups) {
      if (group.isLeft || wanted.some((words) => same(group.words, words))) continue;
      group.isLeft = true;
      group.changes = ROBUSTNESS;
      this.#changeAt = now;
    }
  }

  clear(): void {
    this.#groups = [];
    this.#changeAt = NEVER;
    this.#answerAt = NEVER;
  }

  /** A query in `p`, whose ICMPv6 checksum is right (RFC 3810 6.2). */
  handleQuery(now: number, p: Packet): DropCode {
    const d = this.#slab.view;
    if (ipv6HopLimit(d, p.at) !== 1 || !ipv6IsLinkLocal(d, p.at + IPV6_SRC)) return Drop.IcmpUnwanted;
    if (p.at + p.len - p.l4 < QUERY_LEN) return Drop.IcmpTruncated;
    const most = delayOf(d.getUint16(p.l4 + QUERY_DELAY));
    const at = Math.max(now + randomBelow(this.#random, most + 1), this.#sentAt + LEAST_MS);
    this.#answerAt = Math.min(this.#answerAt, at);
    return Drop.None;
  }

  pollAt(): number {
    return Math.min(this.#changeAt, this.#answerAt);
  }

  handleTimeout(now: number): void {
    if (this.#changeAt <= now) this.#tellChanges(now);
    if (this.#answerAt <= now) {
      this.#answerAt = NEVER;
      this.#send(
        now,
        this.#groups.filter(({ isLeft }) => !isLeft),
        () => MODE_IS_EXCLUDE,
      );
    }
  }

  #wanted(): Int32Array[] {
    const { addresses, isRouter } = this.#addressing;
    const groups: Int32Array[] = isRouter && addresses.length > 0 ? [ALL_ROUTERS] : [];
    for (const { words, state } of addresses) {
      const group = Int32Array.of(0xff020000 | 0, 0, 1, 0xff000000 | (words[3]! & 0xffffff));
      if (state !== "taken" && !groups.some((known) => same(known, group))) groups.push(group);
    }
    return groups;
  }

  #tellChanges(now: number): void {
    const changed = this.#groups.filter(({ changes }) => changes > 0);
    this.#send(now, changed, ({ isLeft }) => (isLeft ? CHANGE_TO_INCLUDE : CHANGE_TO_EXCLUDE));
    for (const group of changed) group.changes--;
    this.#groups = this.#groups.filter(({ isLeft, changes }) => !isLeft || changes > 0);
    const goesOn = this.#groups.some(({ changes }) => changes > 0);
    this.#changeAt = goesOn ? now + 1 + randomBelow(this.#random, REPORT_MS) : NEVER;
  }

  /** A report, with the router alert that makes routers look at it (RFC 3810 5). */
  #send(now: number, groups: readonly Group[], kind: (group: Group) => number): void {
    if (groups.length === 0) return;
    this.#sentAt = now;
    const d = this.#slab.view;
    const messageLen = REPORT_HEADER_LEN + groups.length * RECORD_LEN;
    const at = this.#output.link.frame(IPV6_HEADER_LEN + 8 + messageLen);
    ipv6Emit(d, at, 8 + messageLen, HOP_BY_HOP, 1);
    ipv6PutWords(d, at + IPV6_SRC, this.#addressing.linkLocal?.words ?? NOBODY, 0);
    ipv6PutWords(d, at + IPV6_DST, ALL_MLD2_ROUTERS, 0);
    d.setInt32(at + IPV6_HEADER_LEN, (PROTO_ICMPV6 << 24) | 0x0502); // 8 bytes of options: router alert of MLD (RFC 2711),
    d.setInt32(at + IPV6_HEADER_LEN + 4, 0x0100); // and padding
    const message = at + IPV6_HEADER_LEN + 8;
    groups.forEach((group, i) => {
      const record = message + REPORT_HEADER_LEN + i * RECORD_LEN;
      d.setInt32(record, kind(group) << 24); // no auxiliary data, no sources
      ipv6PutWords(d, record + 4, group.words, 0);
    });
    icmpv6Emit(d, message, messageLen, ICMPV6_MLD2_REPORT, 0, groups.length, ipv6PseudoSum(d, at, PROTO_ICMPV6));
    this.#output.sendOwn(now, this.#packet, at, this.#output.link.everybody);
  }
}

/** RFC 3810 5.1.3: from 32768 on a number with an exponent. */
const delayOf = (code: number): number =>
  code < 0x8000 ? code : ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);

const same = (a: Int32Array, b: Int32Array): boolean => a.every((word, k) => word === b[k]);
