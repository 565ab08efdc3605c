import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  BOOT_REPLY,
  DHCP_OFFER,
  type DhcpMessage,
  dhcpAddresses,
  dhcpBuild,
  dhcpClasslessRoutes,
  dhcpNumber,
  dhcpParse,
  OPTION_CLASSLESS_ROUTES,
  OPTION_DNS,
  OPTION_HOSTNAME,
  OPTION_MESSAGE_TYPE,
} from "./dhcpv4.ts";

/** Option 52: file and sname hold options (RFC 2132 9.3). */
const OVERLOAD = 52;

const message = (options: [number, Uint8Array][]): DhcpMessage => ({
  op: BOOT_REPLY,
  xid: 0x12345678,
  secs: 3,
  flags: 0x8000,
  ciaddr: 0,
  yiaddr: 0x0a000005,
  siaddr: 0x0a000001,
  giaddr: 0,
  chaddr: { hi: 0x5254, lo: 0x00123456 },
  options: new Map(options),
});

const text = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));

test("a message is read back as it was built, whatever memory it is in", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 254 }), fc.uint8Array({ maxLength: 600 })), {
        selector: ([code]) => code,
        maxLength: 12,
      }),
      (options) => {
        const m = message(options.filter(([code]) => code !== OVERLOAD));
        const built = dhcpBuild(m);
        expect(built.length).toBeGreaterThanOrEqual(300);
        const dirty = new Uint8Array(built.length + 64).fill(0xa5);
        dirty.set(built, 32);
        expect(dhcpParse(dirty.subarray(32, 32 + built.length))).toEqual(m);
      },
    ),
  );
});

test("every cut of a message is refused or read without its tail, and nothing throws", () => {
  const built = dhcpBuild(
    message([
      [OPTION_MESSAGE_TYPE, Uint8Array.of(DHCP_OFFER)],
      [OPTION_HOSTNAME, text("host")],
    ]),
  );
  const seen = new Set<string>();
  for (let n = 0; n < built.length; n++) {
    const m = dhcpParse(built.subarray(0, n));
    seen.add(typeof m === "string" ? m : "read");
    if (n < 240) expect(m).toBe("truncated");
  }
  expect([...seen].sort()).toEqual(["bad-options", "read", "truncated"]);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 240, maxLength: 400 }), (b) => {
      b.set([2, 1, 6], 0);
      b.set([0x63, 0x82, 0x53, 0x63], 236);
      const m = dhcpParse(b);
      if (typeof m !== "string") dhcpClasslessRoutes(m);
    }),
  );
});

test("options go on in the file and sname fields, in that order, where option 52 says so (RFC 2131 4.1, RFC 3396)", () => {
  const built = dhcpBuild(
    message([
      [OPTION_HOSTNAME, text("ab")],
      [OVERLOAD, Uint8Array.of(3)],
    ]),
  );
  built.set([OPTION_HOSTNAME, 2, ...text("cd"), 255], 108);
  built.set([OPTION_HOSTNAME, 2, ...text("ef"), 0, 255], 44);
  const m = dhcpParse(built) as DhcpMessage;
  expect(m.options.get(OPTION_HOSTNAME)).toEqual(text("abcdef"));
  built.set([OPTION_HOSTNAME, 63], 44); // runs over the end of the field
  expect(dhcpParse(built)).toBe("bad-options");
});

test("other hardware and another cookie are refused by name", () => {
  const built = dhcpBuild(message([]));
  const change = (at: number, value: number): unknown => {
    const b = built.slice();
    b[at] = value;
    return dhcpParse(b);
  };
  expect(change(1, 6)).toBe("bad-hardware-type");
  expect(change(2, 16)).toBe("bad-hardware-type");
  expect(change(236, 0)).toBe("bad-cookie");
});

test("values have exactly the length that they must have", () => {
  const m = message([
    [OPTION_DNS, Uint8Array.of(9, 9, 9, 9, 8, 8, 4, 4)],
    [51, Uint8Array.of(255, 255, 255, 255)],
    [26, Uint8Array.of(5)],
    [3, Uint8Array.of(1, 2, 3)],
  ]);
  expect(dhcpAddresses(m, OPTION_DNS)).toEqual([0x09090909, 0x08080404]);
  expect(dhcpNumber(m, 51, 4)).toBe(0xffffffff);
  expect(dhcpNumber(m, 26, 2)).toBeUndefined();
  expect(dhcpAddresses(m, 3)).toBeUndefined();
});

test("classless routes: the examples of RFC 3442, and every malformed list is refused as a whole", () => {
  const routes = (...bytes: number[]) =>
    dhcpClasslessRoutes(message([[OPTION_CLASSLESS_ROUTES, Uint8Array.from(bytes)]]));
  expect(routes(0, 10, 0, 0, 1)).toEqual([{ network: 0, prefix: 0, gateway: 0x0a000001 }]);
  expect(routes(24, 10, 0, 0, 0, 0, 0, 0, 17, 10, 17, 0, 10, 0, 0, 1)).toEqual([
    { network: 0x0a000000, prefix: 24, gateway: 0 },
    { network: 0x0a110000, prefix: 17, gateway: 0x0a000001 },
  ]);
  expect(routes(32, 10, 198, 122, 47, 10, 0, 0, 1)?.[0]).toEqual({
    network: 0x0ac67a2f,
    prefix: 32,
    gateway: 0x0a000001,
  });
  expect(routes(33, 1, 1, 1, 1, 10, 0, 0, 1)).toBeUndefined();
  expect(routes(0, 10, 0, 0)).toBeUndefined();
  expect(routes(0, 10, 0, 0, 1, 24, 10)).toBeUndefined();
  expect(dhcpClasslessRoutes(message([]))).toBeUndefined();
});
