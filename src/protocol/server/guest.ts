/** A client that was let in: what entrance.ts found out of it and gave it, which server.ts and the side of the router go by. */
import type { Cidr } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { TokenSession } from "./auth-token.ts";

/** Who a client is, once that is settled. */
export interface Identity {
  /** The certificate's common name, or the user's: what the server calls it, and its file in client-config-dir. */
  readonly name: string;
  /** Whoever comes under this name takes the place of the one who is in. */
  readonly isSingle: boolean;
  /** The user it logged in as; undefined: it did not. */
  readonly user: string | undefined;
  /** Of its password, as it was in the file of users when it logged in; undefined: it did not. */
  readonly hash: string | undefined;
  /** What its certificate calls it; undefined: it has shown none. */
  readonly certificateName: string | undefined;
  /** Its certificate's SHA-256, lower-case hex; undefined: it has shown none. The same all over its session. */
  readonly fingerprint: string | undefined;
  /** What its tokens have in common; undefined: it gets none. */
  readonly token: TokenSession | undefined;
}

/** What a client has: it is its own until it leaves. */
export interface Guest extends Identity {
  /** When it came in, in seconds since 1970. */
  readonly since: number;
  readonly address: IpAddress | undefined;
  readonly address6: IpAddress | undefined;
  /** From where its packets may come and whereto packets go to it: its addresses, each as a network of one, and those of iroute. */
  readonly networks: readonly Cidr[];
  /** What it is pushed, in order; what the data channel needs comes behind it. */
  readonly options: readonly string[];
  /** What was not done as it is written, each a sentence for the log. */
  readonly warnings: readonly string[];
}
