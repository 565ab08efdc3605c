/**
 * Own certificates below the security level of the library. Who relies on them is the peer, so they are shown all the same, and the
 * peer decides; the level goes on counting for what the peer shows.
 */
import { CFunction, FFIType, JSCallback } from "bun:ffi";
import type { OpenSsl } from "./libssl.ts";

/** include/openssl/ssl.h: what an operation is about, and that it is the peer's. */
const SSL_SECOP_OTHER_TYPE = 0xffff0000;
const SSL_SECOP_OTHER_CERT = 6 << 16;
const SSL_SECOP_PEER = 0x1000;

const { i32, ptr } = FFIType;
/** SSL, SSL_CTX, operation, bits, nid, what it is about, the data of the callback. */
const SIGNATURE = { args: [ptr, ptr, i32, i32, i32, ptr, ptr], returns: i32 } as const;

type Decide = (
  ssl: number,
  context: number,
  operation: number,
  bits: number,
  nid: number,
  other: number,
  data: number,
) => number;

/** One for the process, never freed: contexts hold its address. */
let callback: JSCallback | undefined;

/** From here on the context takes own certificates of any strength. It costs a call into JavaScript for each decision of a handshake. */
export function allowWeakOwn(openssl: OpenSsl, context: number): void {
  const { lib } = openssl;
  if (callback === undefined) {
    const library = CFunction({
      ...SIGNATURE,
      ptr: lib.SSL_CTX_get_security_callback(context) as never,
    }) as unknown as Decide;
    const decide: Decide = (ssl, of, operation, bits, nid, other, data) =>
      isOwnCertificate(operation) ? 1 : library(ssl, of, operation, bits, nid, other, data);
    callback = new JSCallback(decide, SIGNATURE);
  }
  lib.SSL_CTX_set_security_callback(context, Number(callback.ptr));
}

const isOwnCertificate = (operation: number): boolean =>
  (operation & SSL_SECOP_OTHER_TYPE) === SSL_SECOP_OTHER_CERT && (operation & SSL_SECOP_PEER) === 0;
