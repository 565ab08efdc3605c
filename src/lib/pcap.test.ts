/** Against tcpdump, where it is installed. */
import { expect, test } from "bun:test";
import { concat } from "./bytes.ts";
import { LINKTYPE_RAW, pcapFileHeader, pcapRecordHeader } from "./pcap.ts";

/** An echo request of 28 bytes. */
const PACKET = Uint8Array.fromHex("4500001c00010000400100000a0800020a0800010800f7fe00000001");

test("the headers, byte for byte", () => {
  expect(pcapFileHeader(LINKTYPE_RAW).toHex()).toBe("d4c3b2a10200040000000000000000000000040065000000");
  expect(pcapRecordHeader(1234.5, 28).toHex()).toBe("01000000049403001c0000001c000000");
});

test.skipIf(Bun.which("tcpdump") === null)("tcpdump reads the file", () => {
  const file = concat(pcapFileHeader(LINKTYPE_RAW), pcapRecordHeader(61_500, PACKET.length), PACKET);
  const argv = ["tcpdump", "-n", "-tt", "-r", "-"];
  const { stdout, exitCode } = Bun.spawnSync(argv, { stdin: file, env: { ...process.env, TZ: "UTC" } });
  expect([exitCode, stdout.toString()]).toEqual([
    0,
    expect.stringContaining("61.500000 IP 10.8.0.2 > 10.8.0.1: ICMP echo request"),
  ]);
});
