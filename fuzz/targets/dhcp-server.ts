/** The DHCP server as a machine: time, ARP, another server, and messages of hosts that make themselves up. */
import { parseCidr } from "../../src/lib/cidr.ts";
import { IpAddress } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { DhcpServer } from "../../src/netstack/dhcp4/server.ts";
import { Decisions, type Target } from "../target.ts";

const OWN = 0xc0a83201 | 0;
const FIRST = 0xc0a83264 | 0;
const POOL = 6;
const RESERVED = 0xc0a8320a | 0;
const OP = 0;
const XID = 4;
const FLAGS = 10;
const CIADDR = 12;
const GIADDR = 24;
const CHADDR = 28;
const COOKIE = 236;
const OPTIONS = 240;
/** The largest reply that a client takes which does not say that it takes more. */
const MAX_REPLY = 548;

export const dhcpServer: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const server = new DhcpServer({
      mac: { hi: 0x5254, lo: 1 },
      lan: parseCidr("192.168.50.1/24")!,
      hostname: "morgana",
      first: FIRST,
      last: FIRST + POOL - 1,
      leaseSeconds: 600,
      reservations: [{ mac: { hi: 0x5254, lo: 0x100 }, address: RESERVED }],
      facts: () => ({ dns: [OWN], domain: "lan", mtu: 1400 }),
      random: seededRandom(5),
    });
    let now = 5000;
    let asked = 0;
    const address = (): number => [0, RESERVED, 0x0a000001, OWN][decisions.below(8)] ?? FIRST + decisions.below(POOL);
    const drain = (): void => {
      for (let t = server.pollTransmit(); t !== undefined; t = server.pollTransmit()) {
        if (t.socket === 1) asked = new DataView(t.payload.buffer).getInt32(XID);
        else if (t.payload.length > MAX_REPLY && !largeIsWanted)
          throw new Error(`a reply of ${t.payload.length} bytes`);
        else seen(`reply ${t.payload[242]} ${t.mac === undefined}`);
      }
      for (let e = server.pollEvent(); e !== undefined; e = server.pollEvent()) {
        seen(e.kind);
        if ("lease" in e && (e.lease.address - FIRST) >>> 0 >= POOL && e.lease.address !== RESERVED)
          throw new Error(`a lease of ${IpAddress.fromIpv4(e.lease.address)}`);
      }
      for (let word = server.pollProbe(); word !== undefined; word = server.pollProbe()) {
        const host = decisions.below(12);
        if (host < 3) server.heard(now, word, 0x5254, 0x100 + host);
      }
      const { leases, offers, setAside } = server.use;
      if (leases + offers > POOL + 1 || setAside > POOL + 1) throw new Error(`${leases} ${offers} ${setAside}`);
      seen(`${server.state} ${leases} ${offers} ${setAside}`);
    };
    let largeIsWanted = false;
    server.start(now);
    for (let steps = 0; decisions.left > 0 && steps < 96; steps++) {
      const what = decisions.below(8);
      if (what === 0) {
        if (server.pollAt() !== Number.POSITIVE_INFINITY) now = Math.max(now, server.pollAt());
        server.handleTimeout(now);
      } else if (what === 1) {
        now += decisions.uint16() * 16;
        server.handleTimeout(now);
      } else {
        const message = new Uint8Array(OPTIONS + 256);
        const d = new DataView(message.buffer);
        message.set([1, 1, 6, 0], OP);
        d.setInt32(XID, asked);
        d.setUint16(FLAGS, decisions.byte() << 8);
        d.setInt32(CIADDR, decisions.below(3) === 0 ? address() : 0);
        d.setUint16(CHADDR, 0x5254);
        d.setInt32(CHADDR + 2, 0x100 + decisions.below(8));
        d.setUint32(COOKIE, 0x63825363);
        let at = OPTIONS;
        const option = (code: number, ...bytes: number[]): void => {
          message.set([code, bytes.length, ...bytes], at);
          at += 2 + bytes.length;
        };
        option(53, decisions.below(10));
        const words = decisions.byte();
        const word = (value: number): number[] => [
          value >>> 24,
          (value >>> 16) & 255,
          (value >>> 8) & 255,
          value & 255,
        ];
        if ((words & 1) !== 0) option(50, ...word(address()));
        if ((words & 2) !== 0) option(54, ...word((words & 4) !== 0 ? OWN : address()));
        if ((words & 8) !== 0) option(61, ...decisions.take(decisions.below(5)));
        if ((words & 16) !== 0) option(12, ...decisions.take(decisions.below(12)));
        const rest = decisions.take(decisions.below(120));
        message.set(rest, at);
        // Option 57 may be among what was made up; then a longer reply is right.
        largeIsWanted ||= rest.includes(57);
        const wrong = decisions.below(32);
        if (wrong === 0) message[OP] = 2;
        if (wrong === 1) message[GIADDR] = 10;
        if (wrong === 2) message[CHADDR] = 0xff;
        const socket = wrong === 3 || wrong === 4 ? 1 : 0;
        if (wrong === 4) {
          message[OP] = 2;
          message.set([2], OPTIONS + 2);
          message.set([0x52, 0x54, 0, 0, 0, 1], CHADDR);
        }
        const peer = { address: IpAddress.fromIpv4(d.getInt32(CIADDR)), port: 68 };
        seen(String(server.handle(now, { socket, peer, payload: message.subarray(0, at + rest.length) })));
      }
      drain();
      server.handleTimeout(now);
      drain();
      if (server.pollAt() <= now) throw new Error(`asks again for ${server.pollAt()} at ${now}`);
    }
  },
};
