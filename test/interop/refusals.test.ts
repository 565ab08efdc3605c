/** What is wrong is said in words that name the cause and the remedy; the router stays, with the LAN closed. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { PATIENCE, until } from "../support/world/process.ts";
import { AUTH } from "../support/world/profile.ts";
import { GATEWAY, SERVER_2, SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD || REFERENCE)("a router that cannot have its tunnel", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  // What the one of the test before does meanwhile is not of this test.
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  /** The gateway answers, the rest is refused, nothing unasked is on the WAN. */
  async function closed(): Promise<void> {
    expect(await until(async () => (await world.ping(GATEWAY, 1, ["-W", "1"])).back === 1, PATIENCE)).toBeDefined();
    expect(await world.refuses(SITE)).toBe(true);
    expect(subject.alive).toBe(true);
  }

  test("a wrong password names auth.txt", async () => {
    await world.server();
    await subject.boot(world.config({ auth: "ann\nwrong\n" }));
    const line = await subject.says(/auth\.txt/);
    expect(line).toMatch(/password/i);
    await closed();
    expect(subject.log()).not.toContain("wrong\n");
  });

  test("a wrong password in the profile names the inline block", async () => {
    const profile = world.profile({
      password: false,
      lines: ["<auth-user-pass>", "ann", "sekrit17", "</auth-user-pass>"],
    });
    await subject.boot(world.config({ profile, auth: undefined }));
    expect(await subject.says(/<?auth-user-pass>? block|inline/)).toMatch(/password/i);
    expect(subject.log()).not.toContain("sekrit17");
    await closed();
  });

  test("a server that another CA signed names the ca block", async () => {
    const server = await world.server();
    await subject.boot(world.config({ profile: world.profile({ ca: "ca-other" }) }));
    expect(await subject.says(/certificate.*(verif|trust|issuer|sign)|(verif|trust).*certificate/)).toMatch(/<?ca>?/);
    expect(await server.says(/tlsv1 alert unknown ca/, PATIENCE)).toBeDefined();
    await closed();
  });

  test("a server that answers from another of its addresses is named with it, and followed where the profile has float", async () => {
    // Bound to no address, it answers from the first one that it has.
    await world.server({}, "server", "0.0.0.0");
    await subject.boot(world.config({ profile: world.profile({ remotes: [SERVER_2] }) }));
    const line = await subject.says(/no answer from 203\.0\.113\.11/);
    expect(line).toMatch(/an answer comes from 203\.0\.113\.1:1194 instead.*float/);
    await closed();
    await subject.bootUp(world.config({ profile: world.profile({ remotes: [SERVER_2], lines: ["float"] }) }));
    expect(subject.log()).toMatch(/link\.floated.*203\.0\.113\.1:1194/);
  });

  test("a server with another name is told that its certificate is not taken", async () => {
    const server = await world.server();
    await subject.boot(world.config({ profile: world.profile({ lines: ["verify-x509-name somebody-else name"] }) }));
    expect(await subject.says(/verify-x509-name/)).toContain("somebody-else");
    expect(await server.says(/alert (bad certificate|handshake failure|certificate unknown)/, PATIENCE)).toBeDefined();
    await closed();
  });

  test("an expired server certificate is named as such", async () => {
    await world.server({ certificate: "server-expired" });
    await subject.boot();
    expect(await subject.says(/expired/)).toMatch(/certificate/i);
    await closed();
  });

  test("a server certificate of the future names the clock", async () => {
    await world.server({ certificate: "server-future" });
    await subject.boot();
    expect(await subject.says(/not yet valid/)).toMatch(/clock/i);
    await closed();
  });

  test("a server with a client's certificate is refused by remote-cert-tls", async () => {
    await world.server({ certificate: "server-as-client" });
    await subject.boot();
    expect(await subject.says(/remote-cert-tls/)).toMatch(/certificate/i);
    await closed();
  });

  test("an own certificate that the server refuses is named as one possible cause", async () => {
    await world.server({ lines: ["crl-verify crl.pem"] });
    for (const certificate of ["client-expired", "client-other", "client-revoked"] as const) {
      await subject.boot(world.config({ profile: world.profile({ certificate }) }));
      await subject.says(/certificate/);
      await closed();
    }
  });

  for (const control of ["tls-crypt", "tls-auth"] as const) {
    test(`a wrong ${control} key: within 30 s the address and the possible causes are named`, async () => {
      await world.server({ control });
      await subject.boot(world.config({ profile: world.profile({ control, staticKey: "static-other" }) }));
      const line = await subject.says(
        new RegExp(
          `(no answer|not answer|no reply|timed? ?out|silen).*${control}|${control}.*(no answer|not answer|no reply|timed? ?out|silen)`,
        ),
        30,
      );
      expect(line).toContain("203.0.113.10");
      expect(line).toMatch(/port/i);
      await closed();
    });
  }

  test("a bad profile: every problem is named with its line", async () => {
    const wrong = ["tun-mtu banana", "ping notanumber", "proto carrier-pigeon"];
    const profile = world.profile({ lines: wrong });
    await subject.boot(world.config({ profile }));
    const rows = profile.split("\r\n");
    for (const line of wrong)
      await subject.says(new RegExp(`lab\\.ovpn:${rows.indexOf(line) + 1}: ${line.split(" ")[0]}`));
    await subject.says(/config\.invalid/);
    await closed();
  });

  test("a bad appliance.toml: every problem is named with its line, and the LAN address still answers where that part is right", async () => {
    await subject.boot(
      world.config({ toml: `[lan]\naddress = "${GATEWAY}/24"\n[vpn]\nnat = "yes"\ncolour = 3\n`, auth: AUTH }),
    );
    await subject.says(/appliance\.toml:4/);
    await subject.says(/appliance\.toml:5/);
    expect(subject.alive).toBe(true);
    expect((await world.ping(SITE)).back).toBe(0);
  });
});
