/** The data key of a plan: which kind follows from its cipher, and of AEAD its format. */
import type { Random } from "../../lib/random.ts";
import type { Slab } from "../../lib/slab.ts";
import type { ReplayWindowConfig } from "../config/types.ts";
import { type AeadFactory, type CbcFactory, isAead } from "../ports.ts";
import type { KeyNumber } from "../side.ts";
import { AeadDataKey, type AeadKeyUse } from "./aead-key.ts";
import { CbcDataKey } from "./cbc-key.ts";
import { EpochDataKey } from "./epoch-key.ts";
import type { DataKey } from "./key.ts";
import type { KeyPlan } from "./key-plan.ts";

export interface KeyPorts {
  readonly slab: Slab;
  readonly aead: AeadFactory;
  readonly cbc: CbcFactory;
  readonly random: Random;
}

export interface KeyPlace {
  readonly keyId: number;
  /** Which half of the key block this side sends with. */
  readonly sendKey: KeyNumber;
  readonly replayWindow: ReplayWindowConfig;
  /** Tests start near the end. */
  readonly used: AeadKeyUse | undefined;
}

/** @param block 256 bytes of key material (key-derive.ts) */
export function createDataKey(block: Uint8Array, plan: KeyPlan, ports: KeyPorts, place: KeyPlace): DataKey {
  const { cipher, digest, peerId, epoch } = plan;
  const { slab, aead, cbc, random } = ports;
  if (isAead(cipher)) return new (epoch ? EpochDataKey : AeadDataKey)(block, { slab, aead, cipher, peerId, ...place });
  if (digest === "none") throw new Error("packets of CBC have an HMAC");
  return new CbcDataKey(block, { slab, cbc, random, cipher, digest, peerId, packetId: place.used?.packetId, ...place });
}
