/** What `morgana pki` and `morgana genkey` make, between a real openvpn server and a real openvpn client (`OPENVPN=` names another). */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNamedKey } from "../../src/protocol/control/key-file.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { unwrapKey } from "../../src/protocol/control/wrapped-key.ts";
import { addNamespace, inside, removeNamespace } from "../support/world/namespaces.ts";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { canMakeNamespaces } from "../support/world/privilege.ts";
import { Daemon, must, PATIENCE, run } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";

setDefaultTimeout(180_000);

const [SERVER, CLIENT] = [`mg${process.pid}-vpn`, `mg${process.pid}-user`];
const ADDRESS = "203.0.113.1";
const IS_UP = /Initialization Sequence Completed/;

/** What 2.4 has neither keys nor commands for. */
const since25 = test.skipIf(!openvpnIsAtLeast(2, 5));
const WRAP = openvpnIsAtLeast(2, 5) ? [] : ["--wrap", "tls-crypt"];

describe.skipIf(!canMakeNamespaces())("openvpn with our keys and certificates", () => {
  let folder: string;
  const running: Daemon[] = [];
  let serial = 0;
  const at = (name: string): string => join(folder, name);
  const tool = (...words: string[]): Promise<string> => must(["env", "-C", folder, ...morgana(), ...words]);
  const openvpn = (...words: string[]): Promise<string> => must(["env", "-C", folder, OPENVPN, ...words]);

  function start(where: string, ...words: string[]): Daemon {
    const daemon = new Daemon(where, inside(where, [OPENVPN, ...words]), at(`${++serial}.log`), { cwd: folder });
    running.push(daemon);
    return daemon;
  }

  /** The server of a config disk's folder, changed. */
  async function serve(disk: string, change: (text: string) => string = (text) => text): Promise<Daemon> {
    writeFileSync(at(`${disk}/changed.conf`), change(readFileSync(at(`${disk}/server.conf`), "utf8")));
    const daemon = start(SERVER, "--cd", at(disk), "--config", "changed.conf");
    if ((await daemon.says(IS_UP, PATIENCE)) === undefined) throw new Error(daemon.log());
    return daemon;
  }

  /** Whether a profile of `vpn`, changed, comes up, and what is sent through it comes back. */
  async function enter(name: string, change: (text: string) => string = (text) => text): Promise<string> {
    writeFileSync(at("changed.ovpn"), change(readFileSync(at(`${name}.ovpn`), "utf8")));
    const daemon = start(CLIENT, "--config", "changed.ovpn", "--connect-retry-max", "1", "--hand-window", "5");
    const said = await daemon.says(
      /Initialization Sequence Completed|TLS Error|VERIFY ERROR|fatal|alert|exiting/i,
      PATIENCE,
    );
    if (said?.[0] !== "Initialization Sequence Completed") {
      await daemon.stop();
      return `refused: ${daemon.log()}`;
    }
    const ping = await run(inside(CLIENT, ["ping", "-c", "1", "-W", "5", "10.8.0.1"]));
    await daemon.stop();
    return ping.code === 0 ? "up" : `no answer: ${ping.out}`;
  }

  const end = async (): Promise<void> => {
    for (const daemon of running.splice(0)) await daemon.stop();
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "morgana-pki-interop-"));
    for (const name of [SERVER, CLIENT]) await addNamespace(name);
    await must(["ip", "link", "add", "s0", "netns", SERVER, "type", "veth", "peer", "name", "c0", "netns", CLIENT]);
    for (const [name, device, address] of [
      [SERVER, "s0", ADDRESS],
      [CLIENT, "c0", "203.0.113.2"],
    ] as const)
      await must(inside(name, ["sh", "-ec", `ip addr add ${address}/24 dev ${device}; ip link set ${device} up`]));
    await tool("pki", "init", "vpn", "--server", ADDRESS, ...WRAP);
    for (const name of ["ann", "bob"]) await tool("pki", "client", "vpn", name);
  });
  afterEach(end);
  afterAll(async () => {
    await end();
    for (const name of [SERVER, CLIENT]) removeNamespace(name);
    rmSync(folder, { recursive: true, force: true });
  });

  test("a client comes in by its profile, and no longer once it is revoked; the others still do", async () => {
    const server = await serve("vpn");
    expect(await enter("vpn-ca/ann")).toBe("up");
    expect(await enter("vpn-ca/bob")).toBe("up");
    expect(server.log()).toMatch(/\bann\/(udp4:)?203\.0\.113\.2\b/);
    await tool("pki", "revoke", "vpn", "ann");
    // openvpn looks at the list's time and size, second by second.
    expect(await enter("vpn-ca/ann")).toStartWith("refused");
    expect(server.log()).toMatch(/VERIFY ERROR.*certificate revoked.*CN=ann|CN=ann.*certificate revoked/);
    expect(await enter("vpn-ca/bob")).toBe("up");
  });

  since25("a profile of another authority with the same names is refused, by both", async () => {
    await tool("pki", "init", "other", "--server", ADDRESS);
    await tool("pki", "client", "other", "bob");
    // The wrapping key of the right server: what is left to refuse it are the certificates.
    cpSync(at("vpn/tls-crypt-v2.key"), at("other/tls-crypt-v2.key"));
    const wrapped = /<tls-crypt-v2>[\s\S]*<\/tls-crypt-v2>/;
    const right = wrapped.exec(readFileSync(at("vpn-ca/bob.ovpn"), "utf8"))![0];
    const server = await serve("vpn");
    const asked = await enter("other-ca/bob", (text) => text.replace(wrapped, right));
    expect(asked).toMatch(/^refused[\s\S]*VERIFY ERROR/);
    const ca = /<ca>[\s\S]*<\/ca>/;
    const rightCa = ca.exec(readFileSync(at("vpn-ca/bob.ovpn"), "utf8"))![0];
    const shown = await enter("other-ca/bob", (text) => text.replace(wrapped, right).replace(ca, rightCa));
    expect(shown).toStartWith("refused");
    expect(server.log()).toMatch(/VERIFY ERROR/);
  });

  test("over TCP, with one wrapping key for all, which clients of 2.4 have", async () => {
    await tool("pki", "init", "tcp", "--server", `${ADDRESS}:443`, "--proto", "tcp", "--wrap", "tls-crypt");
    await tool("pki", "client", "tcp", "ann");
    await serve("tcp");
    expect(await enter("tcp-ca/ann")).toBe("up");
  });

  const withKey = (line: string) => (text: string) => text.replace(/^tls-crypt-v2 .*$/m, line);
  const withBlock =
    (name: string, file: string, more = "") =>
    (text: string) =>
      text.replace(/<tls-crypt-v2>[\s\S]*/, `${more}<${name}>\n${readFileSync(at(file), "utf8")}</${name}>\n`);

  since25("the wrapping keys of both: of our server with a client's of openvpn, and the other way round", async () => {
    await tool("genkey", "tls-crypt-v2-server", "vpn/ours.key");
    await openvpn("--tls-crypt-v2", "vpn/ours.key", "--genkey", "tls-crypt-v2-client", "theirs-client.key");
    await serve("vpn", withKey("tls-crypt-v2 ours.key force-cookie"));
    expect(await enter("vpn-ca/bob", withBlock("tls-crypt-v2", "theirs-client.key"))).toBe("up");
    await end();
    await openvpn("--genkey", "tls-crypt-v2-server", "vpn/theirs.key");
    await tool("genkey", "tls-crypt-v2-client", "--server-key", "vpn/theirs.key", "ours-client.key");
    await tool("genkey", "tls-crypt-v2-client", "--server-key", "vpn/theirs.key", "--metadata", "zoë", "named.key");
    await serve("vpn", withKey("tls-crypt-v2 theirs.key force-cookie"));
    for (const key of ["ours-client.key", "named.key"])
      expect(await enter("vpn-ca/bob", withBlock("tls-crypt-v2", key))).toBe("up");
    // A key of another server gets no answer at all.
    expect(await enter("vpn-ca/bob")).toMatch(/^refused[\s\S]*TLS key negotiation failed/);
  });

  since25("what openvpn makes is read by us", async () => {
    await openvpn("--genkey", "tls-crypt-v2-server", "made-server.key");
    await openvpn("--tls-crypt-v2", "made-server.key", "--genkey", "tls-crypt-v2-client", "made.tls-crypt-v2");
    await openvpn("--genkey", "auth-token", "made-token.key");
    for (const name of ["tls-auth", "tls-crypt"]) await openvpn("--genkey", name, `made.${name}`);
    for (const name of ["tls-auth", "tls-crypt", "tls-crypt-v2"]) {
      writeFileSync(at("made.ovpn"), withBlock(name, `made.${name}`)(readFileSync(at("vpn-ca/bob.ovpn"), "utf8")));
      expect(await tool("check", "--client", "made.ovpn")).toContain(`\n<${name}>\n`);
    }
    const read = (name: string): string => readFileSync(at(name), "utf8");
    const serverKey = parseNamedKey("tls-crypt-v2-server", read("made-server.key")) as Uint8Array;
    const bytes = Uint8Array.fromBase64(read("made.tls-crypt-v2").replace(/-----.*-----|\n/g, ""));
    expect(unwrapKey(serverKey, bytes.subarray(256), noblePrimitives)?.key).toEqual(bytes.slice(0, 256));
    expect(parseNamedKey("auth-token", read("made-token.key"))).toHaveLength(128);
  });

  since25("a static key of ours for tls-auth, tls-crypt and secret, and our secret of auth-gen-token", async () => {
    for (const type of ["tls-auth", "tls-crypt", "secret", "auth-token"]) await tool("genkey", type, `vpn/${type}.key`);
    await serve("vpn", withKey("tls-auth tls-auth.key 0"));
    expect(await enter("vpn-ca/bob", withBlock("tls-auth", "vpn/tls-auth.key", "key-direction 1\n"))).toBe("up");
    await end();
    const token = "auth-gen-token 3600\nauth-gen-token-secret auth-token.key";
    await serve("vpn", withKey(`tls-crypt tls-crypt.key\n${token}`));
    expect(await enter("vpn-ca/bob", withBlock("tls-crypt", "vpn/tls-crypt.key"))).toBe("up");
    await end();
    if (openvpnIsAtLeast(2, 7)) return; // has no static key mode
    const lines = ["--dev", "tun", "--secret", at("vpn/secret.key"), "--cipher", "AES-256-CBC"];
    const one = start(SERVER, ...lines, "--ifconfig", "10.9.0.1", "10.9.0.2");
    const other = start(CLIENT, ...lines, "--remote", ADDRESS, "--ifconfig", "10.9.0.2", "10.9.0.1", "--ping", "1");
    expect(await one.says(IS_UP, PATIENCE)).toBeDefined();
    expect(await other.says(/Peer Connection Initiated/, PATIENCE)).toBeDefined();
  });
});
