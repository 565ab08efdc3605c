/** What a session tells its owner. */

import type { Challenge } from "../control/message.ts";
import type { SessionDrop } from "../drop.ts";
import type { ExchangeFailure } from "../exchange/failure.ts";
import type { CipherName } from "../ports.ts";
import type { SessionState } from "./state.ts";

/** Why an association is over, whichever side this is. */
export type AssociationEnd =
  /**
   * The peer answered, but the handshake did not finish: within hand-window, or because nothing more came from the peer for
   * `silentSeconds` although it had something to acknowledge.
   */
  | { readonly kind: "handshake-timeout"; readonly phase: string; readonly silentSeconds: number | undefined }
  | ExchangeFailure
  | { readonly kind: "ping-timeout"; readonly seconds: number; readonly exit: boolean }
  | { readonly kind: "inactive" }
  | { readonly kind: "session-timeout" }
  | { readonly kind: "renegotiation-failed"; readonly problem: string }
  /** Over a stream nothing is lost, repeated or damaged on the way: who sends such a packet is not the peer, or has lost its place. */
  | { readonly kind: "stream-broken"; readonly drop: SessionDrop }
  /** close() was called and the goodbye is sent. */
  | { readonly kind: "closed" };

/** Why there is no link any more, or never was. */
export type LinkEnd =
  /** Nobody listens there. */
  | { readonly kind: "link-refused" }
  /** The network has no way there. */
  | { readonly kind: "link-unreachable" }
  /** Nothing came back for so long. */
  | { readonly kind: "link-timed-out" }
  /** The peer broke the connection off, or ended it. */
  | { readonly kind: "link-reset" }
  | { readonly kind: "link-closed" }
  /** What came is no stream of OpenVPN: a packet cannot have this length. */
  | { readonly kind: "link-garbled"; readonly length: number }
  /** The proxy does not lead there, or does not let us in: the end of a sentence that begins with it. */
  | { readonly kind: "proxy-failed" | "proxy-login-refused"; readonly text: string };

/** Why a client's session is over. */
export type SessionEnd =
  | AssociationEnd
  | LinkEnd
  /** Not one authentic packet came from the server. */
  | { readonly kind: "no-answer"; readonly seconds: number }
  | {
      readonly kind: "auth-failed";
      readonly reason: string;
      /** AUTH_FAILED,TEMP: the server's own words on when and where to try again. */
      readonly temporary:
        | { readonly backoff: number | undefined; readonly advance: "no" | "remote" | "addr" | undefined }
        | undefined;
      /** An auth-token stood in the place of the password: that one is no longer good, user and password may be. */
      readonly tokenRefused: boolean;
      /** AUTH_FAILED,CRV1: a question. */
      readonly challenge: Challenge | undefined;
      /** The next session answers it. */
      readonly willAnswer: boolean;
    }
  | { readonly kind: "server-restart"; readonly message: string; readonly nextRemote: boolean }
  | { readonly kind: "server-halt"; readonly message: string; readonly nextRemote: boolean }
  /** The server said that it leaves (exit notify). */
  | { readonly kind: "server-exit" }
  | { readonly kind: "push-rejected"; readonly problem: string };

/** Why a server's session with one client is over. */
export type ServerSessionEnd =
  | AssociationEnd
  /** The client was told so: its login, or what it can do, was not accepted. */
  | { readonly kind: "refused"; readonly reason: string }
  /** The client said that it leaves (exit notify). */
  | { readonly kind: "client-exit" };

export type SessionEvent =
  /** The session went from one state to another. */
  | { readonly kind: "moved"; readonly from: SessionState; readonly to: SessionState }
  | { readonly kind: "server-answered" }
  /** Still not one authentic packet from the server; the hard resets go on. Said once. */
  | { readonly kind: "silence"; readonly seconds: number }
  /** The server answered, but the handshake does not go on: a hint, long before its time is over. */
  | { readonly kind: "stalled"; readonly seconds: number; readonly phase: string }
  | { readonly kind: "tls-established"; readonly description: string }
  /** `seconds`: how long is waited, which is the server's word within our bounds. */
  | { readonly kind: "auth-pending"; readonly seconds: number }
  /** The login goes on at this web page, which a person has to open. */
  | { readonly kind: "open-url"; readonly url: string }
  | { readonly kind: "info"; readonly text: string }
  /** Keys are in use. `options` is what the server pushed, after pull-filter, in order. */
  | { readonly kind: "up"; readonly options: readonly string[]; readonly cipher: CipherName; readonly peerId: number }
  /** The server changed what it pushed: `options` takes the place of what came with "up". */
  | { readonly kind: "changed"; readonly options: readonly string[] }
  | { readonly kind: "rekeyed"; readonly keyId: number; readonly cipher: CipherName }
  | { readonly kind: "warning"; readonly text: string }
  | { readonly kind: "ended"; readonly end: SessionEnd };
