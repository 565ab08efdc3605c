/** What every client of a server is pushed. */
import type { ServerPart } from "../config/server-types.ts";

type PushingConfig = Pick<ServerPart, "push" | "pushTimers"> & {
  readonly network: Pick<ServerPart["network"], "push">;
};

/** In OpenVPN's order: the lines of push, then what its helper.c makes of server and server-ipv6, then of keepalive. */
export const commonPush = ({ push, network, pushTimers }: PushingConfig): readonly string[] => [
  ...push,
  ...network.push,
  ...pushTimers,
];
