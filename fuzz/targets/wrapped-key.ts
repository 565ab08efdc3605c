/** Packets with a wrapped tls-crypt-v2 key at their end, as a server finds them, and the payload of a server's reset. */

import { SessionCookies } from "../../src/protocol/control/cookie.ts";
import { earlyNegotiationRead } from "../../src/protocol/control/early-negotiation.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { controlCrypto } from "../../src/protocol/control/protection.ts";
import { splitWrappedKey, unwrapKey, wrapKey } from "../../src/protocol/control/wrapped-key.ts";
import { type AdmissionConfig, admit } from "../../src/protocol/server/admission.ts";
import { Decisions, type Target } from "../target.ts";

const SERVER_KEY = Uint8Array.from({ length: 128 }, (_, i) => i);
const KEY = Uint8Array.from({ length: 256 }, (_, i) => i);

const ADMISSION: AdmissionConfig = {
  wrap: { kind: "none" },
  crypto: controlCrypto({ kind: "none" }, "server", noblePrimitives),
  wrappedKeys: {
    serverKey: SERVER_KEY,
    material: { label: "server.key", origin: { file: "x", line: 1 }, bytes: SERVER_KEY },
    forceCookie: false,
    maxAgeDays: undefined,
  },
  cookies: new SessionCookies(KEY.subarray(0, 32), 60, noblePrimitives),
  primitives: noblePrimitives,
};

/**
 * The first byte chooses what the others are: a reset's payload, a packet, the metadata of a key that is wrapped, or a first packet
 * that a server gets, with a good wrapped key behind it or not.
 */
export const wrappedKey: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const how = decisions.below(5);
    const rest = decisions.take(4096);
    if (how === 0) return seen(`early ${earlyNegotiationRead(rest)?.resendWrappedKey}`);
    if (how === 1) {
      const split = splitWrappedKey(rest);
      if (typeof split === "number") return seen(`drop ${split}`);
      const { packet, wrapped } = split;
      if (packet.length + wrapped.length !== rest.length) throw new Error("something is lost between packet and key");
      const key = unwrapKey(SERVER_KEY, wrapped, noblePrimitives);
      return seen(`key ${key !== undefined}, metadata ${key?.metadata[0]}`);
    }
    if (how >= 3) {
      const key = how === 4 ? wrapKey(SERVER_KEY, { key: KEY, metadata: rest.subarray(0, 9) }, noblePrimitives) : [];
      const admission = admit(ADMISSION, Uint8Array.from([...rest, ...key]), rest.subarray(0, 6), 1_700_000_000);
      return seen(typeof admission === "number" ? `drop ${admission}` : admission.kind);
    }
    const metadata = rest.subarray(0, 734);
    const again = unwrapKey(SERVER_KEY, wrapKey(SERVER_KEY, { key: KEY, metadata }, noblePrimitives), noblePrimitives);
    if (again === undefined || !Buffer.from(again.metadata).equals(metadata))
      throw new Error("unwrapped is not what was wrapped");
    seen(`wrapped ${metadata.length > 0}`);
  },
};
