/** The server's session with OpenVPN's own client, over the loopback interface: what a server says is understood, and the reverse. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemRandom } from "../../src/platform/crypto/random.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import type { AeadName, TlsParameters, TlsVersion } from "../../src/protocol/ports.ts";
import { OpenvpnPeer } from "../support/openvpn-peer.ts";
import { authReadBytes } from "../support/openvpn-status.ts";
import { makeTlsPki, TLS_DEFAULTS, type TlsPki } from "../support/tls-pki.ts";

const openvpn = process.env["OPENVPN"] ?? "/usr/sbin/openvpn";
const PING = Uint8Array.fromHex("2a187bf3641eb4cb07ed2d0a981fc748");
const PUSH = ["topology subnet", "ifconfig 10.8.0.2 255.255.255.0", "ping 1", "ping-exit 10"];

let pki: TlsPki;
let key: Uint8Array;
beforeAll(() => {
  pki = makeTlsPki();
  const made = Bun.spawnSync([openvpn, "--genkey", "tls-auth", "static.key"], { cwd: pki.directory });
  expect(made.exitCode).toBe(0);
  const text = readFileSync(join(pki.directory, "static.key"), "utf8");
  key = Uint8Array.fromHex(/BEGIN OpenVPN Static key V1-----([^-]*)/.exec(text)![1]!.replace(/\s/g, ""));
});
afterAll(() => pki.remove());

function serverTls(version: TlsVersion): TlsParameters {
  return {
    ...TLS_DEFAULTS,
    isServer: true,
    ca: pki.material("ca.crt"),
    cert: pki.material("server.crt"),
    key: pki.material("server.key"),
    minVersion: version,
    maxVersion: version,
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not come`);
    await Bun.sleep(50);
  }
}

interface Case {
  readonly wrap: "none" | "tls-auth" | "tls-crypt";
  readonly cipher: AeadName;
  readonly version: TlsVersion;
}

/** One session over a socket, driven every 20 ms; the client is the real one. */
class ServerBed {
  readonly peer: OpenvpnPeer;
  readonly log: string;
  #client: Bun.Subprocess | undefined;
  #socket: Bun.udp.Socket<"buffer"> | undefined;
  #from: { readonly address: string; readonly port: number } | undefined;
  #timer: Timer | undefined;
  #turns = 0;

  constructor(c: Case, exitNotify = 0) {
    const material = pki.material("static.key");
    const wrap: ControlWrap =
      c.wrap === "none"
        ? { kind: "none" }
        : c.wrap === "tls-auth"
          ? { kind: "tls-auth", key, direction: 0, digest: "SHA256", material }
          : { kind: "tls-crypt", key, material };
    this.peer = new OpenvpnPeer({
      wrap,
      tls: libsslTls.context(serverTls(c.version)),
      random: systemRandom,
      cipher: c.cipher,
      peerId: 0xabcdef,
      push: PUSH,
      ekm: true,
      config: { exitNotify, epoch: true },
      start: { unixSeconds: Math.floor(Date.now() / 1000) },
    });
    this.log = join(pki.directory, `${c.wrap}-${c.cipher}-${c.version}-${exitNotify}-${Math.random()}.log`);
  }

  async start(wrap: Case["wrap"], lines: readonly string[] = []): Promise<void> {
    const { peer } = this;
    this.#socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        error() {}, // a client that has left
        data: (_socket, bytes, port, address) => {
          this.#from = { address, port };
          peer.handle(performance.now(), Uint8Array.from(bytes));
          this.#flush();
        },
      },
    });
    this.#timer = setInterval(() => {
      peer.handleTimeout(performance.now());
      if (++this.#turns % 25 === 0) this.#send(peer.seal(performance.now(), PING));
      this.#flush();
    }, 20);
    writeFileSync(join(pki.directory, "login.txt"), "Zoë\npässwörd\n");
    const profile = [
      `client\ndev null\nproto udp\nremote 127.0.0.1 ${this.#socket.port}\nnobind\nauth SHA256\nhand-window 6\nverb 3\nlog ${this.log}\nstatus ${this.log}.status 1`,
      "ca ca.crt\ncert client.crt\nkey client.key\nremote-cert-tls server\nifconfig-noexec\nroute-noexec\nconnect-retry-max 1",
      "auth-user-pass login.txt\ndata-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\nexplicit-exit-notify 1",
      wrap === "tls-auth" ? "tls-auth static.key 1" : wrap === "tls-crypt" ? "tls-crypt static.key" : "",
      ...lines,
    ].join("\n");
    const file = `client-${this.#socket.port}.ovpn`;
    writeFileSync(join(pki.directory, file), profile);
    this.#client = Bun.spawn([openvpn, "--config", file], { cwd: pki.directory, stdout: "ignore", stderr: "ignore" });
  }

  logged(): string {
    try {
      return readFileSync(this.log, "utf8");
    } catch {
      return ""; // not begun
    }
  }

  /** Bytes of data packets that the client opened. */
  authenticated(): number {
    return authReadBytes(`${this.log}.status`);
  }

  signal(name: NodeJS.Signals): void {
    this.#client?.kill(name);
  }

  end(): object | undefined {
    const event = this.peer.events.find((e) => e.kind === "ended");
    return event?.kind === "ended" ? event.end : undefined;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#client?.kill("SIGKILL");
    await this.#client?.exited;
    this.#socket?.close();
  }

  #flush(): void {
    for (let p = this.peer.poll(performance.now()); p !== undefined; p = this.peer.poll(performance.now()))
      this.#send(p);
  }

  #send(packet: Uint8Array | undefined): void {
    if (packet !== undefined && this.#from !== undefined)
      this.#socket?.send(packet, this.#from.port, this.#from.address);
  }
}

const CASES: readonly Case[] = [
  { wrap: "none", cipher: "AES-256-GCM", version: "1.3" },
  { wrap: "tls-auth", cipher: "AES-128-GCM", version: "1.2" },
  { wrap: "tls-crypt", cipher: "CHACHA20-POLY1305", version: "1.3" },
];

describe.each(CASES)("$wrap, $cipher, TLS $version", (c) => {
  test("comes up, carries data both ways, renews its keys by either side, and hears the client leave", async () => {
    const bed = new ServerBed(c);
    const { peer } = bed;
    try {
      await bed.start(c.wrap, ["reneg-sec 6 6"]);
      await until("the tunnel", () => bed.logged().includes("Initialization Sequence Completed"));
      expect(peer.login).toEqual(["Zoë", "pässwörd"]);
      expect(bed.logged()).toContain(`Data Channel: cipher '${c.cipher}'`);
      await until("packets that the client opens", () => bed.authenticated() > 0);
      await until("pings of the client", () => peer.session.traffic().pings > 0);
      // by the server
      peer.renegotiate(performance.now());
      await until("the key of our renegotiation", () => peer.keyId === 1);
      // by the client, 6 s after that
      await until("the key of the client's renegotiation", () => peer.keyId >= 2);
      const [before, pings] = [bed.authenticated(), peer.session.traffic().pings];
      await until("packets that the client opens", () => bed.authenticated() > before + 40);
      await until("pings of the client", () => peer.session.traffic().pings > pings + 1);
      expect(peer.session.drops.snapshot()).toEqual({});
      expect(bed.logged()).not.toMatch(/packet error|HMAC auth|replay|TLS Error|bad packet/i);
      bed.signal("SIGTERM");
      await until("the client's goodbye", () => peer.exited);
    } finally {
      await bed.stop();
    }
  });
});

describe("what the client is told", () => {
  const c: Case = { wrap: "tls-crypt", cipher: "AES-256-GCM", version: "1.3" };

  test("a refused login, with the reason", async () => {
    const bed = new ServerBed(c);
    bed.peer.withholdsPush = true;
    try {
      await bed.start(c.wrap);
      await until("the login", () => bed.peer.session.state === "login");
      bed.peer.session.decide(performance.now(), { kind: "reject", reason: "account closed" });
      await until("the client's word", () =>
        bed.logged().includes("AUTH: Received control message: AUTH_FAILED,account closed"),
      );
      await until("the end", () => bed.end() !== undefined);
      expect(bed.end()).toEqual({ kind: "refused", reason: "account closed" });
    } finally {
      await bed.stop();
    }
  });

  test("that it has to wait for the verdict, which then counts", async () => {
    const bed = new ServerBed(c);
    bed.peer.withholdsPush = true;
    try {
      await bed.start(c.wrap);
      await until("the login", () => bed.peer.session.state === "login");
      bed.peer.session.decide(performance.now(), { kind: "pending", seconds: 30 });
      await until("the client's word", () => bed.logged().includes("AUTH_PENDING"));
      bed.peer.session.decide(performance.now(), { kind: "accept", peerId: 3, options: PUSH });
      await until("the tunnel", () => bed.logged().includes("Initialization Sequence Completed"));
    } finally {
      await bed.stop();
    }
  });

  test("more than a message holds", async () => {
    const bed = new ServerBed(c);
    bed.peer.withholdsPush = true;
    const routes = Array.from({ length: 120 }, (_, i) => `route 10.${i}.0.0 255.255.0.0`);
    try {
      await bed.start(c.wrap, ["verb 4"]);
      await until("the login", () => bed.peer.session.state === "login");
      bed.peer.session.decide(performance.now(), { kind: "accept", peerId: 3, options: [...PUSH, ...routes] });
      await until("the tunnel", () => bed.logged().includes("Initialization Sequence Completed"));
      const log = bed.logged();
      expect(log).toContain("push-continuation 2");
      expect(log).toContain("route 10.119.0.0 255.255.0.0");
      expect(log).not.toMatch(/Options error/);
    } finally {
      await bed.stop();
    }
  });

  test("that the server leaves", async () => {
    const bed = new ServerBed(c, 3);
    try {
      await bed.start(c.wrap);
      await until("the tunnel", () => bed.logged().includes("Initialization Sequence Completed"));
      bed.peer.session.close(performance.now());
      await until("the client's word", () => /EXIT|remote-exit/.test(bed.logged()));
      await until("the end", () => bed.end() !== undefined);
      expect(bed.end()).toEqual({ kind: "closed" });
    } finally {
      await bed.stop();
    }
  });
});
