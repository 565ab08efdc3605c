import { describe, expect, test } from "bun:test";
import { CERTIFICATE, clientConfig, NO_WRAP, PUSH } from "../../test/support/client-config.ts";
import { fakeTls, fakeTlsContext } from "../../test/support/fake-tls.ts";
import { OpenvpnPeer } from "../../test/support/openvpn-peer.ts";
import { Batch } from "../lib/batch.ts";
import { parseCidr } from "../lib/cidr.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { Arena } from "../lib/slab.ts";
import type { UdpReceiver, UdpSocket } from "../netstack/socket/udp-socket.ts";
import { DNS_A, dnsParse } from "../netstack/wire/dns.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import type { ClientConfig } from "../protocol/config/types.ts";
import { noblePrimitives } from "../protocol/control/noble-primitives.ts";
import { nobleAead } from "../protocol/data/noble-aead.ts";
import type { AeadFactory } from "../protocol/ports.ts";
import { TunnelClient } from "./tunnel-client.ts";
import type { Link, RouterPath } from "./wiring/router.ts";

const quiet: Log = { enabled: () => false, write: () => {} };
const AT = 256;
const SCRATCH = 8192;

/** A client whose WAN is a server of its own for each session, which answers at once. */
class Bed {
  now = 1000;
  readonly client: TunnelClient;
  /** Keys that were made and not closed. */
  keys = 0;
  links = 0;
  readonly #memory = new NativeMemory(4 * SCRATCH);
  readonly #push: readonly string[];
  readonly #random = seededRandom(1);
  readonly #tls = fakeTls(this.#random, CERTIFICATE);
  /** What the DNS server answers, by name; it is silent for others. */
  readonly names = new Map<string, string[]>();
  /** Names that it was asked for. */
  readonly asked: string[] = [];
  /** Addresses that packets of a session went to. */
  readonly dialled: string[] = [];
  isSilent = false;
  #link: Link | undefined;
  #server: OpenvpnPeer | undefined;

  constructor(push: readonly string[], config: Partial<ClientConfig> = { remotes: [REMOTE] }, log = quiet) {
    this.#push = push;
    const path = {
      wan: {
        mtu: 1500,
        address: parseCidr("198.51.100.9/24"),
        bindUdp: (_port: number, receiver: UdpReceiver) => ({ receiver, collect: () => {}, stopCollecting: () => {} }),
        closeUdp: () => {},
        sendUdp: (now: number, socket: UdpSocket, to: IpAddress, port: number, packet: Uint8Array) => {
          if (port === 53) this.#answer(now, socket, to, packet);
          else if (!this.isSilent) this.#server?.handle(now, packet);
        },
      },
      router: { openTunnel: () => {}, closeTunnel: () => {} },
      sessionScratch: new Arena(this.#memory, SCRATCH, 2 * SCRATCH),
      sinkOf: () => undefined,
      setLink: (link: Link | undefined) => {
        this.#link = link;
        if (link === undefined) return;
        this.links++;
        this.dialled.push(`${link.address}`);
        this.#server = this.#newServer();
      },
    };
    this.client = new TunnelClient({
      config: { ...clientConfig([], NO_WRAP), ...config },
      path: path as unknown as RouterPath,
      memory: this.#memory,
      aead: this.#counting(nobleAead(this.#memory)),
      control: noblePrimitives,
      tls: this.#tls,
      lan: parseCidr("192.168.50.1/24")!,
      log,
      random: this.#random,
      unixSeconds: () => 1_700_000_000,
    });
  }

  get isUp(): boolean {
    return this.#link?.session.isUp === true;
  }

  get isIdle(): boolean {
    return this.#link === undefined;
  }

  /** What the client logged in with last. */
  get password(): string | undefined {
    return this.#server?.login[1];
  }

  /** The server heard that the client leaves. */
  get wasLeft(): boolean {
    return this.#server?.exited === true;
  }

  /** The server sends a control message. */
  say(text: string): void {
    this.#server?.say(text);
  }

  /** Lets the time pass until the condition holds. */
  until(condition: () => boolean): void {
    for (let steps = 0; !condition(); steps++) {
      if (steps > 100_000) throw new Error("it does not come to hold");
      this.now += 10;
      this.client.poll(this.now);
      for (let p = this.#server?.poll(this.now); p !== undefined; p = this.#server?.poll(this.now)) this.#deliver(p);
      this.client.poll(this.now);
    }
  }

  #answer(now: number, { receiver }: UdpSocket, from: IpAddress, question: Uint8Array): void {
    const parsed = dnsParse(Uint8Array.from(question, (byte, i) => (i === 2 ? byte | 0x80 : byte)));
    if (typeof parsed === "string") throw new Error(parsed);
    const { name, type } = parsed.question;
    if (type === DNS_A) this.asked.push(name);
    const addresses = this.names.get(name);
    if (addresses === undefined) return;
    const records = addresses.map((a) => [0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, ...a.split(".").map(Number)]);
    const answer = Uint8Array.of(...question, ...(type === DNS_A ? records.flat() : []));
    answer[2]! |= 0x80;
    answer[7] = type === DNS_A ? records.length : 0;
    this.#memory.bytes.set(answer, AT);
    receiver.onDatagram(now, from, 53, AT, answer.length);
  }

  #deliver(packet: Uint8Array): void {
    const datagrams = new Batch(1);
    this.#memory.bytes.set(packet, AT);
    datagrams.push(AT, packet.length);
    this.#link?.session.handleBatch(this.now, datagrams, new Batch(1));
  }

  #newServer(): OpenvpnPeer {
    const random = this.#random;
    const keys = { cipher: "AES-256-GCM", peerId: 5, push: this.#push, ekm: true } as const;
    return new OpenvpnPeer({ wrap: NO_WRAP, tls: fakeTlsContext(true, random, CERTIFICATE), random, ...keys });
  }

  #counting(aead: AeadFactory): AeadFactory {
    return {
      create: (...of) => {
        const key = aead.create(...of);
        const { close } = key;
        this.keys++;
        key.close = () => {
          this.keys--;
          close.call(key);
        };
        return key;
      },
    };
  }
}

const REMOTE = {
  host: "203.0.113.10",
  port: 1194,
  protocol: "udp",
  family: "any",
  origin: { file: "x", line: 1 },
} as const;

test("a session that is given up lets go of its keys: another WAN address, a lost WAN, a reload", () => {
  const bed = new Bed(PUSH);
  for (let i = 0; i < 5; i++) {
    bed.client.wanUp(bed.now, []);
    bed.until(() => bed.isUp);
    expect(bed.keys).toBe(2);
  }
  bed.client.wanDown(bed.now, "no link");
  expect(bed.keys).toBe(0);
  bed.client.wanUp(bed.now, []);
  bed.until(() => bed.isUp);
  bed.client.stop(bed.now, "reload");
  expect([bed.keys, bed.links]).toEqual([0, 6]);
});

test("a client that is stopped says goodbye to the server, where the profile has explicit-exit-notify", () => {
  for (const exitNotify of [0, 1]) {
    const bed = new Bed(PUSH, { remotes: [REMOTE], exitNotify });
    bed.client.wanUp(bed.now, []);
    bed.until(() => bed.isUp);
    bed.client.stop(bed.now, "reload");
    expect([exitNotify, bed.wasLeft]).toEqual([exitNotify, exitNotify === 1]);
  }
});

test("so does one whose tunnel cannot be opened", () => {
  const bed = new Bed(PUSH.filter((option) => !option.startsWith("ifconfig")));
  bed.client.wanUp(bed.now, []);
  bed.until(() => bed.links === 5 && bed.isIdle);
  expect(bed.keys).toBe(0);
});

test("the next session logs in with the token of the one before, also over a change of the WAN", () => {
  const bed = new Bed([...PUSH, "auth-token first"]);
  for (const password of ["pw", "first", "first"]) {
    bed.client.wanUp(bed.now, []);
    bed.until(() => bed.isUp);
    expect(bed.password).toBe(password);
  }
});

test("a refused token is given up for the password at once; a refused password waits, whatever the WAN does", () => {
  const bed = new Bed([...PUSH, "auth-token first"]);
  bed.client.wanUp(bed.now, []);
  bed.until(() => bed.isUp);
  bed.client.wanUp(bed.now, []);
  bed.until(() => bed.isUp);
  bed.say("AUTH_FAILED");
  const refusedAt = bed.now;
  bed.until(() => bed.links === 3 && bed.isUp);
  expect(bed.password).toBe("pw");
  expect(bed.now - refusedAt).toBeLessThan(2000);
  bed.say("AUTH_FAILED");
  bed.until(() => bed.isIdle);
  const from = bed.now;
  bed.client.wanDown(bed.now, "no link");
  bed.client.wanUp(bed.now, []);
  bed.until(() => bed.links === 4);
  expect(bed.now - from).toBeGreaterThan(59_000);
});

test("remote-random-hostname: each look-up is of another name below the remote's (man openvpn)", () => {
  const asked: string[] = [];
  const log: Log = {
    enabled: () => true,
    write(_level, _event, _message, fields) {
      if (fields?.["host"] !== undefined) asked.push(String(fields["host"]));
    },
  };
  const RANDOM_HOSTNAME = { ...clientConfig([], NO_WRAP).retry, remoteRandomHostname: true };
  const bed = new Bed(PUSH, { retry: RANDOM_HOSTNAME }, log);
  for (let i = 0; i < 3; i++) bed.client.wanUp(bed.now, [IpAddress.fromIpv4(1)]);
  expect(new Set(asked).size).toBe(3);
  for (const host of asked) expect(host).toMatch(/^[0-9a-f]{12}\.vpn\.example$/);
  const fixed = new Bed(PUSH, { retry: RANDOM_HOSTNAME, remotes: [REMOTE] });
  fixed.client.wanUp(fixed.now, [IpAddress.fromIpv4(1)]);
  fixed.until(() => fixed.isUp);
});

describe("a server's name", () => {
  const DNS = [IpAddress.fromIpv4(0x0a000001)];
  const NAMED = { remotes: [{ ...REMOTE, host: "vpn.example" }] };

  test("is asked for anew while the server is silent, and once its address has failed: where it leads then counts", () => {
    const bed = new Bed(PUSH, NAMED);
    bed.names.set("vpn.example", ["203.0.113.10"]);
    bed.isSilent = true;
    bed.client.wanUp(bed.now, DNS);
    bed.until(() => bed.asked.length === 2);
    expect(bed.links).toBe(1);
    bed.names.set("vpn.example", ["203.0.113.11"]);
    bed.until(() => bed.links === 2);
    bed.isSilent = false;
    expect(bed.dialled).toEqual(["203.0.113.10", "203.0.113.11"]);
    bed.until(() => bed.isUp);
  });

  test("that moved is found within 20 s of silence", () => {
    const bed = new Bed(PUSH, NAMED);
    bed.names.set("vpn.example", ["203.0.113.10"]);
    bed.isSilent = true;
    const from = bed.now;
    bed.client.wanUp(from, DNS);
    bed.until(() => bed.links === 1);
    bed.names.set("vpn.example", ["203.0.113.11"]);
    bed.until(() => bed.links === 2);
    expect([bed.dialled.at(-1), bed.now - from < 20_000]).toEqual(["203.0.113.11", true]);
  });

  test("with several addresses: each is tried in the order of one answer, then it is asked for again; also at another WAN address", () => {
    const bed = new Bed(PUSH, NAMED);
    bed.names.set("vpn.example", ["203.0.113.10", "203.0.113.11"]);
    bed.isSilent = true;
    bed.client.wanUp(bed.now, DNS);
    bed.until(() => bed.links === 1);
    bed.names.set("vpn.example", ["203.0.113.11", "203.0.113.10"]); // as servers rotate them
    bed.until(() => bed.links === 2);
    expect([bed.dialled, bed.asked.length]).toEqual([["203.0.113.10", "203.0.113.11"], 1]);
    bed.until(() => bed.links === 3);
    expect(bed.asked.length).toBe(2);
    bed.client.wanUp(bed.now, DNS);
    bed.until(() => bed.links === 4);
    expect(bed.asked.length).toBe(3);
  });

  test("never leads to addresses that cannot be a server's, whether a resolver or the profile gives them", () => {
    const words: string[] = [];
    const log: Log = { enabled: () => true, write: (_level, event, text) => void words.push(`${event} ${text}`) };
    const bed = new Bed(PUSH, NAMED, log);
    for (const bad of ["0.0.0.0", "127.0.0.1", "255.255.255.255", "192.168.50.1", "198.51.100.9", "198.51.100.255"]) {
      bed.names.set("vpn.example", [bad]);
      const before = bed.asked.length;
      bed.client.wanUp(bed.now, DNS);
      bed.until(() => bed.asked.length > before + 2);
      const literal = new Bed(PUSH, { remotes: [{ ...REMOTE, host: bad }] });
      literal.client.wanUp(literal.now, DNS);
      literal.until(() => literal.now > 60_000);
      expect([bed.links, literal.links]).toEqual([0, 0]);
    }
    expect(words.find((line) => line.includes("link.unresolved"))).toContain("the resolver blocks this name");
    // The resolver is right again: within the wait between two tries.
    bed.names.set("vpn.example", ["203.0.113.10"]);
    const from = bed.now;
    bed.until(() => bed.isUp);
    expect(bed.now - from).toBeLessThan(10_000);
  });
});
