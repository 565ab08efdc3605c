/**
 * One process at a time: an abstract Unix socket (unix(7)) belongs to the network namespace, and goes away with the process, however that
 * ends.
 */
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "./constants.ts";
import { EADDRINUSE, SysError } from "./errno.ts";
import { bind, close, socket } from "./syscalls.ts";

/** @param what it is for, in messages @returns lets go of it; undefined: another process has that name */
export function claimName(name: string, what: string): (() => void) | undefined {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    bind(fd, abstractAddress(name), what);
  } catch (error) {
    close(fd);
    if (!(error instanceof SysError) || error.errno !== EADDRINUSE) throw error;
    return undefined;
  }
  return () => close(fd);
}

/** struct sockaddr_un: the family, a zero byte, and the name to its last byte. */
function abstractAddress(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const address = new Uint8Array(3 + text.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text, 3);
  return address;
}
