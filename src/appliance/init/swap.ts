/**
 * Where memory becomes scarce the kernel compresses what was not used for longest (zram, Documentation/admin-guide/blockdev/zram.rst),
 * of the program's own file too, since the root is a tmpfs (image/linuxkit.yml). So a small machine has room left when many talk at
 * once, instead of a kernel that panics because there is nothing but process 1 to end.
 */
import { writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import type { Log } from "../../lib/log.ts";
import { O_CLOEXEC, O_WRONLY } from "../../platform/sys/constants.ts";
import { close, open, swapon, write } from "../../platform/sys/syscalls.ts";

const DEVICE = "zram0";
/** That of the image's modules (image/modules.ts). */
const COMPRESSOR = "lzo-rle";
const PAGE_BYTES = 4096;
/** Our choice: beyond the program's file and its garbage there is nothing to compress, and each page of the area takes memory of its own. */
const MOST_KIB = 256 * 1024;
/**
 * Our choice: the kernel begins when less than so much is free beyond what it keeps for itself, and goes on until it is twice as much.
 * Packets come in bursts, and a card gets its buffers at once or not at all.
 */
const FREE_KIB = 2048;
/** vm.watermark_scale_factor counts in 10,000ths of the memory, and is 10 by itself (Documentation/admin-guide/sysctl/vm.rst). */
const [SCALE, DEFAULT_SCALE] = [10_000, 10];

/** Once, when the drivers are loaded. What fails is logged: the machine works without. */
export function startSwap(log: Log): void {
  try {
    const memoryKiB = totalmem() / 1024;
    // Nothing is gained by reading the neighbours of a page from memory.
    writeFileSync("/proc/sys/vm/page-cluster", "0");
    writeFileSync("/proc/sys/vm/watermark_scale_factor", `${watermarkScale(memoryKiB)}`);
    const pages = Math.floor((Math.min(memoryKiB / 2, MOST_KIB) * 1024) / PAGE_BYTES);
    writeFileSync(`/sys/block/${DEVICE}/comp_algorithm`, COMPRESSOR);
    writeFileSync(`/sys/block/${DEVICE}/disksize`, `${pages * PAGE_BYTES}`);
    const fd = open(`/dev/${DEVICE}`, O_WRONLY | O_CLOEXEC);
    try {
      write(fd, swapHeader(pages));
    } finally {
      close(fd);
    }
    swapon(`/dev/${DEVICE}`);
  } catch (error) {
    const remedy = "with less than 384 MiB the machine may run out of it";
    log.write("warn", "memory.not-compressed", `memory cannot be compressed: ${(error as Error).message}; ${remedy}`);
  }
}

/** The first page of a swap area of so many pages: union swap_header (linux/swap.h). */
export function swapHeader(pages: number): Uint8Array {
  const header = new Uint8Array(PAGE_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(1024, 1, true); // version
  view.setUint32(1028, pages - 1, true); // the last page
  header.set(new TextEncoder().encode("SWAPSPACE2"), PAGE_BYTES - 10);
  return header;
}

/** For a machine with so much memory. */
export const watermarkScale = (memoryKiB: number): number =>
  Math.max(DEFAULT_SCALE, Math.round((FREE_KIB / memoryKiB) * SCALE));
