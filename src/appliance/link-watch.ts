/** Looks at the two links once a second, as nothing else tells when a cable is pulled, and says what the operator should know of them. */
import type { Log } from "../lib/log.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { DEVICE_TEXT } from "../platform/dev/packet.ts";
import type { RouterPath } from "./wiring/router.ts";

const LOOK_EVERY_MS = 1000;

/** What the owner does about the links. The LAN's address does not depend on one. */
export interface LinkEvents {
  wanUp(now: number): void;
  wanDown(now: number): void;
  /** The LAN's link is back: something else may be plugged in now. */
  lanUp(now: number): void;
}

export class LinkWatch {
  readonly #path: Pick<RouterPath, "wan" | "lan" | "wanDevice" | "lanDevice">;
  readonly #log: Log;
  readonly #events: LinkEvents;
  readonly #saidUnknownGso = new Set<string>();
  #wanUp = false;
  /** undefined until the first look: what that finds is no change. */
  #lanUp: boolean | undefined;
  #lookAt = 0;

  constructor(path: Pick<RouterPath, "wan" | "lan" | "wanDevice" | "lanDevice">, log: Log, events: LinkEvents) {
    this.#path = path;
    this.#log = log;
    this.#events = events;
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
    this.#lookAtLan(now, lanDevice.linkUp());
  }

  #lookAtWan(now: number, up: boolean): void {
    if (up === this.#wanUp) return;
    this.#wanUp = up;
    this.#path.wan.linkChanged();
    if (up) this.#events.wanUp(now);
    else this.#events.wanDown(now);
  }

  #lookAtLan(now: number, up: boolean): void {
    if (up === this.#lanUp) return;
    if (this.#lanUp !== undefined) {
      this.#path.lan.linkChanged();
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
