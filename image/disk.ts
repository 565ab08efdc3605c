/**
 * The image as a disk that boots by itself: a hybrid ISO 9660 file system, which firmware takes as a CD-ROM (El Torito) and
 * as a disk, BIOS by GRUB in its boot sectors, UEFI by GRUB in its EFI system partition; and the same bytes as a qcow2 file.
 * Made of Debian's grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools and qemu-utils.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { FILES } from "./compare.ts";

/** No label of a config disk: the appliance looks past it. */
const LABEL = "MORGANA-BOOT";
/** Where Debian keeps what GRUB is put together from. */
const GRUB = "/usr/lib/grub";
const HYBRID = `${GRUB}/i386-pc/boot_hybrid.img`;
/** What finds the file system, reads the two files and starts the kernel; no shell, no menu, no other disk's configuration. */
const MODULES = ["iso9660", "part_gpt", "part_msdos", "search", "search_fs_file", "linux", "boot", "minicmd"];
/** All times are this one (seconds since 1970), the first that FAT can hold: equal input, equal bytes. */
const EPOCH = 315_532_800;
/** Bytes of the EFI system partition: a floppy's FAT. */
const EFI_BYTES = 1_474_560;

/** What is needed and not there, with the Debian package that has it. */
export function missingForDisk(): string[] {
  const tools = { "grub-mkimage": "grub-common", xorriso: "xorriso", mformat: "mtools", "qemu-img": "qemu-utils" };
  const files = { [HYBRID]: "grub-pc-bin", [`${GRUB}/x86_64-efi/linux.mod`]: "grub-efi-amd64-bin" };
  return [
    ...Object.entries(tools).filter(([tool]) => Bun.which(tool) === null),
    ...Object.entries(files).filter(([path]) => !existsSync(path)),
  ].map(([, name]) => name);
}

/** Makes iso and qcow2 from what is in dist. @throws Error with what is missing, or what a tool said */
export function makeDisks(dist: string, iso: string, qcow2: string): void {
  const missing = missingForDisk();
  if (missing.length > 0) throw new Error(`a disk needs the Debian packages ${missing.join(", ")}`);
  const scratch = `${iso}.tmp`;
  rmSync(scratch, { recursive: true, force: true });
  try {
    const boot = join(scratch, "tree/boot");
    mkdirSync(boot, { recursive: true });
    for (const name of [FILES.kernel, FILES.initrd]) copyFileSync(join(dist, name), join(boot, name));
    const script = join(scratch, "grub.cfg");
    writeFileSync(
      script,
      [
        `search --no-floppy --set=root --file /boot/${FILES.kernel}`,
        `linux /boot/${FILES.kernel} ${readFileSync(join(dist, FILES.cmdline), "utf8").trim()}`,
        `initrd /boot/${FILES.initrd}`,
        "boot\n",
      ].join("\n"),
    );
    const grub = (format: string, out: string, ...more: string[]): void =>
      run("grub-mkimage", "-O", format, "-o", out, "-c", script, "-p", "/boot", ...MODULES, ...more);
    grub("i386-pc-eltorito", join(boot, "eltorito.img"), "biosdisk");
    const efi = join(scratch, "BOOTX64.EFI");
    grub("x86_64-efi", efi);
    const partition = efiPartition(scratch, efi);
    for (const path of [...readdirSync(boot).map((name) => join(boot, name)), boot, join(scratch, "tree")])
      utimesSync(path, EPOCH, EPOCH);
    run(
      ...["xorriso", "-as", "mkisofs", "-quiet", "-V", LABEL, "-r", "-o", iso],
      // As a disk: boot code in front, and the EFI system partition behind the file system.
      ...["--grub2-mbr", HYBRID, "-partition_offset", "16"],
      ...["-append_partition", "2", "0xef", partition, "-appended_part_as_gpt"],
      // As a CD-ROM: the same two.
      ...["-c", "boot/boot.catalog", "-b", "boot/eltorito.img", "-no-emul-boot", "-boot-load-size", "4"],
      ...["-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot"],
      ...["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", join(scratch, "tree")],
    );
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", iso, qcow2);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A FAT file system with the program where firmware looks for it (UEFI 3.5.1.1). */
function efiPartition(scratch: string, efi: string): string {
  const path = join(scratch, "efi.img");
  writeFileSync(path, "");
  truncateSync(path, EFI_BYTES);
  utimesSync(efi, EPOCH, EPOCH);
  run("mformat", "-i", path, "-f", "1440", "-N", "0", "::");
  run("mmd", "-i", path, "::/EFI", "::/EFI/BOOT");
  run("mcopy", "-m", "-i", path, efi, "::/EFI/BOOT/BOOTX64.EFI");
  return path;
}

function run(...argv: string[]): void {
  const env = { ...process.env, LC_ALL: "C", TZ: "UTC", SOURCE_DATE_EPOCH: `${EPOCH}` };
  const done = Bun.spawnSync(argv, { env, stdout: "pipe", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${argv.join(" ")}:\n${done.stdout}${done.stderr}`);
}
