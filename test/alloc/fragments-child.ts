/**
 * A flood of fragments of packets that never become whole, from ever other senders or from one, and in between packets that do; marks on stderr
 * when what is measured begins and ends (allocated.ts).
 *
 *   bun fragments-child.ts FRAGMENTS 4|6 many|one
 */
import { writeSync } from "node:fs";
import { Arena, slabOver } from "../../src/lib/slab.ts";
import { IPV4_FRAGMENTS } from "../../src/netstack/ip4/fragment.ts";
import { IPV6_FRAGMENTS } from "../../src/netstack/ip6/fragment.ts";
import { Reassembler } from "../../src/netstack/reassembly.ts";
import { bytesOf, ipv4 } from "../../src/netstack/testing/bed.ts";
import { fragments6, udp6 } from "../../src/netstack/testing/bed6.ts";
import { IPV4_MF, IPV4_SRC, ipv4RefreshChecksum } from "../../src/netstack/wire/ipv4.ts";
import { IPV6_HEADER_LEN, IPV6_SRC } from "../../src/netstack/wire/ipv6.ts";

const WARM_UP = 50_000;
const DATA = 1400;
const FIRST = 1000;
const SECOND = 4000;

const [count = "1000000", family = "4", senders = "many"] = process.argv.slice(2);
const slab = slabOver(new ArrayBuffer(1 << 20));
const scratch = new Arena(slab, 100_000, 200_000);
const isV4 = family === "4";
const [first, second] = isV4
  ? ([IPV4_MF, DATA >> 3] as const).map((fragment) =>
      ipv4({ src: "10.0.0.1", dst: "10.0.0.2", protocol: 17, id: 1, fragment }, bytesOf(DATA)),
    )
  : fragments6(udp6({ src: "2001:db8::1", dst: "2001:db8::2" }, 1, 2, bytesOf(2 * DATA - 8)), DATA);
slab.bytes.set(first!, FIRST);
slab.bytes.set(second!, SECOND);
const reassembler = new Reassembler(isV4 ? IPV4_FRAGMENTS : IPV6_FRAGMENTS);
let n = 0;
let whole = 0;

/** A fragment of nobody's packet; of each tenth one the other fragment comes too. */
function turn(): void {
  const isWhole = ++n % 10 === 0;
  name(FIRST);
  scratch.reset();
  reassembler.add(n / 100, slab, FIRST, 0, scratch);
  if (!isWhole) return;
  name(SECOND);
  if (reassembler.add(n / 100, slab, SECOND, 0, scratch) > 0) whole++;
}

function name(at: number): void {
  const d = slab.view;
  if (isV4) {
    if (senders === "many") d.setInt32(at + IPV4_SRC, n);
    d.setUint16(at + 4, n & 0xffff);
    ipv4RefreshChecksum(d, at);
  } else {
    if (senders === "many") d.setInt32(at + IPV6_SRC + 12, n);
    d.setInt32(at + IPV6_HEADER_LEN + 4, n);
  }
}

for (let i = 0; i < WARM_UP; i++) turn();
const before = whole;
writeSync(2, "FROM HERE\n");
for (let i = 0; i < Number(count); i++) turn();
writeSync(2, "TO HERE\n");
console.log(JSON.stringify({ whole: whole - before, kept: reassembler.packets }));
