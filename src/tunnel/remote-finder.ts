/**
 * Where the next attempt goes: the remote that is due, and of its addresses the one that is due. Names are looked up when it
 * is their turn, and the addresses of an answer are walked through in turn; those that led nowhere lately go last.
 */
import type { BoundedLog } from "../lib/bounded-log.ts";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { DialConfig, Remote } from "../protocol/config/types.ts";
import type { RetryPolicy } from "../protocol/session/retry.ts";
import { connectionConfig } from "./connection.ts";
import type { Resolver } from "./resolve.ts";

/** Our choice: so many addresses that failed are remembered; names have fewer. */
const FAILED = 16;

/** What an attempt goes by. */
export interface Way {
  readonly remote: Remote;
  /** The profile as it is for this remote. */
  readonly config: DialConfig;
  /** What is connected to: the server, or the proxy in front of it. */
  readonly address: IpAddress;
  /** The server's address, where it is known although a proxy is between. */
  readonly server: IpAddress | undefined;
}

/** Why there is no way, in words, and whether the log has just said so. */
type Lost = (now: number, problem: string, isSaid: boolean) => void;

/** A way whose last address is not known yet. */
type Begun = Omit<Way, "address">;

export interface RemoteFinderOptions {
  readonly config: DialConfig;
  readonly retry: RetryPolicy;
  readonly resolver: Resolver;
  readonly random: Random;
  readonly log: Log;
  /** For what resolvers can cause at will. */
  readonly heard: BoundedLog;
}

export class RemoteFinder {
  readonly #options: RemoteFinderOptions;
  /** The addresses of the remote whose turn it is, in their order: after the last one its name is asked for anew. */
  #found: { readonly remote: Remote; readonly addresses: readonly IpAddress[] } | undefined;
  /** Addresses that led to no tunnel since the last one that did, or since the network is this one; the last first. */
  #failed: readonly IpAddress[] = [];

  constructor(options: RemoteFinderOptions) {
    this.#options = options;
  }

  /**
   * Finds the way that is due. One of the two is called, within this call or later, unless cancel() is.
   * @param lost a name has no address
   */
  find(now: number, found: (now: number, way: Way) => void, lost: Lost): void {
    const { remote, address: index } = this.#options.retry.target();
    const config = connectionConfig(this.#options.config, remote);
    const { proxy } = config;
    const finish = (at: number, server: IpAddress | undefined): void =>
      this.#finish(at, { remote, config, server }, index, found, lost);
    // Where to a relay of datagrams sends them is said by address; to a stream's end the proxy finds the way by name.
    if (proxy === undefined || remote.protocol === "tcp") return finish(now, parseIp(remote.host));
    this.#resolve(now, remote, this.#name(remote), (at, [address]) => finish(at, address), lost);
  }

  /**
   * Looks whether the name behind a silent address leads elsewhere now.
   * @param moved it does; with what a person should know, where the address is not among its own any more
   */
  askAgain(
    now: number,
    { remote, config, address }: Way,
    moved: (now: number, text: string | undefined) => void,
  ): void {
    const host = config.proxy?.host ?? this.#name(remote);
    if (parseIp(host) !== undefined) return;
    this.#options.resolver.resolve(now, host, remote.family, (at, result) => {
      if (!result.ok || result.note !== undefined) return;
      const isSame = (other: IpAddress): boolean => other.equals(address);
      // Another family may have come to the WAN since the name was asked for.
      if (result.addresses.every(isSame)) return;
      moved(at, result.addresses.some(isSame) ? undefined : `${host} is no longer at ${address}`);
    });
  }

  cancel(): void {
    this.#options.resolver.cancel();
  }

  /** There is a tunnel, or another network: what was found and what failed says nothing of the next attempt. */
  forget(): void {
    this.#found = undefined;
    this.#failed = [];
  }

  hasFailed(address: IpAddress): void {
    this.#failed = [address, ...this.#failed.filter((other) => !other.equals(address))].slice(0, FAILED);
  }

  /** Finds the address that is due of what is connected to, the server or its proxy. */
  #finish(now: number, way: Begun, index: number, found: (now: number, way: Way) => void, lost: Lost): void {
    const { remote, config } = way;
    const host = config.proxy?.host ?? remote.host;
    const known = this.#found?.remote === remote && index > 0 ? this.#found.addresses[index] : undefined;
    const address = parseIp(host) ?? known;
    if (address !== undefined) return found(now, { ...way, address });
    const name = config.proxy === undefined ? this.#name(remote) : host;
    const take = (at: number, answer: readonly IpAddress[]): void => {
      const addresses = this.#unfailedFirst(answer);
      this.#found = { remote, addresses };
      this.#options.retry.resolved(addresses.length);
      found(at, { ...way, address: addresses[index % addresses.length] as IpAddress });
    };
    this.#resolve(now, remote, name, take, lost);
  }

  /** The first ones of an answer may be of a family that leads nowhere. */
  #unfailedFirst(addresses: readonly IpAddress[]): readonly IpAddress[] {
    const failed = (address: IpAddress): boolean => this.#failed.some((other) => other.equals(address));
    return [...addresses.filter((address) => !failed(address)), ...addresses.filter(failed)];
  }

  /** Asks for the addresses of a name, or takes it for one. */
  #resolve(
    now: number,
    { family }: Remote,
    host: string,
    found: (now: number, addresses: readonly IpAddress[]) => void,
    lost: Lost,
  ): void {
    const literal = parseIp(host);
    if (literal !== undefined) return found(now, [literal]);
    const { resolver, log, heard } = this.#options;
    log.write("info", "link.resolving", "", { host });
    resolver.resolve(now, host, family, (at, result) => {
      if (!result.ok) {
        const said = heard.write(at, "warn", "link.unresolved", result.text, { host });
        return lost(at, result.text, said);
      }
      if (result.note !== undefined) heard.write(at, "warn", "link.resolved", result.note, { host });
      found(at, result.addresses);
    });
  }

  /** The name to look up for a remote. */
  #name({ host }: Remote): string {
    return this.#options.config.retry.remoteRandomHostname ? `${this.#randomLabel()}.${host}` : host;
  }

  /** As openvpn: six bytes in hexadecimal, so that no cache on the way knows the name. */
  #randomLabel(): string {
    const bytes = new Uint8Array(6);
    this.#options.random.fill(bytes);
    return bytes.toHex();
  }
}
