/**
 * The appliance as an end of a tunnel of two that waits for its peer on the WAN: the real openvpn comes, goes, comes again. The LAN
 * behind the appliance reaches the other end, and nobody without the key hears anything.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { until } from "../support/world/process.ts";
import { GATEWAY, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(90_000);

const WAN = "203.0.113.50";
const [OURS, THEIRS] = ["10.9.0.1", "10.9.0.2"];
const TOML = `[wan]\naddress = "${WAN}/24"\ngateway = "${WAN_GATEWAY}"\n[lan]\naddress = "${GATEWAY}/24"\n[vpn]\nconfig = "lab.ovpn"\n`;
const ALLOWED = openvpnIsAtLeast(2, 7) ? ["--allow-deprecated-insecure-static-crypto"] : [];
const CIPHER = openvpnIsAtLeast(2, 6) ? "" : "cipher AES-256-GCM";

interface Kind {
  readonly name: string;
  /** Lines of both ends. */
  readonly both: string;
  readonly ours: string;
  readonly theirs: string;
}

const TLS = `${CIPHER}\n`;
const KEY = "cipher AES-256-CBC\nauth SHA256\n";
const KINDS: readonly Kind[] = [
  {
    name: "TLS over UDP, tls-auth",
    both: TLS,
    ours: "tls-server\ntls-auth static.key 0",
    theirs: "tls-client\ntls-auth static.key 1",
  },
  {
    name: "TLS over TCP",
    both: TLS,
    ours: "tls-server\nproto tcp-server",
    theirs: "tls-client\nproto tcp-client\nconnect-retry 1",
  },
  { name: "a static key over UDP", both: KEY, ours: "secret static.key 0", theirs: "secret static.key 1" },
  {
    name: "a static key over TCP",
    both: KEY,
    ours: "secret static.key 0\nproto tcp-server",
    theirs: "secret static.key 1\nproto tcp-client\nconnect-retry 1",
  },
];

describe.skipIf(NO_WORLD || REFERENCE)("an end that waits, and openvpn as its peer", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  afterAll(() => world?.close());

  /** Files of the world as blocks: the folder of a config disk has the profile alone. */
  const inline = (text: string): string =>
    text.replace(/^(tls-auth|secret) (\S+) ([01])$/gm, (_line, name: string, file: string, direction: string) => {
      const key = readFileSync(join(world.dir, file), "utf8");
      return `key-direction ${direction}\n<${name}>\n${key}</${name}>`;
    });
  const block = (name: string, file: string): string =>
    `<${name}>\n${readFileSync(join(world.dir, file), "utf8")}</${name}>\n`;
  const identity = (isTls: boolean): string =>
    isTls ? block("ca", "ca.crt") + block("cert", "server.crt") + block("key", "server.key") : "";

  test.each(KINDS)("$name", async ({ both, ours, theirs }) => {
    const isTls = ours.startsWith("tls-server");
    const timers = "keepalive 1 8\n";
    const profile = `dev tun\nifconfig ${OURS} ${THEIRS}\n${both}${timers}${inline(ours)}\n${identity(isTls)}`;
    await subject.boot(world.config({ profile, toml: TOML }));
    await subject.says(/link\.listening/);
    const come = () =>
      world.start("peer", "net", [
        ...[OPENVPN, "--cd", world.dir, "--dev", "tun", "--ifconfig", THEIRS, OURS, "--remote", WAN, "--verb", "4"],
        ...["--keepalive", "1", "8", "--explicit-exit-notify", "1"].slice(0, theirs.includes("tcp") ? 3 : 5),
        ...(isTls ? ["--ca", "ca.crt", "--cert", "client.crt", "--key", "client.key"] : ALLOWED),
        ...`${both}${theirs}`
          .split("\n")
          .filter((line) => line !== "")
          .flatMap((line) => `--${line}`.split(" ")),
      ]);
    const peer = come();
    await subject.up(30, THEIRS);
    expect(peer.log()).not.toMatch(/packet error|TLS Error/);
    // From one moment to the other: nobody says goodbye, and it comes from another port.
    await world.stop("peer", "SIGKILL");
    come();
    await subject.up(30, THEIRS);
    await world.stop("peer");
    await subject.says(/tunnel\.down/);
    expect(subject.alive).toBe(true);
    expect(await subject.halt()).toBe(0);
  });

  test("a stranger with another key gets no byte", async () => {
    const profile = `dev tun\nifconfig ${OURS} ${THEIRS}\n${TLS}${inline("tls-server\ntls-auth static.key 0")}\n${identity(true)}`;
    await subject.boot(world.config({ profile, toml: TOML }));
    await subject.says(/link\.listening/);
    const genkey = openvpnIsAtLeast(2, 5) ? ["--genkey", "secret"] : ["--genkey", "--secret"];
    await world.in("net", [OPENVPN, ...genkey, join(world.dir, "wrong.key")]);
    const capture = await world.capture();
    world.start("peer", "net", [
      ...[OPENVPN, "--cd", world.dir, "--dev", "null", "--tls-client", "--remote", WAN, "--nobind", "--verb", "4"],
      ...["--ca", "ca.crt", "--cert", "client.crt", "--key", "client.key", "--tls-auth", "wrong.key", "1"],
    ]);
    const seen = async (filter: string): Promise<number> => {
      const { out } = await world.in("net", ["tcpdump", "-nr", capture.path, filter], 20);
      return out.split("\n").filter((line) => line.includes(" > ")).length;
    };
    // It repeats its reset.
    expect(await until(async () => (await seen(`udp and dst ${WAN} and dst port 1194`)) > 2, 30)).toBeDefined();
    expect(await seen(`src ${WAN} and not arp`)).toBe(0);
    await world.stop("peer");
    await subject.halt();
  });
});
