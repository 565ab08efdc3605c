/** An IPv4 packet that has come in: header and options are checked, and the record is filled. */
import { Drop, type DropCode } from "../drop.ts";
import type { Packet } from "../packet.ts";
import {
  IPV4_HEADER_LEN,
  ipv4Check,
  ipv4HeaderLen,
  ipv4IsFragment,
  ipv4OptionsCheck,
  ipv4Protocol,
  ipv4TotalLen,
} from "../wire/ipv4.ts";

/** Checks the packet at `at`, of which `avail` bytes are there, and reads it into `p`. */
export function ip4Check(d: DataView, p: Packet, at: number, avail: number): DropCode {
  const bad = ipv4Check(d, at, avail);
  if (bad !== Drop.None) return bad;
  if (ipv4HeaderLen(d, at) > IPV4_HEADER_LEN) {
    const options = ipv4OptionsCheck(d, at);
    if (options !== Drop.None) return options;
  }
  ip4Read(d, p, at);
  p.isReassembled = false;
  return Drop.None;
}

/** Reads a checked packet at `at` into `p`. */
export function ip4Read(d: DataView, p: Packet, at: number): void {
  p.at = at;
  p.len = ipv4TotalLen(d, at);
  p.l4 = at + ipv4HeaderLen(d, at);
  p.proto = ipv4Protocol(d, at);
  p.isFragment = ipv4IsFragment(d, at);
}
