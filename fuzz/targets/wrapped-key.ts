/** Packets with a wrapped tls-crypt-v2 key at their end, as a server finds them, and the payload of a server's reset. */

import { earlyNegotiationRead } from "../../src/protocol/control/early-negotiation.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { splitWrappedKey, unwrapKey, wrapKey } from "../../src/protocol/control/wrapped-key.ts";
import { Decisions, type Target } from "../target.ts";

const SERVER_KEY = Uint8Array.from({ length: 128 }, (_, i) => i);
const KEY = Uint8Array.from({ length: 256 }, (_, i) => i);

/** The first byte chooses what the others are: a reset's payload, a packet, or the metadata of a key that is wrapped. */
export const wrappedKey: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const how = decisions.below(3);
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
    const metadata = rest.subarray(0, 734);
    const again = unwrapKey(SERVER_KEY, wrapKey(SERVER_KEY, { key: KEY, metadata }, noblePrimitives), noblePrimitives);
    if (again === undefined || !Buffer.from(again.metadata).equals(metadata))
      throw new Error("unwrapped is not what was wrapped");
    seen(`wrapped ${metadata.length > 0}`);
  },
};
