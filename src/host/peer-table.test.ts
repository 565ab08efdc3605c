import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress, parseIp } from "../lib/ip.ts";
import { PeerTable } from "./peer-table.ts";

const cidrs = (...texts: string[]): Cidr[] => texts.map((text) => parseCidr(text)!);

function find(table: PeerTable, address: IpAddress): number {
  const view = new DataView(new ArrayBuffer(24));
  const { isIpv4, w0, w1, w2, w3 } = address;
  if (isIpv4) view.setInt32(4, w3);
  else
    [w0, w1, w2, w3].forEach((word, i) => {
      view.setInt32(4 + 4 * i, word);
    });
  return table.find(view, 4, !isIpv4);
}

test("an address is its peer's, a network that of the longest prefix, and what nobody has is nobody's", () => {
  const table = new PeerTable();
  table.set(1, cidrs("10.8.0.2/32", "fd00:8::1000/128", "192.168.0.0/16"));
  table.set(2, cidrs("10.8.0.3/32", "192.168.7.0/24", "fd00:9::/64"));
  const of = (text: string): number => find(table, parseIp(text)!);
  expect([of("10.8.0.2"), of("10.8.0.3"), of("10.8.0.4")]).toEqual([1, 2, -1]);
  expect([of("192.168.1.1"), of("192.168.7.9"), of("fd00:8::1000"), of("fd00:9::5"), of("fd00:8::1001")]).toEqual([
    1, 2, 1, 2, -1,
  ]);
  table.set(1, cidrs("10.8.0.9/32"));
  expect([of("10.8.0.2"), of("192.168.1.1"), of("10.8.0.9")]).toEqual([-1, -1, 1]);
  table.remove(2);
  expect([of("10.8.0.3"), of("192.168.7.9")]).toEqual([-1, -1]);
});

test("whatever comes and goes, it says what looking through all of them says", () => {
  const networkOf = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.constantFrom(32, 31, 30, 24))
    .map(([last, prefix]) => new Cidr(IpAddress.fromIpv4(0x0a080000 | last), prefix).network);
  const step = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.array(networkOf, { maxLength: 3 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.integer({ min: 0, max: 255 }), (steps, last) => {
      const table = new PeerTable();
      const model = new Map<number, Cidr[]>();
      const taken = (peer: number, { network, prefix }: Cidr): boolean =>
        [...model].some(([other, all]) => other !== peer && all.some((c) => c.prefix === prefix && c.equals(network)));
      for (const [peer, networks] of steps) {
        // Two clients never have the same.
        const own = networks.filter((network) => !taken(peer, network));
        table.set(peer, own);
        model.set(peer, own);
      }
      const address = IpAddress.fromIpv4(0x0a080000 | last);
      const all = [...model].flatMap(([peer, own]) => own.map((network) => ({ peer, network })));
      const best = all
        .filter(({ network }) => network.contains(address))
        .sort((a, b) => b.network.prefix - a.network.prefix)[0];
      expect(find(table, address)).toBe(best?.peer ?? -1);
    }),
  );
});
