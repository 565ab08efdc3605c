/**
 * `bun scripts/frame2pcap.ts FILE... [--raw]`: the frames in the files (a corpus of the fuzzer, a failed input) as one capture, opened
 * in Wireshark where it is installed. --raw: they are IP packets without an Ethernet header.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { concat } from "../src/lib/bytes.ts";
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, pcapFileHeader, pcapRecordHeader } from "../src/lib/pcap.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { raw: { type: "boolean", default: false } },
});
if (positionals.length === 0) {
  console.error("usage: bun scripts/frame2pcap.ts FILE... [--raw]");
  process.exit(2);
}
const records = positionals.map((file, i) => {
  const frame = new Uint8Array(readFileSync(file));
  return concat(pcapRecordHeader(i, frame.length), frame);
});
const path = `${mkdtempSync(`${tmpdir()}/morgana-pcap-`)}/frames.pcap`;
writeFileSync(path, concat(pcapFileHeader(values.raw ? LINKTYPE_RAW : LINKTYPE_ETHERNET), ...records));
console.log(path);
if (Bun.which("wireshark") !== null) Bun.spawn(["wireshark", path], { stdio: ["ignore", "ignore", "ignore"] }).unref();
