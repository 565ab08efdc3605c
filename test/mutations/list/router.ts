/** What may pass the router, and how: sources, TTL, routes, the matrix, sizes; and the translator. */
import { mutationsOf } from "../mutation.ts";

export const ROUTER = [
  ...mutationsOf(
    "netstack/router/errors.ts",
    [
      "if (isMapped || !isDiscreet) source.sendError(",
      "source.sendError(",
      "that nobody on a translator's outside is told of what belongs to no mapping",
    ],
    [
      "const isDiscreet = source.isTranslated || from.index === WAN;",
      "const isDiscreet = source.isTranslated;",
      "that on the WAN what belongs to a mapping is told, however far its sender is",
    ],
    [
      "if (from.index === WAN) this.tell(now, from, tooBig, mtu, p, inward);",
      "if (from.index === WAN) ipOf(from, p).sendError(now, tooBig[0], tooBig[1], mtu, p, true);",
      "that on the WAN nobody is told of an MTU but for a mapping",
    ],
  ),
  ...mutationsOf(
    "netstack/router.ts",
    [
      "const isHidden = (half: Half): boolean => this.#isClosedToLan || isLanTranslated(half);",
      "const isHidden = isLanTranslated;",
      "that a LAN which is closed has no gateway for clients either",
    ],
    [
      "if (!from.ownSourcesOnly) return side === from.index || side === NOWHERE;",
      "if (!from.ownSourcesOnly) return true;",
      "that the tunnel does not send with LAN addresses",
    ],
    [
      "return side === from.index && (neighbour < 0 || neighbour === p.neighbour);",
      "return side === from.index;",
      "that a peer sends from its own addresses only",
    ],
    ["this.lan.ownSourcesOnly = true;", "", "that the LAN sends from its own addresses only"],
    ["if (family.hopLimit(d, p.at) <= 1) {", "if (false as boolean) {", "the end of a packet's TTL"],
    ["    family.countHop(d, p.at);\n", "", "TTL - 1 of a packet"],
    [
      "if (refusal !== Drop.None) return this.#errors.refuse(now, from, half, refusal, p);",
      "",
      "what the matrix and the routes refuse",
    ],
    [
      "    for (const network of config.networks)\n      (network.isIpv4 ? this.#ipv4 : this.#ipv6).routes.remove(network, TUNNEL, peer);\n",
      "",
      "that a peer that has left has no networks",
    ],
    ["if (to === from && neighbour === p.neighbour) return Drop.PeerToItself;", "", "that no peer is sent its own"],
    [
      "if (this.#lan !== undefined && lan !== undefined && lan.prefix < 31)\n",
      "if (this.#lan !== undefined && lan !== undefined && lan.prefix < 0)\n",
      "that the LAN's broadcast is not reached from elsewhere",
    ],
    [
      "if (!family.mayFragment(d, p, mtu)) return this.#errors.tooBig(now, from, half, mtu, p, inward);",
      "",
      "fragmentation needed",
    ],
    [
      "      if (route < 0 || routes.side[route] !== to.index || routes.refusal[route] !== Drop.None)\n        return to.index === TUNNEL ? Drop.PeerGone : Drop.TunnelNotForLan;\n",
      "",
      "that a translated packet goes to its translator's inside and nowhere else",
    ],
    [
      "if (isSyn(d, family, p)) clampTo(d, family, p, this.#mostBetween(from, to, p.neighbour, neighbour));",
      "",
      "the MSS clamp",
    ],
    [
      "if (from.index === TUNNEL) most = this.#peers.limit(source, most);",
      "",
      "the MSS clamp of the peer that a packet is from",
    ],
    [
      "if (to.index === TUNNEL) most = this.#peers.limit(destination, most);",
      "",
      "the MSS clamp of the peer that a packet is for",
    ],
    [
      "if (isSuper && segmentCount(p.len, headerLen, size) > MAX_SEGMENTS) return Drop.GsoTooManySegments;",
      "",
      "the bound on segments of a super-frame",
    ],
    [
      "if (!isSuper && gsoType !== GSO_NONE && gsoType !== GSO_UDP) return Drop.GsoMalformed;",
      "",
      "unknown kinds of super-frames",
    ],
    [
      "    if (inward !== undefined) {\n      const refused",
      "    if (inward !== undefined && !isSuper) {\n      const refused",
      "that a super-frame out of the tunnel is translated",
    ],
    [
      "lan.link.onUndeliverable = (now, packet, isV6) => this.#errors.undeliverable(now, LAN, packet, isV6);\n",
      "",
      "that who has waited for a host in vain is told (RFC 4861 7.2.2)",
    ],
    [
      "      if (inward !== undefined) inward.nat.undoInbound(p);\n",
      "",
      "that an error quotes the destination as its sender knows it",
    ],
    [
      "      if (outward !== undefined) outward.nat.undoOutbound(p);\n",
      "",
      "that an error quotes the source as its sender knows it",
    ],
    ["if (inward === undefined) return Drop.WanNotAsked;", "", "that nothing comes in from the WAN unasked"],
    [
      "if (p.proto === family.icmp && routes.lookup(d, p.at + family.srcAt) >= 0) return Drop.WanForeignSource;",
      "",
      "that no error from the WAN seems to be the LAN's or a peer's",
    ],
    [
      "wan.link.onUndeliverable = (now, packet, isV6) => this.#errors.undeliverable(now, WAN, packet, isV6);\n",
      "",
      "that a peer is told that the WAN's gateway does not answer",
    ],
    ["wan.onAddress = () => this.#takeAddresses(WAN);", "", "that the internet is reached by the WAN's address of now"],
    [
      "      const refused = half.translations[from.index]!.nat.direct(now, p);\n      if (refused !== Drop.None) return refused;\n",
      "",
      "that a peer's answer to the LAN is not translated",
    ],
    [
      "hairpin?.isHairpin === true && hairpin.inside === from",
      "hairpin?.inside === from",
      "that the LAN reaches nobody through the address of a closed tunnel",
    ],
  ),
  ...mutationsOf(
    "netstack/router/half.ts",
    ["policy[LAN * SIDES + LAN] = Drop.LanToLan;", "", "that the LAN does not go through us to itself"],
    [
      "policy[TUNNEL * SIDES + LAN] = isLanTranslated ? Drop.TunnelNotForLan : access;",
      "policy[TUNNEL * SIDES + LAN] = access;",
      "that the tunnel does not reach the LAN behind the translator",
    ],
    [
      "const access = isClosedToLan ? Drop.LanClosed : Drop.None;",
      "const access = Drop.None;",
      "that a closed LAN and the peers do not reach each other",
    ],
    [
      "return served.peerToPeer ? Drop.None : Drop.PeerToPeer;",
      "return Drop.None;",
      "that peers do not reach each other unless told",
    ],
    [
      "routes.add(this.#isIpv4 ? EVERYWHERE : EVERYWHERE6, 0, target(NOWHERE, -1, Drop.TunnelClosed));",
      "",
      "that a closed tunnel is a refusal of its own",
    ],
    [
      "routes.add(LINK_LOCAL, METRIC_LAN, target(NOWHERE, -1, Drop.Ipv4MartianDestination));",
      "routes.add(LINK_LOCAL, METRIC_LAN, target(NOWHERE, -1));",
      "that link-local stays on its link (RFC 3927 2.7)",
    ],
    [
      "return !this.#lans.some((lan) => lan.prefix <= network.prefix && lan.overlaps(network));",
      "return true;",
      "that the LAN wins over a route within it",
    ],
    [
      "if (this.#isForTunnel(network)) routes.add(network, METRIC_NOBODY, target(NOWHERE, -1, Drop.NoRoute));",
      "routes.size;",
      "that a network of peers without its peer is nobody's, and not the internet's",
    ],
  ),
  ...mutationsOf(
    "netstack/offload/form.ts",
    [
      "if (p.isFragment || p.gsoSize === 0) return -Drop.GsoMalformed;",
      "",
      "a super-frame with segments, and no fragment",
    ],
    [
      "if (p.proto !== (isTcp ? PROTO_TCP : PROTO_UDP)) return -Drop.GsoEncapsulated;",
      "",
      "that a super-frame is what it says",
    ],
    [
      "(isTcp ? tcpCheck(d, p.l4, avail) : udpCheck(d, p.l4, avail)) !== Drop.None",
      "false as boolean",
      "the transport header of a super-frame",
    ],
    [
      "    if (bad !== Drop.None) return -bad;\n  }\n  p.setPlain();",
      "  }\n  p.setPlain();",
      "partial checksums that cannot be completed",
    ],
  ),
  ...mutationsOf(
    "netstack/route.ts",
    [
      "this.size--;\n    if (--this.#ofLength[prefix]! === 0) this.#noteLengths();\n    this.#keptRoute.fill(NOT_KEPT);",
      "this.size--;\n    if (--this.#ofLength[prefix]! === 0) this.#noteLengths();",
      "that a route which was removed is not found any more",
    ],
    [
      "this.side[route] === side && this.neighbour[route] === neighbour",
      "this.side[route] === side",
      "that a peer that leaves takes none of another's routes with it",
    ],
  ),
  ...mutationsOf("netstack/link/tunnel.ts", [
    "if (!this.isOpen) return Drop.TunnelClosed;",
    "",
    "that a closed tunnel lets nothing in",
  ]),
  ...mutationsOf("netstack/ip4/output.ts", [
    "if (own.isOwn(dst) || own.isBroadcast(dst)) return -Drop.WanAddress;",
    "",
    "that peers do not reach this router by the WAN, nor everybody there",
  ]),
  ...mutationsOf("netstack/ip6/output.ts", [
    "if (own.find(d, at) !== undefined) return -Drop.WanAddress;",
    "",
    "that peers do not reach this router by the WAN",
  ]),
  ...mutationsOf("netstack/tcp/tcp.ts", [
    "if (this.#listeners.has(port) || !this.#ports.claim(port)) return undefined;",
    "if (this.#listeners.has(port)) return undefined;",
    "that a port on which connections are accepted is no peer's",
  ]),
  ...mutationsOf(
    "netstack/nat/netmap.ts",
    [" || headerLen > len) return;", ") return;", "that client-nat touches nothing behind a packet that is cut short"],
    ["isFirst && ", "", "that client-nat writes no checksum into a later fragment"],
  ),
  ...mutationsOf(
    "netstack/nat/sessions.ts",
    [
      "if (inward === 0 || state !== STATE_TCP_RESET || before !== STATE_TCP_RESET) table.touch",
      "table.touch",
      "that a reset session is not kept alive from outside",
    ],
    [
      "isAnswer && state === STATE_UDP_NEW ? STATE_UDP : state",
      "state === STATE_UDP_NEW ? STATE_UDP : state",
      "that a datagram is confirmed by the other side alone",
    ],
    ["if ((flags & TCP_RST) !== 0) return 0;", "", "that a reset begins no session from outside"],
  ),
  ...mutationsOf(
    "netstack/nat/nat.ts",
    ["if (!this.isOutside(d, at + family.dstAt)) return Drop.NatNoMapping;", "", "the translator's own address"],
    [
      "if (address === undefined ? before === undefined : before?.equals(address) === true) return false;",
      "",
      "that an unchanged address keeps the sessions",
    ],
    [
      "    this.#table.clear();\n    return flushed;",
      "    return flushed;",
      "that another address forgets the sessions",
    ],
    ["if (type === family.echoRequest) return -Drop.NatNoMapping;", "", "that an echo request does not come in"],
    [
      "if (type === family.echoReply && !this.#table.isDirect(this.#table.find(now))) return Drop.NatNoMapping;",
      "",
      "that no echo is answered that nobody has sent",
    ],
    [
      "if (this.#table.isDirect(session)) return Drop.None;",
      "",
      "that what answers an untranslated packet is not translated",
    ],
    [
      "if (this.#sharesByNeighbour) key.holder[0] = p.neighbour;",
      "",
      "that a peer with many addresses has one share of the table",
    ],
    [
      "if (!this.isOutside(d, quote.at + family.srcAt)) return Drop.IcmpBadQuote;",
      "",
      "that an error from outside quotes our address",
    ],
    [
      "if (tcpCheck(d, l4, avail) !== Drop.None) return Drop.NatMalformed;\n      key.insidePort",
      "key.insidePort",
      "the TCP header of what goes out",
    ],
    ["if (udpCheck(d, l4, avail) !== Drop.None) return -Drop.NatMalformed;", "", "the UDP header of what comes in"],
    [
      "if (type !== family.echoRequest) return Drop.NatUnsupported;",
      "",
      "that of ICMP echoes and errors are translated, and nothing else",
    ],
  ),
  ...mutationsOf(
    "netstack/nat/ip4.ts",
    [
      "type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM,",
      "type !== ICMP_ECHO_REQUEST && type !== ICMP_ECHO_REPLY,",
      "that redirects are not translated",
    ],
    [
      "if (headerLen < IPV4_HEADER_LEN || len < ICMP_HEADER_LEN + headerLen + MIN_QUOTED) return",
      "if (headerLen < IPV4_HEADER_LEN) return",
      "the length of a quoted packet",
    ],
    [
      "if ((ipv4FragmentField(d, at) & IPV4_OFFSET_MASK) !== 0) return Drop.IcmpBadQuote;",
      "",
      "that a later fragment is not quoted",
    ],
  ),
  ...mutationsOf("netstack/nat/l4.ts", [
    "if (d.getUint8(l4) !== echo) return Drop.IcmpBadQuote;",
    "",
    "the kind of echo that is quoted",
  ]),
  ...mutationsOf(
    "netstack/nat/ip6.ts",
    ["if (l4 + MIN_QUOTED > at + quoted) return Drop.IcmpBadQuote;", "", "the length of a quoted packet"],
    [
      "if (fragmentAt !== 0 && fragmentOffset(d, fragmentAt) !== 0) return Drop.IcmpBadQuote;",
      "",
      "that a later fragment is not quoted",
    ],
    ["d.getUint8(at) >> 4 !== 6", "false as boolean", "the version of a quoted packet"],
  ),
  ...mutationsOf(
    "netstack/family.ts",
    [
      "mayFragment: (_d, p, mtu) => p.isReassembled && p.fragmentLen <= mtu,",
      "mayFragment: () => true,",
      "that no router fragments IPv6",
    ],
    ["p.isReassembled && p.fragmentLen <= mtu,", "p.isReassembled,", "that fragments which do not fit are told of"],
  ),
  ...mutationsOf(
    "netstack/nat/states.ts",
    [
      "return hasSyn ? STATE_TCP_SYN_ACK : state;",
      "return STATE_TCP_SYN_ACK;",
      "that a half-open session is confirmed by a SYN alone",
    ],
    [
      "return isOpener ? STATE_TCP_ESTABLISHED : state;",
      "return STATE_TCP_ESTABLISHED;",
      "that who began a connection confirms it",
    ],
    [
      "  30_000, // UDP, no answer yet.",
      "  300_000, // UDP, no answer yet.",
      "the short time of a UDP session without an answer",
    ],
    ["  30_000, // TCP after RST;", "  7_450_000, // TCP after RST;", "the short time of a TCP session after a reset"],
    [
      "  300_000, // UDP with answers",
      "  30_000, // UDP with answers",
      "five minutes of a UDP session (RFC 4787 REQ-5)",
    ],
  ),
  ...mutationsOf("netstack/nat/parties.ts", [
    "const rank = this.#ofRank[0]! <= this.#share && this.#ofRank[1]! > 0 ? 1 : 0;",
    "const rank = 1;",
    "that an unanswered session gives way before a confirmed one",
  ]),
  ...mutationsOf(
    "netstack/nat/bindings.ts",
    [
      "for (const forward of this.#forwards) this.#addForward(forward);",
      "",
      "that forwards outlive a change of address",
    ],
    [
      "const ended = this.#forwards.filter((f) => !kept.has(nameOf(f))).map((f) => this.at(f.protocol, f.port));",
      "const ended: number[] = [];",
      "that sessions of a forward end with it",
    ],
  ),
  ...mutationsOf(
    "netstack/nat/table.ts",
    [
      "      sameAddress(this.remote, i * stride, key.remote, 0, stride) &&\n",
      "",
      "filtering by the remote address (RFC 4787 REQ-8)",
    ],
    ["(this.insidePort << 16) | this.remotePort;", "this.insidePort << 16;", "filtering by the remote port"],
    ["    if (i === this.#last) this.#last = 0;\n", "", "that a removed session is not the last one found"],
    ["    this.#last = 0;\n    this.#rows.clear();", "    this.#rows.clear();", "that nothing is found after a flush"],
    [
      "      this.protocol[i] === key.protocol &&\n      sameAddress",
      "      sameAddress",
      "that TCP and UDP are different sessions",
    ],
    [
      "if (now < this.usedAt[i]! + TIMEOUT_MS[this.state[i]!]!) return i;",
      "return i;",
      "that an overdue session is not found",
    ],
    [
      "if (b !== 0 && !this.#bindings.isForward(b))\n      for",
      "if (b !== 0 && !this.#bindings.isForward(b) && b < 0)\n      for",
      "that a port of this host's own is taken from sessions",
    ],
    [
      "if (!bindings.isForward(b) || this.find(now) !== 0) return 0;",
      "if (b === 0 || this.find(now) !== 0) return 0;",
      "that nobody begins a session from outside but by a forward",
    ],
    [
      "this.#parties.hostOf(key.holder, inbound);",
      "this.#parties.hostOf(key.holder, 0);",
      "that a flood of a forward pushes out only what came by it",
    ],
    [
      "return this.outsidePort[i] === outsidePort && this.#binding[i] !== 0 ? i : 0;",
      "return i;",
      "that of two forwards to one endpoint each has its own sessions",
    ],
    [
      "if (this.state[i] === state && now - this.usedAt[i]! < TOUCH_GRAIN_MS) return;",
      "if (this.state[i] === state) return;",
      "that use keeps a session",
    ],
  ),
  ...mutationsOf(
    "netstack/nat/ports.ts",
    [
      "if (ports[port] !== PORT_NONE || (port === 0 && (protocol === PROTO_TCP || protocol === PROTO_UDP))) {",
      "if (port === 0 && (protocol === PROTO_TCP || protocol === PROTO_UDP)) {",
      "that two sessions do not share an outside port",
    ],
    [
      "    if (ports[port] === RESERVED) ports[port] = PORT_NONE;\n",
      "    ports[port] = PORT_NONE;\n",
      "that a forward keeps its port when a socket of this host closes",
    ],
    [
      "port = FIRST_DYNAMIC + (this.#random16() % (PORTS - FIRST_DYNAMIC));",
      "port = FIRST_DYNAMIC;",
      "that another port is a random one (RFC 6056)",
    ],
  ),
  ...mutationsOf(
    "netstack/router.ts",
    [
      "if (narrow > 0 && headerLen + size > narrow && !family.mayFragment(d, p, narrow))",
      "if (false as boolean)",
      "that what is too large for one peer is told its sender",
    ],
    [
      "if (least > 0 && headerLen + size > least && !family.mayFragment(d, p, least)) {",
      "if (false as boolean) {",
      "that what is too large for one peer is told its sender, also from the internet",
    ],
    [
      "        inward.nat.undoInbound(p);\n        outward?",
      "        outward?",
      "that a refusal quotes the packet as it was sent",
    ],
  ),
  ...mutationsOf(
    "netstack/offload/mss.ts",
    ["if (before <= max) return;", "", "that the MSS is never raised"],
    ["if ((tcpFlags(d, at) & TCP_SYN) === 0) return;", "", "that only a SYN's MSS is changed"],
  ),
];
