/** The epoch format of data packets against openvpn 2.7 and newer (`OPENVPN=`), which takes it with who announces it. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { PATIENCE } from "../support/world/process.ts";
import { statistics } from "../support/world/statistics.ts";
import { SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

// Older ones have it not: there is nothing to test then, and nothing is skipped.
const onlyWhereItIs = openvpnIsAtLeast(2, 7) ? describe.skipIf(NO_WORLD || REFERENCE) : (): void => {};

onlyWhereItIs("the epoch format with openvpn", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  test.each(["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"])(
    "%s: pings of all sizes, a download, renegotiations",
    async (ciphers) => {
      const server = await world.server({ ciphers, lines: ["disable-dco", "verb 4", "reneg-sec 4"] });
      const router = await subject.bootUp();
      expect(server.log()).toMatch(/PUSH_REPLY.*aead-epoch/);
      for (const size of ["0", "57", "1200"])
        expect([size, (await world.ping(SITE, 3, ["-i", "0.05", "-s", size])).back]).toEqual([size, 3]);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 5_000_000, 1])).toMatchObject({ ok: 1 });
      const pings = world.start("ping", "lan", ["ping", "-n", "-i", "0.1", SITE]);
      const mark = router.log().length;
      expect(await router.says(/rekeyed|renegotiat/i, PATIENCE, mark)).toBeDefined();
      expect((await world.ping(SITE, 5, ["-i", "0.5"])).back).toBe(5);
      await world.stop(pings.name, "SIGINT");
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 1_000_000, 1])).toMatchObject({ ok: 1 });
      await statistics(router);
      expect(router.log()).not.toMatch(/drop\.(data|seal)-/);
      expect(server.log()).not.toMatch(/AEAD Decrypt error|packet HMAC|Authenticate\/Decrypt|bad packet ID/i);
    },
  );
});
