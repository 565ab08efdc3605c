/** What reception.ts asks: who may come in and what they get (entrance.ts), and whether a password is right (the platform). */
import type { IpAddress } from "../../lib/ip.ts";
import type { TemporaryFailure } from "../control/message.ts";
import type { ClientLogin } from "../session/server.ts";
import type { Guest, Identity } from "./guest.ts";

export type Judgement =
  | { readonly kind: "accept"; readonly identity: Identity }
  | {
      readonly kind: "refuse";
      /** Told the client; may be empty. */
      readonly reason: string;
      /** For the log: names the thing and the remedy. */
      readonly cause: string;
      /** It may come back: when and where. */
      readonly temporary?: TemporaryFailure | undefined;
    }
  /** It depends on the password. `hash` undefined: there is no such user, which must not show. */
  | {
      readonly kind: "password";
      readonly user: string;
      readonly password: string;
      readonly hash: string | undefined;
      readonly identity: Identity;
    };

export interface EntryDesk {
  /**
   * @param earlier of this session, in a renegotiation: it must be the same
   * @param from where the client is
   */
  judge(unixSeconds: number, login: ClientLogin, earlier: Identity | undefined, from: IpAddress): Judgement;
  /** Who is judged is let in; an older session of the same name is gone by then, unless names may be in more than once. */
  grant(unixSeconds: number, identity: Identity): Guest | { readonly refused: string };
  /** The auth-token to push, at the beginning and when it is due to be renewed. */
  token(unixSeconds: number, guest: Guest): string | undefined;
  release(guest: Guest): void;
}

export interface PasswordPort {
  /** @param done called once, later, within the loop; never within the call */
  verify(hash: string | undefined, password: string, done: (now: number, isRight: boolean) => void): void;
}
