/** The server's end: one listener after the other, with the keys, leases and failed logins of the one before. */

import type { Cidr } from "../lib/cidr.ts";
import type { IpAddress } from "../lib/ip.ts";
import { Passwords } from "../platform/crypto/password.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { keepPool, keptPool, leasesOfBoth, type ServerKeys, serverKeys } from "../platform/state/server.ts";
import type { StateStore } from "../platform/state/store.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import { formatProblem } from "../protocol/config/problem.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import { Entrance, type EntranceSetup } from "../protocol/server/entrance.ts";
import { Listener } from "../tunnel/listener.ts";
import type { ServerSide } from "../tunnel/server-side.ts";
import { takeServed } from "../tunnel/take-served.ts";
import { ServerReport } from "./server-report.ts";
import { type EndStatus, endOptions, type Profile, type VpnEnd, type VpnParts } from "./vpn-end.ts";

export interface ServingOptions {
  readonly parts: VpnParts;
  readonly lan: readonly Cidr[];
  /** What clients are joined to. @param changed somebody has come or gone */
  readonly serverSide: (changed: (now: number) => void) => ServerSide;
  readonly state: StateStore | undefined;
  /** The network is there, but one of its addresses cannot be used yet. */
  readonly isSettling: () => boolean;
  /** The network has other addresses of this family, and not this one. */
  readonly lacks: (address: IpAddress) => boolean;
}

/** Our choice: so long all addresses are waited for, so that what is said to be listened on is. */
const SETTLE_MS = 3000;
const NEVER = Number.POSITIVE_INFINITY;

export class Serving {
  readonly #options: ServingOptions;
  readonly #passwords = new Passwords();
  readonly #side: ServerSide;
  #keys: ServerKeys | undefined;
  #entrance: Entrance | undefined;

  constructor(options: ServingOptions) {
    this.#options = options;
    const { state } = options;
    const changed = (now: number): void => keepPool(now, state, () => this.#entrance?.leases() ?? []);
    this.#side = options.serverSide(changed);
  }

  open(now: number, profile: Profile, config: ServerConfig): VpnEnd {
    const { parts, state } = this.#options;
    const { path, log } = parts;
    this.#keys ??= serverKeys(now, state, systemRandom);
    const entrance = this.#newEntrance(now, profile, config, this.#keys);
    const listener = new Listener({
      ...endOptions(parts),
      config,
      entrance,
      side: this.#side,
      ports: path.ports,
      passwords: this.#passwords,
      cookieKey: this.#keys.cookie,
    });
    const report = new ServerReport(listener);
    let listenBy = NEVER;
    const listen = (at: number): void => {
      if (at < listenBy && this.#options.isSettling()) return;
      listenBy = NEVER;
      const problem = listener.networkUp(at);
      if (problem !== undefined) log.write("error", "server.failed", problem);
      report.opened(at, problem);
      if (problem === undefined) this.#warnOfPlaces(config);
    };
    return {
      get status(): EndStatus {
        return {
          ...report.status,
          clients: listener.peers(),
          ...{ server: undefined, protocol: undefined, tunnel: undefined, loginPage: undefined },
        };
      },
      commands: {
        kill: (at, who, message) => listener.kill(at, who, message),
        pushUpdate: (at, who, options) => listener.pushUpdate(at, who, options),
        clients: () => listener.peers(),
        passwords: this.#passwords,
      },
      get left() {
        return listener.left;
      },
      networkUp: (at) => {
        report.networkUp(at);
        listenBy = at + SETTLE_MS;
        listen(at);
      },
      networkDown: (at, why) => {
        report.networkDown(at, why);
        listener.networkDown();
      },
      reload: (at, next) => this.#reload(at, next, listener),
      leave: (at) => listener.leave(at),
      stop: (at, reason) => listener.stop(at, reason),
      discard: (at) => {
        this.#side.close(at);
        path.ports.closeAll();
        listener.discard(at);
      },
      poll: (at) => {
        if (listenBy !== NEVER) listen(at);
        this.#passwords.poll(at);
        listener.poll(at);
      },
      pollAt: () => Math.min(listener.pollAt(), this.#passwords.pollAt(), listenBy),
      counters: () => ({ ...listener.counters(), "drop.password-queue-full": this.#passwords.overflow }),
      remarks: (at) =>
        listener.peers().map(({ upAt, ...fields }) => ({
          event: "statistics.peer",
          text: "",
          fields: { ...fields, minutes: Math.round((at - upAt) / 60_000) },
        })),
    };
  }

  /** An address may come later, so that it is no problem; who moved a server here may have left the old one in its profile. */
  #warnOfPlaces({ listen }: ServerConfig): void {
    const { parts, lacks } = this.#options;
    for (const { address, origin } of listen) {
      if (address === undefined || !lacks(address)) continue;
      const problem = `the WAN does not have the address ${address}: nobody comes in there until it has; without the line it listens on all that it has`;
      parts.log.write("warn", "config.warning", formatProblem({ origin, directive: "local", problem }));
    }
  }

  #newEntrance(now: number, profile: Profile, config: ServerConfig, keys: ServerKeys): Entrance {
    const { parts, state } = this.#options;
    const entrance = new Entrance(this.#setup(profile, config), {
      primitives: parts.control,
      random: systemRandom,
      tokenKey: keys.token,
    });
    const kept = this.#entrance?.leases() ?? keptPool(now, state) ?? [];
    const leases = leasesOfBoth(profile.leases, kept);
    for (const problem of entrance.restore(unixSeconds(), leases)) parts.log.write("warn", "pool.lease", problem);
    this.#entrance = entrance;
    return entrance;
  }

  #setup({ clients, users }: Profile, config: ServerConfig): EntranceSetup {
    return { config, clients, users, lan: this.#options.lan };
  }

  /** Takes what can be taken without ending a session. */
  #reload(now: number, profile: Profile, listener: Listener): boolean {
    const { config } = profile;
    const entrance = this.#entrance;
    if (config.role !== "server" || entrance === undefined) return false;
    const { log } = this.#options.parts;
    const { clients, users } = profile;
    takeServed(now, unixSeconds(), { listener, entrance, lan: this.#options.lan, log }, { config, clients, users });
    return true;
  }
}
