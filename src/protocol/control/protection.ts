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

const plainCrypto: ControlCrypto = {
  overhead: 0,
  authenticates: false,
  conceals: false,
  seal: (plain) => plain,
  open: (packet) => ({ plain: packet, id: 0, time: 0 }),
};
