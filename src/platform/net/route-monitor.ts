/** What the kernel tells of changes of its links, addresses and routes (rtnetlink(7), multicast groups). */
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from "../sys/constants.ts";
import { EAGAIN, EINTR } from "../sys/errno.ts";
import { errno, libc } from "../sys/libc.ts";
import { NativeMemory } from "../sys/memory.ts";
import { bind, close, socket } from "../sys/syscalls.ts";

/** linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE. */
const GROUPS = 1 | 0x10 | 0x40 | 0x100 | 0x400;
const SOCKADDR_NL_BYTES = 12;
const READ_BYTES = 64 * 1024;
/** Messages that are read at once: more wake the poll again. */
const READS = 64;

export class RouteMonitor {
  readonly fd: number;
  readonly #memory = new NativeMemory(READ_BYTES);

  /** @throws SysError */
  constructor() {
    this.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const address = new Uint8Array(SOCKADDR_NL_BYTES);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(8, GROUPS, true);
    bind(this.fd, address, "rtnetlink");
  }

  /** Reads what waits. @returns whether anything may have changed */
  drain(): boolean {
    for (let count = 0; count < READS; count++) {
      if (libc.read(this.fd, this.#memory.pointer, READ_BYTES) >= 0) continue;
      const number = errno();
      // Most often nothing waits. ENOBUFS: more changed than there was room to tell.
      return count > 0 || (number !== EAGAIN && number !== EINTR);
    }
    return true;
  }

  close(): void {
    close(this.fd);
  }
}
