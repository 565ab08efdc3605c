/**
 * What a dialer knows of its attempts so far. It belongs to the profile, not to the dialer: one that takes the place of a
 * dialer that failed goes on where that one was, so that our own errors shorten no wait that a server is owed.
 */
import type { Random } from "../lib/random.ts";
import type { DialConfig, Remote } from "../protocol/config/types.ts";
import type { ReplayGuard } from "../protocol/control/replay-guard.ts";
import type { LoginMemory } from "../protocol/session/login.ts";
import { RetryPolicy } from "../protocol/session/retry.ts";

export class DialHistory {
  readonly retry: RetryPolicy;
  /** Of the last session: the next one logs in with its token, as openvpn does, for the sake of one-time passwords. */
  login: LoginMemory = {};
  /** Ids that came under a static key, which a new session does not change. By remote: the clocks of two peers differ. */
  readonly guards = new Map<Remote | "whoever comes", ReplayGuard>();
  /** Until then a refusal of the login is heeded, whatever the network does. */
  loginAt = Number.NEGATIVE_INFINITY;

  constructor({ remotes, retry }: Pick<DialConfig, "remotes" | "retry">, random: Random) {
    this.retry = new RetryPolicy(remotes, retry, random);
  }
}
