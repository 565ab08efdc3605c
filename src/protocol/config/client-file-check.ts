/**
 * Addresses and networks in files of client-config-dir beside those of the server's profile: what openvpn only logs when the client comes, or
 * never, is told before.
 */
import { type Cidr, maskPrefix, prefixMask } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { ClientFile, ServerNetworkConfig } from "./server-types.ts";
import type { ConfigProblem, DeviceType } from "./types.ts";

/** @returns warnings, file by file */
export function checkClientFiles(
  network: ServerNetworkConfig,
  deviceType: DeviceType,
  files: Iterable<ClientFile>,
): ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  const owners = new Map<string, string>();
  for (const file of files) {
    const warn = (directive: string, problem: string, key = directive): void =>
      void warnings.push({ origin: { file: file.file, line: file.lines.get(key) ?? 0 }, directive, problem });
    const told = [
      ["ifconfig-push", file.address?.local, addressProblem(network, file)],
      ["ifconfig-ipv6-push", file.address6?.local.address, address6Problem(network, file)],
    ] as const;
    for (const [directive, address, problem] of told) {
      if (address === undefined) continue;
      const before = owners.get(`${address}`);
      if (problem !== undefined) warn(directive, problem);
      if (before !== undefined) warn(directive, `${address} is in ${before} as well: only one of the two can be in`);
      owners.set(`${address}`, file.file);
    }
    // Frames find their way by themselves.
    if (deviceType === "tap") continue;
    for (const behind of file.networks) {
      const problem = networkProblem(network, behind);
      const before = owners.get(`${behind}`);
      const directive = behind.isIpv4 ? "iroute" : "iroute-ipv6";
      if (problem !== undefined) warn(directive, problem, `${behind}`);
      if (before !== undefined)
        warn(directive, `${behind} is in ${before} as well: whoever of the two comes first has it`, `${behind}`);
      owners.set(`${behind}`, file.file);
    }
  }
  return warnings;
}

function addressProblem({ address: own, topology }: ServerNetworkConfig, { address }: ClientFile): string | undefined {
  if (own === undefined || address === undefined) return undefined;
  const { local, second } = address;
  if (local.equals(own.address)) return `${local} is the server's own address`;
  if (!own.contains(local)) return `${local} is not of the tunnel's network, ${own.network}`;
  const isMask = (second.w3 >>> 28 === 15 && maskPrefix(second.w3) !== undefined) || second.w3 === 0;
  if (topology === "subnet" && (!isMask || maskPrefix(second.w3) !== own.prefix))
    return `${second} is not the netmask of the tunnel's network, which topology subnet needs as the second value`;
  if (topology !== "subnet" && isMask)
    return `${second} is a netmask; topology ${topology} needs the server's end as the second value`;
  return undefined;
}

function address6Problem({ address6: own }: ServerNetworkConfig, { address6 }: ClientFile): string | undefined {
  if (own === undefined || address6 === undefined) return undefined;
  const { address } = address6.local;
  if (address.equals(own.address)) return `${address} is the server's own address`;
  return own.contains(address) ? undefined : `${address} is not of the tunnel's network, ${own.network}`;
}

/** man openvpn, --iroute: it says which client a network is behind, and `route` of the server's profile that packets for it go into the tunnel. */
function networkProblem({ address, address6, routes }: ServerNetworkConfig, behind: Cidr): string | undefined {
  const own = [address, address6].find((it) => it?.contains(behind.address) && it.prefix <= behind.prefix);
  if (own !== undefined)
    return `${behind} lies within the tunnel's own network ${own.network}; a client's address there is given by ifconfig-push`;
  if (routes.some((route) => route.overlaps(behind))) return undefined;
  const line = behind.isIpv4
    ? `route ${behind.address} ${IpAddress.fromIpv4(prefixMask(behind.prefix))}`
    : `route-ipv6 ${behind}`;
  return `no route in the server's profile leads to ${behind}, so that openvpn and morgana server send nothing there; add ${line} to it`;
}
