/** The DHCP client as a machine: time, commands, and messages of which some are meant for it. */
import { type IpAddress, parseIpv4 } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { DhcpClient } from "../../src/netstack/dhcp4/client.ts";
import { Decisions, type Target } from "../target.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const SERVER = { address: parseIpv4("203.0.113.1") as IpAddress, port: 67 };
const XID = 4;
const CHADDR = 28;
const OPTIONS = 240;
const COOKIE = Uint8Array.of(0x63, 0x82, 0x53, 0x63);

export const dhcp: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const client = new DhcpClient({ mac: MAC, hostname: "morgana", random: seededRandom(5) });
    let now = 5000;
    let last: Uint8Array = new Uint8Array(OPTIONS);
    const drain = (): void => {
      for (let t = client.pollTransmit(); t !== undefined; t = client.pollTransmit()) {
        last = t.payload;
        if (last.length < 244 || last.length > 576) throw new Error(`a message of ${last.length} bytes`);
      }
      for (let e = client.pollEvent(); e !== undefined; e = client.pollEvent()) {
        seen(e.kind);
        if (!(e.lease.expires > 0 && e.lease.t1 <= e.lease.t2 && e.lease.t2 <= e.lease.expires))
          throw new Error(`times of a lease: ${JSON.stringify(e.lease)}`);
      }
      seen(client.state);
    };
    for (let steps = 0; decisions.left > 0 && steps < 64; steps++) {
      switch (decisions.below(8)) {
        case 0:
          client.start(now);
          break;
        case 1:
          client.stop();
          break;
        case 2:
          client.release();
          break;
        case 3:
          client.decline(now);
          break;
        case 4:
          if (client.pollAt() !== Number.POSITIVE_INFINITY) now = Math.max(now, client.pollAt());
          client.handleTimeout(now);
          if (client.pollAt() <= now) throw new Error(`asks again for ${client.pollAt()} at ${now}`);
          break;
        case 5:
          now += decisions.uint16() * 16;
          client.handleTimeout(now);
          break;
        default: {
          // a reply to what was sent last: its fixed part, and these options
          const reply = new Uint8Array(OPTIONS + 256);
          reply.set(last.subarray(0, OPTIONS));
          reply[0] = 2;
          reply.set(COOKIE, OPTIONS - 4);
          reply.set(decisions.take(4), 16);
          const length = decisions.byte();
          reply.set(decisions.take(length), OPTIONS);
          const wrong = decisions.below(16);
          if (wrong === 0) reply[XID] = (reply[XID] as number) ^ 1;
          if (wrong === 1) reply[CHADDR] = (reply[CHADDR] as number) ^ 1;
          if (wrong === 2) reply[0] = 1;
          const payload = reply.subarray(0, OPTIONS + length);
          seen(String(client.handle(now, { socket: 0, peer: SERVER, payload })));
        }
      }
      drain();
    }
  },
};
