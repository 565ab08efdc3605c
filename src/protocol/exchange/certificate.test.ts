import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { namedCertificate } from "../../../test/support/named-certificate.ts";
import { Certificate } from "./certificate.ts";
import { opensslSubject, userName } from "./certificate-name.ts";
import { bitsOf, DerElements, MalformedDer, oidText } from "./der.ts";
import { textOf } from "./der-text.ts";

type Bytes = readonly number[];
const der = (tag: number, ...content: readonly Bytes[]): Bytes => {
  const body = content.flat();
  return [tag, ...(body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255]), ...body];
};
const ascii = (text: string): Bytes => [...Buffer.from(text, "latin1")];
const COMMON_NAME = der(0x06, [0x55, 0x04, 0x03]);
const KEY_USAGE = [0x55, 0x1d, 0x0f];
const ALT_NAME = [0x55, 0x1d, 0x11];
const EXTENDED = [0x55, 0x1d, 0x25];
const EMPTY = der(0x30);
const extension = (oid: Bytes, value: Bytes): Bytes => der(0x30, der(0x06, oid), der(0x04, value));
const name = (...values: readonly Bytes[]): Bytes =>
  der(0x30, ...values.map((value) => der(0x31, der(0x30, COMMON_NAME, value))));

interface Parts {
  readonly serial?: Bytes;
  readonly subject?: Bytes;
  readonly extensions?: readonly Bytes[];
  /** Behind the signature. */
  readonly behind?: Bytes;
}

function certificate({ serial = [1], subject = EMPTY, extensions = [], behind = [] }: Parts): Certificate {
  const version = der(0xa0, der(0x02, [2]));
  const fields = [version, der(0x02, serial), EMPTY, EMPTY, EMPTY, subject, EMPTY];
  const signed = der(0x30, ...fields, der(0xa3, der(0x30, ...extensions)));
  return new Certificate(Uint8Array.from(der(0x30, signed, EMPTY, der(0x03, [0, 1]), behind)));
}

describe("what is no certificate is refused", () => {
  const whole = namedCertificate("c1");

  test("each beginning of one, and one with a byte behind it", () => {
    expect(userName(new Certificate(whole), ["CN"])).toBe("c1");
    for (let length = 0; length < whole.length; length++)
      expect(() => new Certificate(whole.subarray(0, length))).toThrow(MalformedDer);
    expect(() => new Certificate(Uint8Array.of(...whole, 0))).toThrow(MalformedDer);
    expect(() => certificate({ behind: EMPTY })).toThrow(MalformedDer);
  });

  test("whatever bytes change, nothing else is thrown, and nothing beyond the end is read", () => {
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        // Behind it stands what must not be read.
        const bytes = new Uint8Array(whole.length + 64).fill(0x31);
        bytes.set(whole);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const read = new Certificate(bytes.subarray(0, whole.length));
          for (const part of read.subject.flat()) expect(part.value.content.length).toBeLessThan(whole.length);
          void [read.serial, read.keyUsage, read.extendedKeyUsages, read.netscapeType, read.emailNames];
          void [opensslSubject(read), userName(read, ["CN"])];
        } catch (error) {
          if (!(error instanceof MalformedDer)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("lengths that are not definite, are longer than what is there, or overflow", () => {
    for (const length of [[0x80], [0x85, 0, 0, 0, 0, 0], [0x84, 0xff, 0xff, 0xff, 0xff], [0x82, 1], [3]])
      expect(() => new DerElements(Uint8Array.of(0x30, ...length)).next()).toThrow(MalformedDer);
  });
});

test("of an extension that is there twice nothing is taken (RFC 5280 4.2)", () => {
  const usage = extension(KEY_USAGE, der(0x03, [7, 0x80]));
  expect(certificate({ extensions: [usage] }).keyUsage).toBe(0x80);
  expect(() => certificate({ extensions: [usage, usage] }).keyUsage).toThrow(MalformedDer);
});

test("key usages as OpenVPN writes them, without the bits that do not count (X.690 8.6.2)", () => {
  const usage = (...bits: Bytes): number | undefined =>
    certificate({ extensions: [extension(KEY_USAGE, der(0x03, bits))] }).keyUsage;
  expect(usage(5, 0xa0)).toBe(0xa0);
  expect(usage(5, 0xbf)).toBe(0xa0);
  expect(usage(7, 0x08, 0x80)).toBe(0x8008);
  expect(usage(0)).toBe(0);
  expect(certificate({}).keyUsage).toBeUndefined();
  for (const bits of [[], [8, 1], [1]]) expect(() => bitsOf(Uint8Array.from(bits))).toThrow(MalformedDer);
});

test("extended key usages in dotted numbers, with arcs of any size", () => {
  const usages = der(
    0x30,
    der(0x06, [0x2b, 6, 1, 5, 5, 7, 3, 1]),
    der(0x06, [0x69, 0x83, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
  );
  const read = certificate({ extensions: [extension(EXTENDED, usages)] }).extendedKeyUsages;
  expect(read).toEqual(["1.3.6.1.5.5.7.3.1", "2.25.17592186044415"]);
  expect(oidText(Uint8Array.of(0x88, 0x37))).toBe("2.999");
  for (const oid of [[], [0x80], [0x2b, 0x81], new Array(65).fill(1)])
    expect(() => oidText(Uint8Array.from(oid))).toThrow(MalformedDer);
});

test("the number: whole bytes in capitals, without zeros in front, negative ones with a sign (BN_bn2hex)", () => {
  for (const [serial, text] of [
    [[1], "01"],
    [[0, 0xab, 1], "AB01"],
    [[0], "0"],
    [[0, 0, 7], "07"],
    [[0xff], "-01"],
    [[0x80, 0], "-8000"],
  ] as const)
    expect(certificate({ serial }).serial).toBe(text);
});

test("names of each type of string, and of none", () => {
  const called = (...values: readonly Bytes[]): string | undefined =>
    userName(certificate({ subject: name(...values) }), ["CN"]);
  expect(called(der(0x0c, [...Buffer.from("Söhne 日本 😀")]))).toBe("Söhne 日本 😀");
  expect(called(der(0x13, ascii("plain")))).toBe("plain");
  expect(called(der(0x14, [0x53, 0xf6]))).toBe("Sö");
  expect(called(der(0x1e, [0x65, 0xe5, 0x67, 0x2c]))).toBe("日本");
  expect(called(der(0x1c, [0, 1, 0xf6, 0]))).toBe("😀");
  expect(called(der(0x0c, ascii("first")), der(0x0c, ascii("last\u0000")))).toBe("last_");
  expect(called()).toBeUndefined();
  // What OpenSSL takes for no text has no name, and is printed byte by byte.
  expect(called(der(0x04, [0x61, 0xf6]))).toBeUndefined();
  expect(opensslSubject(certificate({ subject: name(der(0x04, [0x61, 0xf6])) }))).toBe("CN=aö");
  for (const [tag, content] of [
    [0x0c, [0xc3]],
    [0x0c, [0xef, 0xbf, 0xbd, 0xff]],
    [0x1e, [0x61]],
    [0x1e, [0xd8, 0x3d, 0xde, 0]],
    [0x1c, [0, 0x11, 0, 0]],
  ] as const)
    expect(() => textOf({ tag, content: Uint8Array.from(content) })).toThrow(MalformedDer);
});

test("of several e-mail addresses the last without a NUL is the name (OpenVPN's extract_x509_extension)", () => {
  const names = (...texts: readonly string[]): string | undefined => {
    const value = der(0x30, der(0x82, ascii("dns.example")), ...texts.map((text) => der(0x81, ascii(text))));
    return userName(certificate({ extensions: [extension(ALT_NAME, value)] }), ["ext:subjectAltName"]);
  };
  expect(names("a@x", "b@x")).toBe("b@x");
  expect(names("a@x", "root\u0000@x")).toBe("a@x");
  expect(names()).toBeUndefined();
});
