/**
 * One router to an interface: a second one would answer with the same addresses beside the first. An abstract Unix socket (unix(7))
 * belongs to the network namespace, as the interface does, and goes away with the process, however that ends.
 */
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "../sys/constants.ts";
import { EADDRINUSE, SysError } from "../sys/errno.ts";
import { bind, close, socket } from "../sys/syscalls.ts";

const nameOf = (index: number): string => `morgana-interface-${index}`;

/** @returns lets go of it @throws Error in words when another process has it */
export function claimInterface(name: string, index: number): () => void {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    bind(fd, abstractAddress(nameOf(index)), name);
  } catch (error) {
    close(fd);
    if (!(error instanceof SysError) || error.errno !== EADDRINUSE) throw error;
    throw new Error(
      `${name} is in use: another morgana appliance runs on it (ss -xap | grep ${nameOf(index)} says which process); stop that one first`,
    );
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
