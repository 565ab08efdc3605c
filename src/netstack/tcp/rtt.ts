/** Round trip time and retransmission timeout of one connection, in milliseconds (RFC 6298; RFC 7323 4). */

/** Before the first sample (RFC 6298 2.1). */
const INITIAL_RTO = 1000;
/** After a SYN that was sent more than once, for the data, while there is no sample (RFC 6298 5.7). */
const RTO_AFTER_SYN = 3000;
/** RFC 6298 2.5: at least 60 s. Linux's TCP_RTO_MAX. */
const MAX_RTO = 120_000;
/**
 * What is added to SRTT at least. Differs from RFC 6298 2.4, which wants an RTO of at least a second, because with RACK and timestamps
 * a timeout that comes too early is found out, and one that comes late is a pause; Linux adds 200 ms (tcp_rto_min), as peers
 * delay an ACK by less.
 */
const MIN_MARGIN = 200;
const K = 4;
const ALPHA = 1 / 8;
const BETA = 1 / 4;
/** The least RTT is that of the last 2.5 to 5 minutes (Linux: tcp_min_rtt_wlen, 300 s). */
const MIN_RTT_HALF_WINDOW = 150_000;

export class Rtt {
  /** 0: there is no sample. */
  srtt = 0;
  rttvar = 0;
  rto = INITIAL_RTO;
  #least = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  #turnAt = Number.NEGATIVE_INFINITY;
  #sampledAt = 0;

  /** The least RTT of the last minutes (RFC 8985 6.2 step 1); Infinity: there is no sample. */
  get minRtt(): number {
    return Math.min(this.#least, this.#leastBefore);
  }

  /**
   * A measured round trip. It ends the back-off. Samples weigh by the time since the one before, so that those of one round
   * trip weigh as one, however many there are (RFC 7323 4.2).
   */
  sample(now: number, rtt: number): void {
    if (now >= this.#turnAt) {
      const follows = now < this.#turnAt + MIN_RTT_HALF_WINDOW;
      this.#leastBefore = follows ? this.#least : Number.POSITIVE_INFINITY;
      this.#least = rtt;
      this.#turnAt = (follows ? this.#turnAt : now) + MIN_RTT_HALF_WINDOW;
    } else if (rtt < this.#least) this.#least = rtt;
    if (this.srtt === 0) {
      this.srtt = Math.max(rtt, Number.MIN_VALUE);
      this.rttvar = rtt / 2;
    } else {
      const weight = Math.min(1, (now - this.#sampledAt) / Math.min(this.srtt, Math.max(rtt, Number.MIN_VALUE)));
      this.rttvar += BETA * weight * (Math.abs(this.srtt - rtt) - this.rttvar);
      this.srtt += ALPHA * weight * (rtt - this.srtt);
    }
    this.#sampledAt = now;
    this.rto = Math.min(this.srtt + Math.max(K * this.rttvar, MIN_MARGIN), MAX_RTO);
  }

  /** The retransmission timer went off (RFC 6298 5.5). It stays so until the next sample (Karn). */
  backOff(): void {
    this.rto = Math.min(2 * this.rto, MAX_RTO);
  }

  /** The handshake is done, and its SYN was sent more than once. */
  afterLostSyn(): void {
    if (this.srtt === 0) this.rto = RTO_AFTER_SYN;
  }
}
