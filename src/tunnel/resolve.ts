/** What the dialer needs to find a remote that is given by name. */
import type { IpAddress } from "../lib/ip.ts";
import type { AddressFamily } from "../protocol/config/types.ts";

export type Resolution =
  | {
      readonly ok: true;
      /** At least one, in the order in which they are to be tried. */
      readonly addresses: readonly IpAddress[];
      /** What a person should know about the answer; such an answer is no proof that an address has changed. */
      readonly note: string | undefined;
    }
  /** In words. */
  | { readonly ok: false; readonly text: string };

export interface Resolver {
  /** Asks for the addresses of a name; one question at a time, a newer one replaces it. `done` comes from poll(). */
  resolve(now: number, name: string, family: AddressFamily, done: (now: number, result: Resolution) => void): void;
  /** Forgets the question under way. */
  cancel(): void;
  pollAt(): number;
  poll(now: number): void;
}
