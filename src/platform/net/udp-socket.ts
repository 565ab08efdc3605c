/** UDP sockets of the kernel, not connected: who sends and who is sent to is said with each datagram. */
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import {
  AF_INET6,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_PKTINFO,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_RECVERR,
  IPV6_RECVPKTINFO,
  IPV6_V6ONLY,
  MSG_ERRQUEUE,
  PMTUDISC_WANT,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  UDP_GRO,
  UDP_SEGMENT,
} from "../sys/constants.ts";
import { SysError } from "../sys/errno.ts";
import { NativeMemory, type Piece } from "../sys/memory.ts";
import { Messages } from "../sys/messages.ts";
import { CMSGHDR_BYTES, CMSGHDR_LEVEL, CMSGHDR_TYPE } from "../sys/struct.ts";
import { bind, close, connect, setSocketOption, socket, socketOption } from "../sys/syscalls.ts";
import { everyAddress, type Family, familyNumber, readSockaddr, SOCKADDR_BYTES, sockaddr } from "./sockaddr.ts";

/** Our choice: some 30 ms of a gigabit each way, which is what a busy machine does not look. */
const BUFFER = 4 << 20;

/**
 * @param port 0: any @param address a local one; undefined: all of them
 * @throws SysError, EADDRINUSE where somebody has the port
 */
export function openUdp(family: Family, port: number, address?: IpAddress): number {
  const domain = familyNumber(family);
  const fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  try {
    if (domain === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (domain === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    else setSocketOption(fd, IPPROTO_IP, IP_RECVERR, 1);
    // Whatever the machine's default is (net.ipv4.ip_no_pmtu_disc): routers say what is too large, and nothing is lost of what is larger still.
    if (domain === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_WANT);
    else setSocketOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_WANT);
    setBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    setBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    // Linux before 5.0 has no such option: then each datagram comes by itself.
    tryOption(fd, IPPROTO_UDP, UDP_GRO, 1);
    // Of each datagram to any of our addresses it is told to which.
    if (address === undefined && domain === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    if (address === undefined && domain !== AF_INET6) setSocketOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
    bind(fd, sockaddr({ address: address ?? everyAddress(family), port }), `port ${port}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** The FORCE variant goes beyond net.core.rmem_max, and needs CAP_NET_ADMIN. */
function setBuffer(fd: number, force: number, plain: number): void {
  if (!tryOption(fd, SOL_SOCKET, force, BUFFER)) tryOption(fd, SOL_SOCKET, plain, BUFFER);
}

function tryOption(fd: number, level: number, name: number, value: number): boolean {
  try {
    setSocketOption(fd, level, name, value);
    return true;
  } catch (error) {
    if (error instanceof SysError) return false;
    throw error;
  }
}

/** Whether the kernel knows UDP_SEGMENT: from Linux 4.18 on. */
export const takesSegments = (fd: number): boolean => tryOption(fd, IPPROTO_UDP, UDP_SEGMENT, 0);

/**
 * What the kernel knows of the way to an address: the MTU of the device or the route, or less where routers have said so, as long as the
 * kernel believes them (ip(7), IP_MTU; net.ipv4.route.mtu_expires). Infinity: there is no way.
 */
export function pathMtuTo(to: Endpoint): number {
  const isIpv4 = to.address.isIpv4;
  try {
    const fd = socket(familyNumber(isIpv4 ? "ipv4" : "ipv6"), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    try {
      if (connect(fd, sockaddr(to)) !== 0) return Number.POSITIVE_INFINITY;
      const mtu = socketOption(fd, isIpv4 ? IPPROTO_IP : IPPROTO_IPV6, isIpv4 ? IP_MTU : IPV6_MTU, 4);
      return mtu.getInt32(0, true);
    } finally {
      close(fd);
    }
  } catch (error) {
    // No socket, or none that is connected: then nothing is known.
    if (error instanceof SysError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** What the network, or the kernel for it, said of a datagram (struct sock_extended_err of linux/errqueue.h). */
export interface NetworkError {
  /** Where the datagram went. */
  readonly address: IpAddress;
  readonly port: number;
  readonly errno: number;
  /** Of the ICMP or ICMPv6 message; -1: it came from this host. */
  readonly type: number;
  readonly code: number;
  /** The next hop's MTU, with EMSGSIZE. */
  readonly mtu: number;
}

const ERROR_BYTES = 16;
const SO_EE_ORIGIN_LOCAL = 1;
const ERROR_DATA_BYTES = 512;
const ERROR_CONTROL_BYTES = 512;
let errorPlace: { memory: NativeMemory; message: Messages; name: Piece; data: Piece; control: Piece } | undefined;

function placeOfErrors() {
  const memory = new NativeMemory(4096);
  const [name, data] = [memory.take(SOCKADDR_BYTES), memory.take(ERROR_DATA_BYTES)];
  return { memory, message: new Messages(memory, 1, 1), name, data, control: memory.take(ERROR_CONTROL_BYTES) };
}

/** Takes the next error that waits for a socket with IP_RECVERR; undefined: there is none. */
export function takeError(fd: number): NetworkError | undefined {
  errorPlace ??= placeOfErrors();
  const { memory, message, data } = errorPlace;
  const { view } = memory;
  message.clear();
  message.add(data.pointer, data.length);
  message.end();
  message.setName(0, errorPlace.name.pointer, SOCKADDR_BYTES);
  message.setControl(0, errorPlace.control.pointer, ERROR_CONTROL_BYTES);
  if (message.receive(fd, MSG_ERRQUEUE) !== 1) return undefined;
  const [name, control] = [errorPlace.name.at, errorPlace.control.at];
  const words = new Int32Array(4);
  const port = readSockaddr(view, name, words, 0);
  const address = new IpAddress(words[0]!, words[1]!, words[2]!, words[3]!);
  const end = Math.min(ERROR_CONTROL_BYTES, message.controlLength(0));
  for (let at = 0; at + CMSGHDR_BYTES + ERROR_BYTES <= end; ) {
    const length = view.getUint32(control + at, true);
    if (length < CMSGHDR_BYTES) break;
    const level = view.getInt32(control + at + CMSGHDR_LEVEL, true);
    const kind = view.getInt32(control + at + CMSGHDR_TYPE, true);
    const isError = (level === IPPROTO_IP && kind === IP_RECVERR) || (level === IPPROTO_IPV6 && kind === IPV6_RECVERR);
    if (isError && length >= CMSGHDR_BYTES + ERROR_BYTES) {
      const error = control + at + CMSGHDR_BYTES;
      const isLocal = view.getUint8(error + 4) === SO_EE_ORIGIN_LOCAL;
      return {
        address,
        port,
        errno: view.getUint32(error, true),
        type: isLocal ? -1 : view.getUint8(error + 5),
        code: view.getUint8(error + 6),
        mtu: view.getUint32(error + 8, true),
      };
    }
    at += (length + 7) & ~7;
  }
  return { address, port, errno: 0, type: -1, code: 0, mtu: 0 };
}
