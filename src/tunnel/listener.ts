/**
 * The server's side of the tunnel: ports that are listened on, the clients that come by them, and a side that they are joined to.
 * The counterpart of the Dialer; it knows neither what ports nor what sides are made of.
 *
 *   idle -> listening -> leaving -> stopped
 */

import type { Batch } from "../lib/batch.ts";
import { addCounts } from "../lib/counters.ts";
import { formatEndpoint } from "../lib/endpoint.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import type { ServerPart } from "../protocol/config/server-types.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import { MAX_CONTROL_LEN } from "../protocol/control/packet.ts";
import { FRAME_HEADER_LEN, largestPlain, tunnelMss } from "../protocol/data/mtu.ts";
import { serverTlsParameters } from "../protocol/exchange/tls-parameters.ts";
import type {
  AeadFactory,
  CbcFactory,
  CipherName,
  ControlPrimitives,
  Decompressors,
  TlsContext,
  TlsContextFactory,
} from "../protocol/ports.ts";
import { composePush } from "../protocol/push/compose.ts";
import type { EntryDesk, PasswordPort } from "../protocol/server/entry.ts";
import { explainPeer } from "../protocol/server/explain-peer.ts";
import type { Peer } from "../protocol/server/peer.ts";
import { Server } from "../protocol/server/server.ts";
import type { ServerWatcher } from "../protocol/server/server-parts.ts";
import type { LinkEnd } from "../protocol/session/events.ts";
import type { ListenPorts, OpenPort, PeerLink, StreamReceiver } from "./listen.ts";
import { PeerLog } from "./peer-log.ts";
import { effective, type GuestChanges, isOtherAuthority, NO_CHANGES, reloadProblems, withTrustOf } from "./reload.ts";
import type { ServerSide } from "./server-side.ts";
import { IPV6_LEAST_MTU } from "./tunnel-plan.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** What openvpn puts around a packet of the tunnel at most: header, packet id, HMAC, IV, padding, compression, fragment. */
const LONGEST_WRAP = 256;
/** Our choice: so long clients have to acknowledge that the server leaves. */
const LEAVING_S = 2;

export interface ListenerOptions {
  readonly config: ServerConfig & ServerPart;
  readonly entrance: EntryDesk;
  readonly side: ServerSide;
  readonly ports: ListenPorts;
  readonly passwords: PasswordPort;
  /** Where packets lie. */
  readonly slab: Slab;
  /** For what sessions make; emptied by whoever owns it when what was delivered has gone on. */
  readonly scratch: Arena;
  /** Over `slab`. They outlive the listener. */
  readonly aead: AeadFactory;
  readonly cbc: CbcFactory;
  readonly decompressors: Decompressors;
  readonly control: ControlPrimitives;
  readonly tls: TlsContextFactory;
  /** 32 bytes, random; the same after a restart where that is possible. */
  readonly cookieKey: Uint8Array;
  readonly log: Log;
  readonly random: Random;
  readonly unixSeconds: () => number;
}

/** A client whose tunnel is up, for whoever looks on. */
export interface ServedPeer {
  readonly id: number;
  readonly name: string;
  readonly endpoint: string;
  readonly protocol: "udp" | "tcp";
  readonly address: string | undefined;
  readonly address6: string | undefined;
  readonly cipher: CipherName | undefined;
  readonly version: string | undefined;
  /** Time at which it came up, in ms as `now`. */
  readonly upAt: number;
  /** Bytes of the tunnel from it and to it. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Those of a name, or the one with a number ({@link ServedPeer.id}) whose tunnel is up. */
export type ClientChoice = string | number;

type State = "idle" | "listening" | "leaving" | "stopped";

export class Listener {
  readonly #options: ListenerOptions;
  readonly #log: Log;
  readonly #peerLog: PeerLog;
  readonly #server: Server;
  readonly #open: OpenPort[] = [];
  /** Of peers whose tunnel is up. */
  readonly #up = new Map<Peer, { readonly cipher: CipherName; readonly at: number }>();
  #config: ServerConfig & ServerPart;
  #tls: TlsContext;
  #state: State = "idle";
  #leaveBy = NEVER;

  /** @throws UnusableTls where own material cannot be used */
  constructor(options: ListenerOptions) {
    const { config, tls, log } = options;
    this.#options = options;
    this.#config = config;
    this.#log = log;
    this.#peerLog = new PeerLog(log, (end) => explainPeer(end, this.#config, options.unixSeconds()));
    this.#tls = tls.context(serverTlsParameters(config.tls, config.verify, config.entry.clientCert));
    const { slab, scratch, aead, cbc, decompressors, control, random } = options;
    this.#server = new Server({
      config,
      ports: { slab, scratch, aead, cbc, decompressors, control, random },
      tls: this.#tls,
      desk: options.entrance,
      passwords: options.passwords,
      cookieKey: options.cookieKey,
      unixSeconds: options.unixSeconds,
      watcher: this.#watcher(),
    });
  }

  /** Every client has been told, or nobody has to be. */
  get left(): boolean {
    return this.#state === "stopped";
  }

  /** Clients can come: a port is open. */
  get isListening(): boolean {
    return this.#state === "listening" && this.#open.length > 0;
  }

  /** There is a network: the ports are opened, once. @returns why the tunnel cannot be or nothing is listened on, in words */
  networkUp(now: number): string | undefined {
    if (this.#state !== "idle") return undefined;
    const { side, ports } = this.#options;
    const { network, tunnel, deviceType, listen, clientToClient } = this.#config;
    const problem = side.open(now, {
      ...{ address: network.address, address6: network.address6, routes: network.routes },
      ...{ mtu: tunnel.mtu, clientToClient },
    });
    if (problem !== undefined) return problem;
    this.#state = "listening";
    const longest = Math.max(MAX_CONTROL_LEN, largestPlain(deviceType, tunnel) + LONGEST_WRAP);
    const problems: string[] = [];
    for (const config of listen) {
      const port = ports.listen(now, config, longest, {
        handleDatagrams: (at, source, rows, from) => this.#server.handleDatagrams(at, source, rows, from),
        narrowed: (at, source, to, mtu) => this.#server.narrowed(at, source, to, mtu),
        accepted: (at, link) => this.#accepted(at, link),
      });
      const { address, port: number, protocol } = config;
      const fields = { address: address === undefined ? "*" : `${address}`, port: number, protocol };
      if (typeof port === "string") {
        problems.push(port);
        this.#log.write("error", "server.failed", port, fields);
      } else {
        this.#open.push(port);
        this.#log.write("info", "server.listening", "", fields);
      }
    }
    return this.#open.length > 0 ? undefined : problems.join("; ");
  }

  /** A server goes on listening, and its clients stay: they may be there again before they are missed. */
  networkDown(): void {}

  /** Tells every client; `left` is true when that is done. */
  leave(now: number): void {
    if (this.#state !== "listening") return this.stop(now, "shutdown");
    this.#state = "leaving";
    this.#server.shut();
    this.#leaveBy = now + LEAVING_S * 1000;
    const word = this.#config.exitNotify === 2 ? "RESTART,[N]" : "RESTART";
    for (const peer of [...this.#server.peers()]) this.#server.dismiss(now, peer, { kind: "closed" }, LEAVING_S, word);
    this.#settle(now);
  }

  /** Ends at once: nobody is told. */
  stop(now: number, reason: string): void {
    if (this.#state === "stopped") return;
    if (reason !== "shutdown") this.#log.write("warn", "server.stopped", reason);
    for (const peer of [...this.#server.peers()]) this.#server.end(now, peer, { kind: "closed" });
    for (const port of this.#open.splice(0)) port.close();
    if (this.#state !== "idle") this.#options.side.close(now);
    this.#setStopped();
  }

  /** For a listener that has failed in its own stop(): ports are closed and keys let go of, as far as that goes. */
  discard(now: number): void {
    for (const port of this.#open.splice(0)) quietly(() => port.close());
    for (const { session } of [...this.#server.peers()]) quietly(() => session?.abandon(now));
    this.#setStopped();
  }

  pollAt(): number {
    return this.#state === "stopped" ? NEVER : Math.min(this.#server.pollAt(), this.#leaveBy);
  }

  /** Timers, events and what they want sent. */
  poll(now: number): void {
    if (this.#state === "stopped") return;
    this.#server.poll(now);
    this.#settle(now);
  }

  counters(): Record<string, number> {
    const fields: Record<string, number> = { clients: this.#up.size, ...this.#server.snapshot() };
    for (const port of this.#open) addCounts(fields, port.drops(), "drop.");
    return fields;
  }

  /** Those whose tunnel is up. */
  peers(): ServedPeer[] {
    return [...this.#up].flatMap(([peer, { cipher, at }]) => {
      const { guest, session, link } = peer;
      if (guest === undefined || session === undefined) return [];
      const traffic = session.traffic();
      return [
        {
          ...{ id: peer.id, name: guest.name, endpoint: formatEndpoint(link.endpoint), cipher, upAt: at },
          protocol: link.isStream ? "tcp" : "udp",
          ...{ address: guest.address?.toString(), address6: guest.address6?.toString() },
          version: session.client?.version,
          ...{ receivedBytes: traffic.openedBytes, sentBytes: traffic.sealedBytes },
        },
      ];
    });
  }

  /**
   * Tells clients to go, as the management interface of openvpn does.
   * @param who {@link ClientChoice}
   * @param message RESTART: they may come again at once; HALT: their programs end
   * @returns how many there were
   */
  kill(now: number, who: ClientChoice, message: "RESTART" | "HALT" = "RESTART"): number {
    const peers = this.#chosen(who);
    for (const peer of peers) this.#server.dismiss(now, peer, { kind: "killed" }, LEAVING_S, message);
    return peers.length;
  }

  /**
   * Changes options of clients while their tunnels are up, as long as these last.
   * @param who whose; undefined: everybody's @param options in the place of those of the same kinds; `-NAME` takes a kind away
   * @returns how many clients were told: those that can be
   */
  pushUpdate(now: number, who: ClientChoice | undefined, options: readonly string[]): number | string {
    const messages = composePush(options, "PUSH_UPDATE");
    if (typeof messages === "string") return messages;
    let told = 0;
    for (const peer of who === undefined ? [...this.#up.keys()] : this.#chosen(who)) {
      if (!peer.isUp || peer.session?.client?.pushUpdate !== true) continue;
      told++;
      this.#server.command(now, peer, (session) => {
        for (const message of messages) session.say(message);
      });
    }
    return told;
  }

  /** What it goes by: what it was given, but for what it could not take. */
  get config(): ServerConfig & ServerPart {
    return this.#config;
  }

  /**
   * Takes another configuration without ending a session, as far as that goes: new handshakes, renegotiations too, go by the new
   * settings, certificates and revocation list; after another list, CA or check every client renegotiates at once. Where those cannot be used the
   * former ones stay.
   * @param change gives the desk what is taken, once it is known that all of that can be; @returns what it means for those who are in
   * @returns what it could not take, each a sentence that names the directive
   */
  reload(
    now: number,
    config: ServerConfig & ServerPart,
    entrance: EntryDesk,
    change: (taken: ServerConfig & ServerPart) => GuestChanges = () => NO_CHANGES,
  ): string[] {
    const before = this.#config;
    const room = this.#options.config.limits.maxClients;
    const problems = reloadProblems(before, config, room);
    let taken = effective(before, config, room);
    let tls = this.#contextOf(taken);
    if (typeof tls === "string") {
      problems.unshift(tls);
      taken = withTrustOf(taken, before);
      tls = this.#tls;
    }
    const changes = change(taken);
    this.#server.reload(taken, tls, entrance);
    this.#config = taken;
    if (tls !== this.#tls) this.#tls.close();
    this.#tls = tls;
    problems.push(...this.#takeChanges(now, changes));
    if (isOtherAuthority(before, taken)) this.#server.renegotiateAll(now);
    return problems;
  }

  #chosen(who: ClientChoice): readonly Peer[] {
    return typeof who === "string" ? this.#server.named(who) : [...this.#up.keys()].filter(({ id }) => id === who);
  }

  /** @returns why it cannot be used */
  #contextOf({ tls, verify, entry }: ServerConfig & ServerPart): TlsContext | string {
    try {
      return this.#options.tls.context(serverTlsParameters(tls, verify, entry.clientCert));
    } catch (error) {
      // What a person has put there cannot be used; the message says what it is.
      const why = error instanceof Error ? error.message : String(error);
      return `certificates, keys and lists stay as they were: ${why}`;
    }
  }

  #takeChanges(now: number, { gone, changed }: GuestChanges): string[] {
    const byGuest = new Map([...this.#server.peers()].map((peer) => [peer.guest, peer]));
    for (const { guest, cause } of gone) {
      const peer = byGuest.get(guest);
      if (peer !== undefined) this.#server.dismiss(now, peer, { kind: "expelled", cause }, LEAVING_S);
    }
    const later = new Set<string>();
    for (const { guest, now: next } of changed) {
      const peer = byGuest.get(guest);
      if (peer === undefined) continue;
      for (const name of this.#server.update(now, peer, next)) later.add(name);
      if (peer.isUp) this.#join(now, peer);
      this.#peerLog.warnings(now, peer, next);
    }
    if (later.size === 0) return [];
    return [`push: what has changed of ${[...later].join(", ")} counts for some clients when they come again`];
  }

  #accepted(now: number, link: PeerLink): StreamReceiver | undefined {
    if (this.#state !== "listening") return undefined;
    const peer = this.#server.openStream(now, link);
    if (peer === undefined) return undefined;
    return {
      handleRows: (at: number, rows: Batch) => this.#server.handleStream(at, peer, rows),
      ended: (at: number, end: LinkEnd) => this.#server.streamEnded(at, peer, end),
    };
  }

  #watcher(): ServerWatcher {
    const { side } = this.#options;
    const log = this.#peerLog;
    return {
      deliver: (now, rows) => side.deliver(now, rows),
      up: (now, peer, guest, cipher) => {
        this.#up.set(peer, { cipher, at: now });
        this.#join(now, peer);
        log.up(peer, guest, cipher);
        log.warnings(now, peer, guest);
      },
      down: (now, peer, guest, end) => {
        this.#up.delete(peer);
        side.leave(now, peer.id);
        log.down(peer, guest, end);
      },
      refused: (now, peer, shown, cause) => log.refused(now, peer, shown, cause),
      failed: (now, peer, guest, end) => log.failed(now, peer, guest, end),
      floated: (now, peer, from) => {
        log.floated(now, peer, from);
        const isOther = peer.link.overhead !== from.overhead || peer.mtu !== from.mtu;
        if (peer.isUp && isOther) this.#join(now, peer);
      },
      pathChanged: (now, peer) => {
        if (!peer.isUp) return;
        this.#join(now, peer);
        log.pathChanged(now, peer);
      },
      fault: (now, peer, error) => log.fault(now, peer, error),
    };
  }

  /** Tells the side where the client is now. */
  #join(now: number, peer: Peer): void {
    const { guest, session, link } = peer;
    if (guest === undefined || session === undefined) return;
    const { tunnel, deviceType } = this.#config;
    const payloadMax = (size: number): number => session.payloadMax(size) - FRAME_HEADER_LEN[deviceType];
    // Never so little that IPv6 would end: then packets go in pieces.
    const whole = peer.pathMtu.isNarrow ? Math.max(payloadMax(peer.mtu - link.overhead), IPV6_LEAST_MTU) : tunnel.mtu;
    this.#options.side.join(now, peer.id, {
      networks: guest.networks,
      mtu: Math.min(tunnel.mtu, whole),
      mssClamp: tunnelMss(tunnel.mssFix, tunnel.mtu, payloadMax, link.overhead, peer.mtu),
      send: (at, rows) => this.#server.send(at, peer, rows),
    });
  }

  #settle(now: number): void {
    if (this.#state !== "leaving") return;
    const isDone = this.#up.size === 0 || now >= this.#leaveBy;
    if (isDone) this.stop(now, "shutdown");
  }

  #setStopped(): void {
    if (this.#state === "stopped") return;
    this.#state = "stopped";
    this.#leaveBy = NEVER;
    this.#tls.close();
  }
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // What failed before may fail here again; the rest is done all the same.
  }
}
