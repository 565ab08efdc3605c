import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeTlsPki, TLS_DEFAULTS } from "../../../test/support/tls-pki.ts";
import type { AcceptPeer, TlsEngine, TlsParameters } from "../../protocol/ports.ts";
import { openSsl } from "./libssl.ts";
import { libsslTls } from "./tls.ts";

const pki = makeTlsPki();
afterAll(() => pki.remove());
const file = pki.material;

const common = {
  ...TLS_DEFAULTS,
  ca: file("ca.crt"),
} as const;
const client: TlsParameters = { ...common, isServer: false, cert: file("client.crt"), key: file("client.key") };
const server: TlsParameters = { ...common, isServer: true, cert: file("server.crt"), key: file("server.key") };

/** Carries records both ways until neither side has anything to send. */
function settle(a: TlsEngine, b: TlsEngine): void {
  for (let quiet = false; !quiet; ) {
    const fromA = a.pull();
    const fromB = b.pull();
    if (fromA) b.receive(fromA);
    if (fromB) a.receive(fromB);
    quiet = fromA === undefined && fromB === undefined;
  }
}

function engine(parameters: TlsParameters, accept: AcceptPeer = () => true): TlsEngine {
  const context = libsslTls.context(parameters);
  try {
    return context.engine(accept);
  } finally {
    context.close(); // the engine lives on
  }
}

function pair(clientChange: Partial<TlsParameters> = {}, serverChange: Partial<TlsParameters> = {}) {
  const c = engine({ ...client, ...clientChange });
  const s = engine({ ...server, ...serverChange });
  settle(c, s);
  return { c, s, end: () => [c, s].forEach((e) => void e.close()) };
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

  test("both sides are established, exchange data, and know the other's certificates", () => {
    const { c, s, end } = pair(only, only);
    expect([c.state, s.state]).toEqual(["established", "established"]);
    expect(c.describe()).toStartWith(`TLSv${version} `);
    c.send(bytes("from the client"));
    s.send(bytes("from the server"));
    settle(c, s);
    expect(text(s.read())).toBe("from the client");
    expect(text(c.read())).toBe("from the server");
    expect(c.read()).toBeUndefined();
    expect(c.peerCertificates()[0]).toEqual(der("server.crt"));
    expect(s.peerCertificates()[0]).toEqual(der("client.crt"));
    end();
    expect(c.state).toBe("closed");
  });

  test("both sides export the same keying material", () => {
    const { c, s, end } = pair(only, only);
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
    const ours = engine({ ...client, ...only });
    const established = Promise.withResolvers<void>();
    const carry = (to: { write(bytes: Uint8Array): number }): void => {
      const out = ours.pull();
      if (out) to.write(out);
      if (ours.state === "established") established.resolve();
    };
    const data = (from: { write(bytes: Uint8Array): number }, bytes: Uint8Array): void => {
      ours.receive(bytes);
      carry(from);
    };
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data } });
    carry(socket);
    const theirs = (await until(/Keying material: ([0-9A-F]+)/))[1] as string;
    await established.promise; // in TLS 1.2 the server says so before its last flight is here
    expect(ours.exportKeyingMaterial(label, 64).toHex()).toBe(theirs.toLowerCase());
    ours.close();
    socket.end();
    process.kill();
    await process.exited;
  });

  test.each([
    ["expired.crt", "CERT_HAS_EXPIRED"],
    ["future.crt", "CERT_NOT_YET_VALID"],
  ])("a client refuses a server with %s", (cert, code) => {
    const { c, end } = pair(only, { ...only, cert: file(cert) });
    expect(c.state).toBe("failed");
    expect(c.failure).toMatchObject({ kind: "certificate", code });
    end();
  });

  test("a client refuses a server of another authority", () => {
    const { c, end } = pair({ ...only, ca: file("other.crt") }, only);
    expect(c.state).toBe("failed");
    expect(c.failure?.kind).toBe("certificate");
    expect([
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    ]).toContain(c.failure!.code);
    end();
  });

  test("a server refuses a client of another authority, and one without a certificate", () => {
    const foreign = pair(only, { ...only, ca: file("other.crt") });
    expect(foreign.s.failure?.kind).toBe("certificate");
    foreign.end();
    const bare = pair({ ...only, cert: undefined, key: undefined }, only);
    expect(bare.s.failure?.kind).toBe("certificate");
    expect(bare.c.failure).toMatchObject({ kind: "alert" });
    bare.end();
  });

  test("a revoked certificate is refused, others of the same authority are not", () => {
    const revoked = { ...only, cert: file("revoked.crt") };
    const refused = pair({ ...only, crl: file("revoked.crl") }, revoked);
    expect(refused.c.failure).toMatchObject({ kind: "certificate", code: "CERT_REVOKED" });
    refused.end();
    const accepted = pair({ ...only, crl: file("nobody.crl") }, revoked);
    expect(accepted.c.state).toBe("established");
    accepted.end();
  });
});

describe("revocation lists", () => {
  const revoked = { cert: file("revoked.crt") };

  test("each list of a file counts, whichever comes first; the newest of an authority decides", () => {
    for (const list of ["old-new.crl", "new-old.crl"]) {
      const { c, end } = pair({ crl: file(list) }, revoked);
      expect(c.failure).toMatchObject({ code: "CERT_REVOKED", certificate: { subject: "CN=server", depth: 0 } });
      end();
      const other = pair({ crl: file(list) });
      expect([other.c.state, other.c.warnings]).toEqual(["established", []]);
      other.end();
    }
  });

  test("an authority without a list is a warning that names what cannot be seen", () => {
    const deep = { cert: file("deep.crt"), key: file("deep.key"), extraCerts: file("sub.crt") };
    const { c, end } = pair({ crl: file("nobody.crl") }, deep);
    expect([c.state, c.warnings]).toEqual(["established", [expect.stringMatching(/whether CN=deep is revoked/)]]);
    end();
  });

  test("an expired list refuses everybody", () => {
    const { c, end } = pair({ crl: file("stale.crl") });
    expect(c.failure?.code).toBe("CRL_HAS_EXPIRED");
    end();
  });
});

test("what is too weak is refused by the level of tls-cert-profile, and taken below it", () => {
  const weak = { cert: file("weak.crt"), key: file("weak.key"), certProfile: "insecure" } as const;
  const code = (certProfile: TlsParameters["certProfile"]): string => {
    const { c, end } = pair({ certProfile }, weak);
    end();
    return c.failure?.code ?? "";
  };
  expect([code("insecure"), code("legacy"), code("preferred")]).toEqual(["", "", "EE_KEY_TOO_SMALL"]);
});

test("an own certificate below the level is shown all the same, and the peer decides; the level still counts for the peer's", () => {
  const weak = { cert: file("weak.crt"), key: file("weak.key"), certProfile: "preferred" } as const;
  const lenient = pair(weak, { clientCert: "require", certProfile: "insecure" });
  expect([lenient.c.failure, lenient.s.failure]).toEqual([undefined, undefined]);
  lenient.end();
  const strict = pair(weak, { clientCert: "require", certProfile: "preferred" });
  expect(strict.s.failure?.code).toBe("EE_KEY_TOO_SMALL");
  strict.end();
  const both = pair(weak, { ...weak, clientCert: "require" });
  expect(both.c.failure?.code).toBe("EE_KEY_TOO_SMALL");
  both.end();
  // Suites without encryption are below every level but 0.
  const bare = { maxVersion: "1.2", cipherList: "ECDHE-RSA-NULL-SHA:ECDHE-ECDSA-NULL-SHA" } as const;
  const client = { ...weak, cipherList: `${bare.cipherList}:ECDHE-RSA-AES128-GCM-SHA256`, maxVersion: "1.2" } as const;
  const open = pair(client, { ...bare, certProfile: "insecure" });
  expect(open.c.state).toBe("failed");
  open.end();
});

test("a trusted certificate is taken as ca, with what it may be trusted for", () => {
  const outcome = (ca: string): string | undefined => {
    const { c, end } = pair({ ca: file(ca) });
    end();
    return c.failure?.code;
  };
  expect(outcome("ca-trusted.crt")).toBeUndefined();
  expect(outcome("ca-rejecting.crt")).toBe("CERT_REJECTED");
});

test("a chain of more than 16 certificates is refused, as by openvpn (MAX_CERT_DEPTH)", () => {
  const levels = file("levels.crt");
  const near = pair({}, { cert: file("near.crt"), key: file("near.key"), extraCerts: levels });
  expect(near.c.peerCertificates()).toHaveLength(16);
  near.end();
  const { c, end } = pair({}, { cert: file("far.crt"), key: file("far.key"), extraCerts: levels });
  expect(c.failure?.code).toBe("CERT_CHAIN_TOO_LONG");
  end();
});

test("a server that shows no certificate is refused, even where the profile lets it choose such a suite", () => {
  const anonymous = { maxVersion: "1.2", cipherList: "aNULL:@SECLEVEL=0" } as const;
  const { c, end } = pair(anonymous, { ...anonymous, clientCert: "none" });
  expect(c.failure).toMatchObject({ kind: "certificate", code: "NO_CERTIFICATE" });
  end();
});

test("an intermediate certificate from extra-certs completes the chain, leaf first", () => {
  const deep = { cert: file("deep.crt"), key: file("deep.key") };
  const without = pair({}, deep);
  expect(without.c.failure?.kind).toBe("certificate");
  without.end();
  const { c, end } = pair({}, { ...deep, extraCerts: file("sub.crt") });
  expect(c.state).toBe("established");
  const names = c.peerCertificates().map((d) => Buffer.from(d).toString("latin1").includes("deep"));
  expect(names.slice(0, 2)).toEqual([true, false]);
  end();
});

test("a certificate that the peer sends along but that signed nothing is not in the chain", () => {
  const { c, end } = pair({}, { extraCerts: file("sub.crt") });
  expect(c.state).toBe("established");
  expect(c.peerCertificates()).toEqual([der("server.crt"), der("ca.crt")]);
  end();
});

test("no common version: the alert of the side that refuses reaches the other", () => {
  const { c, s, end } = pair({ minVersion: "1.3" }, { maxVersion: "1.2" });
  expect(s.failure).toMatchObject({ kind: "protocol", code: "unsupported_protocol" });
  expect(c.failure).toMatchObject({ kind: "alert", code: "protocol_version" });
  end();
});

test("garbage instead of TLS fails as a protocol error", () => {
  const c = engine(client);
  c.receive(bytes("this is no TLS record at all"));
  expect(c.failure).toMatchObject({ kind: "protocol", code: "wrong_version_number" });
  c.close();
});

test("whom the owner refuses gets an alert, and neither side is established", () => {
  for (const version of ["1.2", "1.3"] as const) {
    const only = { minVersion: version, maxVersion: version };
    const seen: string[] = [];
    const c = engine({ ...client, ...only }, (chain) => {
      seen.push(...chain.map((d) => Bun.SHA256.hash(d, "hex")));
      return false;
    });
    const s = engine({ ...server, ...only });
    settle(c, s);
    expect(c.failure).toMatchObject({ kind: "certificate", code: "CERT_REJECTED" });
    expect(s.failure).toMatchObject({ kind: "alert", code: "bad_certificate" });
    expect(seen).toEqual([der("server.crt"), der("ca.crt")].map((d) => Bun.SHA256.hash(d, "hex")));
    c.close();
    s.close();
  }
});

test("each engine asks its own owner, also where one owner runs another handshake meanwhile", () => {
  const asked: string[] = [];
  const c = engine(client, () => {
    asked.push("outer");
    const inner = [
      engine(client, () => asked.push("inner client") > 0),
      engine(server, () => asked.push("inner server") > 0),
    ];
    settle(inner[0]!, inner[1]!);
    for (const each of inner) each.close();
    return true;
  });
  const s = engine(server, () => asked.push("server") > 0);
  settle(c, s);
  expect([c.state, s.state, asked]).toEqual([
    "established",
    "established",
    ["outer", "inner client", "inner server", "server"],
  ]);
  c.close();
  s.close();
});

test("an engine that its owner closes while it asks about the peer is not freed under the library's feet", () => {
  const c: TlsEngine = engine(client, () => {
    c.close();
    return true;
  });
  const s = engine(server);
  expect(() => settle(c, s)).toThrow("closed inside of its own call");
  c.close();
  s.close();
});

test("what the owner throws comes out of the call that fed the engine, not through the library", () => {
  const c = engine(client, () => {
    throw new Error("a bug of ours");
  });
  const s = engine(server);
  expect(() => settle(c, s)).toThrow("a bug of ours");
  c.close();
  s.close();
});

test("a server takes a client without a certificate where it is told to, and one of another authority only where it asks for none", () => {
  const bare = { cert: undefined, key: undefined };
  const foreign = { cert: file("other.crt"), key: file("other.key") };
  const state = (clientCert: TlsParameters["clientCert"], change: Partial<TlsParameters>): string => {
    const { s, end } = pair(change, { clientCert });
    const shown = s.state === "established" ? s.peerCertificates().length : -1;
    end();
    return `${s.failure?.kind ?? "established"} ${shown}`;
  };
  expect(["none", "optional", "require"].map((mode) => state(mode as "none", bare))).toEqual([
    "established 0",
    "established 0",
    "certificate -1",
  ]);
  expect(["none", "optional", "require"].map((mode) => state(mode as "none", foreign))).toEqual([
    "established 0",
    "certificate -1",
    "certificate -1",
  ]);
});

/** Types of the handshake messages in TLS 1.2 records, up to the first one that is encrypted. */
function clearMessages(records: Uint8Array): number[] {
  const d = new DataView(records.buffer, records.byteOffset, records.byteLength);
  const types: number[] = [];
  for (let at = 0; at < records.length && records[at] === 22; at += 5 + d.getUint16(at + 3)) {
    const end = at + 5 + d.getUint16(at + 3);
    for (let message = at + 5; message < end; message += 4 + (d.getUint32(message) & 0xffffff))
      types.push(records[message]!);
  }
  return types;
}

test("no session and no ticket is given to a client, so that nothing outlives a revocation list", () => {
  for (const version of ["1.2", "1.3"] as const) {
    const s = engine({ ...server, minVersion: version, maxVersion: version });
    const c = engine({ ...client, minVersion: version, maxVersion: version });
    let afterHandshake = 0;
    const messages: number[] = [];
    for (let out = c.pull(); out !== undefined; out = c.pull()) {
      s.receive(out);
      const back = s.pull();
      if (back === undefined) break;
      if (s.state === "established" && version === "1.3") afterHandshake += back.length;
      if (version === "1.2") messages.push(...clearMessages(back));
      c.receive(back);
    }
    expect([s.state, c.state, afterHandshake]).toEqual(["established", "established", 0]);
    // a server's flight of TLS 1.2 (RFC 5246 7.4) has no NewSessionTicket (4, RFC 5077 3.3)
    expect(messages).toEqual(version === "1.2" ? [2, 11, 12, 13, 14] : []);
    c.close();
    s.close();
  }
});

test("without a chain check any certificate is taken, for a fingerprint to judge", () => {
  const { c, end } = pair({ ca: undefined, verifyChain: false }, { cert: file("expired.crt") });
  expect(c.state).toBe("established");
  expect(c.peerCertificates()).not.toHaveLength(0);
  end();
});

test.each<[string, string, string | undefined]>([
  ["dns.example", "named", undefined],
  ["DNS.Example", "named", undefined],
  ["a.wild.example", "named", undefined],
  ["10.8.0.1", "named", undefined],
  ["a.b.wild.example", "named", "HOSTNAME_MISMATCH"],
  ["wild.example", "named", "HOSTNAME_MISMATCH"],
  ["10.8.0.2", "named", "IP_ADDRESS_MISMATCH"],
  ["named", "named", "HOSTNAME_MISMATCH"],
  ["server", "server", "HOSTNAME_MISMATCH"],
])("a server that is to be %s with the certificate %s: %p (RFC 9525: by subjectAltName alone)", (name, whose, code) => {
  const c = libsslTls.context(client).engine(() => true, name);
  const s = engine({ ...server, cert: file(`${whose}.crt`), key: file(`${whose}.key`) });
  settle(c, s);
  expect([c.state, c.failure?.code]).toEqual([code === undefined ? "established" : "failed", code]);
  c.close();
  s.close();
});

test("PKCS #12 gives certificate, key and authority", () => {
  const { c, s, end } = pair({
    ca: undefined,
    cert: undefined,
    key: undefined,
    pkcs12: file("client.p12"),
    passphrase: "secret",
  });
  expect([c.state, s.state]).toEqual(["established", "established"]);
  end();
});

test("beside a ca, the authorities of a PKCS #12 file vouch for nobody", () => {
  const own = { cert: undefined, key: undefined, pkcs12: file("client.p12"), passphrase: "secret" };
  const { c, end } = pair({ ...own, ca: file("other.crt") });
  expect(c.failure?.code).toBe("SELF_SIGNED_CERT_IN_CHAIN");
  end();
});

test("tls-cipher and tls-groups are heeded", () => {
  const { c, end } = pair({
    maxVersion: "1.2",
    cipherList: "TLS-DHE-RSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256",
    groups: "secp384r1:prime256v1",
  });
  expect(c.describe()).toBe("TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305");
  end();
});

test("tls-ciphersuites restricts TLS 1.3", () => {
  for (const suite of ["TLS_AES_128_GCM_SHA256", "TLS-CHACHA20-POLY1305-SHA256"]) {
    const { c, end } = pair({ cipherSuites: suite });
    expect(c.describe()).toBe(`TLSv1.3 ${suite.replaceAll("-", "_")}`);
    end();
  }
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
  ["no cipher", { cipherList: "TLS-RSA-EXPORT-WITH-RC4-40-MD5" }, /tls-cipher: there is no usable cipher/],
  ["no suite", { cipherSuites: "TLS_SM4_GCM_SM3" }, /tls-ciphersuites: .* holds a suite that is unknown to OpenSSL/],
  ["no group", { groups: "secp256r1:secp999" }, /tls-groups: .* names what is unknown to OpenSSL: secp999/],
])("own material that cannot be used is refused at create, in words: %s", (_name, change, message) => {
  expect(() => libsslTls.context({ ...client, ...change })).toThrow(message);
});

test("a wrong pass phrase is called so also where it happens to decrypt to something", () => {
  const bytes = new Uint8Array(readFileSync(join(import.meta.dir, "../../../test/configs/client-locked.key")));
  const change = { key: { ...file("client.key", "client-locked.key"), bytes }, passphrase: "x20" };
  expect(() => libsslTls.context({ ...client, ...change })).toThrow(/pass phrase .* is wrong/);
});

test("the right pass phrase opens a locked key", () => {
  libsslTls.context({ ...client, key: file("client-locked.key"), passphrase: "secret" }).close();
});

test("what the environment and a configuration file of OpenSSL say changes nothing", async () => {
  const here = (path: string) => JSON.stringify(join(import.meta.dir, path));
  const script = `
    import { readFileSync } from "node:fs";
    import { libsslTls } from ${here("./tls.ts")};
    const read = (name) => ({ label: "x", origin: {}, bytes: readFileSync(${JSON.stringify(pki.directory)} + "/" + name) });
    const common = { minVersion: "1.2", maxVersion: "1.3", verifyChain: true, certProfile: "legacy", clientCert: "require" };
    const own = { cert: read("client.crt"), key: read("client.key"), ca: read("other.crt") };
    const c = libsslTls.context({ ...common, isServer: false, ...own }).engine(() => true);
    const s = libsslTls.context({ ...common, isServer: true, ca: read("ca.crt"), cert: read("server.crt"), key: read("server.key") }).engine(() => true);
    for (let out = c.pull(); out !== undefined; out = c.pull()) {
      s.receive(out);
      c.receive(s.pull() ?? new Uint8Array(0));
    }
    console.log(c.state, c.failure?.kind, c.failure?.code);`;
  await Bun.write(
    join(pki.directory, "openssl.cnf"),
    "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nSignatureAlgorithms = RSA+SHA512\n",
  );
  const child = Bun.spawn([process.execPath, "-e", script], {
    stderr: "pipe",
    env: {
      ...process.env,
      OPENSSL_CONF: join(pki.directory, "openssl.cnf"),
      SSL_CERT_FILE: join(pki.directory, "ca.crt"),
      NODE_EXTRA_CA_CERTS: join(pki.directory, "ca.crt"),
      NODE_TLS_REJECT_UNAUTHORIZED: "0",
    },
  });
  expect((await new Response(child.stdout).text()).trim()).toBe("failed certificate SELF_SIGNED_CERT_IN_CHAIN");
});

test("what is longer than a record arrives whole", () => {
  const { c, s, end } = pair();
  s.send(new Uint8Array(60_000).fill(7));
  settle(c, s);
  let length = 0;
  for (let part = c.read(); part !== undefined; part = c.read()) length += part.length;
  expect(length).toBe(60_000);
  end();
});

test("an error that another call left behind does not end a session", () => {
  const { c, s, end } = pair();
  const openssl = openSsl();
  c.send(bytes("hello"));
  const records = c.pull() as Uint8Array;
  expect(openssl.withBio(bytes("no certificate"), (bio) => openssl.lib.d2i_X509_bio(bio, 0))).toBe(0);
  s.receive(records);
  expect([text(s.read()), s.state]).toEqual(["hello", "established"]);
  end();
});

describe("what the library does not take makes no context", () => {
  const crl = file("nobody.crl");
  test.each([
    ["X509_STORE_add_cert", undefined, client, /^ca: the certificate in .* cannot be used/],
    ["X509_STORE_add_crl", undefined, { ...client, crl }, /^crl-verify: the revocation list in .* cannot be read/],
    ["SSL_CTX_add_client_CA", undefined, server, /^ca: the certificate in .* cannot be used/],
    ["SSL_CTX_ctrl", 123, client, /^tls-version-min: OpenSSL does not take TLS 1.2/],
    ["SSL_CTX_ctrl", 124, client, /^tls-version-max: OpenSSL does not take TLS 1.3/],
  ] as const)("%s %p", (name, command, parameters, problem) => {
    const lib = openSsl().lib as unknown as Record<string, (...args: number[]) => number>;
    const call = lib[name]!;
    lib[name] = (...args) => (command === undefined || args[1] === command ? 0 : call(...args));
    try {
      expect(() => libsslTls.context(parameters)).toThrow(problem);
    } finally {
      lib[name] = call;
    }
  });
});
