/** What a service manager is told of this process (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names. */
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from "../platform/sys/constants.ts";
import { SysError } from "../platform/sys/errno.ts";
import { close, connect, socket, write } from "../platform/sys/syscalls.ts";

/** struct sockaddr_un. */
const PATH_BYTES = 108;

export class ServiceNotify {
  readonly #address: Uint8Array | undefined;

  /** @param path NOTIFY_SOCKET; undefined: nobody listens */
  constructor(path: string | undefined) {
    this.#address = path === undefined ? undefined : unixAddress(path);
  }

  /** @param lines such as "READY=1" */
  tell(...lines: readonly string[]): void {
    if (this.#address === undefined) return;
    const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    try {
      // A manager that is not there, or does not read, is not waited for.
      if (connect(fd, this.#address) === 0) write(fd, new TextEncoder().encode(lines.join("\n")));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    } finally {
      close(fd);
    }
  }
}

/** A path, or the abstract name behind "@". */
function unixAddress(path: string): Uint8Array | undefined {
  const text = new TextEncoder().encode(path);
  if ((path[0] !== "/" && path[0] !== "@") || text.length >= PATH_BYTES) return undefined;
  const isAbstract = path[0] === "@";
  const address = new Uint8Array(2 + text.length + (isAbstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text, 2);
  if (isAbstract) address[2] = 0;
  return address;
}
