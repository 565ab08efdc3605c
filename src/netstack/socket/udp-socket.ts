/** UDP sockets of an interface: datagrams by callback (control plane), or as rows of a batch (data path). */
import type { Batch } from "../../lib/batch.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { DropCode } from "../drop.ts";
import { MtuProbe } from "./mtu-probe.ts";

/** An ICMP error that quotes a datagram of ours. Anybody can forge one: a hint, never a reason to end a session. */
export interface UdpError {
  /** Type and code of ICMP, or of ICMPv6 where `dst` is IPv6. */
  readonly type: number;
  readonly code: number;
  /** Of ours: where the quoted datagram was sent from. */
  readonly src: IpAddress;
  /** Next-hop MTU of "fragmentation needed" or "packet too big", else 0. */
  readonly mtu: number;
  /** Whom the quoted datagram was sent to. */
  readonly dst: IpAddress;
  readonly dstPort: number;
}

export interface UdpReceiver {
  /** A datagram: `len` bytes at `at` of the slab, which the receiver borrows until it returns. */
  onDatagram(now: number, src: IpAddress, srcPort: number, at: number, len: number): void;
  onError?(now: number, error: UdpError): void;
}

/** Where the data path collects the payloads of one peer's datagrams, each as a row that is the collector's until the end of the turn. */
export interface DatagramSink {
  readonly batch: Batch;
  /** The batch is full: handle all rows and empty it. */
  drain(now: number): void;
  /**
   * A datagram that is not the peer's: `len` bytes at `at` of the slab, which are the collector's until the end of the turn.
   * @param src the four words of an {@link IpAddress}, which are somebody else's when it returns @returns None where it was taken
   */
  stranger(src: Int32Array, srcPort: number, at: number, len: number): DropCode;
}

/** Where the payloads of everybody's datagrams are collected: of a port at which a server listens. */
export interface OpenSink {
  /**
   * A datagram: `len` bytes at `at` of the slab, which are the collector's until the end of the turn.
   * @param src,dst the four words of an {@link IpAddress} each, which are somebody else's when it returns; `dst` is ours
   * @returns None where it was taken
   */
  datagram(src: Int32Array, srcPort: number, dst: Int32Array, at: number, len: number): DropCode;
}

export class UdpSocket {
  readonly port: number;
  readonly receiver: UdpReceiver;
  sink: DatagramSink | undefined = undefined;
  openSink: OpenSink | undefined = undefined;
  /** The peer's address as it stands in a header: of IPv4 a word, of IPv6 four. */
  isPeerV6 = false;
  peerWord = 0;
  readonly peerWords = new Int32Array(4);
  peerPort = 0;
  /** Of the one way, where all that is sent by batches goes the same. */
  readonly probe = new MtuProbe();

  constructor(port: number, receiver: UdpReceiver) {
    this.port = port;
    this.receiver = receiver;
  }

  /** From now on datagrams of this peer go to `sink`, and others are strangers to it. */
  collect(sink: DatagramSink, peer: IpAddress, peerPort: number): void {
    this.sink = sink;
    this.isPeerV6 = !peer.isIpv4;
    this.peerWord = peer.w3;
    this.peerWords.set([peer.w0, peer.w1, peer.w2, peer.w3]);
    this.peerPort = peerPort;
  }

  /** From now on everybody's datagrams go to `sink`. */
  collectAll(sink: OpenSink): void {
    this.openSink = sink;
  }

  /** Back to the callback for everybody. */
  stopCollecting(): void {
    this.sink = undefined;
    this.openSink = undefined;
  }
}
