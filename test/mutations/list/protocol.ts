/** The protocol's checks, keys, limits and timers. */
import { mutationsOf } from "../mutation.ts";

export const PROTOCOL = [
  ...mutationsOf(
    "protocol/control/channel.ts",
    [
      "if (packet.peerSessionId !== undefined && !equalBytes(packet.peerSessionId, this.ownSessionId)) {",
      "if (false as boolean) {",
      "that acknowledgements name our session (CVE-2025-13086)",
    ],
    [
      "if (crypto.authenticates && !guard.check(opened, now)) return DROP_CONTROL_REPLAY;",
      "",
      "the replay window of control packets",
    ],
    ["if (crypto.authenticates) guard.mark(opened, now);", "", "that the replay id of a control packet is remembered"],
    [
      "if (isReset && (packet.keyId !== 0 || packet.packetId !== 0)) return",
      "if (isReset && packet.packetId !== 0) return",
      "that a hard reset has key id 0",
    ],
    [
      "if (isReset && (packet.keyId !== 0 || packet.packetId !== 0)) return",
      "if (isReset && packet.keyId !== 0) return",
      "that a hard reset has packet id 0",
    ],
    [
      "if (!mayBeFirst) return DROP_CONTROL_UNEXPECTED;",
      "",
      "that a session begins with a reset or its acknowledgement",
    ],
    [
      '(opcode === ACK_V1 && this.#side === "client")',
      "false",
      "that an acknowledgement settles the server's session id",
    ],
    [
      'if (this.#side === "client" && packet.peerSessionId === undefined) return DROP_CONTROL_SESSION_ID;',
      "",
      "that a server's answer names our session id",
    ],
    [
      "if (!equalBytes(packet.sessionId, this.peerSessionId)) return DROP_CONTROL_SESSION_ID;",
      "",
      "the peer's session id",
    ],
    ["    if (drop !== DROP_NONE) return drop;\n    const read", "    const read", "the format of a control packet"],
    [
      "if (opcode !== CONTROL_V1 && opcode !== ACK_V1 && opcode !== SOFT_RESET_V1 && !isReset && !isWrapped) {",
      "if (false as boolean) {",
      "the opcodes that a session knows",
    ],
    [
      'opcode === CONTROL_WKC_V1 && this.#side === "server" && this.wrappedKey !== undefined;',
      "opcode === CONTROL_WKC_V1;",
      "that only a server with a tls-crypt-v2 client takes a wrapped key",
    ],
  ),
  ...mutationsOf(
    "protocol/control/wrapped-key.ts",
    ["if (!equalConstantTime(mac, tag)) return undefined;", "", "the tag of a wrapped key"],
    ["if (readUint16(length) !== wrapped.length) return undefined;", "", "the length of a wrapped key, inside"],
    [
      "if (length < MIN_WRAPPED_LEN || length > MAX_WRAPPED_LEN) return DROP_CONTROL_AUTHENTICATION;",
      "",
      "the bounds of a wrapped key's length",
    ],
    ["if (at < CONTROL_HEADER_LEN) return DROP_CONTROL_TRUNCATED;", "", "the packet in front of a wrapped key"],
  ),
  ...mutationsOf(
    "protocol/control/early-negotiation.ts",
    ["if (at + 4 > payload.length) return undefined;", "", "the head of a value in a reset"],
    ["if (at + length > payload.length) return undefined;", "", "the length of a value in a reset"],
    ["if (length !== 2) return undefined;", "", "the length of the flags in a reset"],
  ),
  ...mutationsOf(
    "protocol/control/packet.ts",
    [
      "if (acks > MAX_ACKS || (isAck && acks === 0)) return",
      "if (isAck && acks === 0) return",
      "the most acknowledgements of a packet",
    ],
    ["if (acks > MAX_ACKS || (isAck && acks === 0)) return", "if (acks > MAX_ACKS) return", "an ACK of nothing"],
    [
      "return p.length < need ? DROP_CONTROL_TRUNCATED : DROP_NONE;",
      "return DROP_NONE;",
      "the length of a control packet",
    ],
  ),
  ...mutationsOf(
    "protocol/control/tls-auth.ts",
    [
      "if (!equalConstantTime(mac, packet.subarray(CONTROL_HEADER_LEN, replayAt))) return DROP_CONTROL_AUTHENTICATION;",
      "",
      "the HMAC of tls-auth",
    ],
    ["if (packet.length < bodyAt) return DROP_CONTROL_TRUNCATED;", "", "the length of a tls-auth packet"],
    [
      "hmacPart(key, direction ?? 0, macLen)",
      "hmacPart(key, 1 - (direction ?? 0) as 0 | 1, macLen)",
      "the key direction of tls-auth, sending",
    ],
  ),
  ...mutationsOf(
    "protocol/control/tls-crypt.ts",
    ["if (!equalConstantTime(mac, tag)) return DROP_CONTROL_AUTHENTICATION;", "", "the tag of tls-crypt"],
    ["if (packet.length <= BODY_AT) return DROP_CONTROL_TRUNCATED;", "", "the length of a tls-crypt packet"],
  ),
  ...mutationsOf("protocol/equal.ts", [
    "return different === 0;",
    "return a.length === b.length;",
    "the comparison of MACs",
  ]),
  ...mutationsOf(
    "protocol/side.ts",
    ['(side === "server" ? 0 : 1);', '(side === "server" ? 1 : 0);', "the key direction of tls-crypt"],
    ['(side === "client" ? 0 : 1);', '(side === "client" ? 1 : 0);', "the key direction of the data channel"],
    ['side === "client" ? [own, peer] : [peer, own];', "[peer, own];", "the client's randoms first"],
  ),
  ...mutationsOf(
    "protocol/control/replay-guard.ts",
    [
      "if (time > this.#peerTime) return id > 0;",
      "if (time > this.#peerTime) return true;",
      "that replay id 0 is none",
    ],
    [
      "return time === this.#peerTime && this.#window.check(id, now);",
      "return this.#window.check(id, now);",
      "that the time of replay ids does not go back",
    ],
    ["      this.#window.reset();\n", "", "that a later time starts the ids anew"],
    ["return ++this.#lastId;", "return (this.#lastId = 1);", "a fresh replay id for each packet"],
  ),
  ...mutationsOf(
    "protocol/control/reliable.ts",
    ["if (id >= this.#nextReceiveId + RECEIVE_WINDOW) return false;", "", "the receive window"],
    [
      "    if (!this.#toAck.includes(id)) this.#toAck.push(id);\n    if (id >= this.#nextReceiveId &&",
      "    if (id >= this.#nextReceiveId && !this.#toAck.includes(id)) this.#toAck.push(id);\n    if (id >= this.#nextReceiveId &&",
      "that what came twice is acknowledged again",
    ],
    [
      "due.timeout = Math.max(this.#initialTimeout, Math.min(due.timeout * 2, MAX_RETRANSMIT_MS));",
      "",
      "the backoff of retransmissions",
    ],
    ["Math.min(due.timeout * 2, MAX_RETRANSMIT_MS)", "due.timeout * 2", "the longest time between retransmissions"],
    ["due.nextAt = now + due.timeout;", "due.nextAt = Number.POSITIVE_INFINITY;", "retransmission"],
    ["p.id === id && isSent(p)", "p.id === id", "that what was never sent is not acknowledged"],
    [
      "&& ++earlier.overtaken === FAST_RETRANSMIT_ACKS) {",
      "&& ++earlier.overtaken < 0) {",
      "the retransmission of what was overtaken",
    ],
    ["SEND_WINDOW - this.#outgoing.length;", "100;", "the send window"],
    [
      "return this.#introducesItself ? 0 : SEND_WINDOW",
      "return SEND_WINDOW",
      "that nothing follows a packet with the wrapped key before it has arrived",
    ],
    [
      "return this.#toAck.length > 0 && !this.#introducesItself;",
      "return this.#toAck.length > 0;",
      "that no acknowledgement goes alone before the wrapped key has arrived",
    ],
  ),
  ...mutationsOf(
    "protocol/control/message.ts",
    ["if (length > MAX_CONTROL_MESSAGE) return false;", "", "the longest control message"],
    [
      'if (byte < 0x20 || byte === 0x7f) return { kind: "malformed", problem: "control-characters" };',
      "",
      "control characters in messages (CVE-2024-5594)",
    ],
  ),
  ...mutationsOf(
    "protocol/data/replay.ts",
    [
      "if (id === 0 || highest - id >= this.#packets) return false;",
      "if (id === 0) return false;",
      "the width of the replay window",
    ],
    ["if (this.#seenAt[id & this.#mask] !== 0) return false;", "", "that a packet is taken once"],
    ["return id > this.#old;", "return true;", "the age of the replay window"],
    [
      "else for (let skipped = this.#highest + 1; skipped < id; skipped++) seenAt[skipped & this.#mask] = 0;",
      "",
      "that skipped ids are not seen ones",
    ],
  ),
  ...mutationsOf(
    "protocol/data/aead-key.ts",
    ["if (this.#sentId === PACKET_ID_LAST) return DROP_SEAL_EXHAUSTED;", "", "the end of packet ids"],
    ["if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;", "", "the replay window of data packets"],
    ["if (!isAuthentic) return DROP_DATA_AUTHENTICATION;", "", "the tag of data packets"],
    ["    this.#replay.mark(id, now);\n", "", "that a data packet is remembered"],
    [
      "if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;",
      "if (!this.#replay.check(id, now)) return DROP_DATA_REPLAY;\n    this.#replay.mark(id, now);",
      "that only what is authentic is remembered",
    ],
    ["if (payloadLen < 0) return DROP_DATA_TRUNCATED;", "", "the length of a data packet"],
    [
      "this.#sentId >= PACKET_ID_RENEGOTIATE || this.#replay.highest",
      "this.#replay.highest",
      "that our packet ids near their end renew the key",
    ],
    [
      "|| this.#replay.highest >= PACKET_ID_RENEGOTIATE) return true;",
      ") return true;",
      "that the peer's packet ids near their end renew the key",
    ],
    [
      "(this.#sentUsage >= GCM_RENEGOTIATE || this.#receivedUsage >= GCM_RENEGOTIATE)",
      "this.#receivedUsage >= GCM_RENEGOTIATE",
      "the usage limit of AES-GCM, sent",
    ],
    [
      "(this.#sentUsage >= GCM_RENEGOTIATE || this.#receivedUsage >= GCM_RENEGOTIATE)",
      "this.#sentUsage >= GCM_RENEGOTIATE",
      "the usage limit of AES-GCM, received",
    ],
    ["this.#sentBytes += len;", "", "bytes sent, for reneg-bytes"],
    ["this.#receivedPackets++;", "", "packets received, for reneg-pkts"],
    ["iv.set(hmacPart(block, key, IMPLICIT_IV_LEN), PACKET_ID_LEN);", "", "the implicit IV"],
  ),
  ...mutationsOf(
    "protocol/data/framing.ts",
    ["if (algorithm === undefined) return DROP_DATA_COMPRESSED;", "", "a missing library"],
    ["if (to < 0) return DROP_DATA_NO_ROOM;", "", "the end of the scratch"],
    ["    return len > 0 ? at : DROP_DATA_FRAMING;", "    return at;", "packets without a byte"],
    ["switch (len > 2 ? this", "switch (len > 0 ? this", "a frame of v2 that ends within its bytes"],
  ),
  ...mutationsOf("platform/compression/decompressors.ts", [
    "    checkBounds(this.#size, at, len, to, room);\n    return this.#lib.LZ4",
    "    return this.#lib.LZ4",
    "the slab's bounds of what C reads and writes",
  ]),
  ...mutationsOf(
    "protocol/data/channel.ts",
    ["if (peerId !== this.peerId && peerId !== PEER_ID_NONE) return DROP_DATA_PEER_ID;", "", "the peer id"],
    ["    this.#slots.opened(key, now);\n", "", "that the peer's first packet moves sending to the new key"],
    ["      if (payloadAt < 0) return payloadAt;\n", "", "the compression framing"],
    ["      this.exitReceived = true;\n", "", "the peer's exit notice"],
    ["    this.openedAt = now;\n", "", "that packets of the peer keep the session"],
    ["      this.sealedAt = now;\n", "", "that our packets put off the ping"],
  ),
  ...mutationsOf(
    "protocol/data/key-slots.ts",
    ["if (now >= this.#switchAt) this.takeOver(now);", "", "that a new key takes over in time"],
    ["if (now >= this.#oldEndsAt) this.#dropOld();", "", "tran-window: the end of an old key"],
    [
      "    this.#next = key;\n",
      "    this.#next = key;\n    this.takeOver(now);\n",
      "that a new key waits for the peer to have it",
    ],
    [
      "this.#switchAt = Math.max(now, begunAt + this.#switchDelayMs);",
      "this.#switchAt = now + 2 * this.#switchDelayMs;",
      "when a new key takes over",
    ],
  ),
  ...mutationsOf(
    "protocol/exchange/key-derive.ts",
    ['"EXPORTER-OpenVPN-datakeys"', '"EXPORTER-OpenVPN-datakey"', "the exporter's label"],
    [
      '"OpenVPN master secret", [client.random1, server.random1]',
      '"OpenVPN master secret", [server.random1, client.random1]',
      "the order of the randoms",
    ],
    ['"OpenVPN master secret"', '"OpenVPN master key"', "the first label of the PRF"],
    ['"OpenVPN key expansion"', '"OpenVPN key  expansion"', "the second label of the PRF"],
    [
      "[client.random2, server.random2, clientSessionId, serverSessionId]",
      "[client.random2, server.random2, serverSessionId, clientSessionId]",
      "the order of the session ids in the PRF",
    ],
  ),
  ...mutationsOf(
    "protocol/exchange/key-exchange.ts",
    [
      "if (packet.opcode !== SOFT_RESET_V1 && packet.opcode !== channel.peerReset) {",
      "if (false as boolean) {",
      "that an exchange begins with a reset",
    ],
    [
      "early.resendWrappedKey && this.keyId === 0;",
      "false;",
      "that the wrapped key is sent again where the server asks for it",
    ],
    ["return this.#rejected === undefined;", "return true;", "the verdict on the peer's certificate"],
    ['if (tls.state === "failed" || tls.state === "closed") {', "if (false as boolean) {", "the end of TLS"],
  ),
  ...mutationsOf(
    "protocol/exchange/key-method.ts",
    [
      'if (at + 2 + length > MAX_KEY_METHOD_LEN) return { kind: "malformed", problem: "a string is too long" };',
      "",
      "the longest key-method message",
    ],
    ["(d.getUint32(0) !== 0 || (bytes[4]! & 0x0f) !== 2)", "false", "key method 2"],
  ),
  ...mutationsOf(
    "protocol/exchange/rekey.ts",
    [
      "if (packet.opcode !== SOFT_RESET_V1) return DROP_CONTROL_KEY_ID;",
      "",
      "that only a soft reset begins a renegotiation",
    ],
    [
      "const expected = this.#active !== undefined && packet.keyId === nextKeyId(this.#active.keyId);",
      "const expected = true;",
      "the next key id of a renegotiation",
    ],
    [
      "|| packet.packetId !== 0) return DROP_CONTROL_UNEXPECTED;",
      ") return DROP_CONTROL_UNEXPECTED;",
      "that a renegotiation begins with packet id 0",
    ],
    ["&& now >= this.#peerMayBeginAt;", ";", "the pause between renegotiations of the peer"],
    ["return now >= this.#doneBy;", "return false;", "hand-window of a renegotiation"],
    [
      "    this.#pending = undefined;\n    this.#doneBy = Number.POSITIVE_INFINITY;",
      "    this.#pending = undefined;",
      "that a renegotiation that is done has no deadline",
    ],
    ["this.#renegotiateAt = max === 0 ? Number.POSITIVE_INFINITY : now + min * 1000 + spread;", "", "reneg-sec"],
    [
      "[this.#pending, this.#active, this.#previous]",
      "[this.#pending, this.#active]",
      "late packets of the exchange before",
    ],
    [
      "if (this.#pending === undefined) this.#renegotiateAt = Number.NEGATIVE_INFINITY;",
      "",
      "that a worn key is replaced",
    ],
  ),
  ...mutationsOf("protocol/exchange/tls-parameters.ts", [
    "verify.peerFingerprints === undefined || tls.ca !== undefined",
    "verify.peerFingerprints === undefined",
    "that a CA counts beside peer-fingerprint",
  ]),
  ...mutationsOf(
    "protocol/session/association.ts",
    ["if (len > MAX_CONTROL_LEN) return this.#drop(DROP_CONTROL_OVERSIZE);", "", "the longest control packet"],
    ["if (now >= this.#silentAt()) {", "if (false as boolean) {", "the end of a handshake whose peer is gone"],
    ["(renegBytes > 0 && key.bytes >= renegBytes)", "false", "reneg-bytes"],
    ["(renegPkts > 0 && key.packets >= renegPkts)", "false", "reneg-pkts"],
    ["      key.isWorn ||", "      ", "that a worn key is noticed"],
    [
      'if (this.#goodbye?.kind === "control" && this.#rekey.active?.flushed === true) this.#over({ kind: "closed" });',
      "",
      "that a goodbye that was heard ends the session",
    ],
    [
      'if (goodbye.kind === "control" && now >= goodbye.until) this.#over({ kind: "closed" });\n    else',
      "",
      "that a goodbye is waited for in bounds",
    ],
    ["goodbye.at = now + EXIT_NOTICE_MS;", "goodbye.at = now;", "the second between exit notices"],
    ["now < this.#keepalive.pingAt(this.#sentAt())", "true", "pings"],
    [
      "if (this.#rekey.pending !== undefined) this.#slots.takeOver(now);",
      "",
      "that the youngest key is sent with when another exchange begins",
    ],
    [
      "    this.#controlReceivedAt = now;\n    if (isFirst)",
      "    if (isFirst)",
      "that control packets keep the session",
    ],
    ["    this.#controlSentAt = now;\n    const ping", "    const ping", "that a used-up key makes no loop of pings"],
  ),
  ...mutationsOf(
    "protocol/session/keepalive.ts",
    ["if (now >= this.timeoutAt(receivedAt)) return", "if (false as boolean) return", "ping-restart and ping-exit"],
    ["return now >= this.inactiveAt() &&", "return false &&", "inactive"],
  ),
  ...mutationsOf(
    "protocol/session/client.ts",
    ['this.#timers.set("answer", since + retry.connectTimeout * 1000);', "", "connect-timeout"],
    ['    this.#timers.set("handshake", now + control.handWindow * 1000);\n', "", "hand-window"],
    ['this.#timers.set("silence", since + SILENCE_MS);', "", "that silence is told"],
    ['        this.#timers.clear("answer");\n', "", "that connect-timeout ends with the answer"],
    [
      '      this.#timers.set("push-wait", now + this.#config.control.handWindow * 1000);\n',
      "",
      "the wait for the push reply",
    ],
    ['    this.#timers.set("push-request", now + PUSH_REQUEST_MS);\n', "", "that a push request is repeated"],
    [
      "if (this.#infosLeft-- > 0) this.#events.push(event);",
      "if (true as boolean) this.#events.push(event);",
      "the bound on texts of the server",
    ],
    [
      "Math.min(explicitExitNotify ?? this.#config.exitNotify, MAX_EXIT_NOTICES)",
      "explicitExitNotify ?? this.#config.exitNotify",
      "the most exit notices",
    ],
    [
      "Math.min(seconds ?? handWindow, Math.max(handWindow, renegSec.max / 2))",
      "seconds ?? handWindow",
      "the longest AUTH_PENDING",
    ],
  ),
  ...mutationsOf("protocol/session/login.ts", [
    "if (tokenRefused) this.#token = undefined;",
    "",
    "that a refused token is forgotten",
  ]),
  ...mutationsOf(
    "protocol/push/collect.ts",
    ['data.allowCompression === "no" &&', "false &&", "that allow-compression no refuses what is pushed"],
    ["this.#options.length > MAX_OPTIONS ||", "", "the most options of a push reply"],
    ["|| this.#characters > MAX_CHARACTERS)", ")", "the longest push reply"],
  ),
  ...mutationsOf(
    "protocol/push/session-options.ts",
    [
      "if (cipher !== undefined && offered.includes(cipher)) out.cipher = cipher;",
      "if (cipher !== undefined) out.cipher = cipher;",
      "that only a cipher that was offered is taken",
    ],
    [
      "else problems.push(`protocol-flags ${printable(flag)}: not announced by this client`);",
      "",
      "flags that were not announced",
    ],
    [
      '      ignored.push(`${printable(words.slice(0, 2).join(" "))}: only the profile says when keys are renewed`);\n',
      "",
      "that a pushed reneg-sec is told",
    ],
  ),
  ...mutationsOf("protocol/config/problem-list.ts", [
    "if (this.#listed.length < MAX_LISTED) this",
    "this",
    "the bound on the problems of a file",
  ]),
  ...mutationsOf("protocol/config/parse.ts", [
    "if (text.length > MAX_PROFILE)",
    "if (false as boolean)",
    "the bound on the size of a profile",
  ]),
  ...mutationsOf("protocol/config/lexer.ts", [
    "if (rows.length > MAX_ROWS)",
    "if (false as boolean)",
    "the bound on the lines of a profile",
  ]),
  ...mutationsOf("protocol/session/retry.ts", [
    "Math.max((temporary.backoff ?? 0) * 1000, this.#slowDown())",
    "(temporary.backoff ?? 0) * 1000",
    "that a backoff of 0 grows",
  ]),
];
