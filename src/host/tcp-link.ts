/**
 * A link over a TCP connection of the kernel: packets behind their lengths (protocol/stream.ts), in both directions by batches. What
 * is sent goes to the kernel from where it lies, and what that does not take waits. As much as waits is bounded: what finds no room
 * is dropped before it is sealed, as a router on the way would, and TCP in the tunnel slows down.
 */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import {
  connectionError,
  connectTcp,
  FAILED,
  NOTHING,
  receiveBytes,
  type StreamSender,
} from "../platform/net/stream-socket.ts";
import { POLLIN, POLLOUT } from "../platform/sys/constants.ts";
import { ENETUNREACH, SysError } from "../platform/sys/errno.ts";
import { errno } from "../platform/sys/libc.ts";
import type { NativeMemory, Piece } from "../platform/sys/memory.ts";
import { type Poller, pollOne } from "../platform/sys/poller.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { LinkEnd } from "../protocol/session/events.ts";
import { NOTHING_SEEN, type Sightings } from "../protocol/session/sightings.ts";
import { StreamRows } from "../protocol/stream.ts";
import { type Link, type LinkReceiver, type LinkRequest, TCP_OVERHEAD } from "../tunnel/link.ts";
import { endOf, KernelPacketStream } from "./packet-stream.ts";

/** Bytes that a proxy's dialogue is given at once; it fails before it wants more. */
const LONGEST_WORD = 32 << 10;

export interface KernelTcpLinkOptions {
  readonly request: LinkRequest;
  readonly receiver: LinkReceiver;
  readonly poller: Poller;
  readonly memory: NativeMemory;
  /** Both of this link while it is open. */
  readonly sender: StreamSender;
  readonly received: Piece;
  readonly closed: () => void;
}

export class KernelTcpLink implements Link {
  readonly isStream = true;
  readonly mtu = Number.POSITIVE_INFINITY;
  readonly overhead: number;
  readonly #options: KernelTcpLinkOptions;
  readonly #received: StreamRows;
  #fd = -1;
  /** Where the poller watches the connection, and for what. */
  #bit = 0;
  #events = 0;
  #state: "connecting" | "proxy" | "open" | "closed" = "connecting";
  /** What a proxy has said and was not used yet. */
  #heard: Uint8Array = new Uint8Array(0);
  /** Once it is open. */
  #packets: KernelPacketStream | undefined;

  constructor(options: KernelTcpLinkOptions) {
    this.#options = options;
    const { request, received, memory } = options;
    this.overhead = request.remote.address.isIpv4 ? TCP_OVERHEAD.ipv4 : TCP_OVERHEAD.ipv6;
    this.#received = new StreamRows(memory, received.at, received.at + received.length, request.longest);
  }

  /** @returns why no connection can be begun, in words */
  connect(): string | undefined {
    const { remote, localPort } = this.#options.request;
    try {
      this.#fd = connectTcp(remote, localPort);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.errno === ENETUNREACH) return `this host has no way to ${remote.address}`;
      return `no connection to ${remote.address} can be begun: ${error.message}`;
    }
    this.#state = "connecting";
    this.#options.sender.reset();
    this.#watch(POLLOUT);
    return undefined;
  }

  get isOpen(): boolean {
    return this.#packets !== undefined;
  }

  admit(rows: Batch, overhead: number): number {
    return this.#packets?.admit(rows, overhead) ?? 0;
  }

  send(now: number, _path: number, rows: Batch): void {
    this.#packets?.send(now, rows);
  }

  sendPacket(_now: number, _path: number, packet: Uint8Array): void {
    this.#packets?.sendPacket(packet);
  }

  /** There is one path. */
  settle(): void {}

  endpoint(): Endpoint {
    return this.#options.request.remote;
  }

  sightings(): Omit<Sightings, "otherKey"> {
    return NOTHING_SEEN;
  }

  drops(): Record<string, number> {
    return this.#packets?.drops() ?? {};
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#packets?.close();
    this.#release();
    this.#options.closed();
  }

  /** Goes on with what the connection is ready for. @returns how many packets came, or another number above 0 where there may be more */
  receive(now: number): number {
    switch (this.#state) {
      case "connecting":
        this.#lookWhetherConnected(now);
        return 0;
      case "proxy":
        this.#speak(now);
        return 0;
      case "open":
        return this.#read(now);
      case "closed":
        return 0;
    }
  }

  #lookWhetherConnected(now: number): void {
    if (!pollOne(this.#fd, POLLOUT, 0)) return;
    const number = connectionError(this.#fd);
    if (number !== 0) return this.#ended(now, endOf(number));
    const dialogue = this.#options.request.proxy?.dialogue;
    if (dialogue === undefined) return this.#open(now);
    this.#state = "proxy";
    this.#heard = new Uint8Array(0);
    this.#options.sender.sendBytes(this.#fd, dialogue.begin());
    this.#watch(POLLIN);
  }

  /** Speaks with a proxy until it leads to the server. */
  #speak(now: number): void {
    const { request, memory, sender } = this.#options;
    const received = this.#received;
    received.reserve();
    const n = receiveBytes(this.#fd, memory.pointer + received.at, Math.min(received.room, LONGEST_WORD));
    if (n === NOTHING) return;
    if (n < 0) return this.#ended(now, n === FAILED ? endOf(errno()) : { kind: "link-closed" });
    const heard = new Uint8Array(this.#heard.length + n);
    heard.set(this.#heard);
    heard.set(memory.bytes.subarray(received.at, received.at + n), this.#heard.length);
    this.#heard = heard;
    while (this.#state === "proxy" && this.#heard.length > 0) {
      const step = request.proxy!.dialogue.feed(this.#heard);
      if (step.kind === "wait") return;
      if (step.kind === "failed") return this.#ended(now, { kind: "proxy-failed", text: step.text });
      if (step.kind === "login-refused") return this.#ended(now, { kind: "proxy-login-refused", text: step.text });
      if (step.kind === "open") {
        // What follows is the server's.
        const rest = this.#heard.subarray(step.used);
        memory.bytes.set(rest, received.at);
        received.filled(rest.length);
        return this.#open(now);
      }
      this.#heard = new Uint8Array(0);
      if (step.kind === "say") sender.sendBytes(this.#fd, step.bytes);
      else {
        this.#release();
        const problem = this.connect();
        if (problem !== undefined) this.#ended(now, { kind: "proxy-failed", text: problem });
      }
    }
  }

  #open(now: number): void {
    const { memory, sender, receiver } = this.#options;
    this.#state = "open";
    this.#packets = new KernelPacketStream({
      ...{ fd: this.#fd, memory, sender, received: this.#received },
      watch: (wantsRoom) => this.#watch(wantsRoom ? POLLIN | POLLOUT : POLLIN),
    });
    this.#watch(POLLIN);
    receiver.opened(now);
  }

  #read(now: number): number {
    const { receiver } = this.#options;
    const got = this.#packets?.read(now, (at, rows) => receiver.handleRows(at, 0, rows)) ?? 0;
    if (typeof got === "number") return got;
    if (this.#state === "open") this.#ended(now, got);
    return 0;
  }

  #ended(now: number, end: LinkEnd): void {
    this.#options.receiver.ended(now, end);
  }

  #watch(events: number): void {
    if (events === this.#events) return;
    const { poller } = this.#options;
    if (this.#events !== 0) poller.remove(this.#bit);
    this.#bit = poller.add(this.#fd, events);
    this.#events = events;
  }

  #release(): void {
    if (this.#events !== 0) this.#options.poller.remove(this.#bit);
    this.#events = 0;
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
  }
}
