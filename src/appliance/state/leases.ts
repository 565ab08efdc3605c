/** DHCP leases as they are kept over a restart: by the wall clock, since no other outlives one. */
import { IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { formatMac, parseMac } from "../../lib/mac.ts";
import type { Binding, KeptLease } from "../../netstack/dhcp4/pool.ts";

/** @param now monotonic, and @param unix the same by the wall clock, ms */
export function leasesToKeep(leases: Iterable<Binding>, now: number, unix: number): unknown {
  const kept = Array.from(leases, ({ address, client, until, name }) => ({
    address: `${IpAddress.fromIpv4(address)}`,
    mac: formatMac(client.mac),
    id: Uint8Array.from(client.id, (c) => c.charCodeAt(0)).toHex(),
    until: Math.round(unix + until - now),
    ...(name === undefined ? {} : { name }),
  }));
  return { at: Math.round(unix), leases: kept };
}

/**
 * @param unix the wall clock; where it is behind the one of then, no time has passed
 * @throws Error where it is nothing that {@link leasesToKeep} gives
 */
export function keptLeases(data: unknown, unix: number): KeptLease[] {
  const { at, leases } = data as { readonly at: unknown; readonly leases: unknown };
  if (typeof at !== "number" || !Array.isArray(leases)) throw new Error("no leases");
  const clock = Math.max(at, unix);
  return leases.map((lease: Record<string, unknown>) => {
    const { address, mac, id, until, name } = lease;
    const ip = parseIpv4(String(address));
    const hardware = parseMac(String(mac));
    const isNamed = typeof name === "string" && /^[a-z0-9-]{1,63}$/.test(name);
    if (ip === undefined || hardware === undefined || typeof id !== "string" || typeof until !== "number")
      throw new Error("a lease that cannot be read");
    return {
      address: ip.w3,
      client: { mac: hardware, id: String.fromCharCode(...Uint8Array.fromHex(id)) },
      leftMs: until - clock,
      name: isNamed ? name : undefined,
    };
  });
}
