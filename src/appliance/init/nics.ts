/** Which network cards the machine has, and which of them is the WAN and which the LAN. */
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { formatMac, type Mac, parseMac } from "../../lib/mac.ts";

export interface Nic {
  readonly name: string;
  /** The kernel's number, never given twice: a card that was pulled and put back is another one. */
  readonly index: number;
  /** "0000:00:03.0"; "" for a card that is not on PCI. */
  readonly pci: string;
  readonly mac: Mac;
}

export type NicSide = "wan" | "lan";

export interface ChosenNics {
  readonly wan: Nic;
  readonly lan: Nic;
}

export interface NicWishes {
  readonly wan: { readonly mac: Mac | undefined };
  readonly lan: { readonly mac: Mac | undefined };
}

export type NicChoice =
  | ({ readonly ok: true } & ChosenNics)
  /** One sentence for each that is missing: which, why, and how to add it. */
  | { readonly ok: false; readonly missing: readonly string[] };

const ETHERNET = "1";

/** The Ethernet cards, in the order of their PCI addresses; those without one come last. */
export function findNics(root = "/sys/class/net"): Nic[] {
  const nics: Nic[] = [];
  for (const name of entries(root)) {
    try {
      // Only what has hardware behind it: lo and bridges have no device.
      const device = realpathSync(`${root}/${name}/device`);
      const mac = parseMac(readFileSync(`${root}/${name}/address`, "utf8").trim());
      if (mac === undefined || readFileSync(`${root}/${name}/type`, "utf8").trim() !== ETHERNET) continue;
      const index = Number(readFileSync(`${root}/${name}/ifindex`, "utf8").trim());
      nics.push({ name, index, pci: pciAddress(device), mac });
    } catch {
      // no device, or it has gone meanwhile
    }
  }
  return nics.sort((a, b) => compare(a, b));
}

/** The last PCI address of a device's path: behind a bridge there are several. */
export function pciAddress(path: string): string {
  return path.match(/[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/g)?.at(-1) ?? "";
}

function compare(a: Nic, b: Nic): number {
  if ((a.pci === "") !== (b.pci === "")) return a.pci === "" ? 1 : -1;
  const pci = a.pci.length - b.pci.length || (a.pci < b.pci ? -1 : a.pci > b.pci ? 1 : 0);
  return pci || (a.name < b.name ? -1 : 1);
}

/** By MAC where appliance.toml says so; the first of the rest is the WAN, the next the LAN. @param nics in order */
export function chooseNics(nics: readonly Nic[], wishes: NicWishes): NicChoice {
  const byMac = (mac: Mac): Nic | undefined => nics.find((nic) => nic.mac.hi === mac.hi && nic.mac.lo === mac.lo);
  const chosenWan = wishes.wan.mac && byMac(wishes.wan.mac);
  const chosenLan = wishes.lan.mac && byMac(wishes.lan.mac);
  const rest = nics.filter((nic) => nic !== chosenWan && nic !== chosenLan);
  const wan = wishes.wan.mac === undefined ? rest.shift() : chosenWan;
  const lan = wishes.lan.mac === undefined ? rest.shift() : chosenLan;
  if (wan !== undefined && lan !== undefined && wan !== lan) return { ok: true, wan, lan };
  const missing: string[] = [];
  const side = (name: "WAN" | "LAN", nic: Nic | undefined, mac: Mac | undefined): void => {
    if (nic !== undefined) return;
    missing.push(mac === undefined ? lacksCard(name, nics) : lacksMac(name, mac, nics));
  };
  side("WAN", wan, wishes.wan.mac);
  side("LAN", lan, wishes.lan.mac);
  if (wan !== undefined && wan === lan) {
    missing.push(
      `no LAN NIC: [wan] mac and [lan] mac in appliance.toml are the same card (${describeNic(wan)}); the LAN needs one of its own`,
    );
  }
  return { ok: false, missing };
}

/** For the choice after a card was pulled: the one that is left stays what it is, wherever the other is plugged in again. */
export function keepSides(wishes: NicWishes, chosen: ChosenNics, lost: readonly NicSide[]): NicWishes {
  const of = (side: NicSide): { mac: Mac | undefined } => ({
    mac: wishes[side].mac ?? (lost.includes(side) ? undefined : chosen[side].mac),
  });
  return { wan: of("wan"), lan: of("lan") };
}

function lacksCard(side: "WAN" | "LAN", nics: readonly Nic[]): string {
  const count =
    nics.length === 0
      ? "no network card that the kernel knows"
      : nics.length === 1
        ? `only one network card (${describeNic(nics[0] as Nic)})`
        : "no card left for it";
  const which = nics.length === 0 && side === "WAN" ? "two virtio NICs" : "a second virtio NIC";
  return `no ${side} NIC: the machine has ${count}; add ${which} (QEMU: -netdev ... -device virtio-net-pci,netdev=...): the first is the WAN, the second the LAN`;
}

function lacksMac(side: "WAN" | "LAN", mac: Mac, nics: readonly Nic[]): string {
  const there = nics.length === 0 ? "there is none" : `there are ${nics.map(describeNic).join(", ")}`;
  return `no ${side} NIC: no network card has the MAC ${formatMac(mac)} that [${side.toLowerCase()}] mac in appliance.toml names; ${there}; mend the line or give a card (-device virtio-net-pci,mac=...) that MAC`;
}

export const describeNic = (nic: Nic): string =>
  `${nic.name} ${formatMac(nic.mac)}${nic.pci === "" ? "" : ` at ${nic.pci}`}`;

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
