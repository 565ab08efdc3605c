/** Our end of the VPN as the appliance sees it: what dials (dialing.ts) or listens (serving.ts). */
import type { Log, LogFields } from "../lib/log.ts";
import { findDecompressors } from "../platform/compression/decompressors.ts";
import { LibcryptoAead } from "../platform/crypto/aead.ts";
import { LibcryptoCbc } from "../platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../platform/crypto/control-primitives.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { PasswordPort } from "../protocol/server/entry.ts";
import type { DialState, DialStatus } from "../tunnel/dial-report.ts";
import type { Listener, ServedPeer } from "../tunnel/listener.ts";
import type { LoadResult } from "./profile.ts";
import type { DataPath } from "./wiring/data-path.ts";

/** A configuration without problems. */
export type Profile = Extract<LoadResult, { ok: true }>;

/** What an end can tell whoever looks on: of a dialer what that says, of a server the same without a tunnel. */
export interface EndStatus extends Omit<DialStatus, "state"> {
  readonly state: DialState | "failed";
  /** The tunnel is up, or clients can come. */
  readonly isUp: boolean;
  /** Of a server. */
  readonly clients: readonly ServedPeer[];
}

/** What can be done to a server's clients. */
export interface ClientCommands extends Pick<Listener, "kill" | "pushUpdate"> {
  /** Those whose tunnel is up. */
  clients(): readonly ServedPeer[];
  /** Of somebody who gives a command. */
  readonly passwords: PasswordPort;
}

export interface VpnEnd {
  readonly status: EndStatus;
  /** undefined: it is no server. */
  readonly commands?: ClientCommands;
  /** Goodbye was said, or there was nobody to say it to. */
  readonly left: boolean;
  /** There is a network, or another one. */
  networkUp(now: number): void;
  networkDown(now: number, reason: string): void;
  /** Takes another configuration, or connects anew with it. @returns false: it cannot, and another end has to take its place */
  reload(now: number, profile: Profile): boolean;
  /** Says goodbye; `left` is true when that is done. */
  leave(now: number): void;
  /** Ends at once, without waiting for anything. */
  stop(now: number, reason: string): void;
  /** For one that has failed in its own stop(): what it holds is let go of, as far as that goes. */
  discard(now: number): void;
  /** Timers, events and what they want sent. */
  poll(now: number): void;
  pollAt(): number;
  counters(): Record<string, number> | undefined;
  /** What a person who asks for statistics should know besides. */
  remarks(now: number): readonly Remark[];
}

export interface Remark {
  readonly event: string;
  readonly text: string;
  readonly fields: LogFields;
}

/** What every end needs of this machine, whatever it is; it outlives them. */
export interface VpnParts {
  readonly path: DataPath;
  readonly log: Log;
  readonly aead: LibcryptoAead;
  readonly cbc: LibcryptoCbc;
  readonly decompressors: ReturnType<typeof findDecompressors>;
  readonly control: LibcryptoPrimitives;
  readonly memory: NativeMemory;
}

export const vpnParts = (path: DataPath, memory: NativeMemory, log: Log): VpnParts => ({
  path,
  log,
  memory,
  aead: new LibcryptoAead(memory, memory.pointer),
  cbc: new LibcryptoCbc(memory, memory.pointer),
  decompressors: findDecompressors(memory, memory.pointer),
  control: new LibcryptoPrimitives(),
});

/** The options that dialers and listeners have in common. */
export const endOptions = ({ path, log, memory, aead, cbc, decompressors, control }: VpnParts) => ({
  ...{ slab: memory, scratch: path.sessionScratch, log, aead, cbc, decompressors, control },
  tls: libsslTls,
  random: systemRandom,
  unixSeconds,
});
