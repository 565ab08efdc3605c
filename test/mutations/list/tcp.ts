/** What TCP refuses, bounds and does in time (RFC 9293, 5961, 5927, 7323, 4987). */
import { mutationsOf } from "../mutation.ts";

export const TCP = [
  ...mutationsOf(
    "netstack/tcp/tcp.ts",
    [
      "if (!known && !tcpChecksumValid(d, p.l4, len, p.pseudo)) return Drop.TcpBadChecksum;",
      "",
      "the checksum of segments",
    ],
    ['if (e.open >= this.#limit) return "full";', "", "the bound on connections that we begin"],
    ["if (e.open >= this.#limit) return false;", "", "the bound on connections that others begin"],
    [
      "if (seqLess(seq, c.una) || !seqLess(seq, c.nxt)) return Drop.IcmpBadQuote;",
      "",
      "the sequence number in ICMP errors (RFC 5927)",
    ],
    ["if (mtu >= c.pathMtu) return Drop.IcmpBadQuote;", "", "that an ICMP error only makes segments smaller"],
    ["Math.max(c.ip.leastMtu, said === 0", "Math.max(100, said === 0", "the least path MTU that is believed"],
    [
      "kind === ERROR_HARD && (c.stateCode === SYN_SENT",
      "kind === ERROR_HARD && (true || c.stateCode === SYN_SENT",
      "that no ICMP error ends a connection",
    ],
    ["if (seg.has(TCP_RST)) return Drop.TcpNoPort;", "", "silence to a reset that nobody knows"],
    [
      "if (!seg.has(TCP_SYN) || seg.has(TCP_FIN)) return",
      "if (!seg.has(TCP_SYN)) return",
      "the refusal of SYN with FIN",
    ],
    [
      'if (c !== undefined && !c.ip.isOwn(e.flows.words, c.row * TUPLE_WORDS)) e.finish(c, "address-lost");',
      "",
      "the end of connections whose address is lost",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/receive.ts",
    ["if (!options.hasTimestamps) return Drop.TcpNoTimestamp;", "", "segments without their timestamp"],
    [
      "if (seqLess(options.tsVal, c.tsRecent) && now - c.tsRecentAt < PAWS_MS) {",
      "if (false as boolean) {",
      "PAWS (RFC 7323 5)",
    ],
    ["&& now - c.tsRecentAt < PAWS_MS) {", ") {", "the end of PAWS after 24 days"],
    ["if (!isAcceptable(c, seg)) {", "if (false as boolean) {", "the check of the window"],
    ["if (seg.seq !== c.rcvNxt) {", "if (false as boolean) {", "the exact sequence number of a reset (RFC 5961 3.2)"],
    [
      "    // RFC 5961 4.2\n    challenge(e, c, now);\n    return Drop.TcpMaybeForged;",
      '    e.finish(c, "reset");\n    return Drop.None;',
      "the challenge to a SYN (RFC 5961 4.2)",
    ],
    ["if (!seg.has(TCP_ACK)) return Drop.TcpNoAck;", "", "segments without an acknowledgement"],
    ["if (hasAck && ack !== c.nxt) {", "if (false as boolean) {", "what an answer to our SYN acknowledges"],
    ["if (!hasAck) return Drop.TcpBadAck;", "", "a reset that acknowledges nothing in SYN-SENT"],
    ["if (now - c.challengedAt < CHALLENGE_MS) return;", "", "the rate of challenges (RFC 5961 7)"],
    ["seqLessEq(seg.seq, c.lastAckSent) &&", "", "whose timestamp is the latest (RFC 7323 4.3)"],
    [
      "let right = seqLess(c.rcvAdv, segEnd) ? c.rcvAdv : segEnd;",
      "let right = segEnd;",
      "that data beyond the window is not taken",
    ],
    ["if (c.finSeen && seqLess(c.finSeq, right)) right = c.finSeq;", "", "that data behind FIN is not taken"],
    ["c.ackAt = now + DELAYED_ACK_MS;", "", "the timer of delayed acknowledgements"],
    [
      "if (c.isReleased && seqLess(c.rcvNxt, segEnd)) {",
      "if (false as boolean) {",
      "the reset for data that nobody reads",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/acknowledge.ts",
    [
      "if (seqLess(c.nxt, ack) || seqDiff(before, ack) > c.maxWnd) return Drop.TcpBadAck;",
      "if (seqLess(c.nxt, ack)) return Drop.TcpBadAck;",
      "acknowledgements that are too old (RFC 5961 5.2)",
    ],
    [
      "if (seqLess(c.nxt, ack) || seqDiff(before, ack) > c.maxWnd) return Drop.TcpBadAck;",
      "if (seqDiff(before, ack) > c.maxWnd) return Drop.TcpBadAck;",
      "acknowledgements of what was never sent",
    ],
    [
      "if (!seqLess(c.wl1, seg.seq) && !(c.wl1 === seg.seq && seqLessEq(c.wl2, seg.ack))) return;",
      "",
      "that only newer segments move the window",
    ],
    [
      "if (!c.congestion.onLoss(c.una, c.nxt, c.board.pipe)) return;\n  beginUndo(c);",
      "beginUndo(c);",
      "slowing down for a loss",
    ],
    ["if (c.hasEcn && seg.has(TCP_ECE)) slowDown(e, c);", "", "slowing down for a mark"],
    [
      "c.retransmitAt = c.una === c.nxt ? NEVER : now + rtt.rto;",
      "",
      "restarting the retransmission timer (RFC 6298 5.2, 5.3)",
    ],
    [
      "if (seg.options.hasTimestamps && seqLess(seg.options.tsEcr, c.undoStamp)) return true;",
      "",
      "which loss was none (RFC 3522)",
    ],
    [
      "c.congestion.onLoss(c.una, c.nxt, board.pipe);\n  }\n}",
      "}\n}",
      "that a loss which a probe repaired counts (RFC 8985 7.4)",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/acknowledge.ts",
    ["return c.undoBytes <= 0;", "return true;", "that all that was sent again has to be reported (RFC 3708)"],
    [
      "seqLess(board.duplicateLeft, c.undoFrom) || seqLess(c.undoTo, board.duplicateRight)",
      "(false as boolean)",
      "that only what was sent again counts as reported (RFC 3708)",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/timers.ts",
    ["if (now >= c.reorderAt) reordered(e, c, now);", "", "RACK's reordering timer"],
    ["if (now >= c.tailAt) tailProbe(e, c, now);", "", "the tail loss probe"],
    ["if (now >= c.retransmitAt) retransmission(e, c, now);", "", "the retransmission timeout"],
    ["if (c.end === undefined && now >= c.keepaliveAt) keepalive(e, c, now);", "", "keepalives"],
    ['if (c.end === undefined && now >= c.lingerAt) e.finish(c, "closed");', "", "the end of FIN-WAIT-2"],
    [
      "if (now - c.owedSince >= c.userTimeout) return giveUp(e, c, now);\n  const",
      "const",
      "the user timeout for data",
    ],
    [
      "else if (now - c.owedSince >= c.userTimeout) return giveUp(e, c, now);",
      "",
      "the user timeout for a closed window",
    ],
    [
      "&& !c.isReleased)) c.owedSince",
      ")) c.owedSince",
      "that a closed window does not keep a connection for ever that nobody wants",
    ],
    ["if (now - c.owedSince >= c.patience) return giveUp(e, c, now);", "", "the patience of the handshake"],
    ["if (c.keepalives >= plan.count) return giveUp(e, c, now);", "", "the end of keepalives"],
    ["rtt.backOff();\n  if (isFirst)", "if (isFirst)", "the back-off of the retransmission timer"],
    ["if (c.timeouts >= BLACK_HOLE_TIMEOUTS) suspectBlackHole(e, c);", "", "black holes"],
  ),
  ...mutationsOf(
    "netstack/tcp/send.ts",
    ["if (seqDiff(end, c.rcvAdv) < step) end = c.rcvAdv;", "", "the receiver's side of silly windows"],
    [
      "if (field < 0xffff && seqLess((c.rcvNxt + (field << shift)) | 0, c.rcvAdv)) field++;",
      "",
      "that the window does not shrink by rounding",
    ],
    ["c.noDelay || c.finWanted || seqLessEq(c.smallEnd, c.una);", "true;", "Nagle's algorithm"],
    ["if (room < n) n = room - (room % payload);", "", "the congestion window for new data"],
    ["if (room <= 0) break;", "", "the congestion window for what is sent again"],
    ["congestion.onIdle(now, c.rtt.rto);", "{}", "the restart after idle time"],
    ["c.lingerAt = now + LINGER_MS;", "", "the timer of FIN-WAIT-2"],
    [
      "if (c.una === c.nxt && c.retransmitAt === NEVER && hasUnsent(c)) c.retransmitAt = now + c.rtt.rto;",
      "",
      "the probe of a closed window",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/backlog.ts",
    [
      "if (!listener.hasRoom) {\n      e.counters.bump(ACCEPT_OVERFLOWS);\n      return Drop.TcpBacklogFull;\n    }",
      "",
      "the bound on what waits to be accepted, for SYNs",
    ],
    [
      "if (!listener.hasRoom) {\n      e.counters.bump(ACCEPT_OVERFLOWS);\n      return false;\n    }",
      "",
      "the bound on what waits to be accepted",
    ],
    [
      "if (!listener.hasRoom) {\n      e.counters.bump(ACCEPT_OVERFLOWS);\n      return LATER;\n    }",
      "",
      "the bound on what waits to be accepted, for cookies",
    ],
    [
      "return this.#cookies.isLive(now) ? LATER : 0;",
      "return seg.len > 0 && this.#cookies.isLive(now) ? LATER : 0;",
      "that a segment ahead of a cookie's first is not reset",
    ],
    ["if (this.#cookies.isLive(now)) return false;", "", "the same where the SYN came again and was kept"],
    [
      "if (seg.seq === rcvNxt) this.remove(row);",
      "this.remove(row);",
      "the exact sequence number of a reset to a half-open connection",
    ],
    [
      "if (isOld || ahead < 0 || ahead > windowOf(listener)) {",
      "if (false as boolean) {",
      "the window of a half-open connection",
    ],
    ["if (seg.ack !== seqAdd(this.#iss[row]!, 1)) {", "if (false as boolean) {", "what ends a handshake"],
    [
      "if (listener === undefined || this.#tries[row]! >= MAX_TRIES) {",
      "if (listener === undefined) {",
      "the end of a handshake that nobody goes on with",
    ],
    ["if (mss === 0) {", "if (false as boolean) {", "the check of cookies"],
    ["if (now - this.#answeredAt[row]! < CHALLENGE_MS) return;", "", "the rate of challenges of half-open connections"],
  ),
  ...mutationsOf(
    "netstack/tcp/time-wait.ts",
    [
      "if (seg.has(TCP_RST)) return false; // RFC 1337",
      "if (seg.has(TCP_RST)) { this.remove(row); return false; }",
      "that a reset does not end TIME-WAIT (RFC 1337)",
    ],
    [
      "if (stamp > 0 || (stamp === 0 && seqLess(this.#rcvNxt[row]!, seg.seq))) {",
      "if (true as boolean) {",
      "which SYN may take the place of TIME-WAIT (RFC 6191)",
    ],
    ["if (this.#count >= this.#limit) {", "if (false as boolean) {", "the bound on TIME-WAIT"],
    ["this.#endAt[row] = now + TIME_WAIT_MS;", "this.#endAt[row] = Number.POSITIVE_INFINITY;", "the end of TIME-WAIT"],
    ["if (now - this.#answeredAt[row]! < ANSWER_MS) return;", "", "the rate of answers in TIME-WAIT"],
  ),
];
