/** The real one: 2.6 of the system, or another that OPENVPN= names. */
export const OPENVPN = process.env["OPENVPN"] ?? Bun.which("openvpn") ?? "/usr/sbin/openvpn";

/** Whether it is as new as this. */
export function openvpnIsAtLeast(major: number, minor: number): boolean {
  const [, a, b] = /^OpenVPN (\d+)\.(\d+)/.exec(Bun.spawnSync([OPENVPN, "--version"]).stdout.toString()) ?? [];
  return Number(a) > major || (Number(a) === major && Number(b) >= minor);
}
