/** What the kernel knows about a network interface: index, MAC, MTU, flags, and whether it would act on our packets. */
import { readFileSync } from "node:fs";
import { formatIpv4 } from "../../lib/ip.ts";
import { formatMac, type Mac } from "../../lib/mac.ts";
import {
  AF_INET,
  ARPHRD_ETHER,
  IFF_RUNNING,
  IFF_UP,
  SIOCGIFCONF,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFMTU,
  SIOCSIFFLAGS,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
} from "../sys/constants.ts";
import { check, EPERM, SysError } from "../sys/errno.ts";
import { libc } from "../sys/libc.ts";
import { NativeMemory } from "../sys/memory.ts";
import { IFREQ_BYTES, IFREQ_DATA, ifreq, writePointer } from "../sys/struct.ts";
import { close, interfaceIndex, ioctlStruct, socket } from "../sys/syscalls.ts";
import { attributes, Netlink, textOf } from "./netlink.ts";

export interface InterfaceFacts {
  readonly name: string;
  readonly index: number;
  readonly mac: Mac;
  readonly mtu: number;
  readonly up: boolean;
}

/** @throws Error in words: no such interface, not Ethernet */
export function interfaceFacts(name: string): InterfaceFacts {
  const index = name.length > 15 ? 0 : interfaceIndex(name);
  if (index === 0) throw new Error(`there is no network interface "${name}" (see: ip link)`);
  return withSocket((fd) => {
    const hw = ifreq(name);
    ioctlStruct(fd, SIOCGIFHWADDR, hw.bytes, name);
    if (hw.view.getUint16(IFREQ_DATA, true) !== ARPHRD_ETHER) throw new Error(`${name} is not an Ethernet interface`);
    const mtu = ifreq(name);
    ioctlStruct(fd, SIOCGIFMTU, mtu.bytes, name);
    return {
      name,
      index,
      mac: { hi: hw.view.getUint16(IFREQ_DATA + 2), lo: hw.view.getInt32(IFREQ_DATA + 4) },
      mtu: mtu.view.getInt32(IFREQ_DATA, true),
      up: (interfaceFlags(fd, name) & IFF_UP) !== 0,
    };
  });
}

/** IFF_* flags. @param fd any socket @throws SysError when the interface is gone */
function interfaceFlags(fd: number, name: string): number {
  const request = ifreq(name);
  ioctlStruct(fd, SIOCGIFFLAGS, request.bytes, name);
  return request.view.getUint16(IFREQ_DATA, true);
}

/** Administratively up and with carrier; false also when the interface is gone. */
export function linkIsUp(fd: number, name: string): boolean {
  try {
    return (interfaceFlags(fd, name) & (IFF_UP | IFF_RUNNING)) === (IFF_UP | IFF_RUNNING);
  } catch {
    return false; // ENODEV: it was removed
  }
}

/** @param fd any socket @returns undefined when the interface is gone */
export function linkMtu(fd: number, name: string): number | undefined {
  try {
    const request = ifreq(name);
    ioctlStruct(fd, SIOCGIFMTU, request.bytes, name);
    return request.view.getInt32(IFREQ_DATA, true);
  } catch {
    return undefined; // ENODEV: it was removed
  }
}

/** @throws Error in words when that needs a privilege */
export function setInterfaceUp(name: string, up: boolean): void {
  withSocket((fd) => {
    const request = ifreq(name);
    ioctlStruct(fd, SIOCGIFFLAGS, request.bytes, name);
    const flags = request.view.getUint16(IFREQ_DATA, true);
    request.view.setUint16(IFREQ_DATA, up ? flags | IFF_UP : flags & ~IFF_UP, true);
    try {
      ioctlStruct(fd, SIOCSIFFLAGS, request.bytes, name);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== EPERM) throw error;
      throw new Error(
        `${name} is down and bringing it up needs CAP_NET_ADMIN; run as root, or: ip link set ${name} up`,
      );
    }
  });
}

/** Why the appliance must not use an interface, and what mends it. */
export interface Danger {
  readonly text: string;
  readonly command: string;
}

export interface InterfaceCheck {
  /** Empty: it may be used. */
  readonly dangers: readonly Danger[];
  readonly warnings: readonly string[];
}

/** struct ifinfomsg { u8 family; u16 type; s32 index; u32 flags, change } (rtnetlink(7)) */
const IFINFOMSG = 16;
const IFINFO_INDEX = 4;
const RTM_GETLINK = 18;
const IFLA_IFNAME = 3;
const IFLA_MASTER = 10;

/** Name of the bridge, bond, team or VRF that the interface with this index is a port of; undefined when of none. @throws SysError */
function masterOf(index: number): string | undefined {
  return Netlink.with((netlink) => {
    const link = (of: number): Map<number, DataView> => {
      const body = new Uint8Array(IFINFOMSG);
      new DataView(body.buffer).setInt32(IFINFO_INDEX, of, true);
      const [answer] = netlink.request(RTM_GETLINK, 0, body, `interface ${of}`);
      return answer === undefined ? new Map() : attributes(answer.body, IFINFOMSG);
    };
    const master = link(index).get(IFLA_MASTER)?.getInt32(0, true);
    const name = master === undefined ? undefined : link(master).get(IFLA_IFNAME);
    return name && textOf(name);
  });
}

/**
 * Whether the host's kernel would act on packets of this interface beside us: with an address it answers (ARP, echo,
 * resets), and where it forwards or bridges it leaks. A link-local IPv6 address only makes it chatty (router
 * solicitations, multicast reports), so that is a warning.
 */
export function checkInterface(name: string): InterfaceCheck {
  const { mac, index } = interfaceFacts(name);
  const dangers: Danger[] = [];
  const warnings: string[] = [];
  const v4 = ipv4Addresses(name);
  if (v4.length > 0) {
    const text = `${name} (${formatMac(mac)}): the kernel has the address ${v4.join(", ")} on it`;
    dangers.push({ text, command: `ip addr flush dev ${name}` });
  }
  const v6 = ipv6Addresses(name);
  const global = v6.filter((a) => !a.startsWith("fe80"));
  const off = `sysctl -w net.ipv6.conf.${name}.disable_ipv6=1`;
  if (global.length > 0)
    dangers.push({ text: `${name}: the kernel has the IPv6 address ${global.join(", ")} on it`, command: off });
  else if (forwardsIpv6(name))
    dangers.push({ text: `${name}: the kernel forwards IPv6 packets from it`, command: off });
  else if (v6.length > 0) warnings.push(`${name}: the kernel speaks IPv6 (link-local) on it; to silence it: ${off}`);
  if (setting("ipv4", name, "forwarding") === "1") {
    dangers.push({
      text: `${name}: the kernel forwards IPv4 packets from it`,
      command: `sysctl -w net.ipv4.conf.${name}.forwarding=0`,
    });
  }
  const master = masterOf(index);
  if (master !== undefined) {
    dangers.push({
      text: `${name} is a port of ${master}, which passes its frames on beside us`,
      command: `ip link set dev ${name} nomaster`,
    });
  }
  return { dangers, warnings };
}

/**
 * For IPv6 the switch is that of all interfaces (ip6_forward in net/ipv6/ip6_output.c); that of one interface only says
 * whether it takes router advertisements. An address is not needed: it gets a link-local one when it comes up.
 */
const forwardsIpv6 = (name: string): boolean =>
  setting("ipv6", name, "disable_ipv6") === "0" &&
  (setting("ipv6", "all", "forwarding") === "1" || setting("ipv6", name, "force_forwarding") === "1");

function withSocket<T>(use: (fd: number) => T): T {
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

let confMemory: NativeMemory | undefined;

/** SIOCGIFCONF lists every IPv4 address of every interface of the namespace, also of those that are down. */
function ipv4Addresses(name: string): string[] {
  confMemory ??= new NativeMemory(64 * 1024);
  const { view, bytes, pointer } = confMemory;
  const listAt = 64;
  view.setInt32(0, bytes.length - listAt, true);
  writePointer(view, 8, pointer + listAt);
  withSocket((fd) => check("ioctl", libc.ioctl(fd, SIOCGIFCONF, pointer), "SIOCGIFCONF"));
  const found: string[] = [];
  for (let at = listAt; at + IFREQ_BYTES <= listAt + view.getInt32(0, true); at += IFREQ_BYTES) {
    const label = new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
    // an alias is called "eth0:1"
    if (label.split(":")[0] === name) found.push(formatIpv4(view.getInt32(at + IFREQ_DATA + 4, false)));
  }
  return found;
}

/** Lines of /proc/net/if_inet6: address, index, prefix length, scope, flags, name. */
function ipv6Addresses(name: string): string[] {
  const text = readText("/proc/self/net/if_inet6");
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[5] === name)
    .map((words) => (words[0] as string).replace(/(.{4})(?=.)/g, "$1:"));
}

const setting = (family: "ipv4" | "ipv6", name: string, key: string): string =>
  readText(`/proc/sys/net/${family}/conf/${name}/${key}`).trim();

/** "" when there is no such file: a kernel without IPv6 has none of its files. */
function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
