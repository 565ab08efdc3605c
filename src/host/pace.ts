/**
 * How much a turn sends, and when the next one had better wait a little. It depends on how the other end works, which its packets show.
 *
 * openvpn reads, opens and writes one packet after the other, some 10 us each, and what it has not read yet waits in a buffer that has room for
 * about 90 of them (net.core.rmem_default). So what comes from it comes packet by packet, and what goes to it must not come in heaps: most of a
 * super-frame behind another one would be lost, with the end of what TCP has sent among it, for which TCP waits a fifth of a second. To such an
 * end goes little at once, and what it sends gathers for a moment before it is looked at: fewer turns, and larger super-frames for the kernel,
 * which answers them with fewer acknowledgements.
 *
 * An end that takes and sends super-frames (ours is one) acknowledges them with few packets, or its own come in runs: it has no part in this.
 */

/** Of each side in a turn: neither waits longer for the other. */
export const TURN_PACKETS = 256;
/** To an end that works packet by packet: with what is on the way, it has room for them. */
const SMALL_TURN = 32;
/** So long what it sends gathers, and so long each packet to it is given, in ms: it is not limited by that, openvpn takes longer. */
const GATHER_MS = 0.2;
const PACKET_MS = 0.008;
/** Who has sent nothing for so long, or was not let run, may send as much more at once: two super-frames, for which the other end has room. */
const CREDIT_MS = 46 * PACKET_MS;
/** A shorter rest is none: falling asleep takes longer. */
const LEAST_REST_MS = 0.02;
/** It is looked at anew after so many packets, both ways together. */
const WINDOW = 256;
/** Packets that came, of a window, of an end that acknowledges every few; and that are in a run of its, at most. */
const LEAST_RECEIVED = WINDOW / 8;
const LONGEST_RUN = 4;
/** A window of more than that, in ms, is no load: who waits for each answer gets it at once. */
const BUSY_MS = 16;

export class Pace {
  /** Packets of the kernel that a turn may send. */
  budget = TURN_PACKETS;
  #isBusy = false;
  #sent = 0;
  #received = 0;
  #runs = 0;
  #since = 0;
  /** When the last turn began, and until when what was sent so far keeps the other end busy. */
  #turnAt = 0;
  #sentUntil = 0;

  /**
   * Notes what a turn has done.
   * @param runs in which what was received came: datagrams that the kernel had joined, or a stream's bytes
   */
  note(now: number, sent: number, received: number, runs: number): void {
    this.#turnAt = now;
    this.#sentUntil = this.isSmall ? Math.max(this.#sentUntil, now - CREDIT_MS) + sent * PACKET_MS : now;
    this.#sent += sent;
    this.#received += received;
    this.#runs += runs;
    if (this.#sent + this.#received < WINDOW) return;
    const isSingle = this.#received >= LEAST_RECEIVED && this.#received < LONGEST_RUN * this.#runs;
    this.budget = isSingle ? SMALL_TURN : TURN_PACKETS;
    this.#isBusy = now - this.#since <= BUSY_MS;
    this.#since = now;
    this.#sent = 0;
    this.#received = 0;
    this.#runs = 0;
  }

  /** Whether the other end works packet by packet. */
  get isSmall(): boolean {
    return this.budget === SMALL_TURN;
  }

  /** @param isDrained whether the kernel has nothing more to send @returns us until the next turn; 0: at once */
  restUs(now: number, isDrained: boolean): number {
    if (!this.isSmall || (isDrained && !this.#isBusy)) return 0;
    const gathered = this.#isBusy ? this.#turnAt + GATHER_MS : 0;
    const rest = Math.max(this.#sentUntil, gathered) - now;
    return rest < LEAST_REST_MS ? 0 : Math.round(rest * 1000);
  }
}
