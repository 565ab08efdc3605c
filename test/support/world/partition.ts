/** A disk with one partition: MBR, or GPT (UEFI specification 5.3) with its copy at the end. */
import { readFileSync, writeFileSync } from "node:fs";

export type PartitionTable = "mbr" | "gpt";

const SECTOR = 512;
/** Where the first partition usually starts: 1 MiB. */
const FIRST = 2048;
/** GPT: header and 128 entries of 128 bytes. */
const ENTRIES = 128;
const ENTRY_BYTES = 128;
const GPT_SECTORS = 1 + (ENTRIES * ENTRY_BYTES) / SECTOR;

/** @param content image of the file system that becomes the partition */
export function partitionDisk(image: string, table: PartitionTable, content: string): void {
  const partition = readFileSync(content);
  const sectors = Math.ceil(partition.length / SECTOR);
  const disk = Buffer.alloc((FIRST + sectors + GPT_SECTORS) * SECTOR);
  partition.copy(disk, FIRST * SECTOR);
  const total = disk.length / SECTOR;
  if (table === "mbr") writeMbr(disk, 0x0c, FIRST, sectors);
  else {
    writeMbr(disk, 0xee, 1, total - 1);
    writeGpt(disk, { at: 1, copyAt: total - 1, entriesAt: 2, sectors });
    writeGpt(disk, { at: total - 1, copyAt: 1, entriesAt: total - GPT_SECTORS, sectors });
  }
  writeFileSync(image, disk);
}

function writeMbr(disk: Buffer, type: number, first: number, sectors: number): void {
  const entry = 446;
  disk.writeUInt8(type, entry + 4);
  disk.writeUInt32LE(first, entry + 8);
  disk.writeUInt32LE(sectors, entry + 12);
  disk.writeUInt16LE(0xaa55, 510);
}

function writeGpt(disk: Buffer, where: { at: number; copyAt: number; entriesAt: number; sectors: number }): void {
  const entries = disk.subarray(where.entriesAt * SECTOR, where.entriesAt * SECTOR + ENTRIES * ENTRY_BYTES);
  entries.write("af3dc60f838472478e793d69d8477de4", 0, "hex"); // Linux file system data
  entries.write("0102030405060708090a0b0c0d0e0f10", 16, "hex");
  entries.writeBigUInt64LE(BigInt(FIRST), 32);
  entries.writeBigUInt64LE(BigInt(FIRST + where.sectors - 1), 40);
  const header = disk.subarray(where.at * SECTOR, where.at * SECTOR + 92);
  header.write("EFI PART", 0, "latin1");
  header.writeUInt32LE(0x10000, 8);
  header.writeUInt32LE(header.length, 12);
  header.writeBigUInt64LE(BigInt(where.at), 24);
  header.writeBigUInt64LE(BigInt(where.copyAt), 32);
  header.writeBigUInt64LE(BigInt(1 + GPT_SECTORS), 40);
  header.writeBigUInt64LE(BigInt(disk.length / SECTOR - GPT_SECTORS - 1), 48);
  header.write("1112131415161718191a1b1c1d1e1f20", 56, "hex");
  header.writeBigUInt64LE(BigInt(where.entriesAt), 72);
  header.writeUInt32LE(ENTRIES, 80);
  header.writeUInt32LE(ENTRY_BYTES, 84);
  header.writeUInt32LE(Bun.hash.crc32(entries), 88);
  header.writeUInt32LE(Bun.hash.crc32(header), 16);
}
