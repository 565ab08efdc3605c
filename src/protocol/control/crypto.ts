/**
 * What surrounds control packets: nothing, tls-auth or tls-crypt. A wrapper turns the plain form (wire/control.ts) into
 * what is on the link and back; it owns the counter of its own replay ids and the window of the peer's. One lives as
 * long as the session: renegotiations share it.
 */
import type { ControlWrap } from "../config/types.ts";
import { TlsAuth } from "./tls-auth.ts";
import { TlsCrypt } from "./tls-crypt.ts";

export interface ControlWrapper {
  /** Bytes that wrapping adds. */
  readonly overhead: number;
  /** Whether the peer proved that it has a key: without one only the session ids tell packets apart. */
  readonly authenticates: boolean;
  /** A fresh replay id each time: a retransmission is wrapped again. */
  wrap(plain: Uint8Array): Uint8Array;
  /** The plain form of an authentic packet that is no replay, or the drop code. Changes nothing. */
  unwrap(packet: Uint8Array, now: number): Uint8Array | number;
  /**
   * The packet that was unwrapped last is one of this session: its replay id is taken from now on. Others share the key,
   * and with tls-auth without a direction this side's own packets come back authentic: their ids must not count.
   */
  mark(now: number): void;
}

export interface WrapOptions {
  /** The time field of the replay ids: wall clock when the session started; it stays the same (OpenVPN's packet_id.c). */
  readonly unixSeconds: number;
  readonly replayWindow: { readonly packets: number; readonly seconds: number };
  readonly isServer?: boolean;
}

export function controlWrapper(wrap: ControlWrap, options: WrapOptions): ControlWrapper {
  switch (wrap.kind) {
    case "none":
      return plain;
    case "tls-auth":
      return new TlsAuth(wrap.key, wrap.direction, wrap.digest, options);
    case "tls-crypt":
      return new TlsCrypt(wrap.key, options);
  }
}

const plain: ControlWrapper = {
  overhead: 0,
  authenticates: false,
  wrap: (packet) => packet,
  unwrap: (packet) => packet,
  mark() {},
};
