/** The devices that the appliance stands between, watched by its poller: the LAN's may be missing. */
import type { NativeMemory } from "../sys/memory.ts";
import type { Poller } from "../sys/poller.ts";
import { claimInterface } from "./claim.ts";
import { interfaceFacts } from "./interface.ts";
import { PacketDevice } from "./packet.ts";
import type { Reach } from "./packet-socket.ts";

export class DevicePair {
  readonly wan: PacketDevice;
  readonly lan: PacketDevice | undefined;
  readonly #poller: Poller;
  readonly #bits: readonly number[];
  readonly #release: () => void;

  /**
   * Opens both or none, for this process alone.
   * @param wan,lan names of interfaces; undefined: there is no LAN
   * @param lanReach what is received of the LAN
   * @param prepare what is done once they are ours and before they are opened; it returns what ends it
   * @throws Error in words, SysError, what `prepare` throws
   */
  static open(
    wan: string,
    lan: string | undefined,
    lanReach: Reach,
    memory: NativeMemory,
    poller: Poller,
    prepare: () => () => void = () => () => {},
  ): DevicePair {
    const undo: (() => void)[] = [];
    const release = (): void => {
      for (const step of undo.reverse()) step();
    };
    try {
      for (const name of lan === undefined ? [wan] : [wan, lan])
        undo.push(claimInterface(name, interfaceFacts(name).index));
      undo.push(prepare());
      const first = PacketDevice.open(wan, memory);
      undo.push(() => first.close());
      const second = lan === undefined ? undefined : PacketDevice.open(lan, memory, lanReach);
      undo.push(() => second?.close());
      return new DevicePair(first, second, poller, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** @param release closes the devices and lets go of the interfaces */
  private constructor(wan: PacketDevice, lan: PacketDevice | undefined, poller: Poller, release: () => void) {
    this.wan = wan;
    this.lan = lan;
    this.#poller = poller;
    this.#release = release;
    this.#bits = (lan === undefined ? [wan] : [wan, lan]).map(({ fd }) => poller.add(fd));
  }

  close(): void {
    for (const bit of this.#bits) this.#poller.remove(bit);
    this.#release();
  }
}
