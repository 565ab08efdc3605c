/** QEMU's command line for the appliance. */
import type { Accel } from "./accel.ts";

export type Machine = "q35" | "pc";
export type DiskBus = "virtio-blk" | "virtio-scsi" | "ata";
export const MACHINES: readonly Machine[] = ["q35", "pc"];
export const DISK_BUSES: readonly DiskBus[] = ["virtio-blk", "virtio-scsi", "ata"];

/** Where a network card is plugged in. */
export type Link =
  | { readonly kind: "tap"; readonly name: string }
  /** QEMU's own NAT, which needs no privilege. */
  | { readonly kind: "user" }
  /** A network with nobody else on it. */
  | { readonly kind: "alone" };

export interface MachineSpec {
  readonly machine: Machine;
  readonly accel: Accel;
  /** MiB. */
  readonly memory: number;
  readonly cpus: number;
  readonly kernel: string;
  readonly initrd: string;
  readonly cmdline: string;
  readonly wan: Link | undefined;
  readonly lan: Link | undefined;
  readonly disk: { readonly image: string; readonly bus: DiskBus } | undefined;
  /** Path of the unix socket for QMP. */
  readonly qmp: string;
}

export type Side = "wan" | "lan";
export const WAN_MAC = "52:54:00:00:00:01";
export const LAN_MAC = "52:54:00:00:00:02";

/** @throws Error where the machine has no such bus */
export function qemuArguments(spec: MachineSpec): string[] {
  return [
    ...["-machine", spec.machine, "-accel", spec.accel.accel, "-cpu", spec.accel.cpu],
    ...["-smp", `${spec.cpus}`, "-m", `${spec.memory}`, "-nodefaults", "-display", "none", "-no-reboot"],
    // Without signal=off Ctrl-C in a terminal would end QEMU instead of reaching whoever started it.
    ...["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"],
    ...["-qmp", `unix:${doubled(spec.qmp)},server=on,wait=off`],
    ...["-kernel", spec.kernel, "-initrd", spec.initrd, "-append", spec.cmdline],
    // In this order: the appliance takes the lowest PCI address as its WAN.
    ...card("wan", spec.wan, WAN_MAC),
    ...card("lan", spec.lan, LAN_MAC),
    ...disk(spec),
  ];
}

/** By which QMP knows a card, to unplug it. */
export const cardId = (side: Side): string => `${side}-card`;

function card(id: Side, link: Link | undefined, mac: string): string[] {
  if (link === undefined) return [];
  return ["-netdev", backend(id, link), "-device", `virtio-net-pci,id=${cardId(id)},netdev=${id},mac=${mac}`];
}

function backend(id: Side, link: Link): string {
  switch (link.kind) {
    case "tap":
      return `tap,id=${id},ifname=${doubled(link.name)},script=no,downscript=no`;
    case "user":
      return `user,id=${id}`;
    case "alone":
      return `hubport,id=${id},hubid=${id === "wan" ? 0 : 1}`;
    default:
      return link satisfies never;
  }
}

function disk({ disk, machine }: MachineSpec): string[] {
  if (disk === undefined) return [];
  const drive = `file=${doubled(disk.image)},format=raw,readonly=on`;
  switch (disk.bus) {
    case "virtio-blk":
      return ["-drive", `${drive},if=virtio`];
    case "virtio-scsi":
      return ["-drive", `${drive},if=none,id=config`, "-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=config"];
    case "ata":
      if (machine !== "pc") throw new Error(`the machine type ${machine} has AHCI, which the kernel lacks: take pc`);
      return ["-drive", `${drive},if=ide,media=cdrom`];
    default:
      return disk.bus satisfies never;
  }
}

/** A comma separates QEMU's options; a doubled one stands for itself. */
const doubled = (value: string): string => value.replaceAll(",", ",,");
