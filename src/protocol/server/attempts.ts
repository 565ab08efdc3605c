/**
 * Who tries too many passwords, by the name that is tried and by where it comes from. OpenVPN leaves this to scripts; the numbers are
 * our choice. Each failure is forgiven after a while, and only failures count: hundreds of clients of one office may come at once.
 * What is kept is bounded, whoever tries whatever names.
 */
import type { IpAddress } from "../../lib/ip.ts";

/** `most` failures at once, and another one each `seconds`. */
interface Rule {
  readonly most: number;
  readonly seconds: number;
}

/** A password of a name is guessed once a minute at most. */
const OF_NAME: Rule = Object.freeze({ most: 10, seconds: 60 });
/** Many people may be behind one address. */
const OF_PLACE: Rule = Object.freeze({ most: 30, seconds: 20 });
/** Names, and places, of which something is kept. */
const MOST_KEPT = 4096;

export interface Blocked {
  readonly by: "name" | "place";
  /** Until another attempt is heard. */
  readonly seconds: number;
}

interface Failures {
  /** Seconds until all are forgiven, as of `at`. */
  debt: number;
  at: number;
}

export class Attempts {
  readonly #names = new Map<string, Failures>();
  readonly #places = new Map<string, Failures>();
  /** Where each name logged in from last, the latest behind: who guesses elsewhere does not keep it out. */
  readonly #homes = new Map<string, string>();

  /** Whether another password is heard now. @param from of an IPv6 address the /64 counts, which is one host's or one home's */
  blocked(unixSeconds: number, name: string, from: IpAddress): Blocked | undefined {
    const place = placeOf(from);
    const ofPlace = waiting(this.#places.get(place), OF_PLACE, unixSeconds);
    if (ofPlace > 0) return { by: "place", seconds: ofPlace };
    if (this.#homes.get(name) === place) return undefined;
    const ofName = waiting(this.#names.get(name), OF_NAME, unixSeconds);
    return ofName > 0 ? { by: "name", seconds: ofName } : undefined;
  }

  failed(unixSeconds: number, name: string, from: IpAddress): void {
    count(this.#names, name, OF_NAME, unixSeconds);
    count(this.#places, placeOf(from), OF_PLACE, unixSeconds);
  }

  /** One that counted while it was looked into was no wrong one. */
  takenBack(unixSeconds: number, name: string, from: IpAddress): void {
    takeBack(this.#names.get(name), OF_NAME, unixSeconds);
    takeBack(this.#places.get(placeOf(from)), OF_PLACE, unixSeconds);
  }

  succeeded(name: string, from: IpAddress): void {
    this.#homes.delete(name);
    if (this.#homes.size === MOST_KEPT) this.#homes.delete(this.#homes.keys().next().value!);
    this.#homes.set(name, placeOf(from));
  }
}

/** Of IPv4 the address, of IPv6 the /64. */
export const placeOf = (from: IpAddress): string => (from.isIpv4 ? `${from.w3}` : `${from.w0} ${from.w1}`);

/** Seconds until all is forgiven. The clock may have been set back. */
const left = ({ debt, at }: Failures, unixSeconds: number): number => Math.max(0, debt - Math.max(0, unixSeconds - at));

/** Seconds until another attempt is heard; 0: now. */
const waiting = (failures: Failures | undefined, { most, seconds }: Rule, unixSeconds: number): number =>
  failures === undefined ? 0 : Math.max(0, left(failures, unixSeconds) - (most - 1) * seconds);

function count(kept: Map<string, Failures>, key: string, { most, seconds }: Rule, unixSeconds: number): void {
  const found = kept.get(key);
  if (found === undefined) {
    if (kept.size === MOST_KEPT) kept.delete(leastOf(kept, unixSeconds));
    kept.set(key, { debt: seconds, at: unixSeconds });
  } else {
    found.debt = Math.min(most * seconds, left(found, unixSeconds) + seconds);
    found.at = unixSeconds;
  }
}

function takeBack(found: Failures | undefined, { seconds }: Rule, unixSeconds: number): void {
  if (found === undefined) return;
  found.debt = Math.max(0, left(found, unixSeconds) - seconds);
  found.at = unixSeconds;
}

/** Whose failures are forgiven first. */
function leastOf(kept: ReadonlyMap<string, Failures>, unixSeconds: number): string {
  let least = "";
  let lowest = Number.POSITIVE_INFINITY;
  for (const [key, failures] of kept) {
    const debt = left(failures, unixSeconds);
    if (debt < lowest) [least, lowest] = [key, debt];
  }
  return least;
}
