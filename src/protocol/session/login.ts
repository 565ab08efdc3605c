/**
 * What the client logs in with: user and password of the profile, or the token that the server gave in their place (man
 * openvpn, --auth-token).
 */
import type { Credentials } from "../config/types.ts";
import type { ControlMessage } from "../control/message.ts";
import { type AuthToken, authTokenOf, type Pushed } from "../push/collect.ts";
import type { SessionEnd } from "./events.ts";

export class Login {
  readonly #own: Credentials | undefined;
  #token: AuthToken | undefined;
  /** The login that was sent last was a token. */
  #tokenSent = false;

  /** @param own of the profile; @param token of the session before */
  constructor(own: Credentials | undefined, token: AuthToken | undefined) {
    this.#own = own;
    this.#token = token;
  }

  get token(): AuthToken | undefined {
    return this.#token;
  }

  /** For the key exchange that is made now. */
  next(): { readonly user: string | undefined; readonly password: string | undefined } {
    const own = this.#own;
    const token = this.#token;
    const user = token?.user ?? own?.user;
    // As OpenVPN (ssl.c, key_method_2_write): a token is not sent without a user.
    this.#tokenSent = token !== undefined && user !== undefined;
    return this.#tokenSent ? { user, password: token?.token } : { user: own?.user, password: own?.password };
  }

  /** The push reply that opens the tunnel. */
  pushed({ session }: Pushed): void {
    this.#token = authTokenOf(session) ?? this.#token;
  }

  /** What a push reply while the tunnel is up brings. */
  renew(renewed: AuthToken | undefined): void {
    if (renewed !== undefined) this.#token = { token: renewed.token, user: renewed.user ?? this.#token?.user };
  }

  /**
   * As OpenVPN (push.c, receive_auth_failed): after a login with a token every refusal but a temporary one counts as one of
   * the token. A server that was restarted does not know it any more, and not every server says SESSION then.
   */
  refused(message: ControlMessage & { readonly kind: "auth-failed" }): SessionEnd {
    const tokenRefused = this.#tokenSent && message.temporary === undefined;
    if (tokenRefused) this.#token = undefined;
    return { ...message, tokenRefused };
  }
}
