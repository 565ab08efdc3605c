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

/** What the machine starts from: the three files, or a disk that boots by itself. */
export type Boot =
  | { readonly kind: "kernel"; readonly kernel: string; readonly initrd: string; readonly cmdline: string }
  | { readonly kind: "disk"; readonly image: string; readonly format: "raw" | "qcow2"; readonly firmware: Firmware }
  | { readonly kind: "cdrom"; readonly image: string; readonly firmware: Firmware };
/** "bios" is QEMU's own; uefi: the paths of OVMF's code and of its variables, which are not written. */
export type Firmware = "bios" | { readonly code: string; readonly variables: string };

export interface MachineSpec {
  readonly machine: Machine;
  readonly accel: Accel;
  /** MiB. */
  readonly memory: number;
  readonly cpus: number;
  readonly boot: Boot;
  readonly wan: Link | undefined;
  readonly lan: Link | undefined;
  readonly disk: { readonly image: string; readonly bus: DiskBus } | undefined;
  /** Image of a state disk. */
  readonly state: string | undefined;
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
    // In this order: the appliance takes the lowest PCI address as its WAN.
    ...card("wan", spec.wan, WAN_MAC),
    ...card("lan", spec.lan, LAN_MAC),
    ...boot(spec.boot),
    ...disk(spec),
    ...(spec.state === undefined ? [] : ["-drive", `file=${doubled(spec.state)},format=raw,if=virtio`]),
  ];
}

function boot(from: Boot): string[] {
  if (from.kind === "kernel") return ["-kernel", from.kernel, "-initrd", from.initrd, "-append", from.cmdline];
  const { firmware, image } = from;
  const flash =
    firmware === "bios"
      ? []
      : [
          ...["-drive", `if=pflash,format=raw,readonly=on,file=${doubled(firmware.code)}`],
          ...["-drive", `if=pflash,format=raw,snapshot=on,file=${doubled(firmware.variables)}`],
        ];
  const drive =
    from.kind === "disk"
      ? ["-drive", `file=${doubled(image)},format=${from.format},snapshot=on,if=none,id=boot`]
      : ["-drive", `file=${doubled(image)},format=raw,readonly=on,media=cdrom,if=none,id=boot`];
  const device =
    from.kind === "disk"
      ? ["-device", "virtio-blk-pci,drive=boot,bootindex=0"]
      : ["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=boot,bootindex=0"];
  return [...flash, ...drive, ...device];
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
