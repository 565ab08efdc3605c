/** The real one: 2.6 of the system, or another that OPENVPN= names. */
export const OPENVPN = process.env["OPENVPN"] ?? Bun.which("openvpn") ?? "/usr/sbin/openvpn";

/** Asked once: a table of thousands of rows wants to know for each. */
let version: readonly [number, number] | undefined;

/** Whether it is as new as this. */
export function openvpnIsAtLeast(major: number, minor: number): boolean {
  version ??= readVersion();
  const [a, b] = version;
  return a > major || (a === major && b >= minor);
}

function readVersion(): [number, number] {
  const said = Bun.spawnSync([OPENVPN, "--version"]).stdout.toString();
  const [, a, b] = /^OpenVPN (\d+)\.(\d+)/.exec(said) ?? [];
  return [Number(a), Number(b)];
}
