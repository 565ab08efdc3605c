/** The log's way to a collector: to whom, in what form, in what bounds, and that no line feeds itself. */
import { mutationsOf } from "../mutation.ts";

export const SYSLOG = [
  ...mutationsOf(
    "platform/log/record-queue.ts",
    ["|| record.event.startsWith(OWN)", "", "that what is said of the sending is not sent"],
    ["this.#records.length >= MOST_RECORDS * part || ", "", "the bound on records that wait"],
    [" || this.#characters + sizeOf(record) > MOST_CHARACTERS * part", "", "the bound on characters that wait"],
    ["this.#untold > 0 ? 0.5 : 1", "1", "that few records tell of losses"],
    ["      this.#untold++;\n", "", "that a loss is told"],
    ["!this.#isOpen || ", "", "that nothing is kept where nobody is to be told"],
  ),
  ...mutationsOf(
    "appliance/syslog/format.ts",
    ['escapeControls(text).replace(/["\\\\\\]]/g, "\\\\$&")', "escapeControls(text)", "that no value ends its element"],
    ['.replace(/[^!-~]|["=\\]]/g, "_")', "", "that no name of a field ends its element"],
    ['text.replace(/[^!-~]/g, "?").slice(0, most)', "text.slice(0, most)", "that an event has no space in the header"],
    ["if (bytesOf(param) > left) continue;", "", "the bound on the fields of a line"],
    ["start + cut(text, most - bytesOf(start))", "start + text", "the bound on a line"],
  ),
  ...mutationsOf(
    "netstack/syslog/datagrams.ts",
    ["this.#isHurried ? NEVER : BURST", "NEVER", "the bound on lines over UDP at once"],
    ["this.#at = now + PACE_MS;", "", "the pace of lines over UDP"],
    ["if (!this.#reaches(now)) return this.#lookAgain(now);", "", "that lines wait for a collector on the link"],
    ["this.#wait = Math.min(2 * this.#wait, MOST_WAIT_MS);", "", "that who is not there is looked for more rarely"],
    ["now - this.#awaySince < SILENT_MS", "(false as boolean)", "how long a collector may be away untold"],
    ["if (now - this.#refusedAt > QUIET_MS) ", "", "that refusals in a row are told once"],
    [" && this.#wait < AWAY_WAIT_MS", "", "that the end does not wait for who is not there"],
    [
      "      this.#credit = 0;\n      return undefined;",
      "      return undefined;",
      "that what is not used is no right later",
    ],
  ),
  ...mutationsOf(
    "netstack/syslog/stream.ts",
    ["this.#ends[n]! <= arrived", "true", "that a line counts when it is acknowledged"],
    ["    this.#lines.rewind();\n", "", "that what was not acknowledged goes again"],
    [
      "this.#isFull || this.#isLast) return",
      "this.#isFull) return",
      "that nothing goes to a collector which says no more",
    ],
    ["until: now + this.#wait }", "until: now }", "the wait for the next connection"],
    ["this.#wait = Math.min(2 * this.#wait, MOST_WAIT_MS);", "", "that connections in vain become rare"],
    [
      "    this.#wait = FIRST_WAIT_MS;\n    if (!this.#isWell)",
      "    if (!this.#isWell)",
      "that the wait is short again behind a connection that carried lines",
    ],
    ["    if (this.#isWell) this.#events.push(why);\n", "    this.#events.push(why);\n", "that a failure is told once"],
  ),
  ...mutationsOf("appliance/syslog/udp-collector.ts", [
    "if (!isRefusal(error) || error.dstPort !== to.port || !error.dst.equals(to.address)) return;",
    "",
    "that an error is believed of the collector's own port",
  ]),
  ...mutationsOf(
    "appliance/syslog/tcp-collector.ts",
    ["if (c.readable > 0) c.consume(c.readable);", "", "that what a collector says keeps its connection open"],
    ["    c.shutdown();\n", "    c.abort();\n", "that a collector which says no more gets what is under way"],
    [
      " && c.end === undefined) this.#finish",
      ") this.#finish",
      "that what a reset leaves open does not count, behind a FIN",
    ],
    ['if (c.end === "closed") this', "this", "that what a reset leaves open does not count"],
  ),
  ...mutationsOf(
    "appliance/syslog/syslog-side.ts",
    [
      "if (this.#setting === undefined) return records.close();",
      "if (this.#setting === undefined) return;",
      "that nothing is kept without a collector",
    ],
    [" || !this.#losses.take(now)", "", "the bound on what is said of lines that find no room"],
    [
      "if (address.isIpv4 || lan6 === undefined)",
      "if (true as boolean)",
      "that an IPv6 address is of the network that it is said to be of",
    ],
    [
      'if (through === "tunnel" && !this.#leads(setting)) {',
      "if (false as boolean) {",
      "that lines go into a tunnel that leads to the collector",
    ],
    [
      "if (!this.#leads(this.#setting)) this.#close(now, false);",
      "",
      "that lines wait where a tunnel does not lead to the collector any more",
    ],
    ["return !isOurs && routes", "return routes", "that we are not our own collector"],
    [
      'through === "lan" ? [path.lan, path.lanTcp]',
      "(true as boolean) ? [path.lan, path.lanTcp]",
      "that a collector beyond the tunnel is not looked for on the LAN",
    ],
  ),
  ...mutationsOf(
    "appliance/settings/syslog.ts",
    ["if (outside !== undefined) throw new Bad(outside);", "", "that a collector is of the LAN"],
    ["!address.isHost || address.isLinkLocal", "(false as boolean)", "that a collector is a host"],
    [
      "else if (lan !== undefined && insideLan(address, lan) !== undefined) throw new Bad(insideLan(address, lan));",
      "",
      "that a collector beyond the tunnel is not of the LAN",
    ],
    ["if (address.equals(lan.address))", "if (false as boolean)", "that the gateway is no collector"],
    ["if (lan.isNetworkOrBroadcast(address))", "if (false as boolean)", "that everybody is no collector"],
  ),
  ...mutationsOf("appliance/settings/cross-checks.ts", [
    'role === "server" && settings.log.syslog?.through === "tunnel"',
    "false as boolean",
    "that a server's collector is of the LAN",
  ]),
  ...mutationsOf("appliance/appliance.ts", [
    "this.#lan?.syslog.isBusy !== true",
    "true",
    "that the end waits for the last lines of the log",
  ]),
];
