/** What reception.ts asks: who may come in and what they get (entrance.ts), and whether a password is right (the platform). */
import type { IpAddress } from "../../lib/ip.ts";
import type { TemporaryFailure } from "../control/message.ts";
import type { ClientLogin } from "../session/server.ts";
import type { Guest, Identity } from "./guest.ts";

export interface Accept {
  readonly kind: "accept";
  readonly identity: Identity;
}

export interface Refuse {
  readonly kind: "refuse";
  /** Told the client, which shows it; may be empty. It never says which of name and password was wrong. */
  readonly reason: string;
  /** For the log: names the thing and the remedy. One line, without control characters. */
  readonly cause: string;
  /** It may come back: when and where. */
  readonly temporary?: TemporaryFailure | undefined;
  /** For the log: what the certificate that it showed calls it. */
  readonly certificateName?: string | undefined;
}

/** By which names a client has come, each undefined where it showed none: what the server would call it is one of the two. */
export interface ShownNames {
  /** Of its login, with nothing taken out. */
  readonly user: string | undefined;
  /** In its certificate. */
  readonly certificate: string | undefined;
}

/** It depends on the password. */
export interface AskPassword {
  readonly kind: "password";
  readonly user: string;
  readonly password: string;
  /** undefined: there is no such user, which must not show. */
  readonly hash: string | undefined;
  /** Who it is if the password is right. */
  readonly identity: Identity;
  readonly from: IpAddress;
  readonly isRenewal: boolean;
}

export type Judgement = Accept | Refuse | AskPassword;

/** Nothing is left for a client that may come in. */
export interface Refused {
  /** For the log, with the remedy. */
  readonly refused: string;
  /** Told the client. */
  readonly reason: string;
  readonly temporary: TemporaryFailure | undefined;
}

export interface EntryDesk {
  /**
   * @param earlier of this session, in a renegotiation: it must be the same
   * @param from where the client is
   */
  judge(unixSeconds: number, login: ClientLogin, earlier: Identity | undefined, from: IpAddress): Judgement;
  /** What a password came to. A right one is refused all the same where too many wrong ones came in the meantime. */
  verified(unixSeconds: number, asked: AskPassword, isRight: boolean): Accept | Refuse;
  /**
   * What a client that was accepted gets, until it is released. An older session of its name is gone by then where it is a single one
   * ({@link Identity.isSingle}).
   */
  grant(unixSeconds: number, identity: Identity): Guest | Refused;
  /** The auth-token to push, at the beginning and when it is due to be renewed. */
  token(unixSeconds: number, guest: Guest): string | undefined;
  /** Seconds until it is due to be renewed; Infinity: it never is. */
  untilToken(unixSeconds: number, guest: Guest): number;
  /** A second time it has no meaning. */
  release(unixSeconds: number, guest: Guest): void;
}

export interface PasswordPort {
  /**
   * @param done called once, later, within the loop; never within the call
   * @returns takes the question back: nobody waits for the answer any more; undefined: too many wait, and it is not asked
   */
  verify(
    hash: string | undefined,
    password: string,
    done: (now: number, isRight: boolean) => void,
  ): (() => void) | undefined;
}
