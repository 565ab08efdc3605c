/** The real openvpn as the other end of a tunnel without interfaces or privileges, on the loopback, and what a session of ours beside it needs. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Batch } from "../../src/lib/batch.ts";
import { Arena } from "../../src/lib/slab.ts";
import { LibcryptoAead } from "../../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../../src/platform/crypto/cbc.ts";
import { systemRandom } from "../../src/platform/crypto/random.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import type { DialSession } from "../../src/protocol/session/dial-session.ts";
import { OPENVPN } from "./world/openvpn-binary.ts";

const HOST = "127.0.0.1";
const AT = 1024;
const PATIENCE = 20_000;

export class OpenvpnEnd {
  readonly folder: string;
  /** Of openvpn, and of our socket. */
  readonly port: number;
  readonly ownPort: number;
  readonly memory = new NativeMemory(64 * 1024);
  /** Of a session of ours. */
  readonly ports = {
    slab: this.memory,
    aead: new LibcryptoAead(this.memory, this.memory.pointer),
    cbc: new LibcryptoCbc(this.memory, this.memory.pointer),
    random: systemRandom,
    scratch: new Arena(this.memory, 32 * 1024, 64 * 1024),
    decompressors: NO_DECOMPRESSORS,
  };
  readonly #socket: Bun.udp.Socket<"buffer">;
  readonly #waiting: Uint8Array[];
  #peer: Bun.Subprocess | undefined;

  private constructor(folder: string, port: number, socket: Bun.udp.Socket<"buffer">, waiting: Uint8Array[]) {
    this.folder = folder;
    this.port = port;
    this.ownPort = socket.port;
    this.#socket = socket;
    this.#waiting = waiting;
  }

  static async create(name: string): Promise<OpenvpnEnd> {
    const waiting: Uint8Array[] = [];
    const socket = await Bun.udpSocket({
      hostname: HOST,
      socket: { data: (_s, bytes) => void waiting.push(Uint8Array.from(bytes)), error: () => {} },
    });
    const probe = await Bun.udpSocket({ hostname: HOST });
    const { port } = probe;
    probe.close();
    return new OpenvpnEnd(mkdtempSync(join(tmpdir(), `${name}-`)), port, socket, waiting);
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.folder, name)));
  }

  log(): string {
    const file = join(this.folder, "log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Starts openvpn. @param lines of its configuration, but for its device, address and port */
  start(lines: readonly string[]): void {
    const conf = ["dev null", `lport ${this.port}`, `local ${HOST}`, "verb 4", ...lines];
    writeFileSync(join(this.folder, "peer.conf"), `${conf.join("\n")}\n`);
    const argv = [OPENVPN, "--cd", this.folder, "--config", "peer.conf", "--log", "log"];
    this.#peer = Bun.spawn(argv, { stdout: "ignore" });
  }

  /** Starts a session of ours once openvpn listens: until then what is sent to it is refused. @returns runs it until a condition holds */
  async join(session: DialSession): Promise<(condition: () => boolean) => Promise<boolean>> {
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    const turn = (): void => {
      const now = performance.now();
      for (const bytes of this.#waiting.splice(0)) {
        this.memory.bytes.set(bytes, AT);
        datagrams.clear();
        datagrams.push(AT, bytes.length);
        session.handleBatch(now, datagrams, plain);
      }
      session.handleTimeout(now);
      for (let p = session.pollTransmit(now); p !== undefined; p = session.pollTransmit(now))
        this.#socket.send(p, this.port, HOST);
    };
    for (let i = 0; i < 500 && !this.log().includes("link remote"); i++) await Bun.sleep(20);
    session.start(performance.now());
    return async (condition) => {
      for (const end = performance.now() + PATIENCE; performance.now() < end; await Bun.sleep(20)) {
        turn();
        if (condition()) return true;
      }
      return false;
    };
  }

  async close(): Promise<void> {
    this.#peer?.kill();
    await this.#peer?.exited;
    this.#socket.close();
    rmSync(this.folder, { recursive: true });
  }
}
