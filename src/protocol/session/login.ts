/**
 * What the client logs in with: user and password of the profile, the token that the server gave in their place (man openvpn,
 * --auth-token), or the answer to a challenge (man openvpn, --static-challenge; OpenVPN's management-notes.txt, "challenge/response").
 */
import { encodeBase64 } from "../config/material.ts";
import type { Credentials } from "../config/types.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import type { Challenge, ControlMessage } from "../control/message.ts";
import { type AuthToken, authTokenOf, type Pushed } from "../push/collect.ts";
import type { SessionEnd } from "./events.ts";
import { totpCode } from "./totp.ts";

/** What a session leaves to the next one. */
export interface LoginMemory {
  /** It takes the place of the password. */
  readonly authToken?: AuthToken | undefined;
  /** The server refused the login before with a question. */
  readonly challenge?: Challenge | undefined;
}

export interface UserAndPassword {
  readonly user: string | undefined;
  readonly password: string | undefined;
}

const base64 = (text: string): string => encodeBase64(encodeUtf8(text));

export class Login {
  readonly #own: Credentials | undefined;
  /** Seconds of the wall clock, for codes that change with time. */
  readonly #unixSeconds: () => number;
  #token: AuthToken | undefined;
  /** A question that the next login answers, and only that one. */
  #challenge: Challenge | undefined;
  /** The login that was sent last was a token. */
  #tokenSent = false;
  /** A login of this session was the answer to a challenge. */
  #hasAnswered = false;

  /** @param own of the profile */
  constructor(own: Credentials | undefined, memory: LoginMemory, unixSeconds: () => number) {
    this.#own = own;
    this.#token = memory.authToken;
    this.#challenge = memory.challenge;
    this.#unixSeconds = unixSeconds;
  }

  /** For the session that follows. */
  get memory(): LoginMemory {
    return { authToken: this.#token, challenge: this.#challenge };
  }

  /** For the key exchange that is made now. */
  next(): UserAndPassword {
    const own = this.#own;
    const challenge = this.#challenge;
    if (own !== undefined && challenge !== undefined) {
      this.#challenge = undefined;
      this.#tokenSent = false;
      this.#hasAnswered = true;
      return { user: challenge.user ?? own.user, password: `CRV1::${challenge.state}::${this.answer() ?? ""}` };
    }
    const token = this.#token;
    const user = token?.user ?? own?.user;
    // As OpenVPN (ssl.c, key_method_2_write): a token is not sent without a user.
    this.#tokenSent = token !== undefined && user !== undefined;
    return this.#tokenSent ? { user, password: token?.token } : { user: own?.user, password: this.#ownPassword() };
  }

  /** The answer to a question of the server, as of now; undefined: the profile has none. */
  answer(): string | undefined {
    const answer = this.#own?.answer;
    return answer?.totp === undefined ? answer?.row : totpCode(answer.totp, this.#unixSeconds());
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
   * the token. A server that was restarted does not know it any more, and not every server says SESSION then. A question is
   * answered once: who refuses the answer with another question would else be answered without end.
   */
  refused(message: ControlMessage & { readonly kind: "auth-failed" }): SessionEnd {
    const { challenge } = message;
    const tokenRefused = this.#tokenSent && message.temporary === undefined;
    if (tokenRefused) this.#token = undefined;
    const mayAnswer = challenge !== undefined && !this.#hasAnswered;
    const willAnswer = mayAnswer && (!challenge.needsAnswer || this.#own?.answer !== undefined);
    this.#challenge = willAnswer ? challenge : undefined;
    return { ...message, tokenRefused, willAnswer };
  }

  /** With the answer to static-challenge, where there is one (man openvpn, --static-challenge). */
  #ownPassword(): string | undefined {
    const { password, staticChallenge } = this.#own ?? {};
    const answer = this.answer();
    if (password === undefined || staticChallenge === undefined || answer === undefined) return password;
    return staticChallenge.format === "concat" ? `${password}${answer}` : `SCRV1:${base64(password)}:${base64(answer)}`;
  }
}
