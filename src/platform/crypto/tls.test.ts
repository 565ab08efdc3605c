import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeTlsPki } from "../../../test/support/tls-pki.ts";
import type { TlsEngine, TlsParameters } from "../../protocol/ports.ts";
import { nodeTls } from "./tls.ts";

const pki = makeTlsPki();
afterAll(() => pki.remove());
const file = pki.material;

const common = {
  ca: file("ca.crt"),
  extraCerts: undefined,
  pkcs12: undefined,
  passphrase: undefined,
  crl: undefined,
  minVersion: "1.2",
  maxVersion: "1.3",
  cipherList: undefined,
  cipherSuites: undefined,
  groups: undefined,
  verifyChain: true,
} as const;
const client: TlsParameters = { ...common, isServer: false, cert: file("client.crt"), key: file("client.key") };
const server: TlsParameters = { ...common, isServer: true, cert: file("server.crt"), key: file("server.key") };

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Carries records both ways until neither side is busy nor has anything to send. */
async function settle(a: TlsEngine, b: TlsEngine): Promise<void> {
  for (let quiet = 0; quiet < 2; ) {
    const fromA = a.pull();
    const fromB = b.pull();
    if (fromA) b.receive(fromA);
    if (fromB) a.receive(fromB);
    quiet = fromA || fromB || a.busy || b.busy ? 0 : quiet + 1;
    await turn();
  }
}

async function pair(clientChange: Partial<TlsParameters> = {}, serverChange: Partial<TlsParameters> = {}) {
  let activity = 0;
  const c = nodeTls.create({ ...client, ...clientChange }, () => activity++);
  const s = nodeTls.create({ ...server, ...serverChange }, () => activity++);
  await settle(c, s);
  return { c, s, activity: () => activity, end: () => [c, s].forEach((e) => void e.close()) };
}

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : new TextDecoder().decode(bytes));
const bytes = (t: string) => new TextEncoder().encode(t);

const der = (name: string) =>
  Uint8Array.fromBase64(
    text(file(name).bytes)!
      .replace(/-----[^-]+-----/g, "")
      .replace(/\s/g, ""),
  );

describe.each(["1.2", "1.3"] as const)("TLS %s", (version) => {
  const only = { minVersion: version, maxVersion: version };

  test("both sides are established, exchange data, and know the other's certificates", async () => {
    const { c, s, activity, end } = await pair(only, only);
    expect([c.state, s.state]).toEqual(["established", "established"]);
    expect(c.describe()).toStartWith(`TLSv${version} `);
    expect(activity()).toBeGreaterThan(3);
    c.send(bytes("from the client"));
    s.send(bytes("from the server"));
    await settle(c, s);
    expect(text(s.read())).toBe("from the client");
    expect(text(c.read())).toBe("from the server");
    expect(c.read()).toBeUndefined();
    expect(c.peerCertificates()[0]).toEqual(der("server.crt"));
    expect(s.peerCertificates()[0]).toEqual(der("client.crt"));
    end();
    expect(c.state).toBe("closed");
  });

  test("both sides export the same keying material", async () => {
    const { c, s, end } = await pair(only, only);
    const label = "EXPORTER-OpenVPN-datakeys";
    expect(c.exportKeyingMaterial(label, 256)).toEqual(s.exportKeyingMaterial(label, 256));
    expect(c.exportKeyingMaterial(label, 256)).toHaveLength(256);
    expect(c.exportKeyingMaterial("other", 32)).not.toEqual(c.exportKeyingMaterial(label, 32));
    end();
  });

  test("openssl s_server exports the same keying material without a context", async () => {
    const label = "EXPORTER-OpenVPN-datakeys";
    const flag = version === "1.2" ? "-tls1_2" : "-tls1_3";
    const args = [
      "-cert",
      "server.crt",
      "-key",
      "server.key",
      "-CAfile",
      "ca.crt",
      "-Verify",
      "2",
      "-keymatexport",
      label,
      "-keymatexportlen",
      "64",
    ];
    const process = Bun.spawn(["openssl", "s_server", "-accept", "127.0.0.1:0", flag, "-naccept", "1", ...args], {
      cwd: pki.directory,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    let output = "";
    const reader = process.stdout.getReader();
    const until = async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const found = pattern.exec(output);
        if (found) return found;
        const { value, done } = await reader.read();
        if (done) throw new Error(`openssl s_server ended: ${output}`);
        output += new TextDecoder().decode(value);
      }
    };
    const port = Number((await until(/ACCEPT 127\.0\.0\.1:(\d+)/))[1]);
    const carry = () => {
      const out = socket === undefined ? undefined : engine.pull();
      if (out) socket?.write(out);
    };
    const engine = nodeTls.create({ ...client, ...only }, carry);
    let socket: Awaited<ReturnType<typeof Bun.connect>> | undefined;
    socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: (_s, data) => engine.receive(data) } });
    carry();
    const theirs = (await until(/Keying material: ([0-9A-F]+)/))[1] as string;
    // In TLS 1.2 the server says so before its last flight is here.
    while (engine.state === "handshake") await turn();
    expect(engine.state).toBe("established");
    expect(engine.exportKeyingMaterial(label, 64).toHex()).toBe(theirs.toLowerCase());
    engine.close();
    socket.end();
    process.kill();
    await process.exited;
  });

  test.each([
    ["expired.crt", "CERT_HAS_EXPIRED"],
    ["future.crt", "CERT_NOT_YET_VALID"],
  ])("a client refuses a server with %s", async (cert, code) => {
    const { c, end } = await pair(only, { ...only, cert: file(cert) });
    expect(c.state).toBe("failed");
    expect(c.failure).toMatchObject({ kind: "certificate", code });
    end();
  });

  test("a client refuses a server of another authority", async () => {
    const { c, end } = await pair({ ...only, ca: file("other.crt") }, only);
    expect(c.state).toBe("failed");
    expect(c.failure?.kind).toBe("certificate");
    expect([
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    ]).toContain(c.failure!.code);
    end();
  });

  test("a server refuses a client of another authority, and one without a certificate", async () => {
    const foreign = await pair(only, { ...only, ca: file("other.crt") });
    expect(foreign.s.failure?.kind).toBe("certificate");
    foreign.end();
    const bare = await pair({ ...only, cert: undefined, key: undefined }, only);
    expect(bare.s.failure?.kind).toBe("certificate");
    expect(bare.c.failure).toMatchObject({ kind: "alert" });
    bare.end();
  });

  test("a revoked certificate is refused, others of the same authority are not", async () => {
    const revoked = { ...only, cert: file("revoked.crt") };
    const refused = await pair({ ...only, crl: file("revoked.crl") }, revoked);
    expect(refused.c.failure).toMatchObject({ kind: "certificate", code: "CERT_REVOKED" });
    refused.end();
    const accepted = await pair({ ...only, crl: file("nobody.crl") }, revoked);
    expect(accepted.c.state).toBe("established");
    accepted.end();
  });
});

test("an intermediate certificate from extra-certs completes the chain, leaf first", async () => {
  const deep = { cert: file("deep.crt"), key: file("deep.key") };
  const without = await pair({}, deep);
  expect(without.c.failure?.kind).toBe("certificate");
  without.end();
  const { c, end } = await pair({}, { ...deep, extraCerts: file("sub.crt") });
  expect(c.state).toBe("established");
  const names = c.peerCertificates().map((d) => Buffer.from(d).toString("latin1").includes("deep"));
  expect(names.slice(0, 2)).toEqual([true, false]);
  end();
});

test("a certificate that the peer sends along but that signed nothing is not in the chain", async () => {
  const { c, end } = await pair({}, { extraCerts: file("sub.crt") });
  expect(c.state).toBe("established");
  expect(c.peerCertificates()).toEqual([der("server.crt"), der("ca.crt")]);
  end();
});

test("no common version: the alert of the side that refuses reaches the other", async () => {
  const { c, s, end } = await pair({ minVersion: "1.3" }, { maxVersion: "1.2" });
  expect(s.failure).toMatchObject({ kind: "protocol", code: "UNSUPPORTED_PROTOCOL" });
  expect(c.failure).toMatchObject({ kind: "alert", code: "protocol_version" });
  end();
});

test("garbage instead of TLS fails as a protocol error", async () => {
  const { c, s, end } = await pair({}, {});
  end();
  const engine = nodeTls.create(client, () => {});
  engine.receive(bytes("this is no TLS record at all"));
  while (engine.busy) await turn();
  expect(engine.failure?.kind).toBe("protocol");
  engine.close();
  expect([c.state, s.state]).toEqual(["closed", "closed"]);
});

test("without a chain check any certificate is taken, for a fingerprint to judge", async () => {
  const { c, end } = await pair({ ca: undefined, verifyChain: false }, { cert: file("expired.crt") });
  expect(c.state).toBe("established");
  expect(c.peerCertificates()).not.toHaveLength(0);
  end();
});

test("PKCS #12 gives certificate, key and authority", async () => {
  const { c, s, end } = await pair({
    ca: undefined,
    cert: undefined,
    key: undefined,
    pkcs12: file("client.p12"),
    passphrase: "secret",
  });
  expect([c.state, s.state]).toEqual(["established", "established"]);
  end();
});

test("tls-cipher and tls-groups are heeded", async () => {
  const { c, end } = await pair({
    maxVersion: "1.2",
    cipherList: "TLS-DHE-RSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256",
    groups: "secp999:prime256v1",
  });
  expect(c.describe()).toBe("TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305");
  end();
});

test("a tls-cipher list without anything usable leaves TLS 1.3, of which it does not speak", async () => {
  const { c, end } = await pair({ cipherList: "TLS-DHE-RSA-WITH-AES-256-CBC-SHA" });
  expect(c.describe()).toStartWith("TLSv1.3");
  end();
});

test.each<[string, Partial<TlsParameters>, RegExp]>([
  [
    "bad certificate",
    { cert: { ...file("client.crt", "<cert> block"), bytes: bytes("nonsense") } },
    /no certificate .* in <cert> block/,
  ],
  [
    "key of another",
    { key: file("server.key", "<key> block") },
    /key in <key> block does not belong to the certificate in client.crt/,
  ],
  ["locked key", { key: file("client-locked.key") }, /client-locked.key cannot be opened: it needs a pass phrase/],
  ["wrong pass phrase", { key: file("client-locked.key"), passphrase: "x" }, /pass phrase .* is wrong/],
  ["no authority", { ca: undefined }, /add a <ca> block/],
  ["bad authority", { ca: file("client.key", "<ca> block") }, /no certificate .* in <ca> block/],
  [
    "PKCS #12 pass phrase",
    { pkcs12: file("client.p12"), cert: undefined, key: undefined, passphrase: "x" },
    /PKCS #12 file in client.p12/,
  ],
  ["no cipher", { maxVersion: "1.2", cipherList: "TLS-DHE-RSA-WITH-AES-256-CBC-SHA" }, /tls-cipher: no usable cipher/],
  ["no suite", { cipherSuites: "TLS_SM4_GCM_SM3" }, /tls-ciphersuites: no usable suite/],
  ["no group", { groups: "brainpoolP256r1" }, /tls-groups: no usable group/],
])("own material that cannot be used is refused at create, in words: %s", (_name, change, message) => {
  expect(() => nodeTls.create({ ...client, ...change }, () => {})).toThrow(message);
});

test("a wrong pass phrase is called so also where it happens to decrypt to something", () => {
  const bytes = new Uint8Array(readFileSync(join(import.meta.dir, "../../../test/configs/client-locked.key")));
  const change = { key: { ...file("client.key", "client-locked.key"), bytes }, passphrase: "x20" };
  expect(() => nodeTls.create({ ...client, ...change }, () => {})).toThrow(/pass phrase .* is wrong/);
});

test("the right pass phrase opens a locked key", () => {
  nodeTls.create({ ...client, key: file("client-locked.key"), passphrase: "secret" }, () => {}).close();
});

test("an extra authority in the environment does not vouch for a peer without ca", async () => {
  const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).pathname);
  const read = (name: string) => `{label: "x", origin: {}, bytes: readFileSync("${pki.directory}/${name}")}`;
  const script = `
    import { connect, TLSSocket } from "node:tls";
    import { readFileSync } from "node:fs";
    import { nodeTls } from ${here("./tls.ts")};
    const common = { minVersion: "1.3", maxVersion: "1.3", verifyChain: true };
    const c = nodeTls.create({ ...common, isServer: false, pkcs12: ${read("client.p12").replace("client", "foreign")}, passphrase: "secret" }, () => {});
    const s = nodeTls.create({ ...common, isServer: true, ca: ${read("ca.crt")}, cert: ${read("server.crt")}, key: ${read("server.key")} }, () => {});
    while (c.state === "handshake") {
      const a = c.pull(), b = s.pull();
      if (a) s.receive(a);
      if (b) c.receive(b);
      await new Promise((r) => setImmediate(r));
    }
    console.log(c.state, c.failure?.kind);`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    stderr: "ignore",
    env: { ...process.env, NODE_EXTRA_CA_CERTS: `${pki.directory}/ca.crt`, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
  });
  expect((await new Response(child.stdout).text()).trim()).toBe("failed certificate");
});

test("nothing comes out of an engine that says it is not busy", async () => {
  let late = 0;
  const engines: TlsEngine[] = [];
  const activity = (index: number) => () => {
    if (engines[index]?.busy === false) late++;
  };
  engines.push(nodeTls.create(client, activity(0)), nodeTls.create(server, activity(1)));
  const [c, s] = engines as [TlsEngine, TlsEngine];
  await settle(c, s);
  s.send(new Uint8Array(60_000));
  await settle(c, s);
  expect(c.read()).toHaveLength(60_000);
  for (let i = 0; i < 20; i++) await turn();
  expect(late).toBe(0);
  c.close();
  s.close();
});
