/** Whole Ethernet frames through the printer, which reaches every wire parser (DHCP and DNS too). */
import { slabOver } from "../../src/lib/slab.ts";
import { printFrame } from "../../src/netstack/wire/print.ts";
import type { Target } from "../target.ts";

const slab = slabOver(new ArrayBuffer(1 << 17));
const AT = 1024;

export const frame: Target = {
  runs: 5000,
  run(input, seen) {
    const bytes = input.subarray(0, 65536);
    slab.bytes.set(bytes, AT);
    const text = printFrame(slab.view, AT, bytes.length);
    seen((text.match(/[a-z]{3,}/g) ?? []).slice(0, 3).join(" "));
  },
};
