import { expect, test } from "bun:test";
import { parseIp } from "./ip.ts";
import { PATH_MTU_MS, PathMtu } from "./path-mtu.ts";

const V4 = parseIp("192.0.2.1")!;
const V6 = parseIp("2001:db8::1")!;

test("falls only, by what is less than is sent anyhow, and not below what every host or link takes (RFC 791 3.1, RFC 8200 5)", () => {
  const path = new PathMtu();
  expect([path.mtu, path.isNarrow, path.forgetAt]).toEqual([Number.POSITIVE_INFINITY, false, Number.POSITIVE_INFINITY]);
  expect([path.lower(0, V4, 1500, 1500), path.isNarrow]).toEqual([false, false]);
  expect([path.lower(0, V4, 1400, 1500), path.mtu, path.isNarrow]).toEqual([true, 1400, true]);
  expect([path.lower(0, V4, 1450, 1500), path.lower(0, V4, 1400, 1500), path.mtu]).toEqual([false, false, 1400]);
  expect([path.lower(0, V4, 0, 1500), path.mtu, path.lower(0, V4, 0, 1500)]).toEqual([true, 576, false]);
  const six = new PathMtu();
  expect([six.lower(0, V6, 68, 1500), six.mtu]).toEqual([true, 1280]);
  expect(new PathMtu().lower(0, V6, 68, 1280)).toBe(false);
});

test("is due to be forgotten ten minutes after it fell last (RFC 1191 6.3, RFC 8201 4), and can be narrowed again", () => {
  const path = new PathMtu();
  path.lower(1000, V4, 1400, 1500);
  path.lower(2000, V4, 1300, 1500);
  path.lower(3000, V4, 1300, 1500);
  expect([path.forgetAt, PATH_MTU_MS]).toEqual([602_000, 600_000]);
  path.forget();
  expect([path.mtu, path.forgetAt]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect([path.lower(602_000, V4, 1400, 1500), path.mtu, path.forgetAt]).toEqual([true, 1400, 1_202_000]);
});

test("whoever names one narrow place after the other has soon named the last one", () => {
  const path = new PathMtu();
  let falls = 0;
  for (let mtu = 1499; mtu > 500; mtu--) if (path.lower(0, V4, mtu, 1500)) falls++;
  expect([falls, path.mtu]).toEqual([9, 576]);
});
