/** What lies between LAN and tunnel, by the profile's device: a router with our addresses and services on the LAN, or a bridge without. */
import type { BoundedLog } from "../lib/bounded-log.ts";
import type { Log } from "../lib/log.ts";
import type { AddressPrf } from "../netstack/ra/stable-address.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import type { RecordQueue } from "../platform/log/record-queue.ts";
import type { StateStore } from "../platform/state/store.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { Material } from "../protocol/config/types.ts";
import type { ServerSide } from "../tunnel/server-side.ts";
import type { TunnelSide } from "../tunnel/side.ts";
import { BridgeServedSide, BridgeSide } from "./bridge-side.ts";
import { neighborConflict } from "./conflicts.ts";
import type { Forwarding } from "./forwarding.ts";
import { setForwards } from "./forwards.ts";
import { LanSide, type StatusSources } from "./lan-side.ts";
import { SETTINGS_FILE } from "./profile.ts";
import { RouterSide } from "./router-side.ts";
import { ServedSide } from "./served-side.ts";
import type { Settings } from "./settings/settings.ts";
import { BridgePath } from "./wiring/bridge.ts";
import { RouterPath, type Forwarding as Routing } from "./wiring/router.ts";

export interface MiddleOptions {
  readonly now: number;
  readonly memory: NativeMemory;
  readonly wan: FrameDevice;
  /** undefined: there is none, which only a server can do without. */
  readonly lan: FrameDevice | undefined;
  readonly settings: Settings;
  readonly log: Log;
  /** What the log has written, for a collector on the LAN. */
  readonly records: RecordQueue;
  readonly heard: BoundedLog;
  readonly prf: AddressPrf;
  readonly state: StateStore | undefined;
  /** Who may sign the certificates of DNS servers. */
  readonly authorities: () => Material | undefined;
  /** What the status page tells of. */
  readonly status: StatusSources;
}

export interface Middle {
  readonly path: RouterPath | BridgePath;
  /** Our addresses and services on the LAN; undefined: there are none. */
  readonly lan: LanSide | undefined;
  /** For a dialer. */
  readonly side: TunnelSide;
  /** For listeners. @param changed somebody has come or gone */
  serverSide(changed: (now: number) => void): ServerSide;
  /** Takes what of the settings can change while it runs. */
  take(now: number, settings: Settings): void;
}

export const openMiddle = (options: MiddleOptions, forwarding: Forwarding): Middle =>
  forwarding.kind === "bridge" ? bridged(options) : routed(options, forwarding);

function routed(options: MiddleOptions, forwarding: Routing): Middle {
  const { now, lan: device, heard, log, records, settings } = options;
  const path = new RouterPath({ ...options, wanMtu: settings.wan.mtu, forwarding, random: systemRandom });
  for (const side of [path.wan, path.lan])
    side.link.arp.onNeighborConflict = (at, address, kept, other) =>
      heard.write(at, "warn", `${side.name}.neighbor-conflict`, neighborConflict(address, kept, other));
  const lan = device && new LanSide(now, { ...options, path, device });
  const networks = lan?.networks ?? [];
  const take = (at: number, { vpn, log: { syslog } }: Settings): void => {
    setForwards(path, log, vpn.forwards, lan?.network6);
    if (lan !== undefined) lan.syslog.take(at, syslog);
    else if (syslog !== undefined) log.write("warn", "config.warning", withoutLan(syslog.line));
  };
  if (lan === undefined) records.close();
  take(now, settings);
  return {
    path,
    lan,
    side: new RouterSide(path, networks, (at, tunnel) => lan?.tunnelChanged(at, tunnel)),
    serverSide: (changed) => new ServedSide({ path, lan: networks, log, changed }),
    take,
  };
}

const withoutLan = (line: number): string =>
  `${SETTINGS_FILE}:${line}: log.syslog: nothing is sent: a collector is a host of the LAN, and there is none (--lan)`;

function bridged(options: MiddleOptions): Middle {
  const { lan: device, heard, log, records, settings } = options;
  records.close();
  const path = new BridgePath({ ...options, wanMtu: settings.wan.mtu, random: systemRandom });
  path.wan.link.arp.onNeighborConflict = (at, address, kept, other) =>
    heard.write(at, "warn", "wan.neighbor-conflict", neighborConflict(address, kept, other));
  const text = "the LAN is bridged to the tunnel (dev tap): no address and no service of ours is on it";
  if (device) log.write("info", "lan.bridged", text, { interface: device.name });
  return {
    path,
    lan: undefined,
    side: new BridgeSide(path),
    serverSide: (changed) => new BridgeServedSide(path, changed),
    take: () => {},
  };
}
