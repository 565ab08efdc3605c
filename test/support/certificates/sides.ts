/**
 * One TLS handshake of OpenVPN over loopback UDP, without a tunnel device and without privileges: a real openvpn server, and as
 * its client either the real openvpn or this product's own session and TLS engine, by the same profile.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Batch } from "../../../src/lib/batch.ts";
import { Arena, slabOver } from "../../../src/lib/slab.ts";
import { systemRandom } from "../../../src/platform/crypto/random.ts";
import { libsslTls } from "../../../src/platform/crypto/tls.ts";
import { checkTls } from "../../../src/platform/crypto/tls-check.ts";
import { parseConfig } from "../../../src/protocol/config/parse.ts";
import type { ClientConfig, Material } from "../../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../../src/protocol/data/noble-cbc.ts";
import { tlsParameters } from "../../../src/protocol/exchange/tls-parameters.ts";
import { NO_DECOMPRESSORS, type TlsParameters } from "../../../src/protocol/ports.ts";
import { ClientSession } from "../../../src/protocol/session/client.ts";
import { explainEnd } from "../../../src/protocol/session/explain.ts";
import { OpenvpnPeer } from "../openvpn-peer.ts";
import { TLS_DEFAULTS } from "../tls-pki.ts";

export const OPENVPN = process.env["OPENVPN"] ?? Bun.which("openvpn") ?? "/usr/sbin/openvpn";

export interface Outcome {
  readonly verdict: "up" | "refused" | "unsettled";
  /** Why, in the side's own words: its log, or our messages. */
  readonly words: string;
}

const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 10;
/** What openvpn logs when a handshake or a start has failed, on either side. */
const FAILED =
  /TLS[ _]Error|VERIFY [A-Z]* ?ERROR|Exiting due to fatal error|Options error|Certificate verification failed|Cannot load|OpenSSL: error|Received fatal SSL alert/i;
const UP = /Peer Connection Initiated/;

/** An openvpn process and what it has logged. */
class OpenvpnProcess {
  log = "";
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  ended = false;

  constructor(folder: string, argv: readonly string[]) {
    this.child = Bun.spawn([OPENVPN, "--cd", folder, ...argv], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    void this.#collect();
    void this.child.exited.then(() => {
      this.ended = true;
    });
  }

  async #collect(): Promise<void> {
    for await (const chunk of this.child.stdout) this.log += new TextDecoder().decode(chunk);
  }

  async end(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}

async function until(holds: () => boolean): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  while (!holds()) {
    if (performance.now() > end) return false;
    await Bun.sleep(LOOK_EVERY_MS);
  }
  return true;
}

async function freePort(): Promise<number> {
  const socket = await Bun.udpSocket({ hostname: "127.0.0.1" });
  const { port } = socket;
  socket.close();
  return port;
}

/** A real server. `lines` come last. */
export class RealServer implements Server {
  readonly port: number;
  readonly #process: OpenvpnProcess;

  private constructor(port: number, process: OpenvpnProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start(folder: string, lines: readonly string[]): Promise<RealServer> {
    const port = await freePort();
    const file = `server-${port}.conf`;
    const own = ["dev null", "proto udp", "local 127.0.0.1", `lport ${port}`, "tls-server", "verb 3", "ping-exit 60"];
    writeFileSync(join(folder, file), [...own, ...lines].join("\n"));
    const process = new OpenvpnProcess(folder, ["--config", file]);
    if (await until(() => process.ended || /link local/.test(process.log))) {
      if (!process.ended) return new RealServer(port, process);
    }
    await process.end();
    throw new Error(`the server does not start: ${process.log}`);
  }

  /** What it has logged since `mark`. */
  since(mark: number): string {
    return this.#process.log.slice(mark);
  }

  get mark(): number {
    return this.#process.log.length;
  }

  end(): Promise<void> {
    return this.#process.end();
  }
}

/** What a client is tried with. */
export interface Server {
  readonly port: number;
  readonly mark: number;
  since(mark: number): string;
  end(): Promise<void>;
}

/** Ours: the product's server session and TLS engine, with certificate and key "server". */
export class OwnServer implements Server {
  readonly port: number;
  readonly mark = 0;
  readonly #end: () => void;

  private constructor(port: number, end: () => void) {
    this.port = port;
    this.#end = end;
  }

  static async start(
    folder: string,
    change: (read: (name: string) => Material) => Partial<TlsParameters>,
  ): Promise<OwnServer> {
    const read = (name: string): Material => ({
      label: name,
      origin: { file: "server", line: 1 },
      bytes: new Uint8Array(readFileSync(join(folder, name))),
    });
    const tls = libsslTls.context({
      ...TLS_DEFAULTS,
      isServer: true,
      ca: read("ca.crt"),
      cert: read("server.crt"),
      key: read("server.key"),
      ...change(read),
    });
    const peer = new OpenvpnPeer({
      wrap: { kind: "none" },
      tls,
      random: systemRandom,
      cipher: "AES-256-GCM",
      peerId: 1,
      push: [],
      ekm: true,
      start: { unixSeconds: Math.floor(Date.now() / 1000) },
    });
    let client: { readonly port: number; readonly address: string } | undefined;
    const flush = (): void => {
      for (let p = peer.poll(performance.now()); p !== undefined; p = peer.poll(performance.now()))
        if (client !== undefined) socket.send(p, client.port, client.address);
    };
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: {
        error() {}, // a client that has left
        data(_socket, bytes, port, address) {
          client = { port, address };
          peer.handle(performance.now(), Uint8Array.from(bytes));
          flush();
        },
      },
    });
    const timer = setInterval(() => {
      peer.handleTimeout(performance.now());
      flush();
    }, LOOK_EVERY_MS);
    return new OwnServer(socket.port, () => {
      clearInterval(timer);
      socket.close();
      tls.close();
    });
  }

  /** It has no log: the client must be told, by an alert. */
  since(_mark: number): string {
    return "";
  }

  async end(): Promise<void> {
    this.#end();
  }
}

const profile = (server: Server, lines: readonly string[]): string =>
  ["client", "dev tun", "proto udp", `remote 127.0.0.1 ${server.port}`, "nobind", ...lines].join("\n");

/** The real client. */
export async function realClient(folder: string, server: Server, lines: readonly string[]): Promise<Outcome> {
  const file = `client-${server.port}.conf`;
  writeFileSync(join(folder, file), profile(server, lines));
  const mark = server.mark;
  const quiet = ["--dev", "null", "--ifconfig-noexec", "--route-noexec", "--connect-retry-max", "1", "--verb", "3"];
  const client = new OpenvpnProcess(folder, ["--config", file, ...quiet]);
  const failed = (): boolean => client.ended || FAILED.test(client.log) || FAILED.test(server.since(mark));
  const settled = await until(() => UP.test(client.log) || failed());
  const verdict = UP.test(client.log) ? "up" : settled ? "refused" : "unsettled";
  await client.end();
  return { verdict, words: `client: ${client.log}\nserver: ${server.since(mark)}` };
}

const HAND_WINDOW = 4;
const AT = 64;
const SLAB = 16_384;

/** Ours. */
export async function ownClient(folder: string, server: RealServer, lines: readonly string[]): Promise<Outcome> {
  const read = (name: string): Uint8Array | undefined => {
    try {
      return new Uint8Array(readFileSync(isAbsolute(name) ? name : join(folder, name)));
    } catch {
      return undefined; // the profile's problem
    }
  };
  // Only some servers say that they refuse; the others are given up soon.
  const text = profile(server, [...lines, `hand-window ${HAND_WINDOW}`]);
  const result = parseConfig({ file: "case.ovpn", text }, read);
  if (result.ok && result.config.role !== "client") throw new Error("a row is a client's profile");
  const config = result.ok ? (result.config as ClientConfig) : undefined;
  const checked = config
    ? checkTls(config, Date.now() / 1000)
    : { problems: result.ok ? [] : result.problems, warnings: [] };
  const words = (list: typeof checked.problems): string[] =>
    list.map((p) => `${p.origin.file}:${p.origin.line}: ${p.directive}: ${p.problem}`);
  if (config === undefined || checked.problems.length > 0)
    return { verdict: "refused", words: words(checked.problems).join("\n") };
  const warnings = words([...result.warnings, ...checked.warnings]);
  const outcome = await handshake(config, server);
  return { ...outcome, words: [...warnings, outcome.words].join("\n") };
}

async function handshake(config: ClientConfig, server: RealServer): Promise<Outcome> {
  const slab = slabOver(new ArrayBuffer(SLAB));
  const tls = libsslTls.context(tlsParameters(config.tls, config.verify));
  const session = new ClientSession(
    config,
    {
      slab,
      aead: nobleAead(slab),
      control: noblePrimitives,
      tls,
      random: systemRandom,
      scratch: new Arena(slab, SLAB / 2, SLAB),
      cbc: nobleCbc(slab),
      decompressors: NO_DECOMPRESSORS,
    },
    { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000) },
  );
  const [datagrams, plain] = [new Batch(1), new Batch(1)];
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    connect: { hostname: "127.0.0.1", port: server.port },
    socket: {
      error() {}, // nobody listens any more
      data(_socket, bytes) {
        slab.bytes.set(bytes, AT);
        datagrams.clear();
        plain.clear();
        datagrams.push(AT, bytes.length);
        session.handleBatch(performance.now(), datagrams, plain);
      },
    },
  });
  const mark = server.mark;
  const place = {
    address: "127.0.0.1",
    port: server.port,
    protocol: "udp",
    isAnswered: false,
    unixSeconds: Date.now() / 1000,
  } as const;
  const said: string[] = [];
  let outcome: Outcome | undefined;
  session.start(performance.now());
  await until(() => {
    const now = performance.now();
    session.handleTimeout(now);
    for (let p = session.pollTransmit(now); p !== undefined; p = session.pollTransmit(now)) socket.send(p);
    for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) {
      if (e.kind === "warning") said.push(e.text);
      if (e.kind === "ended") outcome = { verdict: "refused", words: explainEnd(e.end, config, place).message };
    }
    if (session.state === "push") outcome ??= { verdict: "up", words: "" };
    return outcome !== undefined;
  });
  session.abandon(performance.now());
  for (let p = session.pollTransmit(0); p !== undefined; p = session.pollTransmit(0)) socket.send(p);
  socket.close();
  tls.close();
  const { verdict, words } = outcome ?? { verdict: "unsettled", words: `server: ${server.since(mark)}` };
  return { verdict, words: [...said, words].join("\n") };
}
