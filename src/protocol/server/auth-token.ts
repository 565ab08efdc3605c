/**
 * What a client gets in the place of its password (man openvpn, --auth-gen-token). Source: OpenVPN's auth_token.c.
 *
 *     SESS_ID_AT_ base64( session id (12)  began (8)  made (8)  HMAC-SHA256 (32) )       times in seconds
 *
 * The HMAC is over the user's name, the hash of the password that it was given for (which OpenVPN leaves out: there a token outlives
 * its password), and what stands in front of it. A server keeps nothing of a token: whoever has the secret knows it.
 */
import { concat } from "../../lib/bytes.ts";
import type { Random } from "../../lib/random.ts";
import { decodeBase64, encodeBase64 } from "../config/material.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";

const PREFIX = "SESS_ID_AT_";
const ID_LEN = 12;
const BEGAN_AT = ID_LEN;
const MADE_AT = BEGAN_AT + 8;
const MAC_AT = MADE_AT + 8;
const TOKEN_BYTES = MAC_AT + 32;
const TOKEN_LENGTH = PREFIX.length + (TOKEN_BYTES * 4) / 3;

/** What the tokens of one login have in common, however often they are renewed. */
export interface TokenSession {
  readonly id: Uint8Array;
  /** When the user logged in with a password, in seconds since 1970. */
  readonly began: number;
}

export interface TokenRules {
  /** Seconds from the login on; 0: for ever. */
  readonly lifetime: number;
  /** A token is renewed after so many seconds, and good for twice as long; 0: as long as `lifetime` lets it. */
  readonly renewal: number;
}

export type TokenCheck =
  | {
      /**
       * `empty-user`: it was made for a login without a name, so that it says nothing of who shows it. Only with --auth-gen-token
       * external-auth another one would judge that.
       */
      readonly state: "valid" | "expired" | "valid-empty-user" | "expired-empty-user";
      readonly session: TokenSession;
    }
  | { readonly state: "invalid" };

const INVALID: TokenCheck = Object.freeze({ state: "invalid" });

/** The key within the 128 bytes of a file of auth-gen-token-secret: the first half of its HMAC key. */
export const tokenKey = (secret: Uint8Array): Uint8Array => secret.slice(64, 96);

/** Whether a password is meant as a token. */
export const isToken = (password: string): boolean => password.length === TOKEN_LENGTH && password.startsWith(PREFIX);

export function beginTokens(random: Random, unixSeconds: number): TokenSession {
  const id = new Uint8Array(ID_LEN);
  random.fill(id);
  return { id, began: unixSeconds };
}

export class AuthTokens {
  readonly #key: Uint8Array;
  readonly #primitives: ControlPrimitives;

  /** @param key 32 bytes */
  constructor(key: Uint8Array, primitives: ControlPrimitives) {
    this.#key = key.slice();
    this.#primitives = primitives;
  }

  /** @param hash of the user's password; "": the token is for whatever password, as OpenVPN's are */
  make(user: string, hash: string, { id, began }: TokenSession, unixSeconds: number): string {
    const head = new Uint8Array(MAC_AT);
    head.set(id);
    putTime(head, BEGAN_AT, began);
    putTime(head, MADE_AT, unixSeconds);
    return PREFIX + encodeBase64(concat(head, this.#mac(user, hash, head)));
  }

  /** Never throws. @param token one of {@link isToken}, or anything */
  check(user: string, hash: string, token: string, rules: TokenRules, unixSeconds: number): TokenCheck {
    const bytes = isToken(token) ? decodeBase64(token.slice(PREFIX.length)) : undefined;
    if (bytes?.length !== TOKEN_BYTES) return INVALID;
    const head = bytes.subarray(0, MAC_AT);
    const mac = bytes.subarray(MAC_AT);
    const isOfUser = equalConstantTime(this.#mac(user, hash, head), mac);
    if (!isOfUser && !equalConstantTime(this.#mac("", "", head), mac)) return INVALID;
    const session = { id: head.slice(0, ID_LEN), began: timeAt(head, BEGAN_AT) };
    const isGood = isInTime(session.began, timeAt(head, MADE_AT), rules, unixSeconds);
    return { state: `${isGood ? "valid" : "expired"}${isOfUser ? "" : "-empty-user"}`, session };
  }

  #mac(user: string, hash: string, head: Uint8Array): Uint8Array {
    // Neither has a NUL in it.
    const whose = hash === "" ? user : `${user}\0${hash}`;
    return this.#primitives.hmac("SHA256", this.#key, concat(encodeUtf8(whose), head));
  }
}

/** A token of the future is none: its clock, or ours, was wrong. */
function isInTime(began: number, made: number, { lifetime, renewal }: TokenRules, unixSeconds: number): boolean {
  if (unixSeconds < made || made < began) return false;
  if (renewal > 0 && unixSeconds >= made + 2 * renewal) return false;
  return lifetime === 0 || unixSeconds <= began + lifetime;
}

function putTime(bytes: Uint8Array, at: number, seconds: number): void {
  const d = new DataView(bytes.buffer, bytes.byteOffset);
  d.setUint32(at, Math.floor(seconds / 0x1_0000_0000));
  d.setUint32(at + 4, seconds >>> 0);
}

function timeAt(bytes: Uint8Array, at: number): number {
  const d = new DataView(bytes.buffer, bytes.byteOffset);
  return d.getUint32(at) * 0x1_0000_0000 + d.getUint32(at + 4);
}
