import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseIpv6 } from "../../lib/ip.ts";
import { DROP_NAMES, Drop } from "../drop.ts";
import { GuardedView } from "../testing/guarded.ts";
import { sumBytes } from "./checksum.ts";
import {
  ICMPV6_ECHO_REQUEST,
  icmpv6Check,
  icmpv6Code,
  icmpv6EchoId,
  icmpv6EchoSeq,
  icmpv6Emit,
  icmpv6IsError,
  icmpv6Rest,
  icmpv6Type,
} from "./icmpv6.ts";
import {
  IPV6_DST,
  IPV6_SRC,
  ipv6Address,
  ipv6Check,
  ipv6Copy,
  ipv6DecrementHopLimit,
  ipv6Ecn,
  ipv6Emit,
  ipv6FlowLabel,
  ipv6HopLimit,
  ipv6IsLinkLocal,
  ipv6IsLoopback,
  ipv6IsMapped,
  ipv6IsMulticast,
  ipv6IsUnspecified,
  ipv6IsWords,
  ipv6NextHeader,
  ipv6PayloadLen,
  ipv6PseudoSum,
  ipv6PutWords,
  ipv6ReadWords,
  ipv6Same,
  ipv6SameKind,
  ipv6SetCongestion,
  ipv6SetPayloadLen,
  ipv6TotalLen,
  ipv6TrafficClass,
  ipv6WordsPseudoSum,
} from "./ipv6.ts";
import {
  ExtensionChain,
  extOptionsCheck,
  fragmentEmit,
  fragmentId,
  fragmentIsAtomic,
  fragmentMore,
  fragmentOffset,
  OPTIONS_BROKEN,
  OPTIONS_DISCARD,
  OPTIONS_FINE,
  OPTIONS_TELL,
  OPTIONS_TELL_UNICAST,
  routingSegmentsLeft,
} from "./ipv6-ext.ts";
import {
  NDP_ADVERT,
  NDP_OPTION_NONCE,
  NDP_OPTION_SOURCE_MAC,
  NDP_OPTION_TARGET_MAC,
  NDP_OVERRIDE,
  NDP_REDIRECT,
  NDP_ROUTER_ADVERT,
  NDP_SOLICIT,
  NDP_SOLICITED,
  NDP_TARGET,
  ndpCheck,
  ndpFixedLen,
  ndpIsSolicitedNode,
  ndpIsType,
  ndpMacHi,
  ndpMacLo,
  ndpMacOptionEmit,
  ndpOption,
  ndpOptionLen,
  ndpPutSolicitedNode,
} from "./ndp.ts";
import { printFrame } from "./print.ts";

const hex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (x) => Number.parseInt(x, 16));
const viewOf = (bytes: Uint8Array<ArrayBuffer>): DataView => new DataView(bytes.buffer);
const dirty = (n: number): Uint8Array<ArrayBuffer> => new Uint8Array(n).fill(0xa5);
const words = (text: string): Int32Array => {
  const { w0, w1, w2, w3 } = parseIpv6(text) as NonNullable<ReturnType<typeof parseIpv6>>;
  return Int32Array.of(w0, w1, w2, w3);
};
const at = (text: string): DataView => {
  const d = viewOf(new Uint8Array(16));
  ipv6PutWords(d, 0, words(text), 0);
  return d;
};

// Frames as Linux 6.18 sent them: a listener's report (RFC 3810) with a router alert, a search for a duplicate, a router
// solicitation, an echo request, and another one in two fragments (the data of the second is cut here).
const REPORT = hex(
  "33330000001652540000009986dd600000000024000100000000000000000000000000000000ff020000000000000000000000000016" +
    "3a000502000001008f006ef10000000104000000ff0200000000000000000001ff000099",
);
const SEARCH = hex(
  "3333ff00009952540000009986dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ff000099" +
    "8700656200000000fe80000000000000505400fffe0000990e01b53f4ae9b80c",
);
const SOLICIT_ROUTER = hex(
  "33330000000252540000009986dd6000000000103afffe80000000000000505400fffe000099ff020000000000000000000000000002" +
    "8500d953000000000101525400000099",
);
const ECHO = hex(
  "52540000000152540000009986dd600c8e0700103a4020010db800000000000000000000009920010db8000000000000000000000001" +
    "8000a98118c400016162000000000000",
);
const LATER = hex(
  "52540000000152540000009986dd600c8e0700102c4020010db800000000000000000000009920010db8000000000000000000000001" +
    "3a0005a8aa8f8fcaa0a1a2a3a4a5a6a7",
);
const IP = 14;

describe("IPv6 header", () => {
  test("emitted on dirty memory it is the kernel's, and reads back (RFC 8200 3)", () => {
    const bytes = dirty(44);
    const d = viewOf(bytes);
    ipv6Emit(d, 2, 16, 58, 64, 0, 0xc8e07);
    ipv6PutWords(d, 2 + IPV6_SRC, words("2001:db8::99"), 0);
    ipv6PutWords(d, 2 + IPV6_DST, words("2001:db8::1"), 0);
    expect(bytes.toHex()).toBe(`a5a5${ECHO.slice(14, 54).toHex()}a5a5`);
    expect([ipv6PayloadLen(d, 2), ipv6TotalLen(d, 2), ipv6NextHeader(d, 2), ipv6HopLimit(d, 2)]).toEqual([
      16, 56, 58, 64,
    ]);
    expect([ipv6TrafficClass(d, 2), ipv6Ecn(d, 2), ipv6FlowLabel(d, 2)]).toEqual([0, 0, 0xc8e07]);
    expect(ipv6Address(d, 2 + IPV6_SRC).toString()).toBe("2001:db8::99");
  });

  test("class, label and congestion lie beside each other", () => {
    const d = viewOf(dirty(40));
    ipv6Emit(d, 0, 0, 59, 1, 0xb9, 0xfffff);
    expect([ipv6TrafficClass(d, 0), ipv6FlowLabel(d, 0), ipv6Ecn(d, 0)]).toEqual([0xb9, 0xfffff, 1]);
    ipv6SetCongestion(d, 0);
    expect([ipv6TrafficClass(d, 0), ipv6FlowLabel(d, 0), ipv6Ecn(d, 0)]).toEqual([0xbb, 0xfffff, 3]);
    expect(d.getUint8(0) >> 4).toBe(6);
  });

  test("refusals by name; what stands behind the payload is padding", () => {
    const bytes = ECHO.slice(14);
    const d = viewOf(bytes);
    expect(ipv6Check(d, 0, 56)).toBe(Drop.None);
    expect(ipv6Check(d, 0, 40)).toBe(Drop.Ipv6BadLength);
    expect(ipv6Check(d, 0, 55)).toBe(Drop.Ipv6BadLength);
    expect(ipv6Check(d, 0, 39)).toBe(Drop.Ipv6Truncated);
    ipv6SetPayloadLen(d, 0, 15);
    expect(ipv6Check(d, 0, 56)).toBe(Drop.None);
    d.setUint8(0, 0x45);
    expect(ipv6Check(d, 0, 56)).toBe(Drop.Ipv6BadVersion);
  });

  test("the pseudo-header's sum is the sum of its bytes, from a header and from words (RFC 8200 8.1)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(255), (addresses, proto) => {
        const bytes = dirty(40);
        bytes.set(addresses, 8);
        const d = viewOf(bytes);
        const both = new Int32Array(8);
        ipv6ReadWords(d, IPV6_SRC, both, 0);
        ipv6ReadWords(d, IPV6_DST, both, 4);
        const expected = sumBytes(d, IPV6_SRC, 32, proto);
        expect(ipv6PseudoSum(d, 0, proto)).toBe(expected);
        expect(ipv6WordsPseudoSum(both, 0, both, 4, proto)).toBe(expected);
      }),
    );
  });

  test("hop limit counts down; packets of one kind differ in length alone", () => {
    const bytes = new Uint8Array(160);
    bytes.set(ECHO.slice(14), 0);
    bytes.set(ECHO.slice(14), 80);
    const d = viewOf(bytes);
    ipv6SetPayloadLen(d, 80, 12);
    expect(ipv6SameKind(d, 0, 80)).toBe(true);
    ipv6DecrementHopLimit(d, 80);
    expect([ipv6HopLimit(d, 80), ipv6SameKind(d, 0, 80)]).toEqual([63, false]);
    ipv6DecrementHopLimit(d, 0);
    expect(ipv6SameKind(d, 0, 80)).toBe(true);
    for (const i of [1, 2, 6, 8, 23, 24, 39]) {
      bytes[i]! ^= 1;
      expect(ipv6SameKind(d, 0, 80)).toBe(false);
      bytes[i]! ^= 1;
    }
  });

  test("addresses: kinds, equality, copies", () => {
    expect(ipv6IsMulticast(at("ff02::1"), 0)).toBe(true);
    expect(ipv6IsMulticast(at("fe80::1"), 0)).toBe(false);
    expect([ipv6IsLinkLocal(at("febf::1"), 0), ipv6IsLinkLocal(at("fec0::1"), 0)]).toEqual([true, false]);
    expect([ipv6IsUnspecified(at("::"), 0), ipv6IsUnspecified(at("::1"), 0)]).toEqual([true, false]);
    expect([ipv6IsLoopback(at("::1"), 0), ipv6IsLoopback(at("1::1"), 0)]).toEqual([true, false]);
    expect([ipv6IsMapped(at("::ffff:1.2.3.4"), 0), ipv6IsMapped(at("::fffe:1.2.3.4"), 0)]).toEqual([true, false]);
    const d = viewOf(dirty(48));
    const own = words("2001:db8::5");
    ipv6PutWords(d, 0, own, 0);
    ipv6Copy(d, 0, 20);
    expect([ipv6Same(d, 0, 20), ipv6IsWords(d, 20, own, 0)]).toEqual([true, true]);
    for (const i of [20, 24, 28, 32]) {
      d.setUint8(i, d.getUint8(i) ^ 1);
      expect([ipv6Same(d, 0, 20), ipv6IsWords(d, 20, own, 0)]).toEqual([false, false]);
      d.setUint8(i, d.getUint8(i) ^ 1);
    }
  });
});

/** A packet of a chain of (kind, header), with `rest` behind; lengths and next headers fit. */
function packet(headers: readonly [number, Uint8Array][], proto: number, rest: Uint8Array): DataView {
  const body = [...headers.flatMap(([, bytes], i) => [headers[i + 1]?.[0] ?? proto, ...bytes.slice(1)]), ...rest];
  const bytes = new Uint8Array(40 + body.length);
  bytes.set(body, 40);
  ipv6Emit(viewOf(bytes), 0, body.length, headers[0]?.[0] ?? proto, 64);
  return viewOf(bytes);
}
const options = (...list: number[]): [number, Uint8Array] => [60, Uint8Array.of(0, 0, ...list)];
const hopByHop = (...list: number[]): [number, Uint8Array] => [0, Uint8Array.of(0, 0, ...list)];
const fragment = (offset: number, more: boolean): [number, Uint8Array] => {
  const bytes = dirty(8);
  fragmentEmit(viewOf(bytes), 0, 0, offset, more, 0x01020304);
  return [44, bytes];
};
const PADDING = [1, 4, 0, 0, 0, 0];
const walk = (d: DataView): [string, ExtensionChain] => {
  const chain = new ExtensionChain();
  return [DROP_NAMES[chain.walk(d, 0, d.byteLength)] as string, chain];
};

describe("extension headers", () => {
  test("a packet without any: the transport is behind the header", () => {
    const [drop, chain] = walk(packet([], 17, new Uint8Array(8)));
    expect([drop, chain.proto, chain.l4, chain.protoAt, chain.fragmentAt]).toEqual(["None", 17, 40, 6, 0]);
  });

  test("a chain is walked to its transport, whatever its order (RFC 8200 4.1)", () => {
    const auth: [number, Uint8Array] = [51, Uint8Array.of(0, 2, ...new Uint8Array(14))];
    const routing: [number, Uint8Array] = [43, Uint8Array.of(0, 0, 4, 1, 0, 0, 0, 0)];
    const d = packet([hopByHop(5, 2, 0, 0, 1, 0), routing, options(...PADDING), auth], 6, new Uint8Array(20));
    const [drop, chain] = walk(d);
    expect([drop, chain.proto, chain.l4, chain.protoAt, chain.routingAt]).toEqual(["None", 6, 80, 64, 48]);
    expect([routingSegmentsLeft(d, 48), extOptionsCheck(d, 0, chain)]).toEqual([1, OPTIONS_FINE]);
  });

  test("the kernel's report: hop-by-hop options, then ICMPv6", () => {
    const chain = new ExtensionChain();
    expect(chain.walk(viewOf(REPORT), IP, REPORT.length - IP)).toBe(Drop.None);
    expect([chain.proto, chain.l4 - IP, chain.hasOptions]).toEqual([58, 48, true]);
    expect(extOptionsCheck(viewOf(REPORT), IP, chain)).toBe(OPTIONS_FINE);
  });

  test("a routing header of type 0 is refused, and told where (RFC 5095)", () => {
    const type0 = (left: number): [number, Uint8Array] => [43, Uint8Array.of(0, 0, 0, left, 0, 0, 0, 0)];
    for (const left of [0, 1]) {
      const [drop, chain] = walk(packet([type0(left)], 17, new Uint8Array(8)));
      expect([drop, chain.problem]).toEqual(["Ipv6RoutingHeader", 42]);
    }
    expect(walk(packet([options(...PADDING), type0(1)], 17, new Uint8Array(8)))[0]).toBe("Ipv6RoutingHeader");
  });

  test("options for every hop that are not the first end the chain (RFC 8200 4.1)", () => {
    const [drop, chain] = walk(packet([options(...PADDING), hopByHop(...PADDING)], 17, new Uint8Array(8)));
    expect([drop, chain.proto, chain.protoAt, chain.l4]).toEqual(["None", 0, 40, 48]);
  });

  test("the chain is bounded: 8 headers, 512 bytes", () => {
    const chainOf = (n: number) => walk(packet(Array(n).fill(options(...PADDING)), 17, new Uint8Array(8)))[0];
    expect([chainOf(8), chainOf(9)]).toEqual(["None", "Ipv6ChainTooLong"]);
    const long = (units: number): [number, Uint8Array] => {
      const bytes = new Uint8Array(units * 8);
      bytes[1] = units - 1;
      return [60, bytes];
    };
    expect(walk(packet([long(64)], 17, new Uint8Array(8)))[0]).toBe("None");
    expect(walk(packet([long(64), options(...PADDING)], 17, new Uint8Array(8)))[0]).toBe("Ipv6ChainTooLong");
  });

  test("a chain that the packet cuts off is refused", () => {
    expect(walk(packet([options(...PADDING)], 60, new Uint8Array(0)))[0]).toBe("Ipv6BadExtension");
    expect(walk(packet([options(...PADDING)], 60, new Uint8Array(7)))[0]).toBe("Ipv6BadExtension");
    expect(walk(packet([[60, Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0)]], 17, new Uint8Array(7)))[0]).toBe(
      "Ipv6BadExtension",
    );
  });

  test("fragments: the kernel's later one, a first one, one by itself (RFC 6946)", () => {
    const chain = new ExtensionChain();
    const later = viewOf(LATER);
    expect(chain.walk(later, IP, LATER.length - IP)).toBe(Drop.None);
    expect([chain.fragmentAt - IP, chain.proto, chain.l4 - IP, chain.fragmentNamedAt - IP]).toEqual([40, 58, 48, 6]);
    const f = chain.fragmentAt;
    expect([fragmentOffset(later, f), fragmentMore(later, f), fragmentId(later, f) >>> 0]).toEqual([
      1448,
      false,
      0xaa8f8fca,
    ]);
    expect(fragmentIsAtomic(later, f)).toBe(false);
    const first = packet([fragment(0, true)], 17, new Uint8Array(8));
    expect(walk(first)[0]).toBe("None");
    expect([fragmentMore(first, 40), fragmentIsAtomic(first, 40), first.getUint8(41)]).toEqual([true, false, 0]);
    expect(fragmentIsAtomic(packet([fragment(0, false)], 17, new Uint8Array(8)), 40)).toBe(true);
    // What stands behind the header of a later fragment is data, not headers.
    const [drop, data] = walk(packet([fragment(8, true)], 60, new Uint8Array(1)));
    expect([drop, data.proto, data.l4]).toEqual(["None", 60, 48]);
  });

  test("a first fragment has its whole chain and the transport header (RFC 7112 5)", () => {
    const first = (proto: number, n: number) => walk(packet([fragment(0, true)], proto, new Uint8Array(n)))[0];
    expect([first(6, 19), first(6, 20)]).toEqual(["FragmentIncompleteChain", "None"]);
    expect([first(17, 7), first(17, 8), first(58, 7), first(58, 8)]).toEqual([
      "FragmentIncompleteChain",
      "None",
      "FragmentIncompleteChain",
      "None",
    ]);
    expect([first(132, 0), first(132, 1)]).toEqual(["FragmentIncompleteChain", "None"]);
    expect(walk(packet([fragment(0, true), options(...PADDING)], 60, new Uint8Array(7)))[0]).toBe(
      "FragmentIncompleteChain",
    );
    expect(walk(packet([fragment(0, false)], 17, new Uint8Array(2)))[0]).toBe("None"); // whole: UDP refuses it
  });

  test("a fragment of a fragment is refused", () => {
    expect(walk(packet([fragment(0, true), fragment(0, true)], 17, new Uint8Array(8)))[0]).toBe("Ipv6BadExtension");
  });

  test("unknown options: skipped, refused silently or told, as their type says (RFC 8200 4.2)", () => {
    const check = (...list: number[]): [number, number] => {
      const d = packet([options(...list)], 17, new Uint8Array(8));
      const chain = new ExtensionChain();
      chain.walk(d, 0, d.byteLength);
      return [extOptionsCheck(d, 0, chain), chain.problem];
    };
    expect(check(0, 0, 0, 0, 0, 0)[0]).toBe(OPTIONS_FINE);
    expect(check(0x1e, 4, 1, 2, 3, 4)[0]).toBe(OPTIONS_FINE);
    expect(check(0, 0x5e, 3, 1, 2, 3)).toEqual([OPTIONS_DISCARD, 43]);
    expect(check(0x9e, 4, 1, 2, 3, 4)).toEqual([OPTIONS_TELL, 42]);
    expect(check(0xde, 4, 1, 2, 3, 4)).toEqual([OPTIONS_TELL_UNICAST, 42]);
    expect(check(1, 5, 0, 0, 0, 0)[0]).toBe(OPTIONS_BROKEN);
    expect(check(1, 3, 0, 0, 0, 1)[0]).toBe(OPTIONS_BROKEN);
  });
});

describe("ICMPv6", () => {
  test("the kernel's echo request, made anew on dirty memory; the checksum covers the addresses", () => {
    const bytes = dirty(56);
    bytes.set(ECHO.slice(14, 54));
    bytes.set(ECHO.slice(62), 48);
    const d = viewOf(bytes);
    const pseudo = ipv6PseudoSum(d, 0, 58);
    icmpv6Emit(d, 40, 16, ICMPV6_ECHO_REQUEST, 0, 0x18c40001, pseudo);
    expect(bytes.toHex()).toBe(ECHO.slice(14).toHex());
    expect([icmpv6Type(d, 40), icmpv6Code(d, 40), icmpv6EchoId(d, 40), icmpv6EchoSeq(d, 40)]).toEqual([
      128, 0, 0x18c4, 1,
    ]);
    expect(icmpv6Rest(d, 40)).toBe(0x18c40001);
    expect(icmpv6Check(d, 40, 16, pseudo, true)).toBe(Drop.None);
    expect(icmpv6Check(d, 40, 16, pseudo + 1, true)).toBe(Drop.IcmpBadChecksum);
    expect(icmpv6Check(d, 40, 16, pseudo + 1, false)).toBe(Drop.None);
    expect(icmpv6Check(d, 40, 7, pseudo, true)).toBe(Drop.IcmpTruncated);
  });

  test("errors, of which no error is sent: types below 128, and redirects (RFC 4443 2.4 (e))", () => {
    expect([1, 2, 3, 4, 100, 127, 128, 129, 135, 137].filter(icmpv6IsError)).toEqual([1, 2, 3, 4, 100, 127, 137]);
  });
});

describe("neighbour discovery", () => {
  /** A message in a packet between two addresses. */
  const message = (type: number, src: string, dst: string, target: string, opts: number[] = []): DataView => {
    const fixed = ndpFixedLen(type);
    const bytes = new Uint8Array(40 + fixed + opts.length);
    const d = viewOf(bytes);
    ipv6Emit(d, 0, fixed + opts.length, 58, 255);
    ipv6PutWords(d, IPV6_SRC, words(src), 0);
    ipv6PutWords(d, IPV6_DST, words(dst), 0);
    d.setUint8(40, type);
    if (fixed >= 24) ipv6PutWords(d, 40 + NDP_TARGET, words(target), 0);
    bytes.set(opts, 40 + fixed);
    return d;
  };
  const check = (d: DataView): string => DROP_NAMES[ndpCheck(d, 0, 40, d.byteLength - 40)] as string;
  const MAC_OPTION = [1, 1, 0x52, 0x54, 0, 0, 0, 0x99];

  test("the kernel's search for a duplicate and its router solicitation pass; their options read back", () => {
    const search = viewOf(SEARCH);
    expect(ndpCheck(search, IP, 54, 32)).toBe(Drop.None);
    expect(ipv6Address(search, 54 + NDP_TARGET).toString()).toBe("fe80::5054:ff:fe00:99");
    expect(ndpIsSolicitedNode(search, IP + IPV6_DST)).toBe(true);
    const nonce = ndpOption(search, 54, 32, NDP_OPTION_NONCE);
    expect([nonce - 54, ndpOptionLen(search, nonce), ndpMacHi(search, nonce)]).toEqual([24, 8, 0xb53f]);
    const router = viewOf(SOLICIT_ROUTER);
    expect(ndpCheck(router, IP, 54, 16)).toBe(Drop.None);
    const mac = ndpOption(router, 54, 16, NDP_OPTION_SOURCE_MAC);
    expect([ndpMacHi(router, mac), ndpMacLo(router, mac)]).toEqual([0x5254, 0x99]);
    expect(ndpOption(router, 54, 16, NDP_OPTION_TARGET_MAC)).toBe(-1);
  });

  test("the solicited-node group is the one that the kernel uses (RFC 4291 2.7.1)", () => {
    const d = viewOf(dirty(16));
    ndpPutSolicitedNode(d, 0, words("fe80::5054:ff:fe00:99"), 0);
    expect(ipv6Address(d, 0).toString()).toBe("ff02::1:ff00:99");
    for (const other of ["ff02::1:fe00:99", "ff02::2:ff00:99", "ff05::1:ff00:99", "ff02:0:0:1::1:ff00:99"])
      expect(ndpIsSolicitedNode(at(other), 0)).toBe(false);
    const option = dirty(10);
    ndpMacOptionEmit(viewOf(option), 1, NDP_OPTION_TARGET_MAC, 0x5254, -2);
    expect(option.toHex()).toBe("a502015254fffffffea5");
  });

  test("a hop limit other than 255 is refused for every type: it came from beyond the link (RFC 4861 11.2)", () => {
    for (let type = 133; type <= 137; type++) {
      const d = message(type, "fe80::1", "fe80::2", "fe80::2");
      expect([type, ndpIsType(type), check(d)]).toEqual([type, true, "None"]);
      d.setUint8(7, 254);
      expect(check(d)).toBe("NdNotLocal");
    }
    expect([ndpIsType(132), ndpIsType(138)]).toEqual([false, false]);
  });

  test("code, length, target, sender and options have to be right (RFC 4861 6.1, 7.1, 8.1)", () => {
    const solicit = message(NDP_SOLICIT, "fe80::1", "ff02::1:ff00:2", "fe80::2", MAC_OPTION);
    expect(check(solicit)).toBe("None");
    expect(DROP_NAMES[ndpCheck(solicit, 0, 40, 23)]).toBe("NdBadFormat");
    solicit.setUint8(41, 1);
    expect(check(solicit)).toBe("NdBadFormat");
    expect(check(message(NDP_SOLICIT, "fe80::1", "ff02::1:ff00:2", "ff02::2"))).toBe("NdBadFormat");
    expect(check(message(NDP_SOLICIT, "::", "ff02::1:ff00:2", "fe80::2"))).toBe("None");
    expect(check(message(NDP_SOLICIT, "::", "fe80::2", "fe80::2"))).toBe("NdBadFormat");
    expect(check(message(NDP_SOLICIT, "::", "ff02::1:ff00:2", "fe80::2", MAC_OPTION))).toBe("NdBadFormat");
    const advert = message(NDP_ADVERT, "fe80::1", "ff02::1", "fe80::1");
    advert.setInt32(44, NDP_OVERRIDE);
    expect(check(advert)).toBe("None");
    advert.setInt32(44, NDP_SOLICITED);
    expect(check(advert)).toBe("NdBadFormat");
    expect(check(message(NDP_ROUTER_ADVERT, "2001:db8::1", "ff02::1", "::"))).toBe("NdBadFormat");
    expect(check(message(NDP_REDIRECT, "2001:db8::1", "fe80::2", "fe80::1"))).toBe("NdBadFormat");
    const redirect = message(NDP_REDIRECT, "fe80::1", "fe80::2", "fe80::3");
    expect(check(redirect)).toBe("None");
    redirect.setUint8(64, 0xff);
    expect(check(redirect)).toBe("NdBadFormat");
  });

  test("an option of length 0, or beyond the message, refuses it", () => {
    const solicit = (...opts: number[]) => check(message(NDP_SOLICIT, "fe80::1", "fe80::2", "fe80::2", opts));
    expect(solicit(1, 0, 0, 0, 0, 0, 0, 0)).toBe("NdBadFormat");
    expect(solicit(1, 2, 0, 0, 0, 0, 0, 0)).toBe("NdBadFormat");
    expect(solicit(...MAC_OPTION, 200)).toBe("NdBadFormat");
    expect(solicit(200, 1, 0, 0, 0, 0, 0, 0, ...MAC_OPTION)).toBe("None");
  });
});

describe("bounds", () => {
  test("whatever an IPv6 frame holds, nothing outside it is read, and its line is printable", () => {
    const kinds = fc.constantFrom(0, 6, 17, 43, 44, 51, 58, 59, 60, 99);
    const shape = fc.record({
      body: fc.uint8Array({ maxLength: 140 }),
      first: kinds,
      links: fc.array(fc.tuple(kinds, fc.nat(1)), { maxLength: 10 }),
      icmp: fc.option(fc.constantFrom(1, 2, 3, 4, 128, 130, 133, 134, 135, 136, 137)),
      hops: fc.constantFrom(255, 64),
      cut: fc.nat(20),
    });
    fc.assert(
      fc.property(shape, ({ body, first, links, icmp, hops, cut }) => {
        const len = 54 + Math.max(0, body.length - cut);
        const memory = dirty(54 + body.length + 64);
        const start = 32;
        memory.set(body, start + 54);
        const d = viewOf(memory);
        d.setUint16(start + 12, 0x86dd);
        ipv6Emit(d, start + 14, len - 54, first, hops);
        ipv6PutWords(d, start + 22, words("fe80::1"), 0);
        ipv6PutWords(d, start + 38, words("fe80::2"), 0);
        let p = 54;
        for (const [next, units] of links) {
          if (p + 8 * (units + 1) > len) break;
          d.setUint8(start + p, next);
          d.setUint8(start + p + 1, units);
          p += 8 * (units + 1);
        }
        if (icmp !== null && p < len) d.setUint8(start + p, icmp);
        const guarded = new GuardedView(memory, start, start + len);
        expect(printFrame(guarded, start, len)).toMatch(/^[\x20-\x7e]+$/);
        const chain = new ExtensionChain();
        if (chain.walk(guarded, start + 14, len - 14) !== Drop.None) return;
        extOptionsCheck(guarded, start + 14, chain);
        const rest = start + len - chain.l4;
        expect(rest).toBeGreaterThanOrEqual(0);
        if (
          icmpv6Check(guarded, chain.l4, rest, 0, true) === Drop.IcmpTruncated ||
          !ndpIsType(icmpv6Type(guarded, chain.l4))
        )
          return;
        if (ndpCheck(guarded, start + 14, chain.l4, rest) !== Drop.None) return;
        const option = ndpOption(guarded, chain.l4, rest, NDP_OPTION_SOURCE_MAC);
        if (option >= 0) ndpMacLo(guarded, option);
      }),
      { numRuns: 3000 },
    );
  });

  test("any bytes: checks and walks stay inside", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (data) => {
        const memory = dirty(data.length + 64);
        memory.set(data, 32);
        const d = new GuardedView(memory, 32, 32 + data.length);
        if (ipv6Check(d, 32, data.length) !== Drop.None) return;
        const chain = new ExtensionChain();
        if (chain.walk(d, 32, ipv6TotalLen(d, 32)) === Drop.None) extOptionsCheck(d, 32, chain);
      }),
      { numRuns: 1000 },
    );
  });

  test("lines of the kernel's frames", () => {
    const line = (bytes: Uint8Array<ArrayBuffer>): string =>
      printFrame(viewOf(bytes), 0, bytes.length).replace(/^.* > [^ ]* /, "");
    const full = (bytes: Uint8Array<ArrayBuffer>): string => printFrame(viewOf(bytes), 0, bytes.length);
    expect(full(SEARCH)).toBe(
      "52:54:00:00:00:99 > 33:33:ff:00:00:99 :: > ff02::1:ff00:99 hops 255 len 72 nd solicit fe80::5054:ff:fe00:99",
    );
    expect(line(SOLICIT_ROUTER)).toBe("hops 255 len 56 nd router-solicit mac 52:54:00:00:00:99");
    expect(line(ECHO)).toBe("hops 64 len 56 icmp6 type 128 code 0 id 6340 seq 1");
    expect(line(LATER)).toBe("hops 64 frag id aa8f8fca 1448 len 56");
    expect(line(REPORT)).toBe("hops 1 ext 0 len 76 icmp6 type 143 code 0");
  });
});
