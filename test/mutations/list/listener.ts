/** A server of many clients: whose packets are whose, what strangers get, who takes whose place, and what one peer's fault touches. */
import { mutationsOf } from "../mutation.ts";

export const LISTENER = [
  ...mutationsOf(
    "lib/count-limit.ts",
    ["if (!this.allows(now)) return false;", "", "the bound of a count in a time"],
    ["=== Number.NEGATIVE_INFINITY) return;", "=== 0) return;", "that nothing is given back twice"],
  ),
  ...mutationsOf(
    "protocol/server/address-table.ts",
    [
      "if (((i - home) & mask) < ((i - hole) & mask)) continue;",
      "",
      "who moves up into a hole of the table of addresses",
    ],
    ["own[k + 3] === words[at + 3] &&", "", "the address that a peer is known by"],
    [
      "this.#port[peer] === (port | (socket << 16)) &&",
      "this.#port[peer]! << 16 === port << 16 &&",
      "the socket that a peer is known by",
    ],
  ),
  ...mutationsOf(
    "protocol/server/demux.ts",
    [
      "if (peer >= this.#capacity || this.#isHere[peer] === 0) return UNKNOWN_PEER;",
      "",
      "that a number of nobody is nobody's",
    ],
    ["? peer : FLOAT - peer;", "? peer : peer;", "that a client moves only by a packet that opens"],
    [
      "if (this.#isSession(peer, at + 1)) return peer;",
      "return peer;",
      "the session id of control packets at a client's address",
    ],
    ["    this.#isHere[peer] = 0;\n", "", "that the number of who has left is nobody's"],
    [
      "    this.#owner[rival] = NOBODY;\n    this.#addresses.enter(rival);\n",
      "",
      "that who waits at an address gets it",
    ],
  ),
  ...mutationsOf("appliance/wiring/listen-udp.ts", [
    "      if (port === undefined) continue;\n",
    "      if (port === undefined) return;\n",
    "that a narrow way is told whoever listens where the packet was sent from",
  ]),
  ...mutationsOf("appliance/wiring/listen-udp.ts", [
    "rows, this.#own, this.#probe);",
    "rows, this.#own);",
    "that each client's way is asked of for itself",
  ]),
  ...mutationsOf(
    "protocol/server/server.ts",
    ["    peer.forgetPath(now);\n", "", "that a client has the whole MTU again where it is then"],
    [
      "    // When it is due to be forgotten is among its deadlines.\n    this.#roster.touch(peer);\n",
      "",
      "that a narrow way is forgotten in time of whom nothing else is due",
    ],
    [
      "if (peer.pathMtu.forgetAt <= now && peer.forgetPath(now)) this.#watcher.pathChanged(now, peer);",
      "",
      "that a way is narrow for ten minutes, not for as long as the session",
    ],
    ["        peer.learnPath(now);\n", "", "that a client is known to be behind a narrow way from the beginning"],
    ["this.#roster.at(this.#demux.find(from, 0, socket))", "this.#roster.at(0)", "whose way is narrow"],
  ),
  ...mutationsOf("tunnel/listener.ts", [
    "peer.pathMtu.isNarrow ? Math.max(payloadMax(peer.mtu - link.overhead), IPV6_LEAST_MTU) : tunnel.mtu",
    "tunnel.mtu",
    "that what goes to a client fits the way to it",
  ]),
  ...mutationsOf(
    "protocol/server/strangers.ts",
    ["if (isReset && !this.#answers.allows(now)) return LIMITED;", "", "connect-freq-initial"],
    ["    if (isReset) this.#answers.take(now);\n", "", "that answers count"],
    ["    this.#used.add(admission.resumed.ownSessionId);\n", "", "that a cookie begins one session"],
    ["    this.#answers.giveBack();\n", "", "that a client that has come back does not count among strangers"],
    ["return this.#sessions?.take(now) !== false;", "return true;", "connect-freq"],
  ),
  ...mutationsOf("protocol/server/used-cookies.ts", [
    "if (this.#used.size > REMEMBERED && oldest !== undefined)",
    "if (false as boolean)",
    "the bound of the cookies that are remembered",
  ]),
  ...mutationsOf("protocol/server/newcomers.ts", [
    "if (this.#crowd[place]! <= most) continue;",
    "if (this.#crowd[place]! < most) continue;",
    "that the oldest of a crowd goes first",
  ]),
  ...mutationsOf(
    "protocol/server/server.ts",
    [
      "if (session.proofs === proofs || !this.#roster.has(peer)) return;",
      "",
      "that a client moves only by what it has made",
    ],
    [
      "if (other !== undefined && other.guest !== undefined) {",
      "if (false as boolean) {",
      "that nobody moves to another client's address",
    ],
    [
      "      this.#opened.count = Math.min(before, this.#opened.count);\n",
      "",
      "that what came from another client's address is not delivered",
    ],
    [
      'if (now - peer.since >= FIRST_PACKET_MS) this.end(now, peer, { kind: "stream-silent" });\n      else ',
      "",
      "the end of a connection over which nothing comes",
    ],
    ["    this.#roster.admit(peer);\n", "", "that who has logged in is no newcomer"],
    [
      'if (owner !== undefined) this.end(now, owner, { kind: "replaced" });',
      "",
      "that a client whose login is accepted takes over the address that it is at",
    ],
    ["    opened.peer.fill(peer.id, first, opened.count);\n", "", "whose opened packets are"],
    ["    if (session !== undefined) this.drops.add(session.drops);\n", "", "the drops of sessions that are over"],
    ["opened.peer[row] = id;", "opened.peer[row] = 0;", "whose packets are that went the direct way"],
    ["if (direct.hasExit) this.#exit(now, this.#roster.at(id));", "", "that who says so has left"],
    [
      "    this.#direct.clear(peer.id);\n    this.#roster.touch(peer);",
      "    this.#roster.touch(peer);",
      "that packets go the long way while something is out of the ordinary",
    ],
  ),
  ...mutationsOf("protocol/server/roster.ts", [
    "this.#newcomers.count < MAX_NEWCOMERS ? undefined",
    "(true as boolean) ? undefined",
    "the bound of those who have not logged in",
  ]),
  ...mutationsOf(
    "protocol/server/arrivals.ts",
    ["if (this.isClosed) return this.#count(CLOSED);", "", "that nobody new is answered while the server leaves"],
    ["there.guest === undefined ? there :", "true ? there :", "that a stranger at a client's address does not end it"],
    [
      'end(now, peer, { kind: "stream-stranger", drop: SESSION_DROP_NAMES[~admission]! });',
      "",
      "the end of a connection that begins with no client's packet",
    ],
    [
      "this.#owner.fault(now, peer, error);",
      "this.#owner.fault(now, undefined, error);",
      "that nobody stays whose session cannot be begun",
    ],
    [
      "verify: () => this.#config.verify,",
      "verify: ((verify) => () => verify)(this.#config.verify),",
      "that a renegotiation goes by the fingerprints of the day",
    ],
  ),
  ...mutationsOf("protocol/server/renegotiations.ts", [
    "    if (peer.authority === this.authority) return;\n",
    "    return;\n",
    "that a handshake which began before another revocation list is followed by one",
  ]),
  ...mutationsOf(
    "protocol/data/direct-keys.ts",
    ["view.getInt32(at) !== header || ", "", "that only packets of the key in use go the direct way"],
    ["|| key.isWorn) return i;", ") return i;", "that a worn key is looked at"],
    ["len < DATA_V2_HEADER_LEN || ", "", "the length of a packet that goes the direct way"],
    ["      traffic.openedAt = now;\n", "", "that packets which go the direct way keep the session"],
    ["        this.#drops[peer]?.drop(payloadAt);\n", "", "the drops of packets that go the direct way"],
  ),
  ...mutationsOf(
    "protocol/server/reception.ts",
    [
      "        if (peer.takeBack !== takeBack) return;\n",
      "",
      "that a password's answer is about the login that it was asked for",
    ],
    [
      "if (identity.isSingle) for (const older of this.named(name)) this.#owner.replace(now, older);",
      "",
      "that a newer session of a name takes the older one's place",
    ],
    [
      "if (isRenewal || ofPlace < ASKED_OF_PLACE)",
      "if (true as boolean)",
      "that one address does not take all the room for passwords",
    ],
    [
      "    this.#forget(peer);\n    const { guest } = peer;\n",
      "    const { guest } = peer;\n",
      "that the password of who has left is not looked into",
    ],
    ["if (this.#count >= limits.maxClients) {", "if (false as boolean) {", "max-clients"],
    ["    this.#options.desk.release(this.#owner.unixSeconds(), guest);\n", "", "that what a client had is given back"],
    [
      "const earlier = isRenewal ? peer.guest : undefined;",
      "const earlier = undefined;",
      "that a renegotiation is by the same client",
    ],
  ),
  ...mutationsOf(
    "protocol/server/admission.ts",
    [
      "if (maxAgeDays !== undefined && isOlder(metadata, unixSeconds - maxAgeDays * DAY_S)) return DROP_CONTROL_KEY_AGE;",
      "",
      "tls-crypt-v2-max-age",
    ],
    [
      "if (metadata.length < TIMESTAMP_LEN || metadata[0] !== METADATA_TIMESTAMP) return true;",
      "if (metadata.length < TIMESTAMP_LEN) return false;",
      "that with tls-crypt-v2-max-age a key says how old it is",
    ],
    [
      "if (!isReset || packet.packetId !== 0 || packet.acks.length > 0) return DROP_CONTROL_UNEXPECTED;",
      "",
      "what the first packet of a connection is",
    ],
  ),
  ...mutationsOf(
    "tunnel/listener.ts",
    ["    this.#server.shut();\n", "", "that who is told that the server leaves is not let in again by it"],
    [
      "if (isOtherAuthority(before, taken)) this.#server.renegotiateAll(now);",
      "",
      "that another revocation list is asked at once",
    ],
    ["      taken = withTrustOf(taken, before);\n", "", "that checks go with the certificates that they are made for"],
  ),
  ...mutationsOf(
    "tunnel/reload.ts",
    ["|| asked(before) !== asked(after);", ";", "that a fingerprint which is taken away is asked for at once"],
    [
      "...{ listen, clientToClient, network },",
      "...{ listen, clientToClient },",
      "that the desk gives addresses of the tunnel that there is",
    ],
    [
      "Math.min(after.limits.maxClients, room)",
      "Math.min(after.limits.maxClients, before.limits.maxClients)",
      "that max-clients may be what it was before",
    ],
  ),
  ...mutationsOf(
    "protocol/exchange/rekey.ts",
    ["    if (now < this.#previousEndsAt) return;\n", "", "that the exchange before is heard for a while"],
    [
      "    this.#previousEndsAt = now + this.#parts.control.handWindow * 1000;\n",
      "",
      "that the exchange before is let go of in the end",
    ],
  ),
  ...mutationsOf("tunnel/listener.ts", [
    ", IPV6_LEAST_MTU) : tunnel.mtu",
    ", 0) : tunnel.mtu",
    "that a client's IPv6 goes on where the way to it is narrower than that can be",
  ]),
];
