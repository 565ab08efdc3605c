/**
 * The label of a file system, read from its superblock: ISO 9660 (ECMA-119 8.4), FAT12/16/32 (Microsoft's FAT
 * specification, 2000) and ext2/3/4 (Documentation/filesystems/ext4 of the kernel).
 */

/** Exactly `length` bytes at `offset`, or undefined where there are not as many. */
export type ReadAt = (offset: number, length: number) => Uint8Array | undefined;

export interface FileSystem {
  /** As mount(2) calls it. */
  readonly type: "iso9660" | "vfat" | "ext4";
  /** Without padding; "" where there is none. */
  readonly label: string;
}

/** undefined: none of these, or damaged. */
export function readFileSystem(readAt: ReadAt): FileSystem | undefined {
  return iso9660(readAt) ?? ext4(readAt) ?? fat(readAt);
}

const ISO_DESCRIPTOR_AT = 32768;
const ISO_PRIMARY = 1;

function iso9660(readAt: ReadAt): FileSystem | undefined {
  const descriptor = readAt(ISO_DESCRIPTOR_AT, 128);
  if (descriptor === undefined || descriptor[0] !== ISO_PRIMARY || text(descriptor, 1, 5) !== "CD001") return undefined;
  return { type: "iso9660", label: text(descriptor, 40, 32).trimEnd() };
}

const EXT4_SUPERBLOCK_AT = 1024;
const EXT4_MAGIC = 0xef53;

function ext4(readAt: ReadAt): FileSystem | undefined {
  const block = readAt(EXT4_SUPERBLOCK_AT, 256);
  if (block === undefined || view(block).getUint16(56, true) !== EXT4_MAGIC) return undefined;
  return { type: "ext4", label: text(block, 120, 16) };
}

const FAT_ENTRY = 32;
const FAT_VOLUME_ID = 0x08;
const FAT_LONG_NAME = 0x0f;
/** A root folder is looked through for the label's entry this far. */
const FAT_ROOT_LIMIT = 64 * 1024;

/** The label is an entry of the root folder; the copy in the boot sector is not kept up to date by every system. */
function fat(readAt: ReadAt): FileSystem | undefined {
  const boot = readAt(0, 512);
  if (boot === undefined || boot[510] !== 0x55 || boot[511] !== 0xaa) return undefined;
  if (boot[0] !== 0xeb && boot[0] !== 0xe9) return undefined;
  const b = view(boot);
  const sector = b.getUint16(11, true);
  const cluster = (boot[13] as number) * sector;
  const reserved = b.getUint16(14, true);
  const copies = boot[16] as number;
  const rootEntries = b.getUint16(17, true);
  const shortFat = b.getUint16(22, true);
  const is32 = shortFat === 0;
  const fatSectors = is32 ? b.getUint32(36, true) : shortFat;
  if (![512, 1024, 2048, 4096].includes(sector) || cluster === 0 || reserved === 0) return undefined;
  if (copies === 0 || copies > 2 || fatSectors === 0 || (boot[21] as number) < 0xf0) return undefined;
  if (is32 !== (rootEntries === 0)) return undefined;
  const dataAt = (reserved + copies * fatSectors) * sector;
  // Only the first cluster of a FAT32 root: the label is made with the file system, so it is at the start.
  const rootAt = is32 ? dataAt + (b.getUint32(44, true) - 2) * cluster : dataAt;
  const rootBytes = Math.min(is32 ? cluster : rootEntries * FAT_ENTRY, FAT_ROOT_LIMIT);
  const root = rootAt < dataAt ? undefined : readAt(rootAt, rootBytes);
  const inBoot = text(boot, is32 ? 71 : 43, 11).trimEnd();
  return { type: "vfat", label: (root && labelEntry(root)) ?? (inBoot === "NO NAME" ? "" : inBoot) };
}

function labelEntry(root: Uint8Array): string | undefined {
  for (let at = 0; at + FAT_ENTRY <= root.length; at += FAT_ENTRY) {
    const first = root[at] as number;
    const attributes = root[at + 11] as number;
    if (first === 0) return undefined;
    if (first === 0xe5 || (attributes & FAT_LONG_NAME) === FAT_LONG_NAME) continue;
    if ((attributes & FAT_VOLUME_ID) !== 0) return text(root, at, 11).trimEnd();
  }
  return undefined;
}

/** Up to the first zero byte. */
function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return String.fromCharCode(...(end < 0 ? field : field.subarray(0, end)));
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
