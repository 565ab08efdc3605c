/** What rtnetlink(7) says of a network interface that no ioctl tells: whose port it is. */
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from "../sys/constants.ts";
import { close, read, socket, write } from "../sys/syscalls.ts";

/** struct nlmsghdr { u32 length; u16 type, flags; u32 sequence, port }; struct ifinfomsg { u8 family; u16 type; s32 index; ... } */
const HEADERS = 32;
const TYPE = 4;
const FLAGS = 6;
const INDEX = 20;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const NLM_F_REQUEST = 1;
const IFLA_IFNAME = 3;
const IFLA_MASTER = 10;
const REPLY_BYTES = 32 * 1024;

/** Name of the bridge, bond, team or VRF that the interface with this index is a port of; undefined when of none. @throws SysError */
export function masterOf(index: number): string | undefined {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
  try {
    const master = attributes(fd, index).get(IFLA_MASTER)?.getInt32(0, true);
    if (master === undefined) return undefined;
    const name = attributes(fd, master).get(IFLA_IFNAME);
    return name && new TextDecoder().decode(name).replace(/\0.*/s, "");
  } finally {
    close(fd);
  }
}

/** The attributes (struct rtattr { u16 length, type }, padded to 4 bytes) of the kernel's answer to RTM_GETLINK. */
function attributes(fd: number, index: number): Map<number, DataView> {
  const request = new DataView(new ArrayBuffer(HEADERS));
  request.setUint32(0, HEADERS, true);
  request.setUint16(TYPE, RTM_GETLINK, true);
  request.setUint16(FLAGS, NLM_F_REQUEST, true);
  request.setInt32(INDEX, index, true);
  write(fd, new Uint8Array(request.buffer));
  const reply = new DataView(new ArrayBuffer(REPLY_BYTES));
  const end = read(fd, new Uint8Array(reply.buffer));
  const found = new Map<number, DataView>();
  if (end < HEADERS || reply.getUint16(TYPE, true) !== RTM_NEWLINK) return found; // the interface is gone
  for (let at = HEADERS; at + 4 <= end; ) {
    const length = reply.getUint16(at, true);
    if (length < 4) break;
    found.set(reply.getUint16(at + 2, true), new DataView(reply.buffer, at + 4, length - 4));
    at += (length + 3) & ~3;
  }
  return found;
}
