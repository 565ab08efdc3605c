/** The addresses in files of client-config-dir beside the tunnel's network: what openvpn only logs when the client comes is told before. */
import { maskPrefix } from "../../lib/cidr.ts";
import type { ClientFile, ServerNetworkConfig } from "./server-types.ts";
import type { ConfigProblem } from "./types.ts";

/** @returns warnings, file by file */
export function checkClientFiles(network: ServerNetworkConfig, files: Iterable<ClientFile>): ConfigProblem[] {
  const warnings: ConfigProblem[] = [];
  const owners = new Map<string, string>();
  for (const file of files) {
    const warn = (directive: string, problem: string): void =>
      void warnings.push({ origin: { file: file.file, line: 0 }, directive, problem });
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
