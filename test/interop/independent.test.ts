/** The simulations' independent server with OpenVPN's own client: what it believes of the protocol is so. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CipherName } from "../support/independent/data.ts";
import { NodePeerTls } from "../support/independent/node-tls.ts";
import { IndependentServer } from "../support/independent/server.ts";
import type { Wrap } from "../support/independent/wrap.ts";
import { authReadBytes } from "../support/openvpn-status.ts";
import { makeTlsPki, type TlsPki } from "../support/tls-pki.ts";

let pki: TlsPki;
let key: Buffer;
beforeAll(() => {
  pki = makeTlsPki();
  const text = Bun.spawnSync([openvpn, "--genkey", "tls-auth", "static.key"], { cwd: pki.directory });
  expect(text.exitCode).toBe(0);
  const hex = /BEGIN OpenVPN Static key V1-----([^-]*)/.exec(
    readFileSync(join(pki.directory, "static.key"), "utf8"),
  )?.[1];
  key = Buffer.from((hex as string).replace(/\s/g, ""), "hex");
});
afterAll(() => pki.remove());

const openvpn = process.env["OPENVPN"] ?? "/usr/sbin/openvpn";

interface Case {
  readonly wrap: "none" | "tls-auth" | "tls-crypt";
  readonly ekm: boolean;
  readonly cipher: CipherName;
  readonly peerId: number;
  readonly version: "TLSv1.2" | "TLSv1.3";
}

const CASES: readonly Case[] = [
  { wrap: "none", ekm: true, cipher: "AES-256-GCM", peerId: 5, version: "TLSv1.3" },
  { wrap: "tls-auth", ekm: false, cipher: "AES-128-GCM", peerId: 0xffffff, version: "TLSv1.2" },
  { wrap: "tls-crypt", ekm: true, cipher: "CHACHA20-POLY1305", peerId: 0xabcdef, version: "TLSv1.2" },
  { wrap: "tls-crypt", ekm: false, cipher: "AES-256-GCM", peerId: 0, version: "TLSv1.3" },
];

/** Waits for a condition. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not come`);
    await Bun.sleep(100);
  }
}

test.each(CASES)("the real client: $wrap, exporter $ekm, $cipher, peer id $peerId, $version", async (c) => {
  const read = (file: string): string => readFileSync(join(pki.directory, file), "utf8");
  const wrap: Wrap =
    c.wrap === "none"
      ? { kind: "none" }
      : c.wrap === "tls-auth"
        ? { kind: "tls-auth", key, direction: 0, digest: "sha256" }
        : { kind: "tls-crypt", key };
  const engines: NodePeerTls[] = [];
  const server = new IndependentServer(
    {
      wrap,
      createTls: () => {
        const tls = new NodePeerTls({
          ca: read("ca.crt"),
          cert: read("server.crt"),
          key: read("server.key"),
          version: c.version,
        });
        engines.push(tls);
        return tls;
      },
      random: (length) => randomBytes(length),
      cipher: c.cipher,
      peerId: c.peerId,
      push: ["topology subnet", "ifconfig 10.8.0.2 255.255.255.0", "ping 1", "ping-exit 10"],
      ekm: c.ekm,
    },
    Math.floor(Date.now() / 1000),
  );
  let client: { address: string; port: number } | undefined;
  let problem: unknown;
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      error() {}, // a client that has left
      data(_socket, bytes, port, address) {
        client = { address, port };
        try {
          server.handle(performance.now(), bytes);
        } catch (error) {
          problem ??= error;
        }
      },
    },
  });
  const send = (bytes: Uint8Array | undefined): void => {
    if (bytes !== undefined && client !== undefined) socket.send(bytes, client.port, client.address);
  };
  let turns = 0;
  const timer = setInterval(async () => {
    for (const tls of engines) await tls.settle();
    server.pump();
    for (let p = server.poll(performance.now()); p !== undefined; p = server.poll(performance.now())) send(p);
    if (++turns % 25 === 0 && server.messages.includes("PUSH_REQUEST")) send(server.ping(performance.now()));
  }, 20);

  const log = join(pki.directory, `${CASES.indexOf(c)}.log`);
  writeFileSync(
    join(pki.directory, "client.ovpn"),
    [
      `client\ndev null\nproto udp\nremote 127.0.0.1 ${socket.port}\nnobind\nauth SHA256\nreneg-sec 0\nhand-window 6\nverb 3\nlog ${log}\nstatus ${log}.status 1`,
      "ca ca.crt\ncert client.crt\nkey client.key\nremote-cert-tls server\nifconfig-noexec\nroute-noexec\nconnect-retry-max 1",
      "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nexplicit-exit-notify 1",
      c.wrap === "tls-auth" ? "tls-auth static.key 1" : c.wrap === "tls-crypt" ? "tls-crypt static.key" : "",
    ].join("\n"),
  );
  const child = Bun.spawn([openvpn, "--config", "client.ovpn"], {
    cwd: pki.directory,
    stdout: "ignore",
    stderr: "ignore",
  });
  const logged = (): string => readFileSync(log, "utf8");
  const authenticated = (): number => authReadBytes(`${log}.status`);
  try {
    await until("a ping of the client", () => server.pings > 0);
    await until("a data packet that the client opens", () => authenticated() > 0);
    expect(logged()).toContain("Initialization Sequence Completed");
    expect(server.peerInfo).toContain("IV_PROTO=");
    // a renegotiation: the client's pings come under the new key, and it opens ours
    server.renegotiate(performance.now());
    await until("the second key message", () => engines.length === 2 && engines[1]?.state === "established");
    const before = authenticated();
    await until("packets under the new key that the client opens", () => authenticated() > before + 40);
    // a client sends with it when the server has had hand-window to finish
    await until("a ping under the new key", () => server.lastDataKeyId === 1);
    expect(logged()).not.toMatch(/packet error|HMAC auth|replay|TLS Error|bad packet/i);
    child.kill("SIGTERM");
    await child.exited;
    await until("the client's goodbye", () => server.exited);
    expect(problem).toBeUndefined();
  } finally {
    clearInterval(timer);
    child.kill("SIGKILL");
    socket.close();
    if (problem !== undefined) console.error(problem);
  }
});
