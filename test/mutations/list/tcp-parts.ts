/** The parts of TCP that stand alone: buffers, options, losses, windows, cookies. */
import { mutationsOf } from "../mutation.ts";

export const TCP_PARTS = [
  ...mutationsOf("lib/siphash.ts", ["v2 ^= 0xff;", "v2 ^= 0;", "the end of the hash"]),
  ...mutationsOf(
    "netstack/tcp/pages.ts",
    ["if (held >= this.#free) return NONE;", "if (this.#free === 0) return NONE;", "that no ring takes the whole pool"],
    [
      "const wanted = Math.min(offset + len, this.capacity);",
      "const wanted = offset + len;",
      "the bound of what one connection buffers",
    ],
    ["if (n === this.#extent) return this.clear();", "", "that a ring that was emptied gives its pages back"],
    ["      this.#giveBack();\n", "", "that pages for a hole are given back when what is behind it finds none"],
  ),
  ...mutationsOf(
    "netstack/tcp/assembler.ts",
    ["if (this.#count === MAX_RANGES) return false;", "", "the bound of ranges out of order"],
    ["      this.#hasDuplicate = false;\n      out[0]", "      out[0]", "that a duplicate is reported once"],
  ),
  ...mutationsOf(
    "netstack/wire/tcp-options.ts",
    ["if (len < 2 || p + len > end) return;", "if (len < 2) return;", "that an option ends within the header"],
    ["Math.min(d.getUint8(p + 2), MAX_WINDOW_SCALE)", "d.getUint8(p + 2)", "the largest window scale"],
    ["if (len === TIMESTAMPS_LEN) readTimestamps", "readTimestamps", "the length of timestamps"],
    [
      "if (count < 1 || count > MAX_SACK_BLOCKS || !Number.isInteger(count)) return;",
      "",
      "the number of SACK blocks of one segment",
    ],
    ["    } else if (isSyn) {", "    } else {", "that MSS, window scale and SACK permitted count in a SYN only"],
  ),
  ...mutationsOf("netstack/tcp/ranges.ts", [
    "if (this.behind - this.first >= max) return false;",
    "",
    "the bound of ranges that a peer makes by SACK",
  ]),
  ...mutationsOf(
    "netstack/tcp/scoreboard.ts",
    [
      "if (seqLess(left, r.start) || !seqLess(left, right) || seqLess(this.#nxt, right)) return;",
      "",
      "that SACK blocks lie in what is under way",
    ],
    ["if (rtt > this.rtt) this.rtt = rtt;", "this.rtt = rtt;", "that the RTO has the longest round trip"],
    [
      "if (echoedAt >= 0 ? echoedAt < Math.floor(sentAt) : rtt < this.#minRtt) return;",
      "",
      "RACK's look for the first copy",
    ],
    ["this.hasDuplicate && this.#resends > 0", "this.hasDuplicate", "that duplicates of the network make no patience"],
    ["if (timeout > 0) this.reoTimeoutAt = now + timeout;", "", "RACK's reordering timer"],
    ["noWait || minRtt === Number.POSITIVE_INFINITY ? 0 :", "", "that three segments prove a loss at once"],
    ["if (seqLess(end, this.#fackBefore)) this.#reordering = true;", "", "that reordering is seen"],
    ["const all = this.hasReneged;", "const all = false;", "that a peer that reneges gets all again"],
  ),
  ...mutationsOf(
    "netstack/tcp/acknowledge.ts",
    ["    sendAllowed(e, c, now, unused);\n", "", "that what was allowed before a loss is sent"],
    [
      "return isNew && board.lost === 0;",
      "return false;",
      "that a loss that was none is undone when nothing was sent again",
    ],
  ),
  ...mutationsOf("netstack/tcp/send.ts", [
    "c.retransmitAt === NEVER || start === c.una",
    "c.retransmitAt === NEVER",
    "that what is sent again has the whole RTO again",
  ]),
  ...mutationsOf("netstack/tcp/receive.ts", [
    "  c.quickAcks = QUICK_AFTER_LOSS;\n  sendAck",
    "  sendAck",
    "that acknowledgements are dense after loss",
  ]),
  ...mutationsOf(
    "netstack/tcp/rtt.ts",
    ["BETA * weight", "BETA", "that many samples of one round trip weigh as one"],
    ["this.rto = Math.min(2 * this.rto, MAX_RTO);", "this.rto = 2 * this.rto;", "the longest RTO"],
    ["Math.max(K * this.rttvar, MIN_MARGIN)", "K * this.rttvar", "the time for ACKs that are delayed"],
    [
      "const follows = now < this.#turnAt + MIN_RTT_HALF_WINDOW;",
      "const follows = true;",
      "that the least RTT is forgotten",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/congestion.ts",
    [
      "if (this.cwnd >= 2 * flight) return; // the",
      "// the",
      "that slow start does not grow a window that is not used",
    ],
    [
      "if (this.cwnd > flight + 2 * this.#mss + flight / 8) return; // the",
      "// the",
      "that CUBIC does not grow a window that is not used",
    ],
    ['if (this.#state !== "open") return false;', "", "one decrease for a window of losses"],
    [
      'if (this.#state === "open") this.#decrease(nxt);\n    else this.#recover',
      "this.#decrease(nxt);\n    this.#recover",
      "that a timeout again does not lower ssthresh",
    ],
    [
      "Math.ceil((this.#prrDelivered * this.ssthresh) / this.#recoverFs) - this.#prrOut",
      "this.#prrDelivered",
      "the rate of PRR",
    ],
    ["if (!this.#canUndo) return;", "", "that a decrease is taken back once"],
    ["(this.cwnd * (1 + BETA)) / 2", "this.cwnd", "fast convergence"],
    [
      "      this.#epochAt += now - this.#lastSentAt;",
      "      this.#epochAt += 0;",
      "that idle time is none of CUBIC's",
    ],
  ),
  ...mutationsOf(
    "netstack/tcp/syn-cookie.ts",
    ["if (!this.isLive(now)) return 0;", "", "that no cookie is good when none was given out"],
    ["age > 1 || ", "", "the age of a cookie"],
    ["(cookie & MAC_MASK) !== this.#macOf(n, top)", "false", "the MAC of a cookie"],
    ["this.#words[n] = peerIsn;", "this.#words[n] = 0;", "that a cookie is for one SYN"],
    ["? (stamp - (STAMP_MASK + 1)) | 0 : stamp", "? stamp : stamp", "that the timestamp does not run ahead"],
  ),
];
