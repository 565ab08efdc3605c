/** What the LAN gets through the tunnel, and what never leaves by the WAN. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Capture } from "../support/world/capture.ts";
import { iperfTcp } from "../support/world/iperf.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { GATEWAY, LAN_HOST, NOBODY, SITE, TUNNEL, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

const MIB = 1 << 20;

setDefaultTimeout(120_000);

describe.skipIf(NO_WORLD)("a LAN behind the router", () => {
  let world: World;
  let subject: Subject;
  let capture: Capture;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
    capture = await world.capture();
    await subject.bootUp();
  });
  afterAll(() => world?.close());

  test("the gateway answers ping on its LAN address", async () => {
    expect((await world.ping(GATEWAY, 5)).back).toBe(5);
  });

  test("50 pings to a host behind the server, none lost", async () => {
    expect((await world.ping(SITE, 50, ["-i", "0.02"])).back).toBe(50);
  });

  test("traceroute shows the gateway, then the server, then the host", async () => {
    expect((await world.ping(SITE, 1, ["-t", "1"])).out).toMatch(/From 192\.168\.50\.1 .*[Tt]ime to live exceeded/);
    expect((await world.ping(SITE, 1, ["-t", "2"])).out).toMatch(/From 10\.8\.0\.1 .*[Tt]ime to live exceeded/);
    expect((await world.ping(SITE, 1, ["-t", "3"])).back).toBe(1);
  });

  test("a full-size ping with DF passes, or is answered with an MTU that then works", async () => {
    const { back, out } = await world.ping(TUNNEL, 2, ["-M", "do", "-s", "1472"]);
    if (back === 2) return;
    const mtu = Number(/mtu ?= ?(\d+)/.exec(out)?.[1]);
    expect(mtu).toBeGreaterThan(1280);
    expect((await world.ping(TUNNEL, 3, ["-M", "do", "-s", `${mtu - 28}`])).back).toBe(3);
  });

  test("100 MiB arrive unchanged", async () => {
    expect(await world.lanHost<{ ok: number }>("download", [SITE, 100 * MIB, 1], 120)).toMatchObject({
      ok: 1,
      failed: [],
    });
  }, 130_000);

  test("both ways at once: an upload and downloads get their share, and pings come back meanwhile", async () => {
    const [upload, downloads, pings] = await Promise.all([
      iperfTcp(world, "up", 8),
      world.lanHost<{ ok: number }>("download", [SITE, 20 * MIB, 4], 100),
      world.ping(SITE, 40, ["-i", "0.2"]),
    ]);
    expect(downloads).toMatchObject({ ok: 4, failed: [] });
    expect(upload.bytes).toBeGreaterThan(MIB);
    expect(upload.stall - upload.standstill).toBeLessThan(4);
    expect(pings.back).toBeGreaterThanOrEqual(36);
  }, 120_000);

  test("ten downloads at once", async () => {
    expect(await world.lanHost<{ ok: number }>("download", [SITE, 5 * MIB, 10], 100)).toMatchObject({
      ok: 10,
      failed: [],
    });
  }, 110_000);

  test("an upload past a link with a smaller MTU: path MTU errors come back through the NAT", async () => {
    expect(await world.lanHost<{ ok: number }>("upload", [SITE, MIB, 3])).toEqual({ ok: 3 });
    await world.in("lan", ["ip", "route", "flush", "cache"]);
    const { mtu, echoed } = await world.lanHost<{ mtu: number; echoed: number }>("pmtu", [SITE, 1372]);
    expect(mtu).toBeGreaterThanOrEqual(576);
    expect(mtu).toBeLessThanOrEqual(1280);
    expect(echoed).toBe(mtu - 28);
  });

  test("datagrams larger than any MTU, echoed: fragments both ways through the NAT", async () => {
    const sizes = [1, 100, 1400, 1472, 1473, 3000, 8000, 20_000, 60_000];
    expect(await world.lanHost("echo", [SITE, ...sizes])).toEqual({ ok: sizes.length, failed: [] });
  });

  test("closed ports refuse: ICMP errors and resets come back", async () => {
    expect(await world.lanHost("refused", [SITE])).toEqual({ udp: true, tcp: true });
  });

  test("many flows at once", async () => {
    expect(await world.lanHost("flows", [SITE, 1000, 200], 90)).toEqual({ udp: 1000, tcp: 200 });
  }, 100_000);

  test.skipIf(REFERENCE)("neither a WAN neighbour nor a tunnel peer reaches the LAN", async () => {
    const watch = world.start("watch", "lan", [
      "tcpdump",
      "-Z",
      "root",
      "--immediate-mode",
      "-nn",
      "-l",
      "-i",
      "l0",
      "-Q",
      "in",
      `icmp and dst host ${LAN_HOST}`,
    ]);
    expect(await watch.says(/listening/, PATIENCE)).toBeDefined();
    const tunnel = /ifconfig (10\.8\.0\.\d+)/.exec(world.daemon("server").log().split("PUSH_REPLY").at(-1)!)![1];
    for (const route of [`via ${world.wanAddress()}`, `via ${tunnel} dev tun-server`]) {
      await world.in("net", [
        "sh",
        "-c",
        `ip route replace 192.168.50.0/24 ${route}; ping -c 2 -i 0.3 -W 1 ${LAN_HOST}; ip route del 192.168.50.0/24`,
      ]);
    }
    // The answer to a ping must be seen: what went the same way before it has been.
    expect((await world.ping(SITE)).back).toBe(1);
    expect(await watch.says(/ICMP echo reply/, PATIENCE)).toBeDefined();
    await world.stop("watch");
    expect(watch.log()).not.toContain("ICMP echo request");
  });

  test.skipIf(REFERENCE)("a LAN packet with a source that is not of the LAN goes nowhere", async () => {
    const watch = world.start("watch", "net", [
      "tcpdump",
      "-Z",
      "root",
      "--immediate-mode",
      "-nn",
      "-l",
      "-i",
      "tun-server",
      "icmp",
    ]);
    expect(await watch.says(/listening/, PATIENCE)).toBeDefined();
    await world.in("lan", [
      "sh",
      "-c",
      `ip addr add 192.0.2.77/32 dev l0; ping -c 2 -i 0.3 -W 1 -I 192.0.2.77 ${SITE}; ip addr del 192.0.2.77/32 dev l0`,
    ]);
    await world.ping(SITE, 1);
    expect(await watch.says(/ICMP echo reply/, PATIENCE)).toBeDefined();
    await world.stop("watch");
    expect(watch.log().match(/ICMP echo request/g)?.length).toBe(1);
  });

  test.skipIf(REFERENCE)(
    "all this time the WAN carried ARP, IPv6 discovery, DHCP, DNS for the remote and OpenVPN, and nothing else",
    async () => {
      await world.tempt();
      const tally = await world.tally(capture);
      expect(tally.odd).toEqual([]);
      expect(tally.sent.other).toBe(0);
      expect(tally.sent.openvpn).toBeGreaterThan(1000);
      expect(tally.sent.dhcp).toBeGreaterThanOrEqual(2);
      expect(tally.sent.dns).toBeGreaterThanOrEqual(1);
      expect(tally.sent.arp).toBeGreaterThanOrEqual(1);
      expect(tally.sent.nd).toBeGreaterThanOrEqual(1);
    },
  );

  test.skipIf(REFERENCE)("split routes: the pushed network is reached, the rest refused", async () => {
    await world.server({ push: ["route 198.51.100.0 255.255.255.0"] });
    await subject.up(PATIENCE, SITE);
    expect(await world.refuses("192.0.2.1")).toBe(true);
  });

  test("a bad WAN (5 % loss, 20 ms, jitter, reordering, duplicates): the tunnel comes up and 10 MiB arrive", async () => {
    await subject.halt();
    await world.server();
    await world.badLink({ loss: 5, delay: 20, jitter: 5, reorder: 10, duplicate: 1, seed: 5 }, async () => {
      await subject.boot();
      await subject.up(90);
      expect(await world.lanHost<{ ok: number }>("download", [SITE, 10 * MIB, 1], 200)).toMatchObject({
        ok: 1,
        failed: [],
      });
    });
  }, 300_000);

  test.skipIf(REFERENCE)("a profile alone, with user and password inline, makes a router by the defaults", async () => {
    const profile = world.profile({
      password: false,
      lines: ["<auth-user-pass>", "ann", "correct horse", "</auth-user-pass>"],
    });
    await subject.bootUp(world.config({ profile, auth: undefined, toml: undefined }));
  });

  test.skipIf(REFERENCE)("a static WAN: the tunnel comes up by its own resolver, and no DHCP is sent", async () => {
    await subject.halt();
    await world.server();
    const before = await world.capture();
    const wan = `[wan]\naddress = "203.0.113.60/24"\ngateway = "${WAN_GATEWAY}"\ndns = ["${WAN_GATEWAY}"]\n`;
    await subject.bootUp(world.config({ toml: `${wan}[lan]\naddress = "${GATEWAY}/24"\n` }));
    expect(await subject.says(/wan\.configured/)).toMatch(/address=203\.0\.113\.60\/24 .*by=static/);
    expect((await world.ping(SITE)).back).toBe(1);
    const tally = await world.tally(before);
    await before.stop();
    expect(tally.odd).toEqual([]);
    expect(tally.sent.dhcp).toBe(0);
    expect(tally.sent.dns).toBeGreaterThanOrEqual(1);
    expect(tally.sent.openvpn).toBeGreaterThan(5);
  });

  test.skipIf(REFERENCE)(
    "a WAN that loses what is larger than the MTU that its DHCP server gives (option 26)",
    async () => {
      await subject.halt();
      await world.names(["--dhcp-option=26,1400"]);
      await world.narrowLink(1400, async () => {
        await world.server();
        await subject.bootUp();
        expect(await subject.says(/wan\.configured/)).toContain("mtu=1400");
        expect(await world.lanHost<{ ok: number }>("upload", [SITE, MIB, 3])).toEqual({ ok: 3 });
        expect(await world.lanHost("echo", [SITE, 1000, 1372, 8000])).toEqual({ ok: 3, failed: [] });
        expect(await world.lanHost<{ ok: number }>("download", [SITE, MIB, 1])).toMatchObject({ ok: 1, failed: [] });
      });
      // The address is given back at the end.
      expect(await subject.halt()).toBe(0);
      expect(await world.daemon("dnsmasq").says(/DHCPRELEASE\(w1\)/, 10)).toBeDefined();
      await world.names();
    },
  );

  test.skipIf(REFERENCE)(
    "a server's name that is blocked, then leads to nobody, then is right: named, never dialled, found within 25 s",
    async () => {
      const longTtl = ["--local-ttl=600"];
      await subject.halt();
      await world.names(longTtl, "0.0.0.0");
      const seen = await world.capture();
      await subject.boot();
      expect(await subject.says(/link\.unresolved/)).toContain("the resolver blocks this name");
      await world.names(longTtl, NOBODY);
      await subject.says(/link\.connecting .*203\.0\.113\.99/, 20);
      await world.names(longTtl);
      await subject.up(25);
      expect(await subject.says(/link\.moved/)).toContain("is no longer at 203.0.113.99");
      expect((await world.tally(seen)).odd).toEqual([]);
      await seen.stop();
    },
  );

  test.skipIf(REFERENCE)(
    "a closed LAN before the tunnel: the gateway answers at once, the rest is refused",
    async () => {
      await world.stop("server", "SIGKILL");
      const before = await world.capture();
      await subject.boot();
      expect(await until(async () => (await world.ping(GATEWAY, 1, ["-W", "1"])).back === 1, PATIENCE)).toBeDefined();
      expect(await world.refuses(SITE)).toBe(true);
      await world.tempt();
      expect((await world.tally(before)).odd).toEqual([]);
      await world.server();
    },
  );

  test.skipIf(REFERENCE)("a LAN host that has the gateway's address is named", async () => {
    await subject.halt();
    await world.sh("lan", `ip addr add ${GATEWAY}/32 dev lo`);
    await subject.boot();
    expect(await subject.says(/lan\.conflict/, 10)).toContain(`uses our LAN address ${GATEWAY}`);
    await world.sh("lan", `ip addr del ${GATEWAY}/32 dev lo`);
  });

  test.skipIf(REFERENCE)(
    "an MTU that is made smaller while the router runs is followed: what it has to carry still goes",
    async () => {
      await subject.bootUp();
      // Only what the router sends: what comes larger than the interface takes, its kernel drops.
      await world.sh("rt", "ip link set w0 mtu 1300");
      expect(await subject.says(/wan\.mtu/, 10)).toContain("before=1500");
      expect(await world.lanHost<{ ok: number }>("upload", [SITE, MIB, 1], 30)).toEqual({ ok: 1 });
      await world.sh("rt", "ip link set w0 mtu 1500; ip link set l1 mtu 1000");
      await subject.says(/lan\.mtu/, 10);
      const download = await world.lanHost<{ ok: number }>("download", [SITE, MIB, 1], 30);
      expect(download).toMatchObject({ ok: 1, failed: [] });
      await world.sh("rt", "ip link set l1 mtu 1500");
      await subject.says(/lan\.mtu.*larger/, 10);
    },
  );
});
