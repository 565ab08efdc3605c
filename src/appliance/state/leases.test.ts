import { expect, test } from "bun:test";
import { type Binding, LeasePool } from "../../netstack/dhcp4/pool.ts";
import { keptLeases, leasesToKeep } from "./leases.ts";

const FIRST = (192 << 24) | (168 << 16) | (50 << 8) | 100;
const HOUR = 3_600_000;
const UNIX = 1_790_000_000_000;
const mac = (n: number) => ({ hi: 0x5254, lo: n });
const pool = (size = 4, reservations: { mac: ReturnType<typeof mac>; address: number }[] = []): LeasePool =>
  new LeasePool({ first: FIRST, last: FIRST + size - 1, gateway: FIRST - 99, reservations, leaseMs: HOUR });
const shown = (leases: Iterable<Binding>) =>
  Array.from(leases, ({ address, client, until, name }) => [address - FIRST, client.mac.lo, until, name]);
/** As it comes back from a file. */
const throughFile = (data: unknown): unknown => JSON.parse(JSON.stringify(data));

/** Three leases, at 1, 2 and 3 s, the second one with an identifier of any bytes. */
function three(): LeasePool {
  const p = pool();
  p.lease(1000, p.identify(mac(1), undefined), FIRST, "alpha");
  p.lease(2000, p.identify(mac(2), Uint8Array.of(255, 0, 10, 34)), FIRST + 1, undefined);
  p.lease(3000, p.identify(mac(3), undefined), FIRST + 3, "beta");
  return p;
}

test("leases come back as they were, with what was left of them by the wall clock, whatever the other clock says", () => {
  const data = throughFile(leasesToKeep(three().leased, 10_000, UNIX));
  const again = pool();
  again.restore(500_000, keptLeases(data, UNIX + 60_000));
  expect(shown(again.leased)).toEqual([
    [0, 1, 500_000 + HOUR - 69_000, "alpha"],
    [1, 2, 500_000 + HOUR - 68_000, undefined],
    [3, 3, 500_000 + HOUR - 67_000, "beta"],
  ]);
  expect(again.addressesOf("beta").map(String)).toEqual(["192.168.50.103"]);
  expect(again.find(again.identify(mac(2), Uint8Array.of(255, 0, 10, 34)))?.address).toBe(FIRST + 1);
  // What ends first is first, also beside new ones.
  again.lease(500_000, again.identify(mac(4), undefined), FIRST + 2, undefined);
  again.expire(500_000 + HOUR - 68_000);
  expect(shown(again.leased).map(([place]) => place)).toEqual([3, 2]);
});

test("one that is over is remembered: its client has the address first, and others last", () => {
  const data = throughFile(leasesToKeep(three().leased, 10_000, UNIX));
  const again = pool();
  again.restore(0, keptLeases(data, UNIX + 2 * HOUR));
  expect(shown(again.leased)).toEqual([]);
  expect(again.choose(0, again.identify(mac(3), undefined), 0)).toBe(FIRST + 3);
  expect(again.choose(0, again.identify(mac(9), undefined), 0)).toBe(FIRST + 2);
});

test("where the clock is behind the one of then, no time has passed; ahead of its length no lease lasts", () => {
  const data = throughFile(leasesToKeep(three().leased, 10_000, UNIX));
  const again = pool();
  again.restore(0, keptLeases(data, 0));
  expect(shown(again.leased)[0]).toEqual([0, 1, HOUR - 9000, "alpha"]);
  const short = new LeasePool({ first: FIRST, last: FIRST + 3, gateway: 0, reservations: [], leaseMs: 60_000 });
  short.restore(0, keptLeases(data, UNIX));
  expect(shown(short.leased).map(([, , until]) => until)).toEqual([60_000, 60_000, 60_000]);
});

test("what cannot be given now is left out: other pool, another's reservation, the gateway, one address or client twice", () => {
  const data = throughFile(leasesToKeep(three().leased, 10_000, UNIX));
  const leases = keptLeases(data, UNIX);
  const smaller = pool(3, [{ mac: mac(77), address: FIRST }]);
  smaller.restore(0, leases);
  expect(shown(smaller.leased)).toEqual([[1, 2, HOUR - 8000, undefined]]);
  const twice = pool();
  const [first, second] = leases as [(typeof leases)[0], (typeof leases)[0]];
  twice.restore(0, [first, { ...second, address: first.address }, { ...first, address: FIRST + 2, leftMs: HOUR }]);
  expect(shown(twice.leased).map(([place]) => place)).toEqual([0]);
  const gateway = pool();
  gateway.restore(0, [{ ...first, address: FIRST - 99 }]);
  expect(shown(gateway.leased)).toEqual([]);
});

test.each([
  null,
  {},
  { at: UNIX },
  { at: "now", leases: [] },
  { at: UNIX, leases: [{}] },
  { at: UNIX, leases: [{ address: "192.168.50.100", mac: "52:54:00:00:00:01", id: "0", until: 1 }] },
  { at: UNIX, leases: [{ address: "fd00::1", mac: "52:54:00:00:00:01", id: "00", until: 1 }] },
  { at: UNIX, leases: [{ address: "192.168.50.100", mac: "52:54:00:00:00:01", id: "00", until: "1" }] },
])("%j is nothing that was kept", (data) => {
  expect(() => keptLeases(data, UNIX)).toThrow();
});
