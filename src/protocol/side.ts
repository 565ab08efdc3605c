/**
 * Which end of an OpenVPN session this is, and all that follows from it. Client and server do the same things in the same
 * order but for what stands here.
 */
import { HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3, HARD_RESET_SERVER_V2 } from "./control/opcode.ts";

export type Side = "client" | "server";

/** Which of the two keys of a static key or a key block this side sends with; it opens packets with the other one. */
export type KeyNumber = 0 | 1;

/** tls-crypt: the server sends with key 0 (OpenVPN's tls_crypt.c, tls_crypt_init_key). */
export const tlsCryptKey = (side: Side): KeyNumber => (side === "server" ? 0 : 1);

/** Data channel: the client sends with key 0 (OpenVPN's ssl.c, init_key_contexts): the opposite of tls-crypt. */
export const dataKey = (side: Side): KeyNumber => (side === "client" ? 0 : 1);

/** The packet that begins a session. @param hasWrappedKey the client has a tls-crypt-v2 key */
export function hardReset(side: Side, hasWrappedKey: boolean): number {
  if (side === "server") return HARD_RESET_SERVER_V2;
  return hasWrappedKey ? HARD_RESET_CLIENT_V3 : HARD_RESET_CLIENT_V2;
}

export const otherSide = (side: Side): Side => (side === "client" ? "server" : "client");

/** Own and peer's value in the order that key derivation wants: the client's first. */
export const clientFirst = <T>(side: Side, own: T, peer: T): readonly [T, T] =>
  side === "client" ? [own, peer] : [peer, own];
