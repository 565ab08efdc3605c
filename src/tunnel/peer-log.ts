/**
 * What the log is told of a server's clients. Lines that strangers can cause at will, and those that clients can, are bounded, each kind
 * by itself.
 */
import { BoundedLog } from "../lib/bounded-log.ts";
import { formatEndpoint } from "../lib/endpoint.ts";
import type { Log, LogFields } from "../lib/log.ts";
import type { CipherName } from "../protocol/ports.ts";
import type { ShownNames } from "../protocol/server/entry.ts";
import type { Guest } from "../protocol/server/guest.ts";
import type { Peer, PeerEnd } from "../protocol/server/peer.ts";
import type { PeerLink } from "../protocol/server/peer-link.ts";

/** Our choices: lines of one kind a minute and at once, of what strangers cause, and of what those cause who have a key. */
const HEARD = [6, 20] as const;
const SAID = [60, 256] as const;
const NARROWED = "the way to it takes only smaller packets";
const TRIED_ANEW = "larger packets to it are tried anew";

/** Ends of those whose tunnel was never up that nobody has to hear of: they went by themselves. */
const SILENT: ReadonlySet<PeerEnd["kind"]> = new Set([
  "closed",
  "client-exit",
  "replaced",
  "killed",
  "link-closed",
  "link-reset",
]);
/** And those that are this server's word. */
const REFUSALS: ReadonlySet<PeerEnd["kind"]> = new Set(["refused", "tls-failed", "certificate-rejected", "unusable"]);

export class PeerLog {
  readonly #log: Log;
  /** For what anybody can cause. */
  readonly #heard: BoundedLog;
  /** For what those can cause who have a key or a certificate. */
  readonly #said: BoundedLog;
  readonly #explain: (end: PeerEnd) => string;

  /** @param explain an end in words */
  constructor(log: Log, explain: (end: PeerEnd) => string) {
    this.#log = log;
    this.#heard = new BoundedLog(log, ...HEARD);
    this.#said = new BoundedLog(log, ...SAID);
    this.#explain = explain;
  }

  up(peer: Peer, { name, address, address6 }: Guest, cipher: CipherName): void {
    this.#log.write("info", "peer.up", "", {
      ...whose(peer, name),
      tunnel: address?.toString(),
      tunnel6: address6?.toString(),
      cipher,
      protocol: peer.link.isStream ? "tcp" : "udp",
      version: peer.session?.client?.version,
    });
  }

  /** What of its file was not done as it is written. */
  warnings(now: number, peer: Peer, { name, warnings }: Guest): void {
    for (const text of warnings) this.#said.write(now, "warn", "peer.warning", text, whose(peer, name));
  }

  /** Its tunnel was up. */
  down(peer: Peer, { name }: Guest, end: PeerEnd): void {
    this.#log.write("info", "peer.down", this.#explain(end), { ...whose(peer, name), reason: end.kind });
  }

  /** By the verdict on a login. */
  refused(now: number, peer: Peer, { user, certificate }: ShownNames, cause: string): void {
    // Of who is in already, in a renegotiation: as it is called in all other lines.
    const fields = { ...whose(peer, peer.guest?.name), user, certificate, reason: cause };
    this.#said.write(now, "warn", "peer.refused", "", fields);
  }

  /** Otherwise before its tunnel was up. */
  failed(now: number, peer: Peer, guest: Guest | undefined, end: PeerEnd): void {
    if (SILENT.has(end.kind)) return;
    const log = guest === undefined ? this.#heard : this.#said;
    const fields = { ...whose(peer, guest?.name), reason: this.#explain(end) };
    log.write(now, REFUSALS.has(end.kind) ? "warn" : "info", "peer.refused", "", fields);
  }

  /** @param from where it was */
  floated(now: number, peer: Peer, { endpoint }: Pick<PeerLink, "endpoint">): void {
    const fields = { ...whose(peer, peer.guest?.name), from: formatEndpoint(endpoint) };
    this.#said.write(now, "info", "peer.float", "", fields);
  }

  pathChanged(now: number, peer: Peer): void {
    const why = peer.pathMtu.isNarrow ? NARROWED : TRIED_ANEW;
    this.#heard.write(now, "info", "peer.path", why, { ...whose(peer, peer.guest?.name), mtu: peer.mtu });
  }

  /** @param peer undefined: nobody's fault that can be told */
  fault(now: number, peer: Peer | undefined, error: unknown): void {
    const fields = peer === undefined ? {} : whose(peer, peer.guest?.name);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#said.write(now, "error", "internal.error", text, fields);
  }
}

const whose = ({ link }: Peer, name: string | undefined): LogFields => ({
  name,
  address: formatEndpoint(link.endpoint),
});
