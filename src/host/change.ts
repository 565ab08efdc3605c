/**
 * Changes of the host, as plain data: what a journal keeps of each, how it is made, and how it is taken back. Taking back looks
 * first: what is there by then may be somebody else's.
 */
import { type Cidr, parseCidr } from "../lib/cidr.ts";
import { parseIp } from "../lib/ip.ts";
import {
  addAddress,
  addRoute,
  addressesOf,
  deleteAddress,
  deleteRoute,
  type KernelAddress,
  type KernelRoute,
  linkOf,
  type RouteType,
  routesOf,
  setLink,
} from "../platform/net/rtnetlink.ts";
import { EADDRNOTAVAIL, EEXIST, ENETDOWN, ENETUNREACH, ENODEV, ESRCH, SysError } from "../platform/sys/errno.ts";
import { restoreFile } from "./file-change.ts";

/** A device is its index and its name: either may have become another's. */
export interface DeviceRef {
  readonly index: number;
  readonly name: string;
}

export interface AddressChange {
  readonly kind: "address";
  readonly device: DeviceRef;
  /** "10.8.0.2/24" */
  readonly address: string;
  readonly peer: string | undefined;
}

export interface RouteChange {
  readonly kind: "route";
  /** undefined: the type has none. */
  readonly device: DeviceRef | undefined;
  readonly network: string;
  readonly type: RouteType;
  readonly gateway: string | undefined;
  /** No address of the device says that the gateway is a neighbour there. */
  readonly isOnLink?: boolean | undefined;
  readonly metric: number;
  readonly table: number;
  readonly protocol: number;
}

/** MTU and state of a device that was there before. */
export interface LinkChange {
  readonly kind: "link";
  readonly device: DeviceRef;
  readonly before: { readonly mtu: number; readonly up: boolean };
  readonly after: { readonly mtu: number; readonly up: boolean };
}

/** A file that was written over. */
export interface FileChange {
  readonly kind: "file";
  readonly path: string;
  readonly before: FileState;
  /** SHA-256 of what we wrote, hex. */
  readonly digest: string;
}

export type FileState =
  | { readonly kind: "absent" }
  | { readonly kind: "link"; readonly to: string }
  | { readonly kind: "plain"; readonly text: string; readonly mode: number };

/** A program of the host was told of the tunnel's resolvers; the command takes that back. */
export interface CommandChange {
  readonly kind: "command";
  readonly undo: readonly string[];
  /** It says nothing once this device is gone. */
  readonly device: DeviceRef | undefined;
}

export type Change = AddressChange | RouteChange | LinkChange | FileChange | CommandChange;

/** Makes a change of the kernel's network. @returns whether it was not there before @throws SysError */
export function make(change: AddressChange | RouteChange | LinkChange): boolean {
  switch (change.kind) {
    case "address":
      return isNew(() => addAddress(change.device.index, cidr(change.address), ip(change.peer)));
    case "route":
      return isNew(() => addRoute(kernelRoute(change)));
    case "link":
      setLink(change.device.index, change.after);
      return true;
  }
}

/** What the kernel has, read once however often it is asked for. */
export class KernelLook {
  readonly #routes = new Map<string, readonly KernelRoute[]>();
  readonly #addresses = new Map<number, readonly KernelAddress[]>();

  /** @throws SysError */
  routes(family: "ipv4" | "ipv6", table: number): readonly KernelRoute[] {
    const key = `${family} ${table}`;
    const known = this.#routes.get(key) ?? routesOf(family, table);
    this.#routes.set(key, known);
    return known;
  }

  /** @throws SysError */
  addresses(device: number): readonly KernelAddress[] {
    const known = this.#addresses.get(device) ?? addressesOf(device);
    this.#addresses.set(device, known);
    return known;
  }
}

/** Whether it is as the change would make it. @throws SysError */
export function isMade(change: AddressChange | RouteChange | LinkChange, look = new KernelLook()): boolean {
  switch (change.kind) {
    case "address":
      return look.addresses(change.device.index).some(({ address }) => `${address}` === change.address);
    case "route": {
      const wanted = kernelRoute(change);
      const { network, device, table, type, metric } = wanted;
      // One that leads nowhere has the kernel's own device with IPv6, and means something else with another metric.
      const isSame = (route: KernelRoute): boolean =>
        type === "unicast" ? route.device === device : route.metric === metric;
      const routes = look.routes(network.isIpv4 ? "ipv4" : "ipv6", table);
      return routes.some((route) => route.network.equals(network) && route.type === type && isSame(route));
    }
    case "link": {
      const { mtu, up } = change.after;
      const link = linkOf(change.device.index);
      return link?.mtu === mtu && link.up === up;
    }
  }
}

/** EEXIST is about this very address or route, which somebody else has made. */
function isNew(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (error instanceof SysError && error.errno === EEXIST) return false;
    throw error;
  }
}

/** Never fails. @returns what could not be taken back, in words; undefined: it is */
export function takeBack(change: Change): string | undefined {
  try {
    return undo(change);
  } catch (error) {
    // Whatever it is (a program that is not installed any more, a file that may not be read), the other changes are not to wait for it.
    if (error instanceof SysError && GONE.includes(error.errno)) return undefined;
    return `${describe(change)}: ${(error as Error).message}`;
  }
}

/** What was to be taken back is not there any more. */
export const GONE: readonly number[] = [ESRCH, ENODEV, EADDRNOTAVAIL, ENETUNREACH, ENETDOWN];

function undo(change: Change): string | undefined {
  const device = "device" in change ? change.device : undefined;
  // Its addresses, routes and resolvers went with it.
  if (device !== undefined && !isThere(device)) return undefined;
  switch (change.kind) {
    case "address":
      deleteAddress(change.device.index, cidr(change.address), ip(change.peer));
      return undefined;
    case "route":
      deleteRoute(kernelRoute(change));
      return undefined;
    case "link":
      setLink(change.device.index, change.before);
      return undefined;
    case "file":
      return restoreFile(change);
    case "command": {
      const [program, ...args] = change.undo as [string, ...string[]];
      const { success } = Bun.spawnSync([program, ...args], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
      return success ? undefined : `${change.undo.join(" ")} has failed`;
    }
  }
}

const isThere = ({ index, name }: DeviceRef): boolean => linkOf(index)?.name === name;

export function kernelRoute({ network, device, gateway, ...same }: RouteChange): KernelRoute {
  return { ...same, network: cidr(network), device: device?.index ?? 0, gateway: ip(gateway) };
}

/** For messages, in the words of iproute2: what a person would type to make it. */
export function describe(change: Change): string {
  switch (change.kind) {
    case "address": {
      const { device, address, peer } = change;
      return `ip addr add ${peer === undefined ? address : `${address.split("/")[0]} peer ${peer}`} dev ${device.name}`;
    }
    case "route": {
      const { network, type, device, gateway, isOnLink, metric, table } = change;
      const words = ["ip", ...(network.includes(":") ? ["-6"] : []), "route", "add"];
      words.push(...(type === "unicast" ? [network] : [type, network]));
      if (gateway !== undefined) words.push("via", gateway);
      if (device !== undefined) words.push("dev", device.name);
      if (isOnLink) words.push("onlink");
      if (metric !== 0) words.push("metric", `${metric}`);
      if (table !== 254) words.push("table", `${table}`);
      return words.join(" ");
    }
    case "link": {
      const { device, after } = change;
      return `ip link set ${device.name} mtu ${after.mtu}${after.up ? " up" : ""}`;
    }
    case "file":
      return change.path;
    case "command":
      return change.undo.join(" ");
  }
}

/** @throws Error: a journal of ours holds no other texts */
function cidr(text: string): Cidr {
  const value = parseCidr(text);
  if (value === undefined) throw new Error(`not a network: ${text}`);
  return value;
}

const ip = (text: string | undefined) => (text === undefined ? undefined : parseIp(text));
