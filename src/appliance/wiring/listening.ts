/** What a port of either kind that is listened on is to {@link WanPorts}, and which addresses a place takes. */
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import type { ListenReceiver, OpenPort } from "../../tunnel/listen.ts";

export interface Listening {
  /** Another place at the same port: addresses of its own, or of the other family. */
  add(config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort;
  /** Hands over what came. @returns whether there is more, for which there is room at the next call */
  endTurn(now: number): boolean;
  /** Forgets what was collected. */
  discard(): void;
}

/** Whether a place listens at an address of ours, of which these are the words of an IpAddress. */
export function takes({ address, family }: ListenConfig, own: Int32Array): boolean {
  if (address !== undefined)
    return address.w3 === own[3] && address.w2 === own[2] && address.w1 === own[1] && address.w0 === own[0];
  return family === "any" || (family === "ipv4") === isIpv4(own);
}

const isIpv4 = (words: Int32Array): boolean => words[2] === 0xffff && words[1] === 0 && words[0] === 0;
