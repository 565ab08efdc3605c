/**
 * When and where to try again after a session has ended. Pure: the owner asks for the target, reports how the attempt
 * ended, and waits as long as it is told.
 *
 * - another remote, or another address of the same name, is tried after a moment; after a full round the wait grows,
 *   with jitter, to at most 8 s; with `connect-retry` in the profile as OpenVPN does it: the given wait five times, then
 *   doubling to the given longest one; that of a `<connection>` block counts after an attempt at its server
 * - a tunnel that lasted is tried again after a second; one that ended soon counts as an attempt that failed, because a server
 *   that lets everybody in and ends each session at once would else be asked without end
 * - refused credentials, of the server or of a proxy, wait 60 s, doubling to 15 minutes, because accounts get locked;
 *   AUTH_FAILED,TEMP has its own words; after a proxy's refusal another remote is next, which may have another proxy
 * - what only a person can mend (certificates, unusable settings) is tried again up to once a minute: they may mend it on
 *   the server
 */
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Remote, RetryConfig } from "../config/types.ts";
import type { SessionEnd } from "./events.ts";

/** How an attempt ended: a session's end, or why there was none: the name has no address, or no link to this address could be made. */
export type AttemptOutcome = SessionEnd | { readonly kind: "resolve-failed" | "link-failed" };

const NEXT_REMOTE_MS = 500;
const RECONNECT_MS = 1000;
/** Our choice: a tunnel that was up for so long worked. */
const LASTED_MS = 60_000;
const SILENCE_FIRST_MS = 1000;
const SILENCE_MAX_MS = 8000;
/** man openvpn, --connect-retry. */
const RETRIES_BEFORE_SLOWING = 5;
const MEND_FIRST_MS = 5000;
const MEND_MAX_MS = 60_000;
const AUTH_FIRST_MS = 60_000;
const AUTH_MAX_MS = 15 * 60_000;

/** Waits of ms: the first, the longest, and how many there are until they grow. */
interface Pace {
  readonly first: number;
  readonly max: number;
  readonly steady: number;
}
const OWN_PACE: Pace = { first: SILENCE_FIRST_MS, max: SILENCE_MAX_MS, steady: 0 };

export class RetryPolicy {
  readonly #random: Random;
  readonly #remotes: readonly Remote[];
  readonly #common: Pace;
  /** Of the remote whose attempt ended last. */
  #pace: Pace;
  #remote = 0;
  #address = 0;
  #addresses = 1;
  /** Full rounds without success, and refusals in a row. */
  #rounds = 0;
  #refusals = 0;
  /** When the tunnel came up, while it is. */
  #upAt: number | undefined;

  constructor(remotes: readonly Remote[], retry: Pick<RetryConfig, "remoteRandom" | "connectRetry">, random: Random) {
    const { remoteRandom, connectRetry } = retry;
    this.#random = random;
    this.#remotes = remoteRandom ? shuffled(remotes, random) : remotes;
    this.#common = connectRetry ? paceOf(connectRetry) : OWN_PACE;
    this.#pace = this.#common;
  }

  /** What to try next: a remote, and which of its addresses (to be taken modulo how many there are). */
  target(): { readonly remote: Remote; readonly address: number } {
    return { remote: this.#remotes[this.#remote] as Remote, address: this.#address };
  }

  /** The target's name has so many addresses. */
  resolved(count: number): void {
    this.#addresses = Math.max(1, count);
  }

  /** There is somewhere else to go. */
  get hasAlternative(): boolean {
    return this.#remotes.length > 1 || this.#addresses > 1;
  }

  /** A tunnel is up. */
  succeeded(now: number): void {
    this.#upAt = now;
  }

  /** The network is another one: start over, without waits left from before. */
  reset(): void {
    this.#rounds = 0;
  }

  /** An attempt, or a tunnel that was up, has ended. @returns ms to wait before the next attempt at target() */
  ended(outcome: AttemptOutcome, now: number): number {
    const wasUp = this.#upAt !== undefined;
    const lasted = this.#upAt !== undefined && now - this.#upAt >= LASTED_MS;
    this.#upAt = undefined;
    const own = this.#remotes[this.#remote]?.own.connectRetry;
    this.#pace = own ? paceOf(own) : this.#common;
    if (lasted) {
      this.#rounds = 0;
      this.#refusals = 0;
    }
    switch (outcome.kind) {
      case "closed":
        return 0;
      case "auth-failed":
        return this.#refused(outcome);
      case "proxy-login-refused":
        this.#nextRemote();
        return this.#slowDownLogins();
      case "server-halt":
        if (outcome.nextRemote) this.#nextRemote();
        return this.#slowDownLogins();
      case "server-restart":
        if (outcome.nextRemote) this.#nextRemote();
        return this.#again(lasted);
      case "ping-timeout":
      case "server-exit":
      case "inactive":
      case "session-timeout":
      case "renegotiation-failed":
        return this.#again(lasted);
      case "stream-broken":
      case "link-refused":
      case "link-unreachable":
      case "link-timed-out":
      case "link-reset":
      case "link-closed":
      case "link-garbled":
      case "proxy-failed":
        if (wasUp) return this.#again(lasted);
        return this.#advance(false) ? this.#slowDown() : NEXT_REMOTE_MS;
      case "no-answer":
      case "handshake-timeout":
      case "link-failed":
      case "resolve-failed":
        return this.#advance(outcome.kind === "resolve-failed") ? this.#slowDown() : NEXT_REMOTE_MS;
      case "tls-failed":
      case "certificate-rejected":
      case "unusable":
      case "push-rejected":
        return this.#advance(false) ? this.#jitter(grown(MEND_FIRST_MS, MEND_MAX_MS, this.#rounds++)) : NEXT_REMOTE_MS;
    }
    outcome satisfies never;
    return this.#pace.max;
  }

  #refused(end: SessionEnd & { readonly kind: "auth-failed" }): number {
    if (end.tokenRefused || end.willAnswer) return this.#jitter(RECONNECT_MS);
    const { temporary } = end;
    if (temporary === undefined) return this.#slowDownLogins();
    if (temporary.advance === "remote") this.#nextRemote();
    else if (temporary.advance === "addr") this.#advance(false);
    // OpenVPN bounds the server's word too: neither a busy loop nor a client that never comes back. A word that is shorter than
    // our own wait, which grows, would have us log in without end.
    return Math.min(Math.max((temporary.backoff ?? 0) * 1000, this.#slowDown()), AUTH_MAX_MS);
  }

  /** On to the next address, or the next remote. True when that begins a new round. */
  #advance(skipAddresses: boolean): boolean {
    if (!skipAddresses && this.#address + 1 < this.#addresses) {
      this.#address++;
      return false;
    }
    return this.#nextRemote();
  }

  #nextRemote(): boolean {
    this.#address = 0;
    this.#addresses = 1;
    this.#remote = (this.#remote + 1) % this.#remotes.length;
    return this.#remote === 0;
  }

  #again(lasted: boolean): number {
    return lasted ? this.#jitter(RECONNECT_MS) : this.#slowDown();
  }

  #slowDown(): number {
    const { first, max, steady } = this.#pace;
    return this.#jitter(grown(first, max, Math.max(0, this.#rounds++ - steady)));
  }

  #slowDownLogins(): number {
    return grown(AUTH_FIRST_MS, AUTH_MAX_MS, this.#refusals++);
  }

  /** Between 75 and 100 per cent, so that many clients of one server do not come at once. */
  #jitter(ms: number): number {
    return Math.round(ms - randomBelow(this.#random, Math.max(1, Math.floor(ms / 4))));
  }
}

const paceOf = ({ initial, max }: NonNullable<RetryConfig["connectRetry"]>): Pace => ({
  first: initial * 1000,
  max: max * 1000,
  steady: RETRIES_BEFORE_SLOWING,
});

const grown = (first: number, max: number, times: number): number => Math.min(max, first * 2 ** Math.min(times, 20));

function shuffled(remotes: readonly Remote[], random: Random): readonly Remote[] {
  const out = [...remotes];
  for (let i = out.length - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    [out[i], out[j]] = [out[j] as Remote, out[i] as Remote];
  }
  return out;
}
