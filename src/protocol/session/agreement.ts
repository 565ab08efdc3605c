/** What two ends of a tunnel agree on of which neither pushes: it stands in the place of what a server would push. */
import type { DataConfig } from "../config/types.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import { agreedOptions, clientAbilities } from "../exchange/ncp.ts";
import { type Pushed, PushReply } from "../push/collect.ts";
import type { Side } from "../side.ts";

const NO_FILTERS = { routeNoPull: false, filters: [] };

/** @param side of this end @param exchange that is done @returns what is agreed on, without options; or why nothing is */
export function agree(side: Side, data: DataConfig, exchange: KeyExchange): Pushed | string {
  const { peerInfo, options: peerOptions = "" } = exchange.peerMessage ?? {};
  const peer = clientAbilities(peerInfo, peerOptions);
  const reply = new PushReply();
  const options = agreedOptions(side, data.ciphers, peer, () => exchange.exportPeerId());
  reply.add({ kind: "push-reply", options, continuation: 0 });
  const settled = reply.settle(NO_FILTERS, data, peerOptions);
  return typeof settled === "string" ? settled : { ...settled, options: [] };
}

/** What data keys are made for. */
export function keyPlan({ session, cipher, compression }: Pushed, { auth: digest }: Pick<DataConfig, "auth">): KeyPlan {
  const { peerId, keyDerivation: derivation, dynamicTlsCrypt, epoch } = session;
  return { cipher, digest, compression, peerId, derivation, dynamicTlsCrypt, epoch };
}
