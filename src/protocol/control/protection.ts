/** What protects control packets: keys, and the replay ids that were used with them. */
import type { ControlWrap } from "../config/types.ts";
import type { ControlPrimitives } from "../ports.ts";
import { type Side, tlsCryptKey } from "../side.ts";
import type { ControlCrypto } from "./crypto.ts";
import type { ReplayGuard } from "./replay-guard.ts";
import { TlsAuth } from "./tls-auth.ts";
import { TlsCrypt } from "./tls-crypt.ts";

export interface Protection {
  readonly crypto: ControlCrypto;
  /** Not asked where the crypto does not authenticate: its packets have no replay id. */
  readonly guard: ReplayGuard;
}

export function controlCrypto(wrap: ControlWrap, side: Side, primitives: ControlPrimitives): ControlCrypto {
  switch (wrap.kind) {
    case "none":
      return plainCrypto;
    case "tls-auth":
      return new TlsAuth(wrap.key, wrap.direction, wrap.digest, primitives);
    case "tls-crypt":
    case "tls-crypt-v2":
      return new TlsCrypt(wrap.key, tlsCryptKey(side), primitives);
  }
}

/**
 * Dynamic tls-crypt: what protects the packets of renegotiations. As OpenVPN (tls_crypt.c,
 * tls_session_generate_dynamic_tls_crypt_key), one that lacks the key of the profile is kept out although it has broken TLS.
 * @param exported 256 bytes of the first TLS session
 */
export function renegotiationCrypto(
  exported: Uint8Array,
  wrap: ControlWrap,
  side: Side,
  primitives: ControlPrimitives,
): ControlCrypto {
  const key = wrap.kind === "none" ? exported : exported.map((byte, i) => byte ^ wrap.key[i]!);
  const crypto = new TlsCrypt(key, tlsCryptKey(side), primitives);
  key.fill(0);
  return crypto;
}

const plainCrypto: ControlCrypto = {
  overhead: 0,
  authenticates: false,
  conceals: false,
  seal: (plain) => plain,
  open: (packet) => ({ plain: packet, id: 0, time: 0 }),
};
