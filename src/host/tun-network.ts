/** What the host's kernel is told of a tunnel: address, MTU and routes of its device, and what goes around it. */
import { Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { addressesOf, linkOf, MAIN_TABLE, OUR_PROTOCOL } from "../platform/net/rtnetlink.ts";
import { EAFNOSUPPORT, EOPNOTSUPP, SysError } from "../platform/sys/errno.ts";
import type { Tunnel } from "../protocol/push/tunnel-options.ts";
import {
  type AddressChange,
  type Change,
  type DeviceRef,
  describe,
  GONE,
  type LinkChange,
  type RouteChange,
} from "./change.ts";
import type { Changes, Held, NetworkChange } from "./changes.ts";
import { Insistence } from "./insistence.ts";
import type { OuterPath, ServerRoute } from "./server-route.ts";

export interface TunNetworkOptions {
  readonly device: DeviceRef;
  /** Of the device: it may go with all that it has. */
  readonly deviceChanges: Changes;
  /** Of what stays when the device goes. */
  readonly hostChanges: Changes;
  readonly serverRoute: ServerRoute;
  readonly log: Log;
  /** Without: the tunnel's addresses alone are set. */
  readonly withRoutes: boolean;
  /** From the first tunnel on nothing goes to where only a default route leads, but through a tunnel. */
  readonly killSwitch: boolean;
  /** The resolvers that the host had before. */
  readonly resolvers: () => readonly IpAddress[];
}

/** What it needs to know of a tunnel. */
export interface HostTunnel {
  readonly mtu: number;
  readonly options: Pick<Tunnel, "address" | "address6" | "peer" | "routes" | "around">;
}

const cidrOf = (text: string): Cidr => parseCidr(text) as Cidr;

/** A default route is two halves: those win over the host's own, which stays as it is and counts again when they are gone. */
const HALVES = {
  ipv4: ["0.0.0.0/1", "128.0.0.0/1"].map(cidrOf),
  ipv6: ["::/1", "8000::/1"].map(cidrOf),
};
/** Behind every route that somebody may want to count. */
const LAST_METRIC = 0x7fff_ffff;
const NEVER = Number.POSITIVE_INFINITY;
/** Of a kernel without it. */
const NO_IPV6 = [EOPNOTSUPP, EAFNOSUPPORT];

/** Whether a change is a route of the kill switch. */
export const isKillRoute = (change: Change): boolean =>
  change.kind === "route" && change.type === "unreachable" && change.metric === LAST_METRIC;

export class TunNetwork {
  readonly #options: TunNetworkOptions;
  /** What is as the tunnel wants it, by its words. */
  readonly #made = new Map<string, Made>();
  /** Its routes, ours or somebody else's. */
  readonly #killSwitch: Made[] = [];
  /** The kernel has all of them. */
  #isKillSwitchOn = false;
  readonly #insistence = new Insistence();
  /** Why it could not be put back, as it was said last. */
  #saidFailure = "";
  #place = "";

  constructor(options: TunNetworkOptions) {
    this.#options = options;
  }

  /** The kill switch of a process that has crashed is this one's, and stays on: there is no moment without. */
  takeOver(killSwitch: readonly Held[]): void {
    if (killSwitch.length === 0) return;
    this.#killSwitch.push(...killSwitch.map(madeOf));
    this.#options.serverRoute.cover(this.#killRoutes().map(({ network }) => cidrOf(network)));
    this.#engage();
  }

  /** Makes the network as the tunnel is, in the place of the tunnel before. @returns why it cannot, in words */
  open(tunnel: HostTunnel): string | undefined {
    const { serverRoute, device, withRoutes } = this.#options;
    try {
      const { address, address6, peer, around } = tunnel.options;
      const place = `${address} ${peer} ${address6}`;
      // With another address the kernel would drop some of the routes, and not say which.
      if (this.#place !== place) this.close();
      this.#place = place;
      this.#have(this.#link(tunnel.mtu));
      const hasIpv6 = this.#addresses(tunnel);
      const routes = withRoutes ? this.#routes(tunnel, hasIpv6) : [];
      const isMain = around.table === undefined || around.table === MAIN_TABLE;
      serverRoute.cover([...(isMain ? routes : []), ...this.#killRoutes()].map(({ network }) => cidrOf(network)));
      this.#setRoutes(withRoutes ? [...this.#around(tunnel), ...routes] : []);
      this.#see();
      const problem = this.#options.killSwitch ? this.#engage() : undefined;
      this.#tellRefused();
      if (problem !== undefined) this.close();
      return problem;
    } catch (error) {
      this.close();
      if (!(error instanceof SysError)) throw error;
      return `${device.name}: ${error.message}`;
    }
  }

  /**
   * The network has changed: what somebody else has taken away of the tunnel's, of the kill switch and of the way to the server is put back.
   * @returns when it is to be called again although nothing changes, in ms of the loop's clock; infinite: there is no need
   */
  mend(now: number): number {
    const { serverRoute, deviceChanges, hostChanges } = this.#options;
    const wanted = [...this.#killSwitch, ...serverRoute.held.map(madeOf), ...this.#made.values()];
    const gone = this.#goneOf(wanted);
    if (gone === undefined) {
      this.#insistence.acted(now);
      return this.#insistence.dueAt;
    }
    if (gone.length === 0) return NEVER;
    if (now < this.#insistence.dueAt) return this.#insistence.dueAt;
    const done: string[] = [];
    const failed: string[] = [];
    for (const made of gone) {
      try {
        if (this.#again(made)) done.push(describe(made.change));
      } catch (error) {
        if (!(error instanceof SysError)) throw error;
        // Where there is no such network now there will be a change when there is.
        if (!GONE.includes(error.errno)) failed.push(error.message);
      }
    }
    const isTried = done.length > 0 || failed.length > 0;
    if (isTried) this.#insistence.acted(now);
    const refused = [...deviceChanges.takeRefused(), ...hostChanges.takeRefused()];
    this.#tellMended(done, [...failed, ...refused.map((command) => `this user may not run ${command}`)]);
    return isTried ? this.#insistence.dueAt : NEVER;
  }

  /** Which of them were there, and are no longer; undefined: the kernel does not say, which is not for ever. */
  #goneOf(wanted: readonly Made[]): Made[] | undefined {
    try {
      const lost = new Set(this.#options.hostChanges.lost(wanted.map(({ change }) => change)));
      for (const made of wanted) if (!lost.has(made.change)) made.isThere = true;
      return wanted.filter(({ change, isThere }) => isThere && lost.has(change));
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#tellFailure(`what somebody else may have taken away cannot be seen: ${error.message}`);
      return undefined;
    }
  }

  /** @returns whether it was not there @throws SysError */
  #again(made: Made): boolean {
    const changes = this.#changesOf(made.change);
    if (made.held !== undefined) return changes.again(made.held);
    made.held = changes.network(made.change);
    return made.held !== undefined;
  }

  /** Takes everything of the tunnel back. */
  close(): void {
    for (const { held } of [...this.#made.values()].reverse()) if (held !== undefined) this.#undo(held);
    this.#made.clear();
    this.#place = "";
    const isClosed = this.#isKillSwitchOn || this.#killSwitch.length > 0;
    this.#options.serverRoute.cover(isClosed ? this.#killRoutes().map(({ network }) => cidrOf(network)) : []);
  }

  /** Takes all back. */
  end(): void {
    for (const { held } of this.#killSwitch.splice(0)) if (held !== undefined) this.#options.hostChanges.undo(held);
    this.#isKillSwitchOn = false;
    this.close();
  }

  #link(mtu: number): LinkChange {
    const { device } = this.#options;
    const before = linkOf(device.index) ?? { mtu, up: false };
    return { kind: "link", device, before: { mtu: before.mtu, up: before.up }, after: { mtu, up: true } };
  }

  /** @returns whether there is IPv6 */
  #addresses({ options: { address, address6, peer } }: HostTunnel): boolean {
    const { device, log } = this.#options;
    const own = (cidr: Cidr, far?: string): AddressChange => ({
      ...{ kind: "address", device, address: `${cidr}`, peer: far },
    });
    if (address !== undefined) this.#have(own(address, peer?.toString()));
    if (address6 === undefined) return false;
    try {
      this.#have(own(address6));
      return true;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const text = `${error.message}: IPv6 is switched off on this host, and the tunnel goes on without it`;
      log.write("warn", "host.ipv6", `${device.name}: ${text}`);
      return false;
    }
  }

  /** What the tunnel takes. */
  #routes({ options }: HostTunnel, hasIpv6: boolean): RouteChange[] {
    const { address, address6, peer, routes, around } = options;
    const { device } = this.#options;
    const table = around.table ?? MAIN_TABLE;
    // The device has routes to the tunnel's own networks since it has its addresses.
    const own = table === MAIN_TABLE ? [peer === undefined ? address : new Cidr(peer, 32), address6] : [];
    const wanted: RouteChange[] = [];
    for (const { network, metric, via: gateway } of routes) {
      if ((!network.isIpv4 && !hasIpv6) || own.some((cidr) => cidr?.network.equals(network))) continue;
      const parts = network.prefix > 0 ? [network] : network.isIpv4 ? HALVES.ipv4 : HALVES.ipv6;
      for (const part of parts) wanted.push(routeChange({ device, network: part, metric, gateway, table }));
    }
    if (around.blockLocal) wanted.push(...this.#localHalves());
    return wanted;
  }

  /** What does not go through the tunnel, and is there before what does. */
  #around({ options: { around, routes } }: HostTunnel): RouteChange[] {
    const { serverRoute, resolvers } = this.#options;
    const wanted: RouteChange[] = [];
    for (const { network, metric, around: gateway } of around.routes) {
      if (gateway !== undefined) wanted.push(routeChange({ network, metric, gateway }));
      else wanted.push(...viaPath(serverRoute.find(network.address), network, metric));
    }
    if (around.bypassDns)
      for (const address of resolvers())
        wanted.push(...viaPath(serverRoute.find(address), new Cidr(address, address.bits), 0));
    if (around.blockLocal) {
      const gateway = this.#outer()?.gateway;
      const path = gateway && serverRoute.find(gateway);
      if (path !== undefined) wanted.push(...viaPath(path, new Cidr(gateway!, gateway!.bits), 0));
    }
    const takesAll = routes.some(({ network }) => network.prefix === 0);
    if (around.blockIpv6 && takesAll) wanted.push(...HALVES.ipv6.map((network) => unreachable(network, 1)));
    return wanted;
  }

  /** The network that the server is reached over. */
  #outer(): OuterPath | undefined {
    const { serverRoute } = this.#options;
    return serverRoute.server && serverRoute.find(serverRoute.server);
  }

  /** Halves of the networks on the link to the server: narrower than the routes that the kernel has for them. */
  #localHalves(): RouteChange[] {
    const path = this.#outer();
    if (path === undefined) return [];
    const networks = addressesOf(path.device).filter(({ address }) => address.isIpv4 && address.prefix < 31);
    return networks.flatMap(({ address: { network, prefix } }) => {
      const { address } = network;
      const upper = new Cidr(halfwayOf(address.w3, prefix), prefix + 1);
      const { device } = this.#options;
      return [new Cidr(address, prefix + 1), upper].map((half) => routeChange({ device, network: half, metric: 0 }));
    });
  }

  #killRoutes(): RouteChange[] {
    if (!this.#options.killSwitch) return [];
    return [...HALVES.ipv4, ...HALVES.ipv6].map((network) => unreachable(network, LAST_METRIC));
  }

  /** @returns why there is no kill switch, in words: then there is no tunnel either @throws SysError */
  #engage(): string | undefined {
    const { hostChanges, log, device } = this.#options;
    if (this.#isKillSwitchOn) return undefined;
    const missing: string[] = [];
    for (const change of this.#killRoutes()) {
      try {
        const held = hostChanges.network(change);
        const name = describe(change);
        if (held === undefined && hostChanges.lost([change]).length > 0) missing.push(name);
        else if (held !== undefined || !this.#killSwitch.some((known) => describe(known.change) === name))
          this.#killSwitch.push({ change, held, isThere: true });
      } catch (error) {
        if (!(error instanceof SysError) || !NO_IPV6.includes(error.errno)) throw error;
        // Without IPv6 in the kernel there is none to block.
      }
    }
    if (missing.length > 0)
      return (
        `${device.name}: there is no kill switch, so that the tunnel is not used: this user may not make its routes ` +
        `(that needs CAP_NET_ADMIN). Go without --kill-switch, or have somebody run who may: ${missing.join("; ")}`
      );
    this.#isKillSwitchOn = true;
    log.write("info", "killswitch.on", "what only a default route leads to goes through the tunnel, or nowhere");
    return undefined;
  }

  /** Adds the routes that are not there yet, then removes those that are not among them. */
  #setRoutes(wanted: readonly RouteChange[]): void {
    const names = new Set<string>();
    for (const change of wanted) {
      names.add(describe(change));
      this.#have(change);
    }
    for (const [name, { change, held }] of this.#made) {
      if (change.kind !== "route" || names.has(name)) continue;
      if (held !== undefined) this.#undo(held);
      this.#made.delete(name);
    }
  }

  #have(change: NetworkChange): void {
    const name = describe(change);
    if (this.#made.has(name)) return;
    const held = this.#changesOf(change).network(change);
    this.#made.set(name, { change, held, isThere: held !== undefined });
  }

  /** Of what was not ours to make: whether the kernel has it, or this user may not make it. @throws SysError */
  #see(): void {
    const unsure = [...this.#made.values()].filter(({ isThere }) => !isThere);
    if (unsure.length === 0) return;
    const lost = new Set(this.#options.hostChanges.lost(unsure.map(({ change }) => change)));
    for (const made of unsure) made.isThere = !lost.has(made.change);
  }

  #undo(held: Held): void {
    this.#changesOf(held.change as NetworkChange).undo(held);
  }

  #changesOf({ device }: NetworkChange): Changes {
    const { deviceChanges, hostChanges } = this.#options;
    return device?.index === this.#options.device.index ? deviceChanges : hostChanges;
  }

  #tellMended(done: readonly string[], failed: readonly string[]): void {
    const { log, device } = this.#options;
    if (done.length > 0) {
      const more = done.length > 3 ? `; and ${done.length - 3} more` : "";
      const text = `${device.name}: what somebody else has taken away is there again: ${done.slice(0, 3).join("; ")}${more}`;
      log.write("warn", "host.restored", text);
    }
    const why = failed.join("; ");
    this.#tellFailure(why === "" ? "" : `what somebody else has taken away cannot be made again: ${why}`);
  }

  /** @param failure empty: none */
  #tellFailure(failure: string): void {
    const { log, device } = this.#options;
    if (failure !== "" && failure !== this.#saidFailure) log.write("warn", "host.lost", `${device.name}: ${failure}`);
    this.#saidFailure = failure;
  }

  #tellRefused(): void {
    const { log, device, deviceChanges, hostChanges } = this.#options;
    const commands = [...deviceChanges.takeRefused(), ...hostChanges.takeRefused()];
    if (commands.length === 0) return;
    const text =
      `this user may not set up ${device.name} (that needs CAP_NET_ADMIN), and it is not as the tunnel needs it; ` +
      `somebody who may has to run: ${commands.slice(0, 8).join("; ")}`;
    log.write("warn", "host.refused", commands.length > 8 ? `${text}; and ${commands.length - 8} more` : text);
  }
}

interface Made {
  readonly change: NetworkChange;
  /** undefined: it was so before, and is not ours to take back; or this user may not make it. */
  held: Held | undefined;
  /** The kernel had it when it was looked last. What was never there is missed by nobody. */
  isThere: boolean;
}

const madeOf = (held: Held): Made => ({ change: held.change as NetworkChange, held, isThere: true });

interface RouteFields {
  readonly device?: DeviceRef;
  readonly network: Cidr;
  readonly metric: number;
  readonly gateway?: IpAddress | undefined;
  readonly isOnLink?: boolean;
  readonly table?: number;
}

function routeChange({ device, network, metric, gateway, isOnLink, table = MAIN_TABLE }: RouteFields): RouteChange {
  return {
    kind: "route",
    device,
    network: `${network}`,
    type: "unicast",
    gateway: gateway?.toString(),
    isOnLink: isOnLink || undefined,
    metric,
    table,
    protocol: OUR_PROTOCOL,
  };
}

const unreachable = (network: Cidr, metric: number): RouteChange => ({
  ...routeChange({ network, metric }),
  type: "unreachable",
});

function viaPath(path: OuterPath | undefined, network: Cidr, metric: number): RouteChange[] {
  if (path === undefined) return [];
  const device = { index: path.device, name: path.name };
  const { gateway, isOnLink } = path;
  return [routeChange({ device, network, metric, gateway, isOnLink })];
}

/** The first address of the upper half of a network of IPv4. */
const halfwayOf = (word: number, prefix: number): IpAddress => IpAddress.fromIpv4(word | (1 << (31 - prefix)));
