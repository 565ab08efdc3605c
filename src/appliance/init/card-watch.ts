/** Watches the two network cards that were chosen, for one that is pulled out. */
import type { Log } from "../../lib/log.ts";
import { interfaceIndex } from "../../platform/sys/syscalls.ts";
import { type ChosenNics, chooseNics, describeNic, findNics, keepSides, type NicSide, type NicWishes } from "./nics.ts";

export class CardWatch {
  readonly #log: Log;
  readonly #nics: ChosenNics;
  readonly #wishes: NicWishes;
  /** Cards that were not chosen. None of them steps in: it may be on a network that nobody meant to open. */
  readonly #idle: ReadonlySet<number>;
  readonly #said = new Set<NicSide>();

  constructor(log: Log, nics: ChosenNics, wishes: NicWishes) {
    this.#log = log;
    this.#nics = nics;
    this.#wishes = wishes;
    const chosen = [nics.wan.index, nics.lan.index];
    this.#idle = new Set(
      findNics()
        .map(({ index }) => index)
        .filter((index) => !chosen.includes(index)),
    );
  }

  /** Names a card that was pulled, once; the new choice when there is another in its place. */
  look(): ChosenNics | undefined {
    const lost = (["wan", "lan"] as const).filter((side) => {
      const { name, index } = this.#nics[side];
      return interfaceIndex(name) !== index;
    });
    if (lost.length === 0) return undefined;
    for (const side of lost) this.#sayLost(side);
    const fresh = findNics().filter(({ index }) => !this.#idle.has(index));
    const choice = chooseNics(fresh, keepSides(this.#wishes, this.#nics, lost));
    return choice.ok ? choice : undefined;
  }

  #sayLost(side: NicSide): void {
    if (this.#said.has(side)) return;
    this.#said.add(side);
    const text = `the ${side.toUpperCase()} NIC ${describeNic(this.#nics[side])} was pulled out; nothing is forwarded until there is one again, and I keep looking`;
    this.#log.write("error", "nic.lost", text);
  }
}
