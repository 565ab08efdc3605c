/** The forwards of the settings in the router, at the start and at every reload. */
import type { Cidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import { PROTO_TCP, PROTO_UDP } from "../netstack/wire/ipv4.ts";
import { SETTINGS_FILE } from "./profile.ts";
import type { ForwardSetting } from "./settings/forward.ts";
import type { RouterPath } from "./wiring/router.ts";

const PROTOCOLS = { tcp: PROTO_TCP, udp: PROTO_UDP };

/** @param lan6 our IPv6 address on the LAN and its network, which the settings need not have known */
export function setForwards(
  path: Pick<RouterPath, "setForwards">,
  log: Log,
  forwards: readonly ForwardSetting[],
  lan6: Cidr | undefined,
): void {
  path.setForwards(forwards.map(({ proto, port, to }) => ({ protocol: PROTOCOLS[proto], port, to })));
  for (const { to, line } of forwards) {
    if (lan6 === undefined || to.address.isIpv4 || lan6.contains(to.address)) continue;
    const text = `${to.address} is not of the LAN, ${lan6.network}, and cannot be reached; name a host of it, or set lan.address6`;
    log.write("warn", "config.warning", `${SETTINGS_FILE}:${line}: vpn.forward: ${text}`);
  }
}
