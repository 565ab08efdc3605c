/**
 * Cookies that a session has begun with: each does that once. Else one who has two of them could begin sessions as often as it
 * likes, and be answered as often, whatever connect-freq-initial says.
 */
import { bytesToHex } from "@noble/hashes/utils.js";

/** Our choice: of more sessions than these that begin while a cookie is good, the first ones' are forgotten, and may begin another. */
const REMEMBERED = 4096;

export class UsedCookies {
  /** In the order in which they were used. */
  readonly #used = new Set<string>();

  has(cookie: Uint8Array): boolean {
    return this.#used.has(bytesToHex(cookie));
  }

  add(cookie: Uint8Array): void {
    this.#used.add(bytesToHex(cookie));
    const [oldest] = this.#used;
    if (this.#used.size > REMEMBERED && oldest !== undefined) this.#used.delete(oldest);
  }
}
