/** The DHCPv6 client as a machine: time, commands, and messages of which some are meant for it. */
import { type IpAddress, parseIp } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Dhcp6Client } from "../../src/netstack/dhcp6/client.ts";
import { dhcp6Duid } from "../../src/netstack/wire/dhcpv6.ts";
import { Decisions, type Target } from "../target.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const SERVER = { address: parseIp("fe80::1") as IpAddress, port: 547 };
const DUID = dhcp6Duid(MAC);
const IDS = Uint8Array.of(0, 1, 0, DUID.length, ...DUID, 0, 2, 0, 3, 0, 3, 9);
const IA = Uint8Array.of(0, 3, 0, 40, 0, 0xab, 0xcd, 0xef);
const IA_ADDRESS = Uint8Array.of(0, 5, 0, 24, 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0);

export const dhcp6: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const client = new Dhcp6Client({ mac: MAC, random: seededRandom(5) });
    let now = 5000;
    let xid = new Uint8Array(3);
    const drain = (): void => {
      for (let t = client.pollTransmit(); t !== undefined; t = client.pollTransmit()) {
        xid = t.payload.slice(1, 4);
        if (t.payload.length < 24 || t.payload.length > 120) throw new Error(`a message of ${t.payload.length} bytes`);
      }
      for (let e = client.pollEvent(); e !== undefined; e = client.pollEvent()) {
        seen(e.kind);
        if (e.kind === "info") continue;
        const { address, t1, t2, expires, dns } = e.lease;
        if (!(t1 <= t2 && t2 <= expires) || !address.isHost || dns.length > 8)
          throw new Error(`a lease of ${address}: ${t1} ${t2} ${expires} ${dns}`);
      }
      seen(client.state);
    };
    for (let steps = 0; decisions.left > 0 && steps < 64; steps++) {
      switch (decisions.below(10)) {
        case 0:
          client.start(now, "stateful");
          break;
        case 1:
          client.start(now, "stateless");
          break;
        case 2:
          client.stop();
          break;
        case 3:
          client.release();
          break;
        case 4:
          client.decline(now);
          break;
        case 5:
        case 6:
          if (client.pollAt() !== Number.POSITIVE_INFINITY) now = Math.max(now, client.pollAt());
          client.handleTimeout(now);
          if (client.pollAt() <= now) throw new Error(`asks again for ${client.pollAt()} at ${now}`);
          break;
        case 7:
          now += decisions.uint16() * 16;
          client.handleTimeout(now);
          break;
        default: {
          // an answer to what was sent last, with these options
          const type = decisions.below(4) === 0 ? decisions.byte() : 2 + 5 * decisions.below(2);
          const times = decisions.take(8);
          const lifetimes = decisions.take(8);
          const isWhole = times.length === 8 && lifetimes.length === 8;
          const ia = isWhole && decisions.below(4) > 0 ? [...IA, ...times, ...IA_ADDRESS, ...lifetimes] : [];
          const rest = decisions.take(decisions.byte());
          const payload = Uint8Array.of(type, ...xid, ...(decisions.below(8) === 0 ? [] : IDS), ...ia, ...rest);
          seen(String(client.handle(now, { socket: 0, peer: SERVER, payload })));
        }
      }
      drain();
    }
  },
};
