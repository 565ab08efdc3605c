/** The DNS forwarder: whose questions it answers, which answers it believes, how long, and how much of it there is. */
import { mutationsOf } from "../mutation.ts";

export const DNS = [
  ...mutationsOf(
    "netstack/dns/forwarder.ts",
    ["if (!this.#isOfLan(from)) return this.#drop(Dns.ForeignAsker);", "", "that only the LAN is answered"],
    [
      "if (!this.#questions.take(now, host)) return this.#drop(Dns.RateLimited);",
      "",
      "the bound on questions of one host",
    ],
    [
      'this.#askedOn.take(now, host) ? this.#flights.roomFor(owner) : "no"',
      "this.#flights.roomFor(owner)",
      "the bound on questions for servers",
    ],
    [
      "if (len > MAX_QUERY) return this.#drop(Dns.Long);",
      "if (len > MAX_QUERY) len = MAX_QUERY;",
      "the longest question",
    ],
    [
      "if (flight.attempts.some((attempt) => isOwnQuestion(attempt, waiter.message))) return this.#refuse(Dns.Loop);",
      "",
      "that a loop is seen",
    ],
    ["return letters >= LOOP_LETTERS;", "return true;", "that a short name is no loop"],
    [
      "if (view.isPrivate && !this.#mayBePrivate(flight.labels)) {",
      "if (false as boolean) {",
      "that a public name has no private address (rebinding)",
    ],
    ["      this.#isOpen = false;\n", "", "that nothing is asked or given without a tunnel"],
    ["    this.#cache.clear();\n  }", "  }", "that other servers make the cache forget"],
    [
      "      FAILURE_TTL,\n      flight.host,",
      "      0,\n      flight.host,",
      "that a failure is remembered (RFC 9520)",
    ],
    [
      "return this.#endFailed(now, flight, Dns.Unanswered, FAILURE_TTL);",
      "return this.#endFailed(now, flight, Dns.Unanswered, 0);",
      "that silence is remembered (RFC 9520)",
    ],
  ),
  ...mutationsOf(
    "netstack/dns/asking.ts",
    [
      "if (!isFrom(attempt.upstream.server, peer)) return this.#wrong(now, attempt, Dns.WrongServer);",
      "",
      "the server of an answer",
    ],
    [
      "server.port === peer.port && server.address.equals(peer.address)",
      "server.address.equals(peer.address)",
      "the server's port of an answer",
    ],
    ["if (view.id !== attempt.id) return this.#wrong(now, attempt, Dns.WrongId);", "", "the id of an answer"],
    [
      "if (!this.#isQuestionOf(payload, attempt, false)) return this.#wrong(now, attempt, Dns.WrongQuestion);",
      "",
      "the question of an answer",
    ],
    [
      'if (form === "whole" && !this.#isQuestionOf(payload, attempt, attempt.mixesCase)) {',
      'if (form === "whole" && !this.#isQuestionOf(payload, attempt, false)) {',
      "the capitals of an answer",
    ],
    [
      "for (let i = nameEnd; i < nameEnd + 4; i++) if (payload[i] !== sent[i]) return false;",
      "",
      "type and class of an answer",
    ],
    ["if (++attempt.wrong === MAX_WRONG)", "if (++attempt.wrong === -1)", "the move away from somebody who guesses"],
    ["const id = (this.#randomByte() << 8) | this.#randomByte();", "const id = socket;", "random ids"],
    ["out[i] = (out[i]! & ~0x20) | ((bits & 1) << 5);", "", "random capitals"],
    ["if (view.isTruncated) return this.#truncated(now, attempt);", "", "that what was cut off is not taken as whole"],
    [
      "flight.attemptEndsAt = Math.min(now + (isDialed ? DIAL_TIMEOUT : upstream.timeout), flight.endsAt);",
      "flight.attemptEndsAt = flight.endsAt;",
      "the wait for one server",
    ],
    ["next === undefined || flight.attempts.length >= MAX_ATTEMPTS", "next === undefined", "the bound on attempts"],
    [
      "    for (const attempt of flight.attempts) this.#close(attempt);\n",
      "",
      "that a question's sockets are closed with it",
    ],
    [
      "if (now >= flight.endsAt) this.#events.unanswered(now, flight);\n      else if (now >= flight.attemptEndsAt) {",
      "if (now >= flight.attemptEndsAt) {",
      "the end of a question",
    ],
    [
      "if (upstream.tls !== undefined) this.#wasSilent(now, upstream);",
      "",
      "that a server which TLS cannot be had with rests",
    ],
    ["next.tls !== undefined);", "false);", "that a server of TLS is not asked in the clear"],
    ["if (this.#attempts.has(id)) this.handleDialEnd(now, id);", "", "that a wrong answer by TCP is not waited behind"],
  ),
  ...mutationsOf(
    "netstack/dns/query.ts",
    ["if ((flags & DNS_QR) !== 0) return Dns.Response;", "", "that an answer is no question"],
    ["if ((flags & DNS_OPCODE) !== 0) return Dns.Opcode;", "", "that only queries are answered"],
    ["if (p !== len) return Dns.BadQuery;", "", "bytes behind a question"],
    ["if (d.getUint16(nameEnd + 2) !== DNS_CLASS_IN) return Dns.Class;", "", "classes other than IN"],
    [
      "Math.min(EDNS_SIZE, Math.max(DNS_UDP_LEN, record.cls))",
      "Math.max(DNS_UDP_LEN, record.cls)",
      "the longest answer by UDP",
    ],
    ["return version === 0 ? Dns.None : Dns.EdnsVersion;", "return Dns.None;", "the version of EDNS"],
    ["(this.type >= FIRST_META && this.type <= LAST_META)", "false", "ANY and zone transfers"],
  ),
  ...mutationsOf(
    "netstack/dns/answer.ts",
    [
      'if ((flags & DNS_QR) === 0 || (flags & DNS_OPCODE) !== 0) return "unreadable";',
      "",
      "that a question is no answer",
    ],
    [
      "negative = Math.min(ttl, minimum, MAX_NEGATIVE_TTL_S);",
      "negative = Math.min(ttl, minimum);",
      "the longest negative answer (RFC 2308 5)",
    ],
    [
      "negative = Math.min(ttl, minimum, MAX_NEGATIVE_TTL_S);",
      "negative = Math.min(ttl, MAX_NEGATIVE_TTL_S);",
      "SOA's minimum (RFC 2308 5)",
    ],
    ["if (!record.read(d, p, len)) return false;", "record.read(d, p, len);", "records that cannot be read"],
    ["least = Math.min(least, ttl);", "least = ttl;", "the least TTL of an answer"],
  ),
  ...mutationsOf(
    "netstack/dns/answer-cache.ts",
    ["if (now >= this.#expiresAt[i]!) {", "if (false as boolean) {", "the end of an answer"],
    ["this.#type[i] === type &&", "", "the type of a kept answer"],
    ["this.#key[i] === key &&", "", "the bits of a kept answer"],
    ["this.bytes + cost > this.#maxBytes", "false", "the bound on bytes of answers"],
    ["if (this.#ownerBytes[owner]! > this.#ownerBytes[most]!) most = owner;", "", "that who asks most gives way"],
    [
      "    this.#uses.remove(owner, i);\n    this.#uses.append(owner, i);\n    return i;",
      "    return i;",
      "that what is used stays",
    ],
    ["|| message.length > MAX_MESSAGE", "", "the longest answer that is kept"],
    ["Math.min(ttl, MAX_TTL_S)", "ttl", "the longest life of an answer"],
  ),
  ...mutationsOf(
    "netstack/dns/in-flight.ts",
    ['if (own >= MAX_FLIGHTS_OF_HOST) return "no";', "", "the bound on questions under way of one host"],
    ['if (this.#all.size < MAX_FLIGHTS) return "yes";', 'return "yes";', "the bound on questions under way"],
    ["else if (this.waiters.length >= MAX_WAITERS) return false;", "", "the bound on those who wait for one answer"],
    [
      "if (same >= 0) this.waiters[same] = waiter;",
      "if (false as boolean) this.waiters[same] = waiter;",
      "that a repeated question gets one answer",
    ],
  ),
  ...mutationsOf(
    "netstack/dns/names.ts",
    ["if (this.isOwn(labels)) return this.#own(labels, type);", "", "that names of the LAN are asked of nobody"],
    [
      "if (range.prefix <= network.prefix && range.contains(network.address))",
      "if (false as boolean)",
      "that private addresses are asked of nobody (RFC 6303)",
    ],
    ['    case "onion":\n', "", "that .onion is asked of nobody (RFC 7686)"],
    ['    case "invalid":\n', "", "that .invalid is asked of nobody (RFC 6761 6.4)"],
  ),
  ...mutationsOf(
    "netstack/dns/private-answer.ts",
    [
      "w0 === 0x64ff9b && w1 === 0 && w2 === 0 && isPrivateIpv4(w3)",
      "false",
      "private addresses behind NAT64's prefix",
    ],
    ["return hasPrivateHint(d, dataAt, end);", "return false;", "private addresses in HTTPS records"],
  ),
  ...mutationsOf(
    "netstack/dns/upstreams.ts",
    ["return this.#silences >= SILENCES && this.#beginRest(now);", "return false;", "the rest of a silent server"],
    ["this.#provingUntil = now + this.timeout;", "{}", "that a server proves itself with one question"],
    [
      "if (++this.#caseMisses >= CASE_MISSES)",
      "if (false as boolean)",
      "that capitals are given up where they are lost",
    ],
    [
      "this.#noCaseUntil = now + WITHOUT_MS;",
      "this.#noCaseUntil = Number.POSITIVE_INFINITY;",
      "that capitals come back",
    ],
  ),
  ...mutationsOf(
    "netstack/wire/dns-message.ts",
    [
      "if (target >= start || target < DNS_HEADER_LEN || ++pointers > MAX_POINTERS) return -1;",
      "if (++pointers > MAX_POINTERS) return -1;",
      "that pointers lead back",
    ],
    ["|| ++pointers > MAX_POINTERS", "", "the bound on pointers of a name"],
    [
      "if (label > MAX_LABEL || total > DNS_MAX_NAME) return -1;",
      "if (label > MAX_LABEL) return -1;",
      "the longest name",
    ],
    ["return this.end <= len;", "return true;", "the length of a record"],
  ),
  ...mutationsOf(
    "netstack/nat/ports.ts",
    [
      "if (ports[port] !== RESERVED) ports[port] = PORT_NONE;",
      "ports[port] = PORT_NONE;",
      "that a reserved port outlives a change of address",
    ],
    ["if (ports[port] !== PORT_NONE) return false;", "", "that a port of a session is not reserved"],
  ),
  ...mutationsOf("netstack/router.ts", [
    "    outside.face.setPortOwners([nat, nat6].filter((translator) => translator !== undefined));\n",
    "",
    "that the translator knows the ports of our own sockets",
  ]),
  ...mutationsOf(
    "appliance/lan-dns.ts",
    [
      'if (own.some((ours) => ours?.address.equals(address) === true)) why = "is this gateway itself";\n    else if',
      "if",
      "that this gateway is not its own server",
    ],
    [
      "!tunnel.routes.some(({ network }) => network.contains(address))",
      "false",
      "that only servers behind the tunnel are asked",
    ],
    [
      'this.#said.write(now, "info", "dns.configured",',
      'this.#options.log.write("info", "dns.configured",',
      "the bound on lines of the resolvers that a server pushes",
    ],
    [
      'this.#said.write(now, "warn", "dns.no-server",',
      'this.#options.log.write("warn", "dns.no-server",',
      "the bound on lines of a tunnel without a resolver",
    ],
    [
      'this.#said.write(now, "warn", "dns.server-unusable",',
      'this.#options.log.write("warn", "dns.server-unusable",',
      "the bound on lines of resolvers that are not asked",
    ],
  ),
  ...mutationsOf(
    "appliance/dns-streams.ts",
    [" || ofHost >= MAX_STREAMS_OF_HOST", "", "the bound on DNS connections of one host"],
    ["if (now >= served.idleAt) this.#close(served);", "{}", "that an idle DNS connection is closed"],
    [
      "if (served.stream.send(message)) return;",
      "served.stream.send(message);\n    if (true as boolean) return;",
      "that who does not read is broken off",
    ],
  ),
  ...mutationsOf(
    "appliance/dns-dials.ts",
    [
      "|| (!channel.isOpen && channel.waiting.size === 0)",
      "",
      "that a connection which nobody needs any more is not made",
    ],
    ["if (isDeaf ||", "if (", "that a deaf connection is given up"],
    ["sentAt > channel.heardAt && now", "now", "that a connection which others are answered by stays"],
    ["|| channel.waiting.size >= MAX_WAITING", "", "the bound on questions that wait for one server"],
    ["if (now >= channel.idleAt) this.#end(now, channel);", "{}", "that an idle connection to a server is closed"],
    ["&& known.tls?.name === tls?.name", "", "that a session is for the name that it was proved for"],
    [
      "const isReady = session === undefined ? (events & CONNECTED) !== 0 : session.isEstablished;",
      "const isReady = true;",
      "that nothing is put before the server has proved itself",
    ],
  ),
  ...mutationsOf(
    "appliance/dns-tls.ts",
    [
      "if (name !== undefined) return this.#contextOf(this.#authorities() as Material).engine(() => true, name);",
      "",
      "that a server with a name proves it",
    ],
    ["ca, verifyChain: true }", "ca, verifyChain: false }", "that an authority has signed the certificate of a server"],
    ["if (this.#authorities() !== undefined) return undefined;", "return undefined;", "that there is an authority"],
  ),
  ...mutationsOf("netstack/dns/stream.ts", [
    "if (len < DNS_HEADER_LEN || len > this.#longest) {",
    "if (len < DNS_HEADER_LEN) {",
    "the longest message by TCP",
  ]),
  ...mutationsOf(
    "netstack/tcp/local-ports.ts",
    [
      "if (this.#reserved.has(port) || !takePort(this.#owners, PROTO_TCP, port, false)) continue;",
      "takePort(this.#owners, PROTO_TCP, port, false);",
      "that a port of the translator is not connected from",
    ],
    ["else if (this.#reserved.delete(port)) this.#giveBack(port);", "", "that a port is given back"],
  ),
];
