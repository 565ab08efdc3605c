/** What a server is given, and whom it tells what happens. */
import type { Batch } from "../../lib/batch.ts";
import type { ServerPart } from "../config/server-types.ts";
import type { ServerConfig } from "../config/types.ts";
import type { CipherName, TlsContext } from "../ports.ts";
import type { SessionPorts } from "../session/start.ts";
import type { EntryDesk, PasswordPort, ShownNames } from "./entry.ts";
import type { Guest } from "./guest.ts";
import type { Peer, PeerEnd } from "./peer.ts";
import type { PeerLink } from "./peer-link.ts";

/** What happens to peers. What one of these throws is the peer's fault where it has one: it ends. */
export interface ServerWatcher {
  /** Opened packets; `rows.peer` says of which peer, whose tunnel is up. They are the watcher's until it returns. */
  deliver(now: number, rows: Batch): void;
  up(now: number, peer: Peer, guest: Guest, cipher: CipherName): void;
  /** Its tunnel was up. */
  down(now: number, peer: Peer, guest: Guest, end: PeerEnd): void;
  /** Of a login. */
  refused(now: number, peer: Peer, shown: ShownNames, cause: string): void;
  /** It is over before the tunnel was up, and not by the verdict on a login. @param guest whose login was accepted */
  failed(now: number, peer: Peer, guest: Guest | undefined, end: PeerEnd): void;
  /** @param from where it was, and the largest packet that got there whole */
  floated(now: number, peer: Peer, from: Pick<PeerLink, "endpoint" | "overhead" | "mtu">): void;
  /** The way to it takes less than before, or may take more: {@link Peer.mtu}. */
  pathChanged(now: number, peer: Peer): void;
  /** Something threw. @param peer undefined: nobody's fault that can be told */
  fault(now: number, peer: Peer | undefined, error: unknown): void;
}

export interface ServerParts {
  readonly config: ServerConfig & ServerPart;
  readonly ports: Omit<SessionPorts, "tls">;
  /** Of the configuration; its owner closes it. */
  readonly tls: TlsContext;
  readonly desk: EntryDesk;
  readonly passwords: PasswordPort;
  /** 32 random bytes: what clients were answered is known again by it, also by another run. */
  readonly cookieKey: Uint8Array;
  readonly unixSeconds: () => number;
  readonly watcher: ServerWatcher;
}
