/** Our server and real openvpn clients: how they stay, come back and are ended, and what never leaves the server. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE } from "../support/world/process.ts";
import { LAN_HOST, ServedWorld, SITE, WAN } from "../support/world/served-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(240_000);

describe.skipIf(NO_WORLD)("a server's clients", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  test("a client whose address changes goes on without a new handshake", async () => {
    await world.serve();
    const client = await world.join("a");
    expect(await world.ping("a", LAN_HOST)).toBe(3);
    await world.move("a", "203.0.113.40");
    try {
      expect(await world.reaches("a", LAN_HOST)).toBe(true);
      expect(await world.says(/peer\.float/)).toContain("203.0.113.40");
      expect(await world.ping("lan", await world.address("a"))).toBe(3);
      expect(client.log().match(/VERIFY OK: depth=0/g)?.length).toBe(1);
    } finally {
      await world.move("a", "203.0.113.21");
    }
  });

  for (const proto of ["udp", "tcp"] as const) {
    test(`a server that leaves tells its clients, and has them back with their addresses after a restart, over ${proto}`, async () => {
      await world.serve(proto === "tcp" ? ["proto tcp-server"] : []);
      const options = proto === "tcp" ? { proto: "tcp-client" } : {};
      const a = await world.join("a", [], options);
      await world.join("b", [], options);
      const before = [await world.address("a"), await world.address("b")];
      expect(await world.stop("server")).toBe(0);
      expect(await a.says(/server-pushed-connection-reset|Connection reset/, PATIENCE)).toBeDefined();
      await world.restart();
      await Promise.all([world.joined("b", 2), world.joined("a", 2)]);
      expect([await world.address("a"), await world.address("b")]).toEqual(before);
      expect([await world.reaches("a", LAN_HOST), await world.reaches("b", LAN_HOST)]).toEqual([true, true]);
    });
  }

  test("SIGUSR1 takes another list of revoked certificates, other clients' files and other options without ending a session", async () => {
    const lines = ["crl-verify crl.pem", "client-config-dir ccd"];
    await world.serve(lines);
    const a = await world.join("a");
    await world.join("b");
    await world.leave("b", "SIGTERM");
    const files = {
      "crl.pem": readFileSync(join(world.dir, "crl-b.pem"), "utf8"),
      "ccd/client-c": "ifconfig-push 10.8.0.99 255.255.255.0\n",
    };
    world.configure([...lines, 'push "route 10.99.0.0 255.255.0.0"'], { files });
    const mark = world.daemon("server").log().length;
    world.daemon("server").signal("SIGUSR1");
    await world.says(/ reload /, mark);
    world.client("b");
    expect(await world.says(/peer\.refused/, mark)).toContain("is revoked");
    await world.join("c");
    expect(await world.address("c")).toBe("10.8.0.99");
    expect((await world.in("c", ["ip", "route"])).out).toContain("10.99.0.0/16");
    expect(await world.ping("a", LAN_HOST)).toBe(3);
    // After another list everybody shows his certificate again, in the same session.
    expect(a.log().match(/Initialization Sequence Completed/g)?.length).toBe(1);
  });

  test("max-clients, duplicate-cn, and a client that comes again before its old session is missed", async () => {
    await world.serve(["max-clients 2"]);
    await Promise.all([world.join("a"), world.join("b")]);
    world.client("c");
    expect(await world.says(/peer\.refused/)).toContain("max-clients");
    const [address] = [await world.address("a"), await world.leave("a")];
    await world.leave("c");
    await world.join("a");
    expect(await world.address("a")).toBe(address);
    await world.serve(["duplicate-cn"]);
    await Promise.all([world.join("a"), world.join("b", [], { cert: "client-a" })]);
    expect(await world.address("a")).not.toBe(await world.address("b"));
    expect([await world.reaches("a", LAN_HOST), await world.reaches("b", LAN_HOST)]).toEqual([true, true]);
  });

  test("nothing leaves the WAN for whoever has another key, and the LAN has no way out", async () => {
    await world.serve(['push "redirect-gateway def1"']);
    const expression = `src host ${WAN} and not arp`;
    const dump = world.start("dump", "net", [
      "tcpdump",
      "-Z",
      "root",
      "-nn",
      "-l",
      "-t",
      "-i",
      "toserver",
      "-Q",
      "in",
      expression,
    ]);
    await dump.says(/listening on/, PATIENCE);
    const client = world.client("b", ["tls-crypt static-other.key", "hand-window 8"]);
    expect(await client.says(/link remote/, PATIENCE)).toBeDefined();
    await Promise.all([SITE, "203.0.113.1", "203.0.113.21"].map((target) => world.ping("lan", target, 1)));
    expect(await client.says(/TLS key negotiation failed/, PATIENCE)).toBeDefined();
    await world.stop("dump", "SIGINT");
    expect([...dump.log().matchAll(/^IP .*/gm)].map(([line]) => line)).toEqual([]);
  });
});
