/** A connection: bytes in order, in pieces that know nothing of packets, until it is closed or cut wherever they are. */
import type { LinkEnd } from "../../../src/protocol/session/events.ts";
import type { BadNet, Host } from "./net.ts";

/** What one end hears. */
export interface PipeReceiver {
  handleBytes(now: number, bytes: Uint8Array): void;
  ended(now: number, end: LinkEnd): void;
}

const AGAIN_MS = 500;

interface End {
  readonly host: Host;
  readonly receiver: PipeReceiver;
  /** It hears no more, and says no more. */
  isOver: boolean;
  /** When the last piece arrives that was sent to it. */
  lastAt: number;
  /** What waits for the way to be there again, in its order. */
  readonly waiting: (() => void)[];
}

export class Pipe {
  readonly #net: BadNet;
  readonly #ends: readonly [End, End];
  #isCut = false;

  /** @param near,far the host of each end, and who listens there */
  constructor(net: BadNet, near: readonly [Host, PipeReceiver], far: readonly [Host, PipeReceiver]) {
    this.#net = net;
    const end = ([host, receiver]: readonly [Host, PipeReceiver]): End => ({
      ...{ host, receiver, isOver: false, lastAt: 0, waiting: [] },
    });
    this.#ends = [end(near), end(far)];
  }

  get isOver(): boolean {
    return this.#isCut || this.#ends.every(({ isOver }) => isOver);
  }

  /** @param from which end says it: 0, the near one, or 1 */
  write(from: 0 | 1, bytes: Uint8Array): void {
    if (this.#ends[from].isOver) return;
    // A host that knows nothing of this connection says so.
    if (this.#isCut) return this.#tell(from, this.#net.delay(), { kind: "link-reset" });
    const own = bytes.slice();
    for (let at = 0; at < own.length; ) {
      const piece = own.subarray(at, at + 1 + this.#net.below(this.#net.pick([3, 50, 2000])));
      at += piece.length;
      // What TCP's sum does not notice.
      const sent = this.#net.chance(this.#net.faults.damage / 50) ? piece.with(0, piece[0]! ^ 0x10) : piece;
      this.#inOrder(from, (now, { receiver }) => receiver.handleBytes(now, sent));
    }
  }

  close(from: 0 | 1): void {
    const own = this.#ends[from];
    if (own.isOver) return;
    own.isOver = true;
    if (!this.#isCut)
      this.#inOrder(from, (now, far) => {
        far.isOver = true;
        far.receiver.ended(now, { kind: "link-closed" });
      });
  }

  /** What has not arrived does not any more. Each end hears of it soon, or when it says something, or not at all. */
  cut(): void {
    this.#isCut = true;
    for (const side of [0, 1] as const)
      if (this.#net.chance(0.5)) this.#tell(side, this.#net.below(3000), { kind: "link-reset" });
  }

  /** To the other end, behind what was sent before; as long as there is no way it is sent again. */
  #inOrder(from: 0 | 1, arrive: (now: number, far: End) => void): void {
    const far = this.#ends[1 - from] as End;
    far.lastAt = Math.max(far.lastAt, this.#net.now + this.#net.delay());
    this.#net.later(far.lastAt - this.#net.now, (now) => {
      if (this.#isCut || far.isOver) return;
      if (far.waiting.length === 0 && this.#isWay(now, far)) return arrive(now, far);
      if (far.waiting.push(() => arrive(this.#net.now, far)) === 1) this.#retry(far);
    });
  }

  #isWay(now: number, { host }: End): boolean {
    return now >= host.stillUntil && !this.#net.isDown;
  }

  #retry(far: End): void {
    this.#net.later(AGAIN_MS, (now) => {
      if (!this.#isWay(now, far)) return this.#retry(far);
      for (const arrive of far.waiting.splice(0)) if (!this.#isCut && !far.isOver) arrive();
    });
  }

  #tell(side: 0 | 1, ms: number, why: LinkEnd): void {
    const end = this.#ends[side];
    this.#net.later(ms, (now) => {
      if (end.isOver || this.#net.isDown) return;
      end.isOver = true;
      end.receiver.ended(now, why);
    });
  }
}
