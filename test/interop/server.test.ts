/** Our server and real openvpn clients: who gets in, and what they reach. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, until } from "../support/world/process.ts";
import {
  LAN_GATEWAY,
  LAN_HOST,
  LAN_HOST6,
  ServedWorld,
  SITE,
  SITE6,
  TUNNEL,
  TUNNEL6,
  WAN,
} from "../support/world/served-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(240_000);

describe.skipIf(NO_WORLD)("a server", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  /** Whom somebody sees that is pinged from elsewhere: sources of echo requests at a device. */
  async function seenAt(part: "web" | "lan", device: string, body: () => Promise<unknown>): Promise<string[]> {
    const name = `dump-${part}`;
    const dump = world.start(name, part, [
      "tcpdump",
      "-Z",
      "root",
      "-nn",
      "-l",
      "-t",
      "-i",
      device,
      "icmp[0] == 8 or icmp6[0] == 128",
    ]);
    await dump.says(/listening on/, PATIENCE);
    await body();
    await until(() => dump.log().includes("echo request"), 3);
    await world.stop(name, "SIGINT");
    return [...new Set([...dump.log().matchAll(/^IP6? (\S+) > /gm)].map((match) => match[1]!))];
  }

  describe("lets in", () => {
    for (const [what, lines, options, reason] of [
      ["a revoked certificate", [], { cert: "client-revoked" }, "is revoked"],
      ["an expired certificate", [], { cert: "client-expired" }, "has expired"],
      ["a certificate of another CA", [], { cert: "client-other" }, "issued by nobody known here"],
      ["no cipher that is shared", ["data-ciphers AES-256-CBC", "cipher AES-256-CBC"], {}, "cipher"],
    ] as const) {
      test(`not ${what}, by name, while another client goes on`, async () => {
        await world.serve(["crl-verify crl.pem"]);
        await world.join("a");
        world.client("b", lines, options);
        expect(await world.says(/peer\.refused/)).toContain(reason);
        expect(await world.ping("a", LAN_HOST)).toBe(3);
        expect(world.daemon("b").log()).not.toContain("Initialization Sequence Completed");
      });
    }

    test("a right password and not a wrong one, nor one of nobody; the client is told, and no password is logged", async () => {
      await world.serve(["verify-client-cert none", "username-as-common-name"], { users: true });
      const without = ["cert", "key"];
      await world.join("a", ["auth-user-pass right.txt"], { without });
      writeFileSync(join(world.dir, "nobody.txt"), "eve\ncorrect horse\n");
      for (const [name, file] of [
        ["b", "wrong.txt"],
        ["c", "nobody.txt"],
      ] as const) {
        const client = world.client(name, [`auth-user-pass ${file}`], { without });
        expect(await client.says(/AUTH_FAILED/, PATIENCE)).toBeDefined();
      }
      expect(await world.ping("a", LAN_HOST)).toBe(3);
      expect(world.daemon("server").log()).not.toMatch(/correct horse|battery staple/);
    });
  });

  test("clients reach the LAN by their own addresses and are reached, not each other, nor the internet", async () => {
    await world.serve(['push "route 198.51.100.0 255.255.255.0"']);
    await Promise.all([world.join("a"), world.join("b")]);
    const [a, b] = [await world.address("a"), await world.address("b")];
    expect(a).not.toBe(b);
    expect([await world.ping("a", LAN_HOST), await world.ping("lan", b)]).toEqual([3, 3]);
    expect([await world.ping("a", b, 1), await world.ping("a", SITE, 1)]).toEqual([0, 0]);
    expect(await seenAt("lan", "l0", () => world.ping("a", LAN_HOST))).toEqual([a]);
  });

  test("with client-to-client they reach each other; a source that is not theirs goes nowhere", async () => {
    await world.serve(["client-to-client"]);
    await Promise.all([world.join("a"), world.join("b")]);
    const [a, b] = [await world.address("a"), await world.address("b")];
    expect([await world.ping("a", b), await world.ping("b", a)]).toEqual([3, 3]);
    for (const forged of [b, LAN_HOST, TUNNEL, "192.0.2.9"]) {
      await world.sh("a", `ip addr add ${forged}/32 dev tun0`);
      for (const target of [LAN_HOST, b].filter((it) => it !== forged))
        expect(await world.ping("a", target, 1, ["-I", forged])).toBe(0);
      await world.sh("a", `ip addr del ${forged}/32 dev tun0`);
    }
    world.daemon("server").signal("SIGUSR2");
    await world.says(/statistics\.tunnel .*drop\.TunnelForeignSource=[1-9]/);
  });

  test("the LAN is closed, or sees them as the gateway", async () => {
    await world.serve([], { server: 'lan = "closed"' });
    await world.join("a");
    expect([await world.ping("a", LAN_HOST, 1), await world.ping("a", TUNNEL)]).toEqual([0, 3]);
    await world.serve([], { server: 'lan = "translated"' });
    await world.join("a");
    expect(await seenAt("lan", "l0", () => world.ping("a", LAN_HOST))).toEqual([LAN_GATEWAY]);
    expect(await world.downloads("a", LAN_HOST)).toBe(true);
  });

  test("where the profile pushes redirect-gateway they reach the internet as the server, in both families, also without a LAN", async () => {
    for (const lan of [true, false]) {
      await world.serve(["server-ipv6 fd00:8::/64", 'push "redirect-gateway def1 ipv6"'], { lan });
      await world.join("a");
      expect(await world.reaches("a", SITE6)).toBe(true);
      expect(await seenAt("web", "i1", () => world.ping("a", SITE))).toEqual([WAN]);
      expect(await world.downloads("a", SITE)).toBe(true);
    }
  });

  test("IPv6 inside: the server, the LAN host and a client reach each other", async () => {
    await world.serve(["server-ipv6 fd00:8::/64", 'push "route-ipv6 fd00:50::/64"']);
    await world.join("a");
    expect([await world.ping("a", TUNNEL6), await world.ping("a", LAN_HOST6)]).toEqual([3, 3]);
    expect(await world.ping("lan", await world.address("a", 6))).toBe(3);
  });

  test("files of client-config-dir: an address of its own, a route for one alone, and a network behind it", async () => {
    const file =
      'ifconfig-push 10.8.0.77 255.255.255.0\npush "route 10.99.0.0 255.255.0.0"\niroute 192.168.77.0 255.255.255.0\n';
    await world.serve(["client-config-dir ccd", "route 192.168.77.0 255.255.255.0"], {
      files: { "ccd/client-a": file },
    });
    await Promise.all([world.join("a"), world.join("b")]);
    await world.sh("a", "ip addr add 192.168.77.1/24 dev lo");
    expect(await world.address("a")).toBe("10.8.0.77");
    expect(await world.ping("lan", "192.168.77.1")).toBe(3);
    for (const [name, has] of [
      ["a", true],
      ["b", false],
    ] as const)
      expect((await world.in(name, ["ip", "route"])).out.includes("10.99.0.0/16")).toBe(has);
    await world.sh("a", "ip addr del 192.168.77.1/24 dev lo");
  });
});
