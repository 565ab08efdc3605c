import { expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import {
  formatNamedKey,
  MAX_METADATA_BYTES,
  newClientKey,
  newNamedKey,
  newStaticKey,
  parseNamedKey,
  timestampMetadata,
  userMetadata,
} from "./key-file.ts";
import { noblePrimitives } from "./noble-primitives.ts";
import { MAX_WRAPPED_LEN, unwrapKey } from "./wrapped-key.ts";

const random = seededRandom(1);
const body = (text: string): Uint8Array => Uint8Array.fromBase64(text.replace(/-----.*-----|\n/g, ""));

test("a key of the server's is read back from its file, whatever is around it", () => {
  for (const kind of ["tls-crypt-v2-server", "auth-token"] as const) {
    const property = fc.property(fc.uint8Array({ minLength: 128, maxLength: 128 }), (key) => {
      const text = formatNamedKey(kind, key);
      expect(parseNamedKey(kind, text)).toEqual(key);
      expect(parseNamedKey(kind, `# about\r\n${text.replaceAll("\n", "\r\n")}more`)).toEqual(key);
    });
    fc.assert(property, { numRuns: 20 });
  }
});

test("what is no such file, cut or of another kind is said to be that", () => {
  const server = newNamedKey(random, "tls-crypt-v2-server");
  expect(parseNamedKey("auth-token", server)).toMatch(/holds no .* \(it is an OpenVPN tls-crypt-v2 server key\)$/);
  expect(parseNamedKey("tls-crypt-v2-server", newStaticKey(random))).toMatch(/it is an OpenVPN Static key V1/);
  expect(parseNamedKey("tls-crypt-v2-server", "")).toMatch(
    /^holds no "-----BEGIN OpenVPN tls-crypt-v2 server key-----"/,
  );
  expect(parseNamedKey("tls-crypt-v2-server", server.replace(/\n[^-\n]+\n/, "\n"))).toBe("is damaged or incomplete");
  expect(parseNamedKey("tls-crypt-v2-server", server.replace(/\n./, "\n*"))).toBe("is damaged or incomplete");
});

test("new keys are as random as their source: every one another", () => {
  const texts = [1, 2].flatMap(() => [
    newStaticKey(random),
    newNamedKey(random, "auth-token"),
    newNamedKey(random, "tls-crypt-v2-server"),
  ]);
  expect(new Set(texts).size).toBe(6);
});

test("a client's key opens with its server's, and the server reads what was put into it", () => {
  const serverKey = parseNamedKey("tls-crypt-v2-server", newNamedKey(random, "tls-crypt-v2-server")) as Uint8Array;
  for (const metadata of [timestampMetadata(1_538_000_000), userMetadata("zoë"), userMetadata("")]) {
    const bytes = body(newClientKey(random, noblePrimitives, serverKey, metadata));
    const opened = unwrapKey(serverKey, bytes.subarray(256), noblePrimitives);
    expect(opened).toEqual({ key: bytes.slice(0, 256), metadata });
  }
  expect(timestampMetadata(0x5bbbe0e2).toHex()).toBe("01000000005bbbe0e2");
  expect(userMetadata("a").toHex()).toBe("0061");
});

test("the longest metadata fills a wrapped key, and one byte more throws", () => {
  const serverKey = new Uint8Array(128);
  const make = (length: number) => newClientKey(random, noblePrimitives, serverKey, userMetadata("x".repeat(length)));
  expect(body(make(MAX_METADATA_BYTES)).length).toBe(256 + MAX_WRAPPED_LEN);
  expect(() => make(MAX_METADATA_BYTES + 1)).toThrow("at most 734");
});
