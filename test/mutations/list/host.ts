/** The client and server on the kernel of a host: what is not theirs stays as it is, and nothing of a tunnel stays behind. */
import { mutationsOf } from "../mutation.ts";

export const HOST = [
  ...mutationsOf(
    "netstack/offload/raw-ip.ts",
    ["if (p.len > this.mtu) return Drop.TooBig;", "", "that the tunnel's MTU is kept"],
    [
      "if (size <= 0 || headerLen + size > this.mtu) return Drop.TooBig;",
      "",
      "that datagrams of a super-frame fit the tunnel",
    ],
    ["if (p.isFragment || p.gsoSize === 0) return Drop.GsoMalformed;", "", "the check of a super-frame's segment size"],
    ["if (count > MAX_SEGMENTS) return Drop.GsoTooManySegments;", "", "the bound on what a super-frame becomes"],
    ["if (headerLen >= p.len) return Drop.GsoMalformed;", "", "that a super-frame has a payload"],
    [" || p.isFragment) return;", ") return;", "that a later fragment has no MSS"],
    [
      "if (tcpCheck(d, p.l4, p.at + p.len - p.l4) !== Drop.None || (tcpFlags",
      "if ((tcpFlags",
      "the check of a TCP header before its MSS is clamped",
    ],
    [
      "if (mtuOf !== undefined && !this.#mayLeave(p.len, mtuOf(p.at, p.isV6))) return Drop.TooBig;",
      "",
      "that what goes to a client fits the way to it",
    ],
    [
      "const mtu = Math.min(this.mtu, this.mtuOf?.(p.at, p.isV6) ?? this.mtu);",
      "const { mtu } = this;",
      "that segments of a super-frame fit the way to a client",
    ],
    [
      "if (!isTcp && !this.#mayLeave(headerLen + size, mtu)) return Drop.TooBig;",
      "",
      "that datagrams of a super-frame fit the way to a client",
    ],
    ["    if (told > 0) this.tell(to, told);\n", "", "that who sends too much is told"],
  ),
  ...mutationsOf(
    "netstack/offload/too-big.ts",
    ["p.isV6 || ipv4DontFragment(d, p.at);", "p.isV6;", "that a packet with DF is not sent on in fragments"],
    ["  if (!icmpErrorAllowed(d, p)) return 0;\n", "", "that nobody is told about an error"],
    [
      "ipv6IsMulticast(d, dst) || !icmp6ErrorAllowed(d, p, ICMPV6_TOO_BIG, 0)",
      "ipv6IsMulticast(d, dst)",
      "that nobody is told about an error of ICMPv6",
    ],
    ["ipv6IsMulticast(d, dst) || ", "", "that nobody is told about what is for a group"],
  ),
  ...mutationsOf(
    "platform/sys/privileges.ts",
    ["  beginAnew();\n", "", "that every thread drops what is not needed"],
    ["(set === 0 ? mask : 0)", "0xffff_ffff", "that capabilities are dropped"],
  ),
  ...mutationsOf(
    "host/tun-network.ts",
    [
      "if (held === undefined && hostChanges.lost([change]).length > 0) missing.push(name);\n        else if",
      "if",
      "that a kill switch is there when it is said to be",
    ],
    [
      "      if (problem !== undefined) this.close();\n      return problem;",
      "      return undefined;",
      "that without its kill switch a tunnel is not used",
    ],
    [
      "    this.#killSwitch.push(...killSwitch.map(madeOf));\n",
      "",
      "that a kill switch which was taken over goes at the end",
    ],
    [
      "    if (now < this.#insistence.dueAt) return this.#insistence.dueAt;\n",
      "",
      "that nobody is fought for a route at every turn",
    ],
    [
      "...this.#killSwitch, ...serverRoute",
      "...serverRoute",
      "that a kill switch which somebody takes away is there again",
    ],
    [
      "held !== undefined || !this.#killSwitch.some((known) => describe(known.change) === name)",
      "held !== undefined",
      "that a kill switch which somebody else has made is there again as well",
    ],
    ["      this.#see();\n", "", "that what was there before is missed when it goes"],
    ["isThere && lost.has(change)", "lost.has(change)", "that what this user may not make is not missed"],
    [
      "if (!(error instanceof SysError)) throw error;\n      this.#tellFailure",
      "throw error;\n      this.#tellFailure",
      "that a kernel which does not say what is there ends no session",
    ],
    [
      "if (!GONE.includes(error.errno)) failed",
      "failed",
      "that a route by a network which is not there is not tried without end",
    ],
  ),
  ...mutationsOf("host/listen-tcp.ts", [
    "else if (now < stream.sentAt + LATELY_MS) return false;",
    "",
    "that nobody's packets wait in the kernel for others' sake",
  ]),
  ...mutationsOf("host/hold.ts", [
    "isFull && now < this.#since + LONGEST_MS;",
    "isFull;",
    "that a server leaves packets in its kernel for a moment alone",
  ]),
  ...mutationsOf(
    "host/packet-stream.ts",
    ["sender.room - CONTROL_ROOM);", "sender.room);", "that a connection has room for control packets"],
    [
      "this.#now > this.#waitsSince + SLOW_AFTER_MS",
      "this.#now < 0",
      "that little waits for a connection which is slow",
    ],
  ),
  ...mutationsOf("host/quiet.ts", [
    "Math.min(now + QUIET_MS, this.#latest)",
    "now + QUIET_MS",
    "that a network which changes all the time is looked at",
  ]),
  ...mutationsOf("host/resolv-conf.ts", [
    "...lines, ...linesOf(before)]",
    "...lines]",
    "that the host's resolvers outlive a crash of the machine",
  ]),
  ...mutationsOf("host/insistence.ts", [
    "Math.min(2 * this.#pause, LONGEST_MS)",
    "FIRST_MS",
    "that pauses grow where somebody else insists",
  ]),
  ...mutationsOf(
    "host/server-route.ts",
    [
      "isOnLink: best.isOnLink === true",
      "isOnLink: false",
      "that the way to the server is by a gateway that no address tells of",
    ],
    [
      "if (!(error instanceof SysError) || !GONE.includes(error.errno)) throw error;\n      this.#path",
      "throw error;\n      this.#path",
      "that a gateway whose network is gone is no failure",
    ],
  ),
  ...mutationsOf("host/kernel-socks-link.ts", [
    "if (!isPlace)",
    "if (false as boolean)",
    "that a proxy's relay is a host",
  ]),
  ...mutationsOf("host/kernel-tun.ts", [
    "if (this.#tunnel === undefined) this.drops",
    "if (false as boolean) this.drops",
    "that packets without a tunnel are counted",
  ]),
  ...mutationsOf(
    "host/journal.ts",
    [
      " && libc.flock(fd, LOCK_EX | LOCK_NB) >= 0;\n    if (!isOurs",
      ";\n    if (!isOurs",
      "that nothing is taken back of a process that lives",
    ],
    [
      "const isOurs = libc.flock(fd, LOCK_EX | LOCK_NB) >= 0;",
      "const isOurs = true as boolean;",
      "that a device is one process's alone",
    ],
    [
      "return there?.dev === dev && there.ino === ino;",
      "return true;",
      "that a journal which was removed meanwhile is no journal",
    ],
    [
      ".filter((name) => name.startsWith(start) && name.endsWith(SUFFIX))",
      ".filter((name) => name.endsWith(SUFFIX))",
      "that a journal counts in its network namespace alone",
    ],
  ),
  ...mutationsOf(
    "host/file-change.ts",
    [
      'if (now.kind !== "plain" || digestOf(now.text) !== digest)',
      "if (false as boolean)",
      "that what somebody else has written stays",
    ],
    [
      '    if (before.kind === "absent") unlinkSync(path);',
      '    if (before.kind === "absent") return;',
      "that a file which was not there goes",
    ],
  ),
  ...mutationsOf("host/questions.ts", [
    "  if (!problems.every((found) => isLogin(found) || isPhrase(found))) return undefined;\n",
    "",
    "that nothing is asked for a profile that has other problems",
  ]),
  ...mutationsOf("protocol/push/tunnel-routes.ts", [
    'if (gateway === "net_gateway" && context.isHost)',
    'if (gateway === "net_gateway")',
    "that a router has no way around the tunnel",
  ]),
  ...mutationsOf(
    "host/served-tun.ts",
    [
      "if (this.#peers.find(this.#view, at + (isV6 ? 8 : 12), isV6) !== peer) {",
      "if (false as boolean) {",
      "that a client's packets come from an address that it has",
    ],
    ["if (len < (isV6 ? IPV6_LEAST : IPV4_LEAST)) {", "if (false as boolean) {", "the check of a packet's length"],
    [
      "const copy = to >= 0 && to !== peer ? this.#copies.take(len) : -1;",
      "const copy = to >= 0 && to !== peer ? at : -1;",
      "that a packet between clients has room in front of it",
    ],
  ),
  ...mutationsOf(
    "host/served-tun.ts",
    [
      "this.raw.mtuOf = isNarrow ?",
      "this.raw.mtuOf = (false as boolean) ?",
      "that what goes to a client behind a narrow way fits",
    ],
    [
      "const client = this.#clientToClient ?",
      "const client = (false as boolean) ?",
      "that a client is told what another one takes",
    ],
    ["const least = Math.min(from, to);", "const least = to;", "that mssfix counts for what a client begins, too"],
  ),
  ...mutationsOf(
    "platform/net/datagrams.ts",
    [
      "if (own !== undefined) this.#writeOwn(control, own);",
      "",
      "that a server answers from the address that it was asked at",
    ],
    [
      "return isLone && this.#runsSent++ % LONE === 0 ? row + 1 : end;",
      "return isLone ? end : end;",
      "that routers tell what the way takes although datagrams go as runs",
    ],
  ),
  ...mutationsOf(
    "host/turns.ts",
    [
      "if (now >= this.#leaveBy) this.#done = true;",
      "if (false as boolean) this.#done = true;",
      "the end of a host's goodbye that fails",
    ],
    ["(end.left || now >= this.#leaveBy)", "end.left", "the bound on a host's goodbye"],
    [
      'else if (during === "control") this.#end.giveUp(now);',
      "",
      "that a host's end which fails at every turn is let go of",
    ],
    ["if (!this.#isLeaving) this.#end.reload(now);", "this.#end.reload(now);", "that no host reloads while it leaves"],
  ),
  ...mutationsOf(
    "host/pace.ts",
    [
      "this.budget = isSingle ? SMALL_TURN : TURN_PACKETS;",
      "this.budget = TURN_PACKETS;",
      "that an end that works packet by packet gets little at once",
    ],
    [
      "this.#received < LONGEST_RUN * this.#runs",
      "this.#runs > 0",
      "that an end which sends runs gets all that there is",
    ],
    [
      "this.#isBusy = now - this.#since <= BUSY_MS;",
      "this.#isBusy = true;",
      "that who waits for an answer gets it at once",
    ],
  ),
  ...mutationsOf(
    "host/links.ts",
    [
      "this.#open?.isStream === true && this.#sender.queued > 0",
      "false as boolean",
      "that what a stream does not take waits in the kernel",
    ],
    [
      "link?.isStream === true ? count === 0 : this.#datagrams.drained",
      "link?.isStream === true || this.#datagrams.drained",
      "that a stream is read on in the turn in which something came",
    ],
  ),
  ...mutationsOf(
    "host/udp-link.ts",
    ["    if (request.float) {\n", "    if (true as boolean) {\n", "that only the peer is heard without float"],
    [
      "      port[row] === this.endpoint(this.#peer).port &&\n",
      "",
      "that another port of the peer's address is another",
    ],
    ["|| port !== peer.port) continue;", ") continue;", "that what is said of another port is not said of the peer"],
  ),
  ...mutationsOf(
    "host/listen-udp.ts",
    ["      this.#free.push(seat);\n", "", "that a port which is opened again has the memory of the one before"],
    ["      seat.datagrams.reset();\n", "", "and nothing that had come to that one"],
    [
      "this.#ports.length === MAX_OWN ? this.#ports.shift() : undefined",
      "undefined as KernelUdpPort | undefined",
      "the bound on addresses of ours that are told apart",
    ],
  ),
  ...mutationsOf("host/resolver.ts", [
    "if (this.#answer === undefined && now >= wanted.by)",
    "if (false as boolean)",
    "the end of the wait for a resolver",
  ]),
];
