/** The end of a client, or of a tunnel of two: one dialer after the other, of which each goes on where the one before was as long as the configuration is the same. */

import { formatMac } from "../lib/mac.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { machineInfo } from "../platform/machine.ts";
import type { DialConfig } from "../protocol/config/types.ts";
import { Dialer } from "../tunnel/dialer.ts";
import { DialHistory } from "../tunnel/history.ts";
import type { TunnelSide } from "../tunnel/side.ts";
import type { RemoteResolver } from "./remote-resolver.ts";
import { endOptions, type VpnEnd, type VpnParts } from "./vpn-end.ts";

export class Dialing {
  readonly #parts: VpnParts;
  readonly #side: TunnelSide;
  readonly #resolver: RemoteResolver;
  #history: { readonly config: DialConfig; readonly of: DialHistory } | undefined;

  constructor(parts: VpnParts, side: TunnelSide, resolver: RemoteResolver) {
    this.#parts = parts;
    this.#side = side;
    this.#resolver = resolver;
  }

  open(config: DialConfig): VpnEnd {
    if (this.#history?.config !== config) this.#history = { config, of: new DialHistory(config, systemRandom) };
    const { path } = this.#parts;
    const dialer = new Dialer({
      ...endOptions(this.#parts),
      config,
      history: this.#history.of,
      side: this.#side,
      links: path.links,
      ports: path.ports,
      resolver: this.#resolver,
      machine: () => machineInfo(formatMac({ hi: path.wan.link.macHi, lo: path.wan.link.macLo })),
    });
    return {
      get status() {
        const { status } = dialer;
        return { ...status, isUp: status.state === "up", clients: [] };
      },
      get left() {
        return dialer.left;
      },
      networkUp: (now) => dialer.networkUp(now),
      networkDown: (now, reason) => dialer.networkDown(now, reason),
      reload: () => false,
      leave: (now) => dialer.leave(now),
      stop: (now, reason) => dialer.stop(now, reason),
      discard: (now) => {
        this.#side.down(now);
        path.links.closeAll();
        path.ports.closeAll();
        dialer.discard(now);
      },
      poll: (now) => dialer.poll(now),
      pollAt: () => dialer.pollAt(),
      counters: () => dialer.counters(),
      remarks: () => {
        const url = dialer.loginPage;
        const text = "the login waits for somebody at a web page";
        return url === undefined ? [] : [{ event: "statistics.login", text, fields: { url } }];
      },
    };
  }
}
