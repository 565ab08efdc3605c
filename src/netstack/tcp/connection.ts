/**
 * One connection, sans I/O. It is made by {@link Tcp.connect} or comes from {@link ListenSocket.accept}; four families of methods:
 *
 * - getters: `state`, `end`, `remote`, `localPort`, `readable`, `writable`, `isFinished`;
 * - what came in: `readable` bytes lie in the slab, in pieces: `peekAt` and `peekRun` say where, `consume` gives the room back (`read`
 *   does all three);
 * - commands: `write`, `writeBytes`, `shutdown`, `close`, `abort`, `consume`. None of them sends, nor does `connect`: that is done, for all connections that were
 *   touched, by the end of {@link Interface.ingest} or by `handleTimeout`, and until then `pollAt` is 0;
 * - what happened: `takeEvents` has the bits since the last call; {@link Tcp.pollReady} names the connections that have any. When `ENDED`
 *   is among them, `end` says why.
 *
 * The rest are the variables of RFC 9293 3.3.1 and of the documents that the files beside this one name: receive.ts and
 * acknowledge.ts (what comes in), send.ts (what goes out), timers.ts. They are public for these files alone.
 *
 * Sequence numbers are int32 (lib/seq32.ts), times monotonic ms, sizes bytes.
 *
 * The engine keeps the fields of an object in steps: one more can cost an idle connection hundreds of bytes (attacks.test.ts has the bound).
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import { Assembler } from "./assembler.ts";
import { Congestion } from "./congestion.ts";
import type { IpPort } from "./ip-port.ts";
import { type PagePool, Ring } from "./pages.ts";
import { Rtt } from "./rtt.ts";
import { Scoreboard } from "./scoreboard.ts";
import { CLOSE_WAIT, CLOSED, ESTABLISHED, isSynchronized, type StateName, stateName } from "./state.ts";

/** Bits of {@link Connection.takeEvents}. */
export const CONNECTED = 1;
/** There is more to read. */
export const READABLE = 2;
/** There is room again for a write that was cut short. */
export const WRITABLE = 4;
/** The peer sends no more (its FIN is there): what is readable is the rest. */
export const FINISHED = 8;
/** It is over: {@link Connection.end}. What is readable may still be read. */
export const ENDED = 16;

/** Why a connection ended. */
export type EndReason =
  /** Both sides said that they were done, and everything arrived. */
  | "closed"
  /** Nobody listens there. */
  | "refused"
  /** The peer broke it off. */
  | "reset"
  /** The peer did not answer in time. */
  | "timed-out"
  /** The same, and the network had said that there is no way. */
  | "unreachable"
  /** We broke it off. */
  | "aborted"
  /** Our address is not ours any more. */
  | "address-lost";

export interface ConnectionOptions {
  /** Small segments wait for no acknowledgement (Nagle's algorithm is off, RFC 9293 3.7.4). */
  readonly noDelay?: boolean;
  /** Asks a peer that has been silent for `idle` ms whether it is there, every `interval` ms, `count` times (RFC 9293 3.8.4). */
  readonly keepalive?: { readonly idle: number; readonly interval: number; readonly count: number };
  /** How long data or the handshake may stay unacknowledged, ms (RFC 9293 3.9.1, default 5 minutes; 2 for the handshake). */
  readonly userTimeout?: number;
  /** The most that may wait to be read, and to be sent or acknowledged, bytes. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
  /** Ask the peer for explicit congestion notification (RFC 3168); a peer that asks is always answered. */
  readonly ecn?: boolean;
}

/** What the pieces of TCP ask of the whole. */
export interface ConnectionHost {
  /** Something of `c` may have to be sent. */
  touch(c: Connection): void;
}

const DEFAULT_BUFFER = 4 << 20;
/** Our choice for the window at the beginning: enough for the first round trips. It grows as the reader keeps up (send.ts). */
const FIRST_WINDOW = 256 << 10;
/** RFC 7323 2.3. */
const MAX_SHIFT = 14;

/** The window that a connection begins with. */
export const firstWindow = (options: ConnectionOptions): number =>
  Math.min(options.receiveBuffer ?? DEFAULT_BUFFER, FIRST_WINDOW);

/** The shift with which a window field says the largest window that there can be (RFC 7323 2.2). */
export function windowShift(options: ConnectionOptions): number {
  let shift = 0;
  while (shift < MAX_SHIFT && 0xffff << shift < (options.receiveBuffer ?? DEFAULT_BUFFER)) shift++;
  return shift;
}

/** RFC 9293 3.9.1 for data. For the handshake our choice: 7 SYNs, as Linux (tcp_syn_retries 6). */
const USER_TIMEOUT_MS = 300_000;
const HANDSHAKE_TIMEOUT_MS = 127_000;
const NEVER = Number.POSITIVE_INFINITY;

export class Connection {
  /** The owner's. */
  user: unknown = undefined;
  readonly remote: Endpoint;
  readonly localPort: number;
  /** Why it ended, undefined while it has not. */
  end: EndReason | undefined = undefined;

  // --- of Tcp ---
  readonly ip: IpPort;
  /** In the flow table; 0: none any more. */
  row = 0;
  events = 0;
  isTouched = false;
  isReady = false;
  nextTouched: Connection | undefined = undefined;
  nextReady: Connection | undefined = undefined;
  stateCode = CLOSED;
  readonly noDelay: boolean;
  readonly keepalive: ConnectionOptions["keepalive"];
  userTimeout: number;
  /** The owner has let go of it: data that still comes is answered by a reset. */
  isReleased = false;
  isAborted = false;

  // --- sending ---
  /** SND.UNA, SND.NXT (nothing beyond was ever sent), SND.WND, SND.WL1, SND.WL2; the largest window ever. */
  una = 0;
  nxt = 0;
  wnd = 0;
  wl1 = 0;
  wl2 = 0;
  maxWnd = 0;
  /** Shift of the windows that the peer advertises. */
  sndShift = 0;
  /** Sequence number of the first byte in the send ring. */
  sendBase = 0;
  /** FIN is to follow the data; FIN was sent. */
  finWanted = false;
  finSent = false;
  /** End of the last segment that was not full (Minshall's form of Nagle's algorithm). */
  smallEnd = 0;
  /** A write was cut short. */
  wantsRoom = false;
  /** Payload of a full segment without options; the MSS that the peer gave; the MTU of the path. */
  mss = 536;
  peerMss = 536;
  pathMtu = 0;
  /** Timeouts in a row of full segments (black holes, RFC 4821). */
  timeouts = 0;
  /** Where loss was seen last: recovery ends when SND.UNA gets there. */
  recover = 0;
  /** Acknowledgements in a row that acknowledged nothing new. */
  dupAcks = 0;
  /** Loss was acted upon that may turn out to be none. */
  canUndo = false;
  /** TSval of the first that was sent again since then, until it has told (RFC 3522). */
  undoStamp = 0;
  hasUndoStamp = false;
  /** What was sent again since then, from where to where (nothing, where both are the same), and how many bytes of it no D-SACK tells of (RFC 3708). */
  undoFrom = 0;
  undoTo = 0;
  undoBytes = 0;
  /** Tail loss probe (RFC 8985 7): SND.NXT when it was sent, whether one is out, and whether it repeated data. */
  probeEnd = 0;
  isProbing = false;
  probeRepeats = false;
  /** SND.UNA at the last retransmission timeout. */
  timeoutUna = 0;
  /** CWR goes with the next new data (RFC 3168 6.1.2). */
  cwrWanted = false;

  // --- receiving ---
  rcvNxt = 0;
  /** Right edge of the window as it was advertised. */
  rcvAdv = 0;
  rcvShift = 0;
  /** Sequence number of the first byte in the receive ring. */
  receiveBase = 0;
  finSeen = false;
  finSeq = 0;
  /** FIN was taken, everything before it is there. */
  finReceived = false;
  /** Payload of the peer's full segments, as far as one can tell. */
  rcvMss = 536;
  /** Bytes that came in order and were not acknowledged; acknowledgements that are not delayed, to help slow start. */
  unacked = 0;
  quickAcks = 16;
  ackWanted = false;
  /** CE was seen: ECE until the peer's CWR (RFC 3168 6.1.3). */
  echoesCongestion = false;
  readonly receiveLimit: number;
  /** Auto-tuning of the window: consumed since `tuneAt`, and in the time before; RTT as the receiver sees it. */
  consumed = 0;
  consumedBefore = 0;
  /** Something was consumed since the last look at the window. */
  wasRead = false;
  tuneAt = 0;
  rcvRtt = 0;

  // --- options ---
  hasTimestamps = false;
  hasSack = false;
  hasEcn = false;
  hasScale = false;
  tsRecent = 0;
  tsRecentAt = 0;
  /** Of our clock: TSval = ms + offset (RFC 7323 5.4). */
  tsOffset = 0;
  /** RFC 7323 4.3 Last.ACK.sent. */
  lastAckSent = 0;

  // --- time; NEVER: not set ---
  /** Retransmission timeout (RFC 6298), or, with nothing under way, the next probe of a closed window. */
  retransmitAt = NEVER;
  /** Probes of a closed window that were sent in a row; SYNs that were. */
  tries = 0;
  tailAt = NEVER;
  reorderAt = NEVER;
  ackAt = NEVER;
  keepaliveAt = NEVER;
  keepalives = 0;
  /** End of FIN-WAIT-2 without an application. */
  lingerAt = NEVER;
  /** Since when the peer owes an acknowledgement. */
  owedSince = 0;
  heardAt = 0;
  sentAt = 0;
  challengedAt = Number.NEGATIVE_INFINITY;
  /** The network said that there is no way (RFC 1122 4.2.3.9). */
  softError = false;

  readonly sendRing: Ring;
  readonly receiveRing: Ring;
  readonly assembler = new Assembler();
  readonly board = new Scoreboard();
  readonly rtt = new Rtt();
  readonly congestion = new Congestion();
  readonly #host: ConnectionHost;
  readonly #slab: Slab;

  constructor(
    host: ConnectionHost,
    ip: IpPort,
    pool: PagePool,
    remote: Endpoint,
    localPort: number,
    options: ConnectionOptions,
  ) {
    this.#host = host;
    this.#slab = pool.slab;
    this.ip = ip;
    this.remote = remote;
    this.localPort = localPort;
    this.noDelay = options.noDelay ?? false;
    this.keepalive = options.keepalive;
    this.userTimeout = options.userTimeout ?? USER_TIMEOUT_MS;
    this.receiveLimit = options.receiveBuffer ?? DEFAULT_BUFFER;
    this.sendRing = new Ring(pool, options.sendBuffer ?? DEFAULT_BUFFER);
    this.receiveRing = new Ring(pool, firstWindow(options));
    this.rcvShift = windowShift(options);
  }

  get state(): StateName {
    return stateName(this.stateCode);
  }

  /** Bytes that can be read now. */
  get readable(): number {
    return ((this.rcvNxt - this.receiveBase) | 0) - (this.finReceived ? 1 : 0);
  }

  /** The peer sends no more, and all of it was read. */
  get isFinished(): boolean {
    return (this.finReceived || this.end !== undefined) && this.readable === 0;
  }

  /** Bytes that a write would take now. */
  get writable(): number {
    return this.canWrite ? Math.max(0, Math.min(this.sendRing.room, this.sendLimit - this.sendRing.extent)) : 0;
  }

  /** The network said that there is no way, or nobody at the next hop answers; TCP itself goes on trying. */
  get isUnreachable(): boolean {
    return this.softError;
  }

  /** Bytes that were written and not acknowledged. */
  get queued(): number {
    return this.sendRing.extent;
  }

  /** Where in the slab the readable byte `offset` is. */
  peekAt(offset = 0): number {
    return this.receiveRing.at(offset);
  }

  /** How many readable bytes lie there in one piece. */
  peekRun(offset = 0): number {
    return offset >= this.readable ? 0 : Math.min(this.readable - offset, this.receiveRing.run(offset));
  }

  /** A copy of the first `n` readable bytes, which stay readable. */
  peek(n: number): Uint8Array {
    const out = new Uint8Array(n);
    this.#copy(out, n);
    return out;
  }

  /** The first `n` readable bytes are not needed any more. */
  consume(n: number): void {
    this.receiveRing.consume(n);
    this.receiveBase = (this.receiveBase + n) | 0;
    this.consumed += n;
    this.wasRead = true;
    if (this.end === undefined) this.#host.touch(this);
  }

  /** Copies what is readable, as much as `out` takes, consumes it, and returns how much that was. */
  read(out: Uint8Array): number {
    const n = Math.min(this.readable, out.length);
    this.#copy(out, n);
    if (n > 0) this.consume(n);
    return n;
  }

  #copy(out: Uint8Array, n: number): void {
    const { bytes } = this.#slab;
    for (let done = 0; done < n; ) {
      const at = this.peekAt(done);
      const piece = Math.min(n - done, this.peekRun(done));
      out.set(bytes.subarray(at, at + piece), done);
      done += piece;
    }
  }

  /** Copies `len` bytes at `at` of the slab to be sent and returns how many it took: fewer when there is no room, and then WRITABLE follows. */
  write(at: number, len: number): number {
    return this.#wrote(this.sendRing.write(this.sendRing.extent, at, Math.min(len, this.writable)), len);
  }

  /** The same from an array. */
  writeBytes(bytes: Uint8Array): number {
    const n = Math.min(bytes.length, this.writable);
    const part = n === bytes.length ? bytes : bytes.subarray(0, n);
    return this.#wrote(this.sendRing.writeBytes(this.sendRing.extent, part), bytes.length);
  }

  /** There is no more to send: FIN follows what was written. What the peer sends can still be read. */
  shutdown(): void {
    if (this.finWanted || this.end !== undefined) return;
    this.finWanted = true;
    this.#host.touch(this);
  }

  /**
   * The owner lets go of it: {@link shutdown}, and what still comes is not read by anybody. Where something is unread, or more
   * comes, the peer is told by a reset that it was not read (RFC 9293 3.6.1, RFC 2525 2.17).
   */
  close(): void {
    this.isReleased = true;
    if (this.readable > 0) this.isAborted = true;
    this.shutdown();
    if (this.end === undefined) this.#host.touch(this);
    else this.freeMemory();
  }

  /** Breaks it off: the peer gets a reset, what was not sent is gone. */
  abort(): void {
    this.isReleased = true;
    this.isAborted = true;
    if (this.end === undefined) this.#host.touch(this);
    else this.freeMemory();
  }

  /** The event bits since the last call. */
  takeEvents(): number {
    const { events } = this;
    this.events = 0;
    return events;
  }

  // What follows is for the files beside this one.

  get canWrite(): boolean {
    return (
      !this.finWanted && (this.stateCode <= ESTABLISHED || this.stateCode === CLOSE_WAIT) && this.stateCode !== CLOSED
    );
  }

  /** Of what waits and what is under way: twice the window of congestion keeps the sender busy while acknowledgements come. */
  get sendLimit(): number {
    return Math.min(this.sendRing.capacity, Math.max(LEAST_SEND_LIMIT, 2 * this.congestion.cwnd));
  }

  /** Sequence number behind the data that was written. */
  get dataEnd(): number {
    return (this.sendBase + this.sendRing.extent) | 0;
  }

  /** How long it may wait for an acknowledgement. */
  get patience(): number {
    return isSynchronized(this.stateCode) ? this.userTimeout : Math.min(this.userTimeout, HANDSHAKE_TIMEOUT_MS);
  }

  freeMemory(): void {
    this.sendRing.clear();
    this.receiveRing.clear();
    this.receiveBase = this.rcvNxt;
    if (this.finReceived) this.receiveBase = (this.receiveBase - 1) | 0;
  }

  #wrote(taken: number, wanted: number): number {
    if (taken < wanted) this.wantsRoom = true;
    if (taken > 0) this.#host.touch(this);
    return taken;
  }
}

/** Our choice: what may wait to be sent on a path of which nothing is known. */
const LEAST_SEND_LIMIT = 256 << 10;
