/** The server's session: who may come up, what is agreed on, and when it is over; and what both sides' sessions share with it. */
import { mutationsOf } from "../mutation.ts";

export const SERVER = [
  ...mutationsOf(
    "protocol/session/server.ts",
    ["    if (!isAsked) return;\n", "", "that only a login that waits is decided"],
    [
      '    this.#move({ kind: "handshake" });\n    this.#allow(now, this.#config.control.handWindow);\n',
      '    this.#move({ kind: "handshake" });\n',
      "the end of a login that nobody decides",
    ],
    ["        this.#allow(now, verdict.seconds);\n", "", "the longer wait for a verdict that is pending"],
    [
      '    this.timers.clearAll();\n    this.#move({ kind: "up"',
      '    this.#move({ kind: "up"',
      "that a tunnel that is up has no deadline",
    ],
    ["      this.#state = { ...state, renewed: exchange };\n", "", "that a renegotiation waits for its verdict"],
    [
      "      this.#allow(now, this.#config.control.handWindow);\n",
      "",
      "the end of a renegotiation that nobody decides",
    ],
    [
      "if (plan === undefined) return this.#refuse(now, NO_CIPHER);",
      "if (plan === undefined) return;",
      "the word about no common cipher",
    ],
    ["    this.association.keepAlive(now, this.#config.keepalive);\n", "", "that a client that is gone is given up"],
    ['if (message.kind === "exit") this.#end(now, { kind: "client-exit" });\n    else ', "", "EXIT of a client"],
    [
      '        return this.#end(now, { kind: "client-exit" });\n      case "over"',
      '        return;\n      case "over"',
      "the exit notice of a client",
    ],
    ["if (asked || client.takesPush) this.#push(now, configured);", "", "a push without being asked"],
  ),
  ...mutationsOf(
    "protocol/exchange/ncp.ts",
    [
      "if (common !== undefined || client.ciphers.length > 0 || client.ownCipher !== undefined) return common;",
      "if (common !== undefined) return common;",
      "that data-ciphers-fallback is for clients that name none",
    ],
    ['derivation: client.keyExport ? "ekm" : "prf"', 'derivation: "ekm"', "keys of a client without the exporter"],
    ["peerId: client.dataV2 ? peerId : PEER_ID_NONE", "peerId", "the peer id of a client without DATA_V2"],
  ),
  ...mutationsOf(
    "protocol/push/compose.ts",
    ["    if (used + length > room) {", "    if (false as boolean) {", "the length of a push message"],
    ["if (length > room) return", "if (false as boolean) return", "the length of a pushed option"],
  ),
  ...mutationsOf("protocol/exchange/key-method.ts", [
    'if (sender === "client" && strings.length < 4 && !isMessageNext) return { kind: "incomplete" };',
    "",
    "that a client's login is waited for",
  ]),
  ...mutationsOf("protocol/exchange/key-exchange.ts", [
    "    this.#wipe();\n    return block;",
    "    return block;",
    "that random values are wiped when keys are made",
  ]),
  ...mutationsOf(
    "protocol/server/admission.ts",
    [
      "if (!cookies.isOurs(own, address, packet.sessionId, unixSeconds)) return DROP_CONTROL_SESSION_ID;",
      "",
      "that a session begins with a cookie of this server (CVE-2025-13086)",
    ],
    [
      'if (wrappedKeys !== undefined && wrap.kind === "none") return DROP_CONTROL_AUTHENTICATION;',
      "",
      "that a server with tls-crypt-v2 alone hears nobody without a key",
    ],
    ["packet.acks.some((id) => id > LAST_ID)", "false", "what a first exchange may acknowledge"],
    ["(packet.packetId ?? 0) > LAST_ID", "false", "the packet id of what follows the reset"],
    [
      "if (packet.packetId !== 0 || packet.acks.length > 0) return DROP_CONTROL_UNEXPECTED;",
      "",
      "the form of a client's reset",
    ],
    [
      "return wrappedKeys?.forceCookie === true ? DROP_CONTROL_UNEXPECTED :",
      "return",
      "that force-cookie wants a client that reads early negotiation",
    ],
    [
      "if (client === undefined) return DROP_CONTROL_AUTHENTICATION;",
      "if (client === undefined) return 0 as never;",
      "the check of a wrapped key",
    ],
    ["if (bytes.length > MAX_CONTROL_LEN) return DROP_CONTROL_OVERSIZE;", "", "the longest first packet"],
    ["if (keyIdOf(bytes[0]!) !== 0) return DROP_CONTROL_KEY_ID;", "", "the key id of a first packet"],
  ),
  ...mutationsOf(
    "protocol/control/cookie.ts",
    ["concat(time, clientSessionId, address)", "concat(time, clientSessionId)", "the address in a cookie"],
    ["concat(time, clientSessionId, address)", "concat(time, address)", "the client's session id in a cookie"],
    ["concat(time, clientSessionId, address)", "concat(clientSessionId, address)", "the time in a cookie"],
  ),
  ...mutationsOf(
    "protocol/session/association.ts",
    ["resumed === undefined ? firstId : 1", "firstId", "the replay id of the answer without a session"],
    [
      "this.#hasKeys && !this.#owesKeys && this.#goodbye === undefined",
      "this.#hasKeys && !this.#owesKeys",
      "that no renegotiation begins during the goodbye",
    ],
    ["        this.#owesKeys = true;\n", "", "that no renegotiation begins while the one before waits for its verdict"],
    ["if (exchange.failure !== undefined) return exchange.failure;", "", "that broken TLS makes no keys"],
  ),
  ...mutationsOf("protocol/session/keepalive.ts", [
    'if (now >= this.#endsAt) return { kind: "session-timeout" };',
    "",
    "session-timeout",
  ]),
  ...mutationsOf("protocol/session/retry.ts", [
    "this.#upAt !== undefined && now - this.#upAt >= LASTED_MS",
    "this.#upAt !== undefined",
    "that only a tunnel that lasted is a success",
  ]),
  ...mutationsOf("protocol/session/client.ts", [
    'this.#state.kind === "closing" ? { kind: "closed" } : cause',
    "cause",
    "that a session that says goodbye was closed",
  ]),
];
