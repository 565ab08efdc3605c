/** `[[vpn.forward]]` among real programs: from the far end of a tunnel of openvpn, and from the LAN back into it; a reload changes them. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, until } from "../support/world/process.ts";
import { LAN_HOST, type Part, TOML, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(60_000);

const MIB = 1 << 20;
/** On the LAN host: TCP 80 answers with who asks and the SHA-256 of what comes, UDP 7007 with who asks and the datagram. */
const SERVICE = `
  Bun.listen({ hostname: "0.0.0.0", port: 80, socket: {
    open(s) { s.data = { hash: new Bun.CryptoHasher("sha256"), left: ${4 * MIB} } },
    data(s, b) { s.data.hash.update(b); s.data.left -= b.length; if (s.data.left <= 0) s.end(s.remoteAddress + " " + s.data.hash.digest("hex")) },
  } });
  const udp = await Bun.udpSocket({ hostname: "0.0.0.0", port: 7007, socket: { data(s, b, port, host) { s.send(host + " " + b, port, host) } } });
  console.log("ready");`;
const asker = (address: string): string => `
  const bytes = new Uint8Array(${4 * MIB}).map((_, i) => (i * 2654435761) >>> 13);
  let at = 0, heard = "";
  const more = (s) => { while (at < bytes.length) { const n = s.write(bytes.subarray(at, at + 65536)); if (n <= 0) break; at += n } };
  const expected = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  await new Promise((end, fail) => Bun.connect({ hostname: "${address}", port: 8080, socket: {
    open: more, drain: more, data(s, b) { heard += b }, close: end, connectError: (s, e) => fail(e) } }).catch(fail));
  const [who, hash] = heard.split(" ");
  console.log(who, hash === expected ? "whole" : "damaged");`;
const shout = (address: string, port: number): string => `
  const socket = await Bun.udpSocket({ connect: { hostname: "${address}", port: ${port} }, socket: {
    data(s, b) { console.log(String(b)); process.exit(0) }, error(e) { console.log(e.code); process.exit(0) } } });
  setTimeout(() => { console.log("silence"); process.exit(0) }, 1000);
  socket.send("hello");`;

describe.skipIf(NO_WORLD || REFERENCE)("forwards", () => {
  let world: World;
  let subject: Subject;
  let config: string;
  let tunnel: string;

  const forward = (proto: string, port: number, to: number): string =>
    `[[vpn.forward]]\nproto = "${proto}"\nport = ${port}\nto = "${LAN_HOST}:${to}"\n`;
  const script = async (part: Part, text: string): Promise<string> =>
    (await world.in(part, [process.execPath, "-e", text])).out.trim();

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
    const service = world.start("service", "lan", [process.execPath, "-e", SERVICE]);
    expect(await service.says(/ready/, PATIENCE)).toBeDefined();
    config = world.config({
      toml: TOML + forward("tcp", 8080, 80) + forward("udp", 7000, 7007) + forward("udp", 7001, 9),
    });
    await subject.bootUp(config);
    tunnel = /address=(10\.8\.\d+\.\d+)/.exec(await subject.says(/tunnel\.up/))![1]!;
  });
  afterAll(() => world?.close());

  test("from the far end: TCP and UDP reach the LAN host, which sees who asks; a closed port of it says so; others are silent", async () => {
    expect(await script("net", asker(tunnel))).toMatch(/^10\.8\.0\.1 whole$/);
    expect(await script("net", shout(tunnel, 7000))).toBe("10.8.0.1 hello");
    expect(await script("net", shout(tunnel, 7001))).toBe("ECONNREFUSED");
    expect(await script("net", shout(tunnel, 7007))).toBe("silence");
  });

  test("from the LAN, by the tunnel's address: from there it comes, and the answers come back; errors too", async () => {
    expect(await script("lan", asker(tunnel))).toBe(`${tunnel} whole`);
    expect(await script("lan", shout(tunnel, 7000))).toBe(`${tunnel} hello`);
    expect(await script("lan", shout(tunnel, 7001))).toBe("ECONNREFUSED");
  });

  test("a reload takes other forwards, and one with a problem is not taken", async () => {
    const write = (text: string): void => writeFileSync(join(config, "appliance.toml"), TOML + text);
    write(forward("udp", 7002, 7007) + forward("udp", 7002, 9));
    subject.running.signal("SIGHUP");
    await subject.says(/appliance\.toml:\d+: vpn\.forward: udp port 7002 leads to .* already/);
    expect(await script("net", shout(tunnel, 7000))).toBe("10.8.0.1 hello");
    write(forward("udp", 7002, 7007));
    subject.running.signal("SIGHUP");
    expect(
      await until(async () => (await script("net", shout(tunnel, 7002))) === "10.8.0.1 hello", PATIENCE),
    ).toBeDefined();
    expect(await script("net", shout(tunnel, 7000))).toBe("silence");
  });

  test("nothing of it is open on the WAN", async () => {
    expect(await script("net", shout(world.wanAddress(), 7002))).toBe("silence");
  });
});
