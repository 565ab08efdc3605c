/** Makes the session of a profile's role for each attempt, out of what outlives one session: TLS, the memory of the login, static keys' ids. */
import type { Random } from "../lib/random.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import type { DialConfig, Remote, StaticConfig } from "../protocol/config/types.ts";
import { MAX_CONTROL_LEN } from "../protocol/control/packet.ts";
import { largestPlain } from "../protocol/data/mtu.ts";
import type { MachineInfo } from "../protocol/exchange/peer-info.ts";
import { serverTlsParameters, tlsParameters } from "../protocol/exchange/tls-parameters.ts";
import type {
  AeadFactory,
  CbcFactory,
  ControlPrimitives,
  Decompressors,
  TlsContext,
  TlsContextFactory,
} from "../protocol/ports.ts";
import { ClientSession } from "../protocol/session/client.ts";
import type { DialSession } from "../protocol/session/dial-session.ts";
import { P2pSession } from "../protocol/session/p2p.ts";
import type { AssociationStart } from "../protocol/session/start.ts";
import { StaticSession, type StaticStart } from "../protocol/session/static.ts";
import type { DialHistory } from "./history.ts";
import type { Link } from "./link.ts";
import type { Way } from "./remote-finder.ts";

/** What openvpn puts around a packet of the tunnel at most: header, packet id, HMAC, IV, padding, compression, fragment. */
const LONGEST_WRAP = 256;

/** What all sessions of a profile are made of. */
export interface SessionSupplies {
  /** Where packets lie. */
  readonly slab: Slab;
  /** For what a session makes; emptied by whoever owns it when what was delivered has gone on. */
  readonly scratch: Arena;
  /** Over `slab`. It outlives the dialer: a reload makes another one. */
  readonly aead: AeadFactory;
  readonly cbc: CbcFactory;
  readonly decompressors: Decompressors;
  readonly control: ControlPrimitives;
  readonly tls: TlsContextFactory;
  readonly random: Random;
  readonly unixSeconds: () => number;
  /** What push-peer-info tells of this machine. */
  readonly machine?: (() => MachineInfo) | undefined;
}

/** Who begins: this end goes to its peer (`begins`), or waits for it (`waits`), with what was agreed on before there was a session. */
export type SessionBeginning = Pick<AssociationStart, "resumed" | "begins"> & Pick<StaticStart, "waits">;

export class SessionMaker {
  readonly #supplies: SessionSupplies;
  readonly #history: DialHistory;
  /** Of all sessions; made for the first one. */
  #tls: TlsContext | undefined;

  constructor(supplies: SessionSupplies, history: DialHistory) {
    this.#supplies = supplies;
    this.#history = history;
  }

  /** A session that has not begun, for packets of `link`. */
  session({ config, remote }: Way, link: Link, beginning: SessionBeginning): DialSession {
    const { slab, aead, cbc, decompressors, control, random, scratch, unixSeconds: wallClock } = this.#supplies;
    const data = { slab, aead, cbc, decompressors, random, scratch };
    const start = { ...beginning, link, unixSeconds: wallClock(), wallClock };
    if (config.role === "static") return this.#staticSession(config, data, start, remote);
    const ports = { ...data, control, tls: this.#tlsOf(config) };
    const machine = config.peerInfo.pushPeerInfo ? this.#supplies.machine?.() : undefined;
    if (config.role === "p2p") return new P2pSession(config, ports, { ...start, machine });
    return new ClientSession(config, ports, { ...start, machine, login: this.#history.login });
  }

  /** No session is under way any more. */
  close(): void {
    this.#tls?.close();
    this.#tls = undefined;
  }

  /** Goes on with what the session before knew of this remote's packets, or of whoever comes. */
  #staticSession(
    config: StaticConfig,
    ports: ConstructorParameters<typeof StaticSession>[1],
    start: StaticStart,
    remote: Remote,
  ): StaticSession {
    const { guards } = this.#history;
    const who = start.waits === true ? "whoever comes" : remote;
    const session = new StaticSession(config, ports, { ...start, guard: guards.get(who) });
    guards.set(who, session.guard);
    return session;
  }

  #tlsOf({ role, tls, verify }: Exclude<DialConfig, StaticConfig>): TlsContext {
    const parameters = role === "p2p" ? serverTlsParameters(tls, verify, "require") : tlsParameters(tls, verify);
    this.#tls ??= this.#supplies.tls.context(parameters);
    return this.#tls;
  }
}

/** Bytes of the longest packet that a peer of this profile can send. */
export const longestPacket = ({ deviceType, tunnel }: DialConfig): number =>
  Math.max(MAX_CONTROL_LEN, largestPlain(deviceType, tunnel) + LONGEST_WRAP);
