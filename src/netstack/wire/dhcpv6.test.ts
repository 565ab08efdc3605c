import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseIp } from "../../lib/ip.ts";
import {
  DHCP6_REPLY,
  DHCP6_SOLICIT,
  type Dhcp6Message,
  dhcp6Addresses,
  dhcp6Build,
  dhcp6Domains,
  dhcp6Duid,
  dhcp6IaNa,
  dhcp6IaNaOption,
  dhcp6Number,
  dhcp6Option,
  dhcp6Options,
  dhcp6Parse,
  dhcp6Status,
  dhcp6StatusText,
  OPTION6_DNS,
  OPTION6_PREFERENCE,
  OPTION6_SERVER_ID,
} from "./dhcpv6.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/\s/g, ""));
const IA_NA = 3;

// Byte by byte after the figures of the RFC: client and server id, an address with its times, DNS servers, the domain list.
const KEA = hex(`
  07 0a0b0c
  0001 000a 0003 0001 525400abcdef
  0002 000e 0001 0001 2d8c1f53 5254001234ab
  0003 0028 00abcdef 000003e8 000007d0  0005 0018 20010db8000100000000000000000100 00000bb8 00000fa0
  0017 0020 20010db8000100000000000000000053 20010db8000100000000000000000054
  0018 000d 03 6c616e 07 6578616d706c65 00`);

test("a reply with everything in it (RFC 8415 21, RFC 3646)", () => {
  const m = dhcp6Parse(KEA) as Dhcp6Message;
  expect([m.type, m.xid]).toEqual([DHCP6_REPLY, 0x0a0b0c]);
  expect(dhcp6Option(m.options, 1)).toEqual(dhcp6Duid({ hi: 0x5254, lo: 0x00ab_cdef }));
  expect(dhcp6Option(m.options, OPTION6_SERVER_ID)).toHaveLength(14);
  expect(dhcp6IaNa(m.options)).toEqual([
    {
      iaid: 0xabcdef,
      t1: 1000,
      t2: 2000,
      status: 0,
      addresses: [{ address: parseIp("2001:db8:1::100")!, preferred: 3000, valid: 4000, status: 0 }],
    },
  ]);
  expect(dhcp6Addresses(m.options, OPTION6_DNS)?.join()).toBe("2001:db8:1::53,2001:db8:1::54");
  expect(dhcp6Domains(m.options)).toEqual(["lan.example"]);
  expect(dhcp6Build(m)).toEqual(KEA);
});

test("a message is read back as it was built, whatever memory it is in; an option may be there several times", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(65_535), fc.uint8Array({ maxLength: 300 })), { maxLength: 12 }),
      fc.nat(0xff_ffff),
      (list, xid) => {
        const m: Dhcp6Message = { type: DHCP6_SOLICIT, xid, options: dhcp6Options(list) };
        const built = dhcp6Build(m);
        const dirty = new Uint8Array(built.length + 64).fill(0xa5);
        dirty.set(built, 32);
        expect(dhcp6Parse(dirty.subarray(32, 32 + built.length))).toEqual(m);
      },
    ),
  );
});

test("every cut of a message is refused or read without its tail, and nothing throws", () => {
  const seen = new Set<string>();
  for (let n = 0; n < KEA.length; n++) {
    const m = dhcp6Parse(KEA.subarray(0, n));
    seen.add(typeof m === "string" ? m : "read");
    if (n < 4) expect(m).toBe("truncated");
  }
  expect([...seen].sort()).toEqual(["bad-options", "read", "truncated"]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(IA_NA, 13, OPTION6_DNS, 24), (value, code) => {
      const { options } = { options: dhcp6Options([[code, value]]) };
      dhcp6IaNa(options);
      dhcp6Status(options);
      dhcp6StatusText(options);
      dhcp6Addresses(options, OPTION6_DNS);
      dhcp6Domains(options);
    }),
  );
});

test("relayed messages, RECONFIGURE and types that are not known are refused (RFC 8415 7.3, 18.2.11)", () => {
  for (const type of [0, 10, 12, 13, 14, 255]) expect(dhcp6Parse(Uint8Array.of(type, 0, 0, 0))).toBe("bad-type");
});

test("an IA that is cut, or whose options are, is not among the IAs; an address that is cut is not among the addresses", () => {
  const ia = (value: string): unknown => dhcp6IaNa(dhcp6Options([[IA_NA, hex(value)]]));
  expect(ia("00000001 00000000 000000")).toEqual([]);
  expect(ia("00000001 00000000 00000000 0005 0018 2001")).toEqual([]);
  expect(ia("00000001 00000000 00000000 0005 0017 20010db8000100000000000000000100 00000bb8 000fa0")).toEqual([
    { iaid: 1, t1: 0, t2: 0, status: 0, addresses: [] },
  ]);
  const inner = "0005 001a 20010db8000100000000000000000100 00000bb8 00000fa0 000d";
  expect(ia(`00000001 00000000 00000000 ${inner}`)).toEqual([{ iaid: 1, t1: 0, t2: 0, status: 0, addresses: [] }]);
});

test("status: of the message, an IA and an address each its own; without one it is success (RFC 8415 21.13)", () => {
  const status = "000d 0006 0002 66756c6c";
  const [ia] = dhcp6IaNa(
    dhcp6Options([
      [
        IA_NA,
        hex(
          `ffffffff ffffffff ffffffff ${status} 0005 001e 20010db8000100000000000000000100 ffffffff ffffffff 000d 0002 0004`,
        ),
      ],
    ]),
  );
  const forever = Number.POSITIVE_INFINITY;
  expect(ia).toMatchObject({ iaid: -1, t1: forever, t2: forever, status: 2 });
  expect(ia?.addresses).toMatchObject([{ preferred: forever, valid: forever, status: 4 }]);
  const message = dhcp6Options([[13, hex("0001 6e6f07")]]);
  expect([dhcp6Status(message), dhcp6StatusText(message)]).toEqual([1, "no?"]);
  expect([dhcp6Status(dhcp6Options([])), dhcp6Status(dhcp6Options([[13, hex("00")]]))]).toEqual([0, 0]);
});

test("what a client asks for: an IA with the address that it wishes for, no times (RFC 8415 18.2.1)", () => {
  expect(dhcp6IaNaOption(-2, parseIp("2001:db8::5"))).toEqual([
    IA_NA,
    hex("fffffffe 00000000 00000000 0005 0018 20010db8000000000000000000000005 00000000 00000000"),
  ]);
  expect(dhcp6IaNaOption(1, undefined)[1]).toHaveLength(12);
});

test("values have exactly the length that they must have", () => {
  const options = dhcp6Options([
    [OPTION6_PREFERENCE, hex("ff")],
    [82, hex("00000e10")],
    [83, hex("0e10")],
    [OPTION6_DNS, hex("20010db8")],
    [24, hex("03 6c616e")],
  ]);
  expect(dhcp6Number(options, OPTION6_PREFERENCE, 1)).toBe(255);
  expect(dhcp6Number(options, 82, 4)).toBe(3600);
  expect(dhcp6Number(options, 83, 4)).toBeUndefined();
  expect(dhcp6Addresses(options, OPTION6_DNS)).toBeUndefined();
  expect(dhcp6Domains(options)).toBeUndefined();
});
