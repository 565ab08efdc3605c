/** An IPv6 packet that has come in: its header and the chain behind are checked, and the record is filled. */
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import { ipv6Check, ipv6TotalLen } from "../wire/ipv6.ts";
import { type ExtensionChain, fragmentIsAtomic } from "../wire/ipv6-ext.ts";

/** Checks the packet at `at`, of which `avail` bytes are there, and reads it into `p` and `chain`. */
export function ip6Check(d: DataView, p: Packet, chain: ExtensionChain, at: number, avail: number): DropCode {
  const bad = ipv6Check(d, at, avail);
  if (bad !== Drop.None) return bad;
  p.isReassembled = false;
  return ip6Read(d, p, chain, at);
}

/** Reads a packet whose IPv6 header has been checked into `p` and `chain`; refuses what the chain says. */
export function ip6Read(d: DataView, p: Packet, chain: ExtensionChain, at: number): DropCode {
  p.isV6 = true;
  p.at = at;
  p.len = ipv6TotalLen(d, at);
  const drop = chain.walk(d, at, p.len);
  if (drop !== Drop.None) return drop;
  p.l4 = chain.l4;
  p.proto = chain.proto;
  p.fragmentAt = chain.fragmentAt;
  // One that is whole by itself waits for nobody (RFC 6946).
  p.isFragment = chain.fragmentAt !== 0 && !fragmentIsAtomic(d, chain.fragmentAt);
  return Drop.None;
}
