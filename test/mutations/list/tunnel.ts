/** How the dialer follows, leaves and comes back to a server. */
import { mutationsOf } from "../mutation.ts";

export const TUNNEL = [
  ...mutationsOf(
    "lib/path-mtu.ts",
    ["Math.max(said, least)", "said", "that nobody is believed below what every host or link takes"],
    [
      "if (believed >= Math.min(most, this.#mtu)) return false;",
      "",
      "that a way is never made wider by what is said of it",
    ],
    ["this.#falls >= MAX_FALLS ? least :", "", "that nobody has the tunnel changed without end"],
    ["    this.#forgetAt = now + PATH_MTU_MS;\n", "", "that an estimate is forgotten after ten minutes"],
  ),
  ...mutationsOf("tunnel/attempt.ts", [
    ", this.pathMtu.forgetAt);",
    ");",
    "that the loop wakes up to forget a narrow way",
  ]),
  ...mutationsOf(
    "tunnel/dialer.ts",
    [
      "if (attempt.pathMtu.forgetAt <= now && attempt.forgetPath(now))",
      "if (false as boolean)",
      "that the way to the server is narrow for ten minutes, not for as long as the session",
    ],
    ["    attempt.learnPath(now);\n", "", "that the way to a server is known to be narrow from the beginning"],
    [
      "if (attempt.forgetPath(now)) this.#pathChanged(now, attempt, ANOTHER_WAY);",
      "",
      "that another way is not as narrow as the one before",
    ],
  ),
  ...mutationsOf("tunnel/gate.ts", [
    "if (link.isAt(words, 0, to.port)) link.narrow(now, mtu);",
    "link.narrow(now, mtu);",
    "whose way is narrow, of those who came to the gate",
  ]),
  ...mutationsOf(
    "tunnel/gate.ts",
    [
      "return port[i] === only.port && own.every((word, k) => word === words[4 * i + k]);",
      "return own !== undefined;",
      "that beside a remote only that one is heard",
    ],
    [
      "only === undefined || only.address.equals(peer.endpoint.address)",
      "only === undefined || peer !== undefined",
      "that beside a remote only that one connects",
    ],
    [
      "const mover = float ? this.#links[0] : undefined;",
      "const mover = this.#links[0];",
      "that a session moves only with float",
    ],
    ['if (typeof admission === "number") return this.drops.drop(admission);', "", "that who has no key is dropped"],
  ),
  ...mutationsOf("tunnel/gate-link.ts", [
    "if (own?.[k] !== bytes[at + k]) return false;",
    "if (own === undefined) return false;",
    "that another session of the same address is another one",
  ]),
  ...mutationsOf("tunnel/callers.ts", [
    "this.#attempts.size === MAX_CALLERS",
    "this.#attempts.size < 0",
    "that few can be in their handshake at once",
  ]),
  ...mutationsOf(
    "tunnel/dialer.ts",
    ["    this.#takeOver(now, attempt);\n", "", "that the peer is one of those who came no longer"],
    [
      "    before.isOpen = false;\n",
      "",
      "that the tunnel is not closed by the session that a newer one has taken the place of",
    ],
  ),
  ...mutationsOf(
    "tunnel/session-maker.ts",
    [
      'const who = start.waits === true ? "whoever comes" : remote;',
      "const who = remote;",
      "that ids of a static key are known of whoever comes",
    ],
    ["    guards.set(who, session.guard);\n", "", "that a reconnect does not forget the ids of a static key"],
  ),
  ...mutationsOf(
    "tunnel/dialer.ts",
    [
      "if (path !== attempt.path && session.proofs > proofs) this.#float(",
      "if (path !== attempt.path) this.#float(",
      "that only what is authentic moves the server's address",
    ],
    [
      'if (now < this.#history.loginAt) this.#state = { kind: "backing-off", until: this.#history.loginAt };\n    else this.#next(now);',
      "this.#next(now);",
      "that a refused login waits although the network is another one",
    ],
    [
      'outcome.kind === "auth-failed" || outcome.kind === "proxy-login-refused"',
      'outcome.kind === "auth-failed"',
      "that a login that a proxy refused waits although the network is another one",
    ],
    [
      'return this.#backOff(now, { kind: "link-failed" }, this.#log.noLink(now, "error", link));',
      'return this.#backOff(now, { kind: "resolve-failed" }, this.#log.noLink(now, "error", link));',
      "that a link that cannot be made costs one address",
    ],
    [
      "if (this.#history.retry.hasAlternative) this.#leaveFor(now, attempt, seconds);\n    else",
      "",
      "that a silent server is left for another one",
    ],
    ["    this.#history.login = session.loginMemory;\n", "", "that the next session logs in with the token"],
    ["    if (isOpen) this.#options.side.down(now);\n", "", "that the side is closed when the tunnel ends"],
    ["    session.abandon(now);\n", "", "that an abandoned session lets go of its keys"],
    ["    this.#sessions.close();\n", "", "that a dialer that has stopped lets go of TLS"],
    [
      "        state.attempt.session.abandon(now);\n      }\n",
      "      }\n",
      "that a dialer that failed lets go of its session's keys",
    ],
    ['if (state.kind === "backing-off" && now >= state.until) this.#next(now);\n    else', "", "the next attempt"],
  ),
  ...mutationsOf(
    "appliance/wiring/udp-link.ts",
    ["if (!this.#float) {", "if (false as boolean) {", "that a server moves only where the profile has float"],
    [
      "if (this.#strangersOfTurn === STRANGERS) return Drop.UdpStrangerLimit;",
      "if (this.#strangers.room === 0) this.#strangers.clear();",
      "the bound on datagrams from elsewhere in a turn",
    ],
    [
      "if (this.#receiver.looksLikeAnswer(at, len)) {",
      "if (len > 0) {",
      "that any datagram from elsewhere is not the server's",
    ],
    ["if (!dst.equals(address) || dstPort !== port) return;", "", "that an ICMP error is about the server of now"],
  ),
  ...mutationsOf(
    "appliance/wiring/socks-udp-link.ts",
    [
      '!relay.address.isHost ? "no address of a host" : refusal(relay.address)',
      '!relay.address.isHost ? "no address of a host" : (undefined as string | undefined)',
      "that a proxy's relay is none of our own addresses",
    ],
    ["relay === undefined || !relay.address.isHost ?", "relay === undefined ?", "that a proxy's relay is a host"],
  ),
  ...mutationsOf(
    "tunnel/proxy/socks-datagrams.ts",
    ["|| bytes[at[i]! + FRAGMENT_AT] !== 0) {", ") {", "that a fragment of a relay is none of ours"],
    ["|| len[i]! < headerLen ", "", "that a datagram of a relay holds its header"],
    ["if (!isKnown || ", "if (", "that a datagram of a relay names an address"],
  ),
  ...mutationsOf("appliance/wiring/stream-dial.ts", [
    'kind: "proxy-login-refused"',
    'kind: "proxy-failed"',
    "that a proxy's refusal of the login reaches who decides when to try again",
  ]),
  ...mutationsOf(
    "appliance/wiring/wan-links.ts",
    [
      "if (!address.isIpv4 && source === undefined) {",
      "if (false as boolean) {",
      "that a server of IPv6 needs IPv6 on the WAN",
    ],
    [
      "source: isGlobal ? source : undefined",
      "source",
      "that nothing leaves for the internet from a link-local address",
    ],
    ["this.#lacksIpv6 = true;", "", "that an IPv6 address that comes later is news for a tunnel that wants one"],
    [
      "if (address.isIpv4 && own === undefined) return",
      "if (false as boolean) return",
      "that a server of IPv4 needs IPv4 on the WAN",
    ],
  ),
  ...mutationsOf(
    "appliance/wiring/packet-stream.ts",
    [
      "this.#connection.writable - CONTROL_ROOM);",
      "this.#connection.writable);",
      "that control packets have room of their own",
    ],
    ["if (c.queued > GOODBYE) return c.abort();", "", "that the queue of a link that is closed is dropped"],
  ),
  ...mutationsOf("appliance/wiring/tcp-link.ts", [
    "else if (this.#isOver && !hasMore) this.ended(",
    "else if (this.#isOver) this.ended(",
    "that what came before the peer hung up is taken",
  ]),
  ...mutationsOf(
    "appliance/wiring/listen-tcp.ts",
    ["    else if (hasMore) return true;\n", "", "that what came before a client hung up is taken"],
    ["    this.#packets.close();\n", "", "that a client that is shown out has no connection any more"],
    [
      "this.#places.some(({ config }) => takes(config, own));",
      "this.#places.length > 0;",
      "that connections to other addresses than the profile names are none",
    ],
    [
      "      if (link.receiver === undefined) {",
      "      if (false as boolean) {",
      "that who is not wanted is broken off",
    ],
  ),
  ...mutationsOf(
    "appliance/served-side.ts",
    [
      "        if (network.overlaps(other))\n",
      "        if (false as boolean)\n",
      "that a tunnel whose network is the LAN's is not served",
    ],
    ["      if (other === undefined) return true;", "      return true;", "that the LAN's network is behind no client"],
    ["    path.setCarrier(undefined, peer);\n", "", "that nothing is sent to a client that has left"],
  ),
  ...mutationsOf(
    "platform/state/server.ts",
    ["if (key?.length !== KEY_BYTES) throw", "if (key === undefined) throw", "that a short key is none"],
    [
      "if (parsed?.isIpv4 !== isIpv4) throw",
      "if (parsed === undefined) throw",
      "that an address of the other family is none",
    ],
  ),
  ...mutationsOf(
    "appliance/forwarding.ts",
    ["server.internet ?? pushes", "pushes", "that appliance.toml says whether clients reach the internet"],
    [
      "server.internet ?? pushes",
      "server.internet ?? true",
      "that clients reach the internet only where that is asked for",
    ],
  ),
  ...mutationsOf(
    "platform/crypto/password.ts",
    ["isRight = found && hash !== undefined;", "isRight = found;", "that nobody's password is wrong"],
    [
      "hash ?? (await this.#nobodys())",
      'hash ?? ""',
      "that a user who is not there costs the time of a wrong password",
    ],
    ["if (this.#waiting.length >= MAX_WAITING) {", "if (false as boolean) {", "the bound on logins that wait"],
    ["while (this.#running < AT_ONCE) {", "while (true as boolean) {", "the bound on logins at once"],
  ),
  ...mutationsOf(
    "appliance/wiring/listening.ts",
    [
      "if (address !== undefined)\n",
      "if (false as boolean)\n",
      "that a server listens at the address that its profile names",
    ],
    ['family === "any" || ', "true || ", "that a server listens in the family that its profile names"],
  ),
  ...mutationsOf(
    "appliance/wiring/listen-udp.ts",
    ["if (row < 0) return Drop.UdpQueueFull;", "", "that datagrams that found no room are counted"],
    [
      "this.#wan.sendUdp(now, this.#socket, address, port, packet, undefined, this.own);",
      "this.#wan.sendUdp(now, this.#socket, address, port, packet);",
      "that who asks at an address is answered from it",
    ],
  ),
  ...mutationsOf("appliance/wiring/stream-dial.ts", [
    "if (this.#connection?.isUnreachable === true)",
    "if (false as boolean)",
    "that an attempt ends at once where the network has no way",
  ]),
  ...mutationsOf("protocol/data/replay.ts", [
    "isStream ? STREAM_WINDOW : configured;",
    "configured;",
    "that ids only grow over a stream",
  ]),
  ...mutationsOf("protocol/drop.ts", [
    "drop !== DROP_NONE && isStream && BREAKS_STREAM.has(drop) ?",
    "(false as boolean) ?",
    "that what cannot come over a stream ends it",
  ]),
  ...mutationsOf("protocol/session/static.ts", [
    "else if (end !== undefined) this.#end(end);",
    "",
    "that what cannot come over a stream ends a tunnel with a static key",
  ]),
  ...mutationsOf(
    "tunnel/proxy/http-connect.ts",
    ["if (bytes.length >= LONGEST_HEAD)", "if (false as boolean)", "the bound on what a proxy answers"],
    ["++this.#asked > MOST_ASKED ||", "", "that a proxy that calls each nonce stale is not asked without end"],
    ['(before.kind !== "none" && !isStale)', "(false as boolean)", "that a login that is refused is not sent again"],
    ['kind: "login-refused"', 'kind: "failed"', "that an HTTP proxy's refusal of the login is one"],
    ['method === "auto" &&', "", "that auto-nct sends no password in clear text"],
  ),
  ...mutationsOf("tunnel/proxy/http-digest.ts", [
    'if ([...fields.values()].some((value) => [...value].some((c) => c < " " || c === "\\x7f"))) return undefined;',
    "",
    "that a proxy writes no lines into our request",
  ]),
  ...mutationsOf(
    "tunnel/proxy/socks5.ts",
    ['kind: "login-refused"', 'kind: "failed"', "that a SOCKS proxy's refusal of the login is one"],
    ["if (bytes[1] !== 0) {", "if (false as boolean) {", "the verdict on user and password"],
    ["if (reply !== 0)", "if (false as boolean)", "the refusals of a SOCKS proxy"],
    ["if (bytes.length < used) return WAIT;", "", "the length of a SOCKS reply"],
  ),
  ...mutationsOf(
    "tunnel/dialer.ts",
    [
      "if (attempt.isLinked) this.#drive(now, attempt);\n",
      "",
      "that the server's last word counts before the end of its connection",
    ],
    [
      "if (now >= attempt.openBy) this.#linkEnded(",
      "if (false as boolean) this.#linkEnded(",
      "the time that a connection has",
    ],
    [
      "attempt.session.start(now, attempt.startedAt);",
      "attempt.session.start(now);",
      "that a dead server costs 15 s in all",
    ],
  ),
  ...mutationsOf(
    "tunnel/tunnel-plan.ts",
    ["const allowed = Math.min(wanted, own.mtuMax);", "const allowed = wanted;", "tun-mtu-max"],
    [
      "Math.max(payloadMax(attempt.mtu - link.overhead), IPV6_LEAST_MTU)",
      "payloadMax(attempt.mtu - link.overhead)",
      "that a router's word cannot end IPv6 in the tunnel",
    ],
  ),
  ...mutationsOf(
    "tunnel/remote-finder.ts",
    [
      "const addresses = this.#unfailedFirst(answer);",
      "const addresses = answer;",
      "that what failed lately goes last",
    ],
    ["if (result.addresses.every(isSame)) return;", "", "that a silent server whose name is the same is stayed with"],
    [
      "if (!result.ok || result.note !== undefined) return;",
      "if (!result.ok) return;",
      "that a doubtful answer moves nothing",
    ],
  ),
  ...mutationsOf(
    "netstack/socket/udp.ts",
    [
      " || ipv4TotalLen(d, quote) <= icmpNextHopMtu(d, icmp)))\n",
      "))\n",
      "that a path is narrowed by an error about a packet that was too large for it",
    ],
    [
      "(!ipv4DontFragment(d, quote) || ipv4TotalLen(d, quote)",
      "(ipv4TotalLen(d, quote)",
      "that a path is narrowed by an error about a packet that nobody was to fragment",
    ],
    [
      "const asks = size > least && size <= known && probe.asks();",
      "const asks = false as boolean;",
      "that routers are asked what the way takes",
    ],
    ["size <= known && probe.asks()", "probe.asks()", "that nothing which is known to be too large asks again"],
  ),
  ...mutationsOf("tunnel/dialer.ts", [
    "|| attempt.session.isAnswered ||",
    "||",
    "that a server that has answered is not given up for what the network says",
  ]),
  ...mutationsOf("tunnel/dialer.ts", [
    "const ledNowhere = wasUp && !attempt.session.isAnswered;",
    "const ledNowhere = false;",
    "that under a static key a remote from which nothing comes gives its place to the next",
  ]),
  ...mutationsOf("tunnel/dial-log.ts", [
    'this.#said.write(now, "info", "tunnel.rekeyed",',
    'this.#log.write("info", "tunnel.rekeyed",',
    "the bound on lines of new keys, which a server can demand",
  ]),
  ...mutationsOf("tunnel/stream-queue.ts", [
    "      if (left >= 0) continue;\n",
    "      if (left >= -1e9) continue;\n",
    "that packets of the tunnel find an end of the queue, and are dropped there whole",
  ]),
  ...mutationsOf("tunnel/link-request.ts", [
    'isPlace ? links.refusal(address) : "no address of a host";',
    "undefined as string | undefined;",
    "that nothing is sent to addresses that no server can have",
  ]),
];
