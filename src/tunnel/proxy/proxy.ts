/** What is said to the proxy of a remote. */
import type { IpAddress } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import type { ProxyConfig, Remote } from "../../protocol/config/types.ts";
import type { ProxyDialogue } from "./dialogue.ts";
import { HttpConnect } from "./http-connect.ts";
import { Socks5Dialogue } from "./socks5.ts";

/** @param address where the proxy is */
export function proxyDialogue(config: ProxyConfig, remote: Remote, address: IpAddress, random: Random): ProxyDialogue {
  if (config.kind === "http") return new HttpConnect(config, remote, random);
  return new Socks5Dialogue(config, remote, remote.protocol === "udp", address);
}
