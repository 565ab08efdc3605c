/** The DNS servers that routers advertise (RFC 8106 5.3.1, 6.2), bounded, each until its lifetime ends. */
import type { IpAddress } from "../../lib/ip.ts";
import type { RouterAdvert } from "../wire/router-advert.ts";
import { givesWay } from "./fairness.ts";

/** Our choice; RFC 8106 5.3.1 wants room for three at least. */
const MAX_SERVERS = 8;
const NEVER = Number.POSITIVE_INFINITY;

interface Entry {
  readonly server: IpAddress;
  readonly router: IpAddress;
  until: number;
}

export class Resolvers {
  readonly #entries: Entry[] = [];

  /** In the order in which they became known. */
  get servers(): IpAddress[] {
    const servers: IpAddress[] = [];
    for (const { server } of this.#entries) if (!servers.some((s) => s.equals(server))) servers.push(server);
    return servers;
  }

  clear(): void {
    this.#entries.length = 0;
  }

  /** @param gateway the default router that is in use: its servers give way to no other router's */
  update(now: number, router: IpAddress, gateway: IpAddress | undefined, advert: RouterAdvert): void {
    for (const { servers, lifetime } of advert.rdnss)
      for (const server of servers) this.#set(server, router, gateway, lifetime === 0 ? 0 : now + lifetime * 1000);
  }

  pollAt(): number {
    return this.#entries.reduce((at, { until }) => Math.min(at, until), NEVER);
  }

  handleTimeout(now: number): void {
    for (const entry of this.#entries.filter(({ until }) => until <= now)) this.#remove(entry);
  }

  #set(server: IpAddress, router: IpAddress, gateway: IpAddress | undefined, until: number): void {
    const known = this.#entries.find((e) => e.server.equals(server) && e.router.equals(router));
    if (until === 0) {
      if (known !== undefined) this.#remove(known);
    } else if (known !== undefined) {
      known.until = until;
    } else if (!server.isIpv4 && server.isHost && this.#room(router, gateway)) {
      this.#entries.push({ server, router, until });
    }
  }

  /** RFC 8106 5.3.1 lets the one give way that ends first; here the newest of whoever has most, so that nobody fills the list. */
  #room(router: IpAddress, gateway: IpAddress | undefined): boolean {
    if (this.#entries.length < MAX_SERVERS) return true;
    const victim = givesWay(this.#entries, router, gateway);
    if (victim !== undefined) this.#remove(victim);
    return victim !== undefined;
  }

  #remove(entry: Entry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1);
  }
}
