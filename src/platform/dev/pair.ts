/** The two devices that the appliance stands between, watched by its poller. */
import type { NativeMemory } from "../sys/memory.ts";
import type { Poller } from "../sys/poller.ts";
import { PacketDevice } from "./packet.ts";

export class DevicePair {
  readonly wan: PacketDevice;
  readonly lan: PacketDevice;
  readonly #poller: Poller;
  readonly #bits: readonly number[];

  /** Opens both or none. @param wan,lan names of interfaces @throws Error in words, SysError */
  static open(wan: string, lan: string, memory: NativeMemory, poller: Poller): DevicePair {
    const first = PacketDevice.open(wan, memory);
    try {
      return new DevicePair(first, PacketDevice.open(lan, memory), poller);
    } catch (error) {
      first.close();
      throw error;
    }
  }

  private constructor(wan: PacketDevice, lan: PacketDevice, poller: Poller) {
    this.wan = wan;
    this.lan = lan;
    this.#poller = poller;
    this.#bits = [poller.add(wan.fd), poller.add(lan.fd)];
  }

  close(): void {
    for (const bit of this.#bits) this.#poller.remove(bit);
    this.wan.close();
    this.lan.close();
  }
}
