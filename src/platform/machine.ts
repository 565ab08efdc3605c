/** What this machine is, as far as a peer is told. */

import { CString } from "bun:ffi";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import type { MachineInfo } from "../protocol/exchange/peer-info.ts";
import { libcrypto } from "./crypto/libcrypto.ts";

/** OPENSSL_VERSION: the name and version as text. */
const OPENSSL_VERSION = 0;

/** @param hardwareAddress of the interface that leads to the internet, where it is known */
export const machineInfo = (hardwareAddress: string | undefined): MachineInfo => ({
  hardwareAddress,
  tlsLibrary: new CString(libcrypto().OpenSSL_version(OPENSSL_VERSION) as never).toString(),
  kernelRelease: release(),
});

/** The MAC address of the interface that the kernel's default route of IPv4 leads by; undefined: there is none, or it has none. */
export function defaultRouteMac(): string | undefined {
  const rows = read("/proc/net/route").split("\n").slice(1);
  const routes = rows
    .map((row) => row.split("\t"))
    .filter((fields) => fields[1] === "00000000" && fields[7] === "00000000");
  const [first] = routes.toSorted((a, b) => Number(a[6]) - Number(b[6]));
  if (first === undefined) return undefined;
  const text = read(`/sys/class/net/${first[0]}/address`).trim();
  return /^(?!00(:00){5})[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text) ? text : undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // A machine without it tells nothing.
    return "";
  }
}
