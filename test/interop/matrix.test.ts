/** Every protection of the control channel with every TLS version and every data cipher, against the real server. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ControlProtection } from "../support/world/openvpn-server.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { statistics } from "../support/world/statistics.ts";
import { SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD)("a tunnel to openvpn", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  // The one of the test before must not be a client of this test's server.
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  for (const control of ["plain", "tls-auth", "tls-crypt"] as const satisfies ControlProtection[]) {
    for (const tls of ["1.2", "1.3"]) {
      for (const cipher of ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"]) {
        test(`${control}, TLS ${tls}, ${cipher}`, async () => {
          const server = await world.server({ control, tls, ciphers: cipher });
          await subject.bootUp(world.config({ profile: world.profile({ control }) }));
          expect((await world.ping(SITE, 3, ["-i", "0.05"])).back).toBe(3);
          expect(await world.lanHost<{ ok: number }>("download", [SITE, 1_000_000, 1])).toMatchObject({ ok: 1 });
          expect(server.log()).toContain(`Control Channel: TLSv${tls}`);
          expect(server.log()).toMatch(
            new RegExp(`(Data Channel: cipher|Outgoing (Data Channel|Epoch Data key 1): Cipher) '${cipher}'`),
          );
          if (!REFERENCE) expect(subject.log()).toMatch(new RegExp(`tunnel\\.up.*${cipher}.*dns=10\\.8\\.0\\.1 `));
        });
      }
    }
  }

  for (const cookie of ["force-cookie", "allow-noncookie"] as const) {
    test(`tls-crypt-v2, a server with ${cookie}`, async () => {
      const server = await world.server({ control: "tls-crypt-v2", cookie });
      await subject.bootUp(world.config({ profile: world.profile({ control: "tls-crypt-v2" }) }));
      expect((await world.ping(SITE, 3, ["-i", "0.05"])).back).toBe(3);
      expect(server.log()).toContain("using tls-crypt-v2 key");
    });
  }

  test("tls-auth with a chosen digest, and without a key direction", async () => {
    await world.server({ control: "tls-auth", lines: ["auth SHA512"] });
    await subject.bootUp(world.config({ profile: world.profile({ control: "tls-auth", lines: ["auth SHA512"] }) }));
    // `tls-auth FILE 0` on the server needs direction 1 here; without a number both use the same keys.
    await subject.halt();
    await world.server({ control: "plain", lines: ["tls-auth static.key"] });
    const profile = world.profile({ control: "tls-auth" }).replace("key-direction 1\r\n", "");
    await subject.bootUp(world.config({ profile }));
  });

  for (const [pushed, own] of [
    ["comp-lzo no", ""],
    ["compress stub", "comp-lzo no"],
    ["compress stub-v2", "compress"],
    ["", "comp-lzo no"],
    ["", "compress"],
  ] as const) {
    test(`framing without compression: ${pushed || "nothing"} pushed, ${own || "nothing"} in the profile`, async () => {
      const framing = pushed === "compress stub-v2" ? pushed : pushed || own;
      const push = pushed === "" ? [] : [`push "${pushed}"`];
      const server = await world.server({ lines: ["allow-compression yes", framing, ...push] });
      const lines = own === "" ? [] : REFERENCE ? ["allow-compression yes", own] : [own];
      await subject.bootUp(world.config({ profile: world.profile({ lines }) }));
      expect((await world.ping(SITE, 3, ["-i", "0.05"])).back).toBe(3);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 1_000_000, 1])).toMatchObject({ ok: 1 });
      expect(server.log()).not.toMatch(/bad (comp|lzo|lz4)|decompression header/i);
    });
  }

  for (const [form, own] of [
    ["comp-lzo yes", ""],
    ["comp-lzo", "comp-lzo no"],
    ["compress lz4", "compress lz4"],
    ["compress lz4-v2", ""],
  ] as const) {
    test(`a server that compresses and pushes it, ${form}, ${own || "nothing"} in the profile: text and noise are right`, async () => {
      await world.server({ lines: ["allow-compression yes", form, `push "${form}"`] });
      const lines = own === "" ? [] : [own];
      const reference = REFERENCE ? ["allow-compression asym"] : [];
      const router = await subject.bootUp(
        world.config({ profile: world.profile({ lines: [...reference, ...lines] }) }),
      );
      // "-p 00": a packet that shrinks
      expect((await world.ping(SITE, 5, ["-i", "0.05", "-s", "1000", "-p", "00"])).back).toBe(5);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 300_000, 1])).toMatchObject({ ok: 1 });
      if (REFERENCE) return;
      await statistics(router);
      expect(router.log()).not.toMatch(/drop\.data-/);
    });
  }

  for (const [ciphers, lines, own] of [
    ["AES-256-CBC", ["auth SHA256"], ["data-ciphers AES-256-GCM:AES-256-CBC"]],
    ["AES-128-CBC", ["auth SHA512", "fragment 1000"], ["data-ciphers AES-128-CBC"]],
    ["AES-192-CBC", ["auth SHA1", "tun-mtu 1400"], ["data-ciphers AES-192-CBC"]],
    ["AES-192-GCM", [], ["data-ciphers AES-192-GCM"]],
  ] as const) {
    test(`a server that knows only ${[ciphers, ...lines].join(", ")}`, async () => {
      const server = await world.server({ ciphers, lines });
      const router = await subject.bootUp(world.config({ profile: world.profile({ lines: [...lines, ...own] }) }));
      expect((await world.ping(SITE, 5, ["-i", "0.05", "-s", "1200"])).back).toBe(5);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 300_000, 1])).toMatchObject({ ok: 1 });
      expect(server.log()).toContain(`'${ciphers}'`);
      if (REFERENCE || !ciphers.endsWith("CBC")) return;
      await subject.says(new RegExp(`session\\.warning.*${ciphers}`));
      await statistics(router);
      expect(router.log()).not.toMatch(/drop\.(data|seal)-/);
    });
  }

  for (const lines of [
    ["fragment 600", "mssfix 600"],
    ["fragment 1200 mtu"],
    ["fragment 500", "comp-lzo no", "cipher AES-128-GCM"],
  ]) {
    test(`${lines.join(", ")} on both sides: large pings and a download`, async () => {
      await world.server({ lines: ["allow-compression yes", ...lines] });
      const reference = REFERENCE ? ["allow-compression asym"] : [];
      const profile = world.profile({ lines: [...reference, ...lines] });
      const router = await subject.bootUp(world.config({ profile }));
      expect((await world.ping(SITE, 10, ["-i", "0.05", "-s", "1200"])).back).toBe(10);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 300_000, 1])).toMatchObject({ ok: 1 });
      if (REFERENCE) return;
      await statistics(router);
      expect(router.log()).not.toMatch(/drop\.(data|seal)-/);
    });
  }

  test.skipIf(REFERENCE)("with allow-compression no what a server compresses is told of and counted", async () => {
    await world.server({ lines: ["allow-compression yes", "comp-lzo yes", 'push "comp-lzo no"'] });
    const profile = world.profile({ lines: ["allow-compression no"] });
    const router = await subject.bootUp(world.config({ profile }));
    await world.ping(SITE, 3, ["-i", "0.05", "-s", "1000", "-p", "00", "-w", "1"]);
    await subject.says(/session\.warning.*compress/);
    const counted = async (): Promise<boolean> => {
      await statistics(router);
      return /data-compressed=[1-9]/.test(router.log());
    };
    expect(await until(counted, PATIENCE)).toBeDefined();
  });

  test.skipIf(REFERENCE)("a server with compression that says nothing of it is told of", async () => {
    await world.server({ lines: ["allow-compression yes", "comp-lzo yes"] });
    await subject.boot();
    await subject.says(/session\.warning.*comp-lzo/);
  });

  test("the server's order of ciphers decides among those that the profile allows", async () => {
    const server = await world.server({ ciphers: "CHACHA20-POLY1305:AES-128-GCM:AES-256-GCM" });
    await subject.bootUp(world.config({ profile: world.profile({ lines: ["data-ciphers AES-256-GCM:AES-128-GCM"] }) }));
    expect(server.log()).toMatch(
      /(Data Channel: cipher|Outgoing (Data Channel|Epoch Data key 1): Cipher) 'AES-128-GCM'/,
    );
  });
});
