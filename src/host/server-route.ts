/**
 * The way to the server, which must not lead through the tunnel: a route to its address alone, beside the tunnel's own, as soon as
 * one of those would take its packets. It is there before they are, and moves first when the server or the network does.
 */
import { Cidr } from "../lib/cidr.ts";
import type { IpAddress } from "../lib/ip.ts";
import { type KernelRoute, linkOf, MAIN_TABLE, OUR_PROTOCOL, pathTo, routesOf } from "../platform/net/rtnetlink.ts";
import { SysError } from "../platform/sys/errno.ts";
import { GONE, type RouteChange } from "./change.ts";
import type { Changes, Held } from "./changes.ts";

/** How the kernel sends to an address, but for the tunnel. */
export interface OuterPath {
  readonly device: number;
  readonly name: string;
  readonly mtu: number;
  readonly gateway: IpAddress | undefined;
  /** The gateway is a neighbour, which no address of the device says: as machines with one address of a network have it. */
  readonly isOnLink: boolean;
  readonly source: IpAddress | undefined;
}

export class ServerRoute {
  readonly #tunnel: () => number;
  readonly #changes: Changes;
  /** What is sent to now. */
  #server: IpAddress | undefined;
  #path: OuterPath | undefined;
  /** Networks that the tunnel takes. */
  #covered: readonly Cidr[] = [];
  #held: Held | undefined;
  /** The same for what is sent to beside the server: a proxy's relay. */
  #beside: ServerRoute | undefined;

  /** @param tunnel index of its device, 0: there is none yet */
  constructor(changes: Changes, tunnel: () => number) {
    this.#changes = changes;
    this.#tunnel = tunnel;
  }

  get server(): IpAddress | undefined {
    return this.#server;
  }

  /** What it has made: gone from the kernel, it is to be made again. */
  get held(): readonly Held[] {
    const beside = this.#beside?.held ?? [];
    return this.#held === undefined ? beside : [this.#held, ...beside];
  }

  /** A server is about to be sent to. @returns the way there; undefined: there is none @throws SysError */
  prepare(server: IpAddress): OuterPath | undefined {
    if (this.#beside !== undefined) this.#beside.#forget();
    this.#server = server;
    this.#path = this.find(server);
    this.#follow();
    return this.#path;
  }

  /** An address is about to be sent to beside the server, until the next server is. @returns the way there; undefined: there is none @throws SysError */
  prepareBeside(address: IpAddress): OuterPath | undefined {
    if (this.#server?.equals(address) === true) return this.#path;
    this.#beside ??= new ServerRoute(this.#changes, this.#tunnel);
    this.#beside.#covered = this.#covered;
    return this.#beside.prepare(address);
  }

  /** The tunnel is about to take packets to these networks. @throws SysError */
  cover(networks: readonly Cidr[]): void {
    this.#covered = networks;
    this.#update();
    this.#beside?.cover(networks);
  }

  /** The network has changed. @returns what became of the way to the server @throws SysError */
  look(): "same" | "moved" | "lost" {
    const beside = this.#beside?.look() ?? "same";
    const own = this.#lookOwn();
    return own === "same" ? beside : own;
  }

  #lookOwn(): "same" | "moved" | "lost" {
    if (this.#server === undefined) return "same";
    const before = this.#path;
    this.#path = this.find(this.#server);
    // What somebody else takes away is put back with all else (TunNetwork.mend), which does not do so without end.
    if (!this.#isAsWanted) this.#follow();
    if (this.#path === undefined) return before === undefined ? "same" : "lost";
    return before !== undefined && keyOf(before) === keyOf(this.#path) ? "same" : "moved";
  }

  /** Nothing is sent there any more. */
  #forget(): void {
    this.#server = undefined;
    this.#path = undefined;
    this.#update();
  }

  /** The way that the kernel's routes, but for the tunnel's and ours, have to an address. @throws SysError */
  find(address: IpAddress): OuterPath | undefined {
    const tunnel = this.#tunnel();
    const foreign = routesOf(address.isIpv4 ? "ipv4" : "ipv6").filter(
      ({ device, protocol }) => device !== tunnel && protocol !== OUR_PROTOCOL,
    );
    const best = bestRoute(foreign, address);
    if (best === undefined || best.type !== "unicast") return undefined;
    const link = linkOf(best.device);
    if (link === undefined) return undefined;
    const { gateway, source } = pathTo(address, best.device) ?? { gateway: best.gateway, source: undefined };
    return { device: best.device, name: link.name, mtu: link.mtu, gateway, isOnLink: best.isOnLink === true, source };
  }

  /** A route by a gateway whose own network has just gone cannot be made: then there is no way, until the network changes. @throws SysError */
  #follow(): void {
    try {
      this.#update();
    } catch (error) {
      if (!(error instanceof SysError) || !GONE.includes(error.errno)) throw error;
      this.#path = undefined;
      if (this.#held !== undefined) this.#changes.undo(this.#held);
      this.#held = undefined;
    }
  }

  /** @throws SysError */
  #update(): void {
    const wanted = this.#wanted();
    const held = this.#held;
    // The kernel drops routes with a device's address, so that one which is wanted may be gone.
    this.#held = wanted && this.#changes.network(wanted);
    if (this.#held === undefined && held !== undefined && same(held.change as RouteChange, wanted)) this.#held = held;
    else if (held !== undefined) this.#changes.undo(held);
  }

  get #isAsWanted(): boolean {
    const wanted = this.#wanted();
    return this.#held === undefined ? wanted === undefined : same(this.#held.change as RouteChange, wanted);
  }

  #wanted(): RouteChange | undefined {
    const server = this.#server;
    const path = this.#path;
    if (server === undefined || path === undefined) return undefined;
    // Where the server is on the link and no route of the tunnel is as narrow as the link's own, nothing has to be said.
    const isTaken = this.#covered.some((network) => network.contains(server));
    const isNeighbor = path.gateway === undefined && !this.#covered.some((n) => n.prefix > 1 && n.contains(server));
    if (!isTaken || isNeighbor) return undefined;
    return {
      kind: "route",
      device: { index: path.device, name: path.name },
      network: `${new Cidr(server, server.bits)}`,
      type: "unicast",
      gateway: path.gateway?.toString(),
      isOnLink: path.isOnLink || undefined,
      metric: 0,
      table: MAIN_TABLE,
      protocol: OUR_PROTOCOL,
    };
  }
}

const same = (a: RouteChange, b: RouteChange | undefined): boolean => JSON.stringify(a) === JSON.stringify(b);

const keyOf = ({ device, gateway, source }: OuterPath): string => `${device} ${gateway} ${source}`;

/** The longest prefix wins, then the lowest metric. */
export function bestRoute(routes: readonly KernelRoute[], address: IpAddress): KernelRoute | undefined {
  let best: KernelRoute | undefined;
  for (const route of routes) {
    if (!route.network.contains(address)) continue;
    const { prefix } = route.network;
    if (best === undefined || prefix > best.network.prefix) best = route;
    else if (prefix === best.network.prefix && route.metric < best.metric) best = route;
  }
  return best;
}
