/** What IPv6 of an interface refuses, whom it believes, how often it answers (RFC 8200, RFC 4443, RFC 4861, RFC 4862, RFC 3810). */
import { mutationsOf } from "../mutation.ts";

export const IP6 = [
  ...mutationsOf(
    "netstack/ip6/deliver.ts",
    ["if (!own.isOn) return Drop.Ipv6;", "", "that without an address IPv6 is off"],
    [
      "if (!(isAdvert ? this.#adverts : this.#solicits).take(now)) return Drop.NdRouterLimit;",
      "",
      "the limit of router solicitations and advertisements",
    ],
    ["if (martian !== Drop.None) return martian;", "", "martian addresses of IPv6"],
    [
      "if (own.isOwn(d, at + IPV6_SRC) && (bad !== Drop.None || !this.#isOfNeighbor(p))) return Drop.Ipv6MartianSource;",
      "",
      "our own IPv6 address as the source",
    ],
    ["if (foreign !== Drop.None) return foreign;", "", "the source check of IPv6"],
    [
      "|| !unicast || multicast || isLocal ||",
      "|| multicast || isLocal ||",
      "that what was sent to all is not forwarded",
    ],
    ["|| !unicast || multicast || isLocal ||", "|| !unicast || isLocal ||", "that groups are not forwarded"],
    [
      "|| !unicast || multicast || isLocal ||",
      "|| !unicast || multicast ||",
      "that link-local sources are not forwarded",
    ],
    ["isLocal || ipv6IsLinkLocal(d, at + IPV6_DST))", "isLocal)", "that link-local destinations are not forwarded"],
    ["if (!unicast && !multicast) return Drop.Ipv6NotForUs;", "", "that what is for us was sent to us"],
    ["if (nobody && !multicast) return Drop.Ipv6MartianSource;", "", "that nobody sends to us alone"],
    ["if (refused !== Drop.None) return refused;", "", "options and routing headers that are refused"],
    [
      "chain.routingAt !== 0 && routingSegmentsLeft(d, chain.routingAt) > 0",
      "false as boolean",
      "routing headers with segments left",
    ],
    [
      "return (this.#policy.errors || isMapped) && this.#icmp.sendError(",
      "return this.#icmp.sendError(",
      "that the WAN sends no ICMPv6 errors",
    ],
    [
      "if (!unicast || !this.addressing.isOwn(d, p.at + IPV6_DST)) return bad;",
      "",
      "that only what is for us is told of a bad chain",
    ],
    ["if (this.isTranslated) return;", "", "that behind a translator nobody is told of lost fragments"],
    [
      "nd === undefined || p.isReassembled || p.fragmentAt !== 0",
      "nd === undefined",
      "that neighbour discovery is never in fragments (RFC 6980)",
    ],
    [
      "if (bad !== Drop.None) return bad;\n    if (type === NDP_SOLICIT",
      "if (type === NDP_SOLICIT",
      "the check of neighbour discovery",
    ],
    [
      "if (!this.#policy.echo || ipv6IsUnspecified",
      "if (ipv6IsUnspecified",
      "that the WAN does not answer ping over IPv6",
    ],
    [
      "if (ipv6IsMulticast(d, src) || ipv6IsLoopback(d, src) || ipv6IsMapped(d, src))",
      "if (ipv6IsLoopback(d, src) || ipv6IsMapped(d, src))",
      "a group as the source of IPv6",
    ],
    [
      "if (ipv6IsMulticast(d, src) || ipv6IsLoopback(d, src) || ipv6IsMapped(d, src))",
      "if (ipv6IsMulticast(d, src) || ipv6IsLoopback(d, src))",
      "an IPv4-mapped source of IPv6",
    ],
  ),
  ...mutationsOf(
    "netstack/ip6/icmp.ts",
    [
      "if (type !== ICMPV6_TOO_BIG && !this.#mayTell(now, p)) {",
      "if (false as boolean) {",
      "the rate of ICMPv6 errors",
    ],
    [
      "if (ipv6IsMulticast(d, p.at + IPV6_DST) && !this.#mayTell(now, p)) return Drop.RateLimited;",
      "",
      "the rate of answers to a group's ping",
    ],
    ["if (!isFar && !own.onLink(this.#words)) return false;", "", "that only the link hears of ICMPv6 errors"],
    ["if (ipv6IsMulticast(d, p.at + IPV6_DST) && !forGroups) return false;", "", "that groups cause no ICMPv6 errors"],
    [
      "return p.at + p.len > p.l4 && !icmpv6IsError(d.getUint8(p.l4));",
      "return true;",
      "that errors cause no ICMPv6 errors",
    ],
    [
      "Math.min(IPV6_MIN_MTU, IPV6_HEADER_LEN",
      "Math.min(9000, IPV6_HEADER_LEN",
      "that an ICMPv6 error fits every link",
    ],
  ),
  ...mutationsOf(
    "netstack/path-mtus.ts",
    ["Math.max(said, leastMtu(isMapped(words)))", "said", "the least path MTU (RFC 8201 4)"],
    ["if (mtu >= this.get(now, words)) return;", "", "that a path MTU only shrinks"],
    ["now < entry.until ? entry.mtu", "true ? entry.mtu", "the time of a path MTU"],
    ["else if (this.#entries.length === MAX_ENTRIES) this.#entries.shift();", "", "the bound on path MTUs"],
  ),
  ...mutationsOf(
    "netstack/ip6/addressing.ts",
    [
      'if (own !== undefined) return own.state === "usable";',
      "if (own !== undefined) return true;",
      "that an address that is asked for is not heard on",
    ],
    ["config.addresses.slice(0, MAX_ADDRESSES)", "config.addresses", "the bound on IPv6 addresses"],
    [
      "(group === ALL_ROUTERS && this.isRouter)",
      "group === ALL_ROUTERS",
      "that only a router hears the group of routers",
    ],
  ),
  ...mutationsOf(
    "netstack/ip6/mld.ts",
    [
      "if (ipv6HopLimit(d, p.at) !== 1 || !ipv6IsLinkLocal(d, p.at + IPV6_SRC)) return Drop.IcmpUnwanted;",
      "",
      "that questions about groups come from the link",
    ],
    ["this.#sentAt + LEAST_MS", "0", "the rate of reports"],
    ["if (p.at + p.len - p.l4 < QUERY_LEN) return Drop.IcmpTruncated;", "", "the length of a question about groups"],
  ),
  ...mutationsOf(
    "netstack/link/nd.ts",
    ['if (own.state === "tentative") return this.#searchedToo(now, p, own);', "", "another search for our address"],
    [
      'if (own.state === "tentative") this.#taken(now, own, { hi, lo });',
      "if (false as boolean) {}",
      "that an address is somebody else's",
    ],
    [
      'if (own.state === "tentative") return Drop.NdNotForUs;',
      "",
      "that an address that is asked for is not answered for",
    ],
    [
      "if (option >= 0 && this.#addressing.onLink(this.#words))",
      "if (option >= 0)",
      "that only neighbours are learnt from their questions",
    ],
    ["if (now < this.#defendedAt + DEFEND_MS) return;", "", "the rate of defence of an IPv6 address"],
    ["if ((flags & NDP_SOLICITED) === 0) {", "if (false as boolean) {", "that announcements are not learnt"],
    ["if (isGroupMac(hi) || (hi === 0 && lo === 0)) return false;", "", "that a neighbour's MAC is a host's"],
    ["return hi !== this.#link.macHi || lo !== this.#link.macLo;", "return true;", "that no neighbour has our own MAC"],
    ["if (isOurs) return Drop.NdNotForUs;", "", "that our own question is no duplicate (RFC 7527)"],
    ["own.searchAt = now + SEARCH_MS;", "own.searchAt = now;", "the time of the search for a duplicate"],
  ),
];
