/** Looks at the two links once a second, as nothing else tells when a cable is pulled or an MTU is set, and says what the operator should know of them. */
import type { Log } from "../lib/log.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { DEVICE_TEXT } from "../platform/dev/packet.ts";
import type { DataPath } from "./wiring/data-path.ts";

const LOOK_EVERY_MS = 1000;

/** What the owner does about the links. The LAN's address does not depend on one. */
export interface LinkEvents {
  wanUp(now: number): void;
  wanDown(now: number): void;
  /** The LAN's link is back: something else may be plugged in now. */
  lanUp(now: number): void;
}

type Watched = Pick<DataPath, "wan" | "lanLinkChanged" | "wanDevice" | "lanDevice" | "setMtu">;

export class LinkWatch {
  readonly #path: Watched;
  readonly #log: Log;
  readonly #events: LinkEvents;
  readonly #saidUnknownGso = new Set<string>();
  #wanUp = false;
  /** undefined until the first look: what that finds is no change. */
  #lanUp: boolean | undefined;
  #lookAt = 0;
  readonly #mtu: { wan: number; lan: number };

  constructor(path: Watched, log: Log, events: LinkEvents) {
    this.#path = path;
    this.#log = log;
    this.#events = events;
    this.#mtu = { wan: path.wanDevice.mtu, lan: path.lanDevice.mtu };
  }

  /** As the last look saw it. */
  get wanUp(): boolean {
    return this.#wanUp;
  }

  pollAt(): number {
    return this.#lookAt;
  }

  look(now: number): void {
    this.#lookAt = now + LOOK_EVERY_MS;
    const { wanDevice, lanDevice } = this.#path;
    this.#lookAtWan(now, wanDevice.linkUp());
    for (const device of [wanDevice, lanDevice]) this.#sayUnknownGso(device);
    this.#lookAtMtu("wan", wanDevice);
    this.#lookAtMtu("lan", lanDevice);
    this.#lookAtLan(now, lanDevice.linkUp());
  }

  #lookAtWan(now: number, up: boolean): void {
    if (up === this.#wanUp) return;
    this.#wanUp = up;
    this.#path.wan.linkChanged();
    if (up) this.#events.wanUp(now);
    else this.#events.wanDown(now);
  }

  /** The kernel refuses what is larger, whoever has made the MTU smaller; what is smaller than it need be is slow. */
  #lookAtMtu(side: "wan" | "lan", device: FrameDevice): void {
    const mtu = device.mtuNow();
    const before = this.#mtu[side];
    if (mtu === undefined || mtu === before) return;
    this.#mtu[side] = mtu;
    this.#path.setMtu(side, mtu);
    const text =
      mtu < before
        ? "the interface's MTU was made smaller: larger packets are sent in parts, or refused with the size that fits"
        : "the interface's MTU was made larger";
    this.#log.write(mtu < before ? "warn" : "info", `${side}.mtu`, text, { interface: device.name, mtu, before });
  }

  #lookAtLan(now: number, up: boolean): void {
    if (up === this.#lanUp) return;
    if (this.#lanUp !== undefined) {
      this.#path.lanLinkChanged();
      if (up) {
        this.#log.write("info", "lan.link-up", "the LAN link is up again");
        this.#events.lanUp(now);
      }
    }
    this.#lanUp = up;
    if (!up) this.#log.write("warn", "lan.link-down", "the LAN link is down");
  }

  /** A sender that loses every super-frame believes that the tunnel is broken, so it is said at the first one. */
  #sayUnknownGso({ name, counters }: FrameDevice): void {
    const lost = counters.snapshot()["rxUnknownGso"];
    if (lost === undefined || this.#saidUnknownGso.has(name)) return;
    this.#saidUnknownGso.add(name);
    this.#log.write("warn", "device.super-frames", DEVICE_TEXT.rxUnknownGso, { interface: name });
  }
}
