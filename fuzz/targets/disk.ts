/** A disk: the label of its file system, a profile or an archive without one. */
import { type ReadAt, readFileSystem } from "../../src/appliance/disk/label.ts";
import { readRaw } from "../../src/appliance/disk/raw.ts";
import { Decisions, type Target } from "../target.ts";

const BLOCK = 512;
const MENDS = 0x80;

/**
 * The first two bytes: whether the checksums of tar headers are mended, and how many blocks of zeros lie behind. Then parts of the
 * disk: block number (2), length (2), content; what no part covers is zero.
 */
export const disk: Target = {
  runs: 2000,
  run(input, seen) {
    const decisions = new Decisions(input);
    const mends = (decisions.byte() & MENDS) !== 0;
    const parts: { at: number; bytes: Uint8Array }[] = [];
    const tail = decisions.byte() * BLOCK;
    while (decisions.left > 4) {
      const at = (decisions.uint16() & 0x3ff) * BLOCK;
      parts.push({ at, bytes: decisions.take(decisions.uint16()) });
    }
    const image = new Uint8Array(Math.max(0, ...parts.map((p) => p.at + p.bytes.length)) + tail);
    for (const { at, bytes } of parts) image.set(bytes, at);
    if (mends) for (let at = 0; at + BLOCK <= image.length; at += BLOCK) mendChecksum(image.subarray(at, at + BLOCK));
    const readAt: ReadAt = (offset, length) => {
      if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0)
        throw new Error(`read of ${length} at ${offset}`);
      return offset + length <= image.length ? image.slice(offset, offset + length) : undefined;
    };
    const fs = readFileSystem(readAt);
    if (fs !== undefined) seen(`${fs.type} ${fs.label.length > 0}`);
    const raw = readRaw("vda", image.length, readAt);
    if (raw === undefined) return;
    const names = [...raw.reader.list()];
    seen(`${raw.kind} ${names.length} ${names.some((name) => name.length > 100)}`);
    let total = 0;
    for (const name of names) {
      if (name.startsWith("/") || name.split("/").includes(".."))
        throw new Error(`a name that leaves the disk: ${name}`);
      total += raw.reader.read(name)?.length ?? 0;
    }
    if (total > 32 << 20) throw new Error(`${total} bytes of files`);
  },
};

/** Where a block could be a tar header, its checksum becomes right. */
function mendChecksum(block: Uint8Array): void {
  if (block[0] === 0 || String.fromCharCode(...block.subarray(257, 262)) !== "ustar") return;
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
}
