/** ARP, DHCP and DNS: whom they believe, how often they ask, and when they give up. */
import { mutationsOf } from "../mutation.ts";

export const SERVICES = [
  ...mutationsOf(
    "netstack/link/arp.ts",
    [
      "if (isGroupMac(macHi) || (macHi === 0 && macLo === 0)) return Drop.ArpBadSender;",
      "",
      "a sender's MAC that can be one",
    ],
    ["if (macHi === link.macHi && macLo === link.macLo) return Drop.ArpBadSender;", "", "our own MAC as the sender"],
    ["if (ip === own.address) {", "if (false as boolean) {", "the conflict about our address"],
    ["if (arpTargetIp(d, at) !== own.address) {", "if (false as boolean) {", "that ARP for others teaches nothing"],
    ["if (!unicast) return Drop.ArpBadSender;", "", "that a broadcast reply is not believed"],
    ["if (believable) neighbors.onRequest(", "neighbors.onRequest(", "that a sender of another subnet is not learnt"],
    ["if (now < at) {", "if (false as boolean) {", "the least time between defences (RFC 5227 2.4)"],
    [
      "      this.defend(now);\n      return Drop.ArpConflict;",
      "      return Drop.ArpConflict;",
      "the defence of our address",
    ],
  ),
  ...mutationsOf(
    "netstack/link/neighbor.ts",
    [
      'if (n === 0) return "unsolicited";',
      "if (n === 0) return this.onRequest(now, words, i, macHi, macLo);",
      "that an unasked reply is not learnt",
    ],
    [
      "if (!same) return this.#contradict(n, now);\n        this.#confirm",
      "this.#confirm",
      "that a probe's answer by another MAC is a contradiction",
    ],
    [
      'return same ? "unsolicited" : this.#contradict(n, now);',
      'this.#confirm(n, now, macHi, macLo);\n        return "confirmed";',
      "that a known neighbour is not overwritten",
    ],
    [
      'if (this.macHi[n] === macHi && this.macLo[n] === macLo) return "confirmed";\n      return this.#contradict(n, now);',
      'return "confirmed";',
      "that a request with another MAC makes us ask",
    ],
    [
      "if (this.#kept[n] === 1) this.#confirm(n, now, this.macHi[n]!, this.macLo[n]!);",
      "if (this.#other[n] === 0) this.#confirm(n, now, this.macHi[n]!, this.macLo[n]!);",
      "that the known MAC wins when both answer",
    ],
    [
      "if (this.#rank[n] === UNCONFIRMED && this.#kept[n] === 0) {",
      "if (false as boolean) {",
      "that the first answer replaces a guess",
    ],
    [
      "    this.#use(n, now, UNCONFIRMED);\n    this.#settle(n, macHi, macLo, now);",
      "    this.#settle(n, macHi, macLo, now);",
      "that a request while it is asked for is only a guess",
    ],
    [
      "if (this.#tries[n]! < REQUEST_TRIES) this.#request(n, now, 0xffff, -1);\n      else this.#fail(n, now);",
      "this.#request(n, now, 0xffff, -1);",
      "the end of asking",
    ],
    [
      "if (now >= this.#at[n]!) this.#verify(",
      "if (false as boolean) this.#verify(",
      "that a neighbour is confirmed again in use",
    ],
    [
      "if (now < this.#at[n]!) return -1;\n      this.#ask(n, now);",
      "return -1;",
      "that a failed neighbour is asked again",
    ],
    [
      "(this.#parked.get(n)?.length ?? 0) < MAX_PARKED_PACKETS &&",
      "",
      "the bound on packets that wait for a neighbour",
    ],
    ["this.#parkedBytes[n]! + size <= MAX_PARKED_BYTES &&", "", "the bound on bytes that wait for a neighbour"],
    ["this.#parkedBytesAll + size <= MAX_PARKED_BYTES_ALL", "true", "the bound on bytes that wait for all neighbours"],
    [
      "const victim = this.#uses.first(UNCONFIRMED) || this.#uses.first(CONFIRMED);",
      "const victim = this.#uses.first(CONFIRMED) || this.#uses.first(UNCONFIRMED);",
      "that a scan pushes out itself",
    ],
    ["if (!wanted && now - this.#usedAt[victim]! < REACHABLE_MS) return 0;", "", "that a guess pushes nobody out"],
    [
      "while (this.#idleAt(list) <= now) this.#remove(this.#uses.first(list));",
      "break;",
      "that idle neighbours are forgotten",
    ],
    [
      "if (this.#state[n] !== CONTESTED && now >= this.#claimAt[n]! + CLAIM_MS) {",
      "if (this.#state[n] !== CONTESTED) {",
      "how often a claim makes us ask",
    ],
  ),
  ...mutationsOf(
    "netstack/dhcp4/client.ts",
    ['if (peer.port !== DHCP_SERVER_PORT) return "wrong-port";', "", "the port of a DHCP server"],
    ['if (m.op !== BOOT_REPLY) return "not-a-reply";', "", "that a DHCP request is no answer"],
    ['if (m.xid !== state.exchange.xid) return "wrong-xid";', "", "the transaction id"],
    [
      'if (m.chaddr.hi !== this.#mac.hi || m.chaddr.lo !== this.#mac.lo) return "wrong-client";',
      "",
      "the client's hardware address",
    ],
    ['if (!isAnswerOf(state, lease.serverId)) return "wrong-server";', "", "the server of an ACK"],
    ['if (!isAnswerOf(state, serverId)) return "wrong-server";', "", "the server of a NAK"],
    ['if (serverId === undefined) return "no-server-id";', "", "a NAK's server identifier"],
    ["now >= (state.lease as Lease).expires)", "now >= (state.lease as Lease).expires + 1e12)", "the end of a lease"],
    [
      'if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);\n        else if (now >= state.exchange.retryAt)',
      "if (now >= state.exchange.retryAt)",
      "T2: from renewing to rebinding",
    ],
    ['else if (now >= state.lease.t1) this.#ask(now, "renewing", state.lease);', "", "T1: renewing"],
    ["exchange.retryAt = now + DECLINE_WAIT;", "exchange.retryAt = now;", "10 s after a DECLINE (RFC 2131 3.1.5)"],
    [
      "if (state.exchange.attempt < REQUEST_ATTEMPTS) this.#send(now);\n        else",
      "if (true as boolean) this.#send(now);\n        else",
      "the end of REQUESTs",
    ],
    [
      "if (state.exchange.attempt < REBOOT_ATTEMPTS) this.#send(now);",
      "if (true as boolean) this.#send(now);",
      "the end of asking for an old lease",
    ],
    ["Math.min((2 ** naks - 1) * 1000, NAK_WAIT_MAX)", "0", "the pause after NAKs"],
    [
      "const base = Math.min(RETRY_FIRST * 2 ** (attempt - 1), RETRY_MAX);",
      "const base = RETRY_FIRST;",
      "the backoff of DISCOVERs (RFC 2131 4.1)",
    ],
    ["return base + randomBelow(this.#random, 2 * JITTER + 1) - JITTER;", "return base;", "the jitter of DISCOVERs"],
  ),
  ...mutationsOf(
    "netstack/dhcp4/lease.ts",
    ['if (!isHost(address)) return "bad-address";', "", "that a lease is a host's address"],
    [
      'if (subnet.isNetworkOrBroadcast(subnet.address)) return "bad-address";',
      "",
      "that a lease is not its subnet's broadcast",
    ],
    ["const lease = Math.max(given, MIN_LEASE_S);", "const lease = given;", "the shortest lease"],
    ["if (t1 <= 0 || t1 >= t2 || t2 >= lease) {", "if (false as boolean) {", "T1 and T2 that make sense"],
    ["mtu !== undefined && mtu >= MIN_MTU ? mtu : undefined", "mtu", "the least MTU of a lease"],
    ["isHost(a) && a !== address && !subnet", "isHost(a) && !subnet", "that we are not our own gateway"],
  ),
  ...mutationsOf(
    "netstack/wire/dhcpv4.ts",
    ['if (message.length < OPTIONS) return "truncated";', "", "the length of a DHCP message"],
    ['if (d.getUint32(COOKIE) !== MAGIC_COOKIE) return "bad-cookie";', "", "the DHCP cookie"],
  ),
  ...mutationsOf(
    "netstack/dns/client.ts",
    [
      "const sent = part.sent.find((s) => s.wireId === response.id);",
      "const sent = part.sent[0];",
      "the id of a DNS answer",
    ],
    [
      "if (!sent.server.equals(peer.address) || peer.port !== DNS_PORT) drop",
      "if (peer.port !== DNS_PORT) drop",
      "the server of a DNS answer",
    ],
    [
      "if (!sent.server.equals(peer.address) || peer.port !== DNS_PORT) drop",
      "if (!sent.server.equals(peer.address)) drop",
      "the server's port of a DNS answer",
    ],
    ['else if (socket !== query.id) drop = "wrong-socket";', "", "the port that a DNS answer comes to (RFC 5452 9.2)"],
    [
      'else if (response.question.name !== bareName(query.name)) drop = "wrong-question";',
      "",
      "the name of a DNS answer",
    ],
    [
      "if (part.type !== response.question.type || !isOpen(part)) continue;",
      "if (part.type !== response.question.type) continue;",
      "that an answered question is closed",
    ],
    [
      "if (now >= query.graceEndsAt || now >= query.endsAt) this.#end(now, query);",
      "if (now >= query.graceEndsAt) this.#end(now, query);",
      "the end of a DNS query",
    ],
    [
      "if (now >= query.graceEndsAt || now >= query.endsAt) this.#end(now, query);",
      "if (now >= query.endsAt) this.#end(now, query);",
      "that the other family is waited for briefly",
    ],
    ["} else if (this.#queries.size >= MAX_QUERIES) {", "} else if (false as boolean) {", "the bound on DNS queries"],
    ["addresses.slice(0, MAX_ADDRESSES)", "addresses", "the bound on addresses of a name"],
    [
      "address.isHost && this.#refuse(address) === undefined",
      "this.#refuse(address) === undefined",
      "addresses that no host can have",
    ],
    ["address.isHost && this.#refuse(address) === undefined", "address.isHost", "addresses that this client refuses"],
    ["if (!server.equals(query.server)) return;", "", "that a late refusal says nothing about the next server"],
  ),
  ...mutationsOf(
    "netstack/dns/cache.ts",
    ["Math.min(ttl, MAX_TTL_S)", "ttl", "the bound on a TTL"],
    ["return found && now < found.until ? found : undefined;", "return found;", "the end of an old DNS answer"],
    ["if (this.#names.size <= MAX_NAMES) break;", "break;", "the bound on names that are kept"],
  ),
  ...mutationsOf(
    "netstack/wire/dns.ts",
    ['if (message.length > EDNS_SIZE) return "too-long";', "", "the longest DNS answer"],
    [
      'if ((flags & FLAG_RESPONSE) === 0 || (flags & OPCODE_MASK) !== 0) return "not-a-response";',
      "",
      "that a DNS query is no answer",
    ],
    ['if (d.getUint16(QDCOUNT) !== 1) return "bad-question";', "", "one question in a DNS answer"],
  ),
];
