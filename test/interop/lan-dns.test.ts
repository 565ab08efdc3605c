/** DNS for the LAN among real programs: dig, delv and dnsperf on the LAN, openvpn and BIND with a signed zone behind the tunnel. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Capture } from "../support/world/capture.ts";
import { HOSTS, NameServer } from "../support/world/name-server.ts";
import { RESOLVER } from "../support/world/pki.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { GATEWAY, TOML, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(120_000);

describe.skipIf(NO_WORLD || REFERENCE)("DNS for a LAN", () => {
  let world: World;
  let subject: Subject;
  let names: NameServer;
  let capture: Capture;

  /** What dig on the LAN host says of the gateway's answer. */
  const dig = async (...args: string[]) => {
    const start = performance.now();
    const { out } = await world.in("lan", ["dig", `@${GATEWAY}`, "+tries=1", "+time=6", "+nocookie", ...args]);
    const [, status = "none", flags = ""] = /status: (\w+)[\s\S]*?flags: ([\w ]*);/.exec(out) ?? [];
    const size = Number(/rcvd: (\d+)/.exec(out)?.[1]);
    return { status, flags: flags.split(" "), size, out, seconds: (performance.now() - start) / 1000 };
  };
  const short = async (...args: string[]): Promise<string[]> => (await dig("+short", ...args)).out.trim().split("\n");

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
    names = await NameServer.start(world);
    capture = await world.capture();
    await subject.bootUp(world.config({ toml: TOML.replace("[vpn]", "[vpn]\nnat = true") }));
  });
  afterAll(() => world?.close());

  test("names behind the tunnel, with aliases, in both families, of unknown types; the second time from the cache", async () => {
    expect(await short("www.example")).toEqual(["203.0.113.9"]);
    // The server may write the alias's target as a pointer into the question, whose capitals are the asker's again: case says nothing (RFC 4343).
    const aliased = (await short("Alias.Example", "AAAA")).map((line) => line.toLowerCase());
    expect(aliased).toEqual(["www.example.", "2001:db8::9"]);
    expect(await short("odd.example", "TYPE65280")).toEqual(["\\# 4 0A0B0C0D"]);
    const before = names.questions("www.example");
    expect(await short("WWW.example")).toEqual(["203.0.113.9"]);
    expect([before, names.questions("www.example")]).toEqual([1, 1]);
  });

  test("what is not there: NXDOMAIN, and no answer for another type; both are remembered", async () => {
    for (let i = 0; i < 2; i++) {
      expect((await dig("nothere.example")).status).toBe("NXDOMAIN");
      const empty = await dig("www.example", "MX");
      expect([empty.status, /ANSWER: 0/.test(empty.out)]).toEqual(["NOERROR", true]);
    }
    expect([names.questions("nothere.example"), names.questions("www.example")]).toEqual([1, 2]);
  });

  test("delv validates through it, what is there and what is not", async () => {
    const anchors = await names.anchors();
    const delv = async (...args: string[]): Promise<string> => {
      const { out } = await world.in("lan", ["delv", `@${GATEWAY}`, "-a", anchors, "+root=example", ...args]);
      return out;
    };
    expect(await delv("www.example")).toContain("; fully validated");
    expect(await delv("alias.example", "AAAA")).toContain("; fully validated");
    expect(await delv("nope.example")).toContain("; negative response, fully validated");
  });

  test("answers keep to the room of who asks: TC and at most 512 bytes without EDNS, 1232 with more room than that", async () => {
    const small = await dig("many.example", "TXT", "+noedns", "+ignore", "+dnssec", "+bufsize=0");
    expect(small.size).toBeLessThanOrEqual(512);
    const bare = await dig("many.example", "TXT", "+noedns", "+ignore");
    expect([bare.flags.includes("tc"), bare.size <= 512]).toEqual([false, true]);
    const big = await dig("big.example", "TXT", "+bufsize=4096", "+ignore");
    expect([big.flags.includes("tc"), big.size <= 1232]).toEqual([true, true]);
  });

  test("what is longer comes by TCP, from the server by TCP too, and from the cache; who asks by UDP falls over by itself", async () => {
    for (const more of [["+tcp"], [], ["+tcp", "+keepopen", "www.example"]]) {
      const { out } = await dig("big.example", "TXT", "+short", ...more);
      for (let i = 0; i < 8; i++) expect(out).toContain(String(i).repeat(200));
    }
    expect(names.questions("big.example")).toBeLessThanOrEqual(3);
    expect((await dig("nothere.example", "+tcp")).status).toBe("NXDOMAIN");
    expect((await dig("ANY", "example", "+tcp")).status).toBe("REFUSED");
  });

  test("the gateway's own name, its address backwards, and names that must not leave are answered here", async () => {
    expect(await short("morgana.lan")).toEqual([GATEWAY]);
    expect(await short("-x", GATEWAY)).toEqual(["morgana.lan."]);
    for (const name of ["gamma.lan", "x.onion", "9.50.168.192.in-addr.arpa", "a.invalid"]) {
      expect((await dig(name)).status).toBe("NXDOMAIN");
      expect(names.questions(name)).toBe(0);
    }
  });

  test("a public name with an address of the LAN is refused, and the log names the remedy", async () => {
    expect((await dig("inside.example")).status).toBe("REFUSED");
    await subject.says(/dns\.private-answer.*inside\.example has a private address.*private = \[/);
  });

  test("ANY, zone transfers, other classes and other operations are refused", async () => {
    expect((await dig("example", "ANY", "+notcp")).status).toBe("REFUSED");
    expect((await dig("version.bind", "TXT", "CH")).status).toBe("REFUSED");
    expect((await dig("example", "+opcode=NOTIFY")).status).toBe("NOTIMP");
    expect((await dig("example", "+edns=1", "+noednsneg")).status).toBe("BADVERS");
  });

  test("dnsperf: a thousand names in any order, none lost", async () => {
    const list = join(world.dir, "questions");
    writeFileSync(list, Array.from({ length: HOSTS }, (_, i) => `h${(i * 7) % HOSTS}.example A\n`).join(""));
    const { out } = await world.in(
      "lan",
      ["dnsperf", "-s", GATEWAY, "-d", list, "-n", "10", "-q", "50", "-t", "5"],
      60,
    );
    expect(out).toMatch(/Queries completed: +10000 \(100\.00%\)/);
    expect(out).toMatch(/Response codes: +NOERROR 10000 \(100\.00%\)/);
    expect(names.questions("h7.example")).toBe(1);
  });

  describe("over TLS", () => {
    const bootWith = (...properties: string[]) => {
      const lines = [`address ${TUNNEL}`, "transport DoT", ...properties].map((property) => `dns server 0 ${property}`);
      return subject.bootUp(world.config({ profile: world.profile({ lines }) }));
    };
    const TLS_ONLY = [1, 0];
    const asked = (name: string) => [names.questions(name, "tcp"), names.questions(name, "udp")];

    test("at a server with the name that the profile says: answered, in the clear nothing; many at once by one connection", async () => {
      await bootWith(`sni ${RESOLVER}`);
      const before = names.questions("odd.example", "udp");
      expect(await short("odd.example", "TYPE65280")).toEqual(["\\# 4 0A0B0C0D"]);
      expect([names.questions("odd.example", "tcp"), names.questions("odd.example", "udp")]).toEqual([1, before]);
      const list = join(world.dir, "questions-tls");
      writeFileSync(list, Array.from({ length: 500 }, (_, i) => `t${i}.example A\n`).join(""));
      const { out } = await world.in("lan", ["dnsperf", "-s", GATEWAY, "-d", list, "-q", "100", "-t", "5"], 60);
      expect(out).toMatch(/Queries completed: +500 \(100\.00%\)/);
      expect(out).toMatch(/Response codes: +NXDOMAIN 500 \(100\.00%\)/);
      expect(asked("t499.example")).toEqual(TLS_ONLY);
    });

    test("at a server without that name: not asked at all, and the log says why", async () => {
      await bootWith("sni other.example");
      expect((await dig("u1.example")).status).toBe("SERVFAIL");
      expect(asked("u1.example")).toEqual([0, 0]);
      await subject.says(/dns\.tls-failed.*its certificate \(CN=resolver\) is not for other\.example/);
    });

    test("at a server that nobody has named: encrypted, whoever it is", async () => {
      await bootWith();
      expect((await dig("u2.example")).status).toBe("NXDOMAIN");
      expect(asked("u2.example")).toEqual(TLS_ONLY);
    });
  });

  test("without a tunnel SERVFAIL at once, and with the next one all is well; nothing was asked beside it", async () => {
    await world.stop("named");
    await world.stop("server", "SIGKILL");
    expect(await until(async () => await world.refuses(TUNNEL), 40)).toBeDefined();
    for (const more of ["+notcp", "+tcp"]) {
      const lost = await dig("www.example", more);
      expect([lost.status, lost.seconds < 2]).toEqual(["SERVFAIL", true]);
    }
    await subject.says(/dns\.no-server.*there is no tunnel/);
    expect(await short("morgana.lan")).toEqual([GATEWAY]);
    await world.server();
    names = await NameServer.start(world);
    await subject.up();
    expect(await until(async () => (await dig("www.example")).status === "NOERROR", PATIENCE)).toBeDefined();
    expect((await world.tally(capture)).odd).toEqual([]);
  });
});
