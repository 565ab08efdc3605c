import { describe, expect, test } from "bun:test";
import { CERTIFICATE, clientConfig, NO_WRAP, PUSH, TLS_AUTH, TLS_CRYPT } from "../../test/support/client-config.ts";
import { fakeTls, fakeTlsContext } from "../../test/support/fake-tls.ts";
import { OpenvpnPeer } from "../../test/support/openvpn-peer.ts";
import { staticConfig } from "../../test/support/static-config.ts";
import { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { Arena, slabOver } from "../lib/slab.ts";
import type { ClientConfig, ControlWrap, DialConfig, StaticConfig } from "../protocol/config/types.ts";
import { noblePrimitives } from "../protocol/control/noble-primitives.ts";
import { nobleAead } from "../protocol/data/noble-aead.ts";
import { nobleCbc } from "../protocol/data/noble-cbc.ts";
import { type AeadFactory, NO_DECOMPRESSORS, type TlsContextFactory } from "../protocol/ports.ts";
import { NOTHING_SEEN } from "../protocol/session/sightings.ts";
import { StaticSession } from "../protocol/session/static.ts";
import { Dialer } from "./dialer.ts";
import { DialHistory } from "./history.ts";
import type { Link, LinkFactory, LinkReceiver, LinkRequest } from "./link.ts";
import type { Resolution, Resolver } from "./resolve.ts";
import type { OpenTunnel, TunnelSide } from "./side.ts";

const AT = 256;
const SCRATCH = 8192;
const address = (text: string): IpAddress => parseIp(text) as IpAddress;

/** A resolver that knows what it is told to know, and is silent otherwise. */
class Names implements Resolver {
  readonly known = new Map<string, readonly string[] | string>();
  /** What a person should know of every answer. */
  note: string | undefined;
  readonly asked: string[] = [];
  #question: { readonly name: string; readonly done: (now: number, result: Resolution) => void } | undefined;

  resolve(_now: number, name: string, _family: string, done: (now: number, result: Resolution) => void): void {
    this.asked.push(name);
    this.#question = { name, done };
  }

  cancel(): void {
    this.#question = undefined;
  }

  pollAt = (): number => Number.POSITIVE_INFINITY;

  poll(now: number): void {
    const question = this.#question;
    const answer = question && this.known.get(question.name);
    if (question === undefined || answer === undefined) return;
    this.#question = undefined;
    if (typeof answer === "string") question.done(now, { ok: false, text: answer });
    else question.done(now, { ok: true, addresses: answer.map(address), note: this.note });
  }
}

/** The far end of a link is a server of its own, which answers at once. */
class FakeLink implements Link {
  readonly overhead = 28;
  readonly isStream = false;
  readonly mtu = 1500;
  readonly request: LinkRequest;
  readonly receiver: LinkReceiver;
  readonly server: OpenvpnPeer;
  readonly endpoints: Endpoint[];
  /** Paths that packets went to. */
  readonly sentTo = new Set<number>();
  seen: Omit<typeof NOTHING_SEEN, "otherKey"> = NOTHING_SEEN;
  isSilent = false;
  /** Of TCP: not yet. */
  isOpen: boolean;
  isClosed = false;
  settled = 0;
  /** Packets of the tunnel that went out. */
  sealed = 0;

  constructor(request: LinkRequest, receiver: LinkReceiver, server: OpenvpnPeer) {
    this.request = request;
    this.receiver = receiver;
    this.server = server;
    this.isOpen = request.protocol === "udp" && request.proxy === undefined;
    this.endpoints = [request.remote, { ...request.remote, address: address("203.0.113.99") }];
  }

  admit = (rows: Batch): number => rows.count;
  drops = () => ({});

  send(_now: number, path: number, rows: Batch): void {
    this.sentTo.add(path);
    this.sealed += rows.count;
  }

  sendPacket(now: number, path: number, packet: Uint8Array): void {
    this.sentTo.add(path);
    if (!this.isSilent) this.server.handle(now, packet);
  }

  settle(path: number): void {
    this.settled = path;
  }

  endpoint = (path: number): Endpoint => this.endpoints[path] as Endpoint;
  sightings = () => this.seen;

  /** The connection is there, or the proxy leads to the server. */
  becomeOpen(now: number): void {
    this.isOpen = true;
    this.receiver.opened(now);
  }

  close(): void {
    this.isClosed = true;
  }
}

const REMOTE = {
  host: "203.0.113.10",
  port: 1194,
  protocol: "udp",
  family: "any",
  origin: { file: "x", line: 1 },
  own: {},
} as const;
const NAMED = { remotes: [{ ...REMOTE, host: "vpn.example" }] };

interface BedOptions {
  readonly push?: readonly string[];
  readonly config?: Partial<ClientConfig>;
  /** In the place of a client's. */
  readonly static?: StaticConfig;
  readonly wrap?: ControlWrap;
  readonly serverWrap?: ControlWrap;
  /** Why the side refuses a tunnel. */
  readonly refusal?: string;
}

class DialerBed implements LinkFactory, TunnelSide {
  now = 1000;
  dialer: Dialer;
  readonly names = new Names();
  /** All of them, open or not. */
  readonly links: FakeLink[] = [];
  readonly lines: string[] = [];
  readonly lan = [];
  readonly delivered: number[] = [];
  /** Keys that were made and not closed, and contexts of TLS. */
  keys = 0;
  contexts = 0;
  isSilent = false;
  /** Where the server answers from. */
  path = 0;
  tunnel: OpenTunnel | undefined;
  readonly #slab = slabOver(new ArrayBuffer(4 * SCRATCH));
  readonly #options: BedOptions;
  readonly #random = seededRandom(1);
  readonly #config: DialConfig;
  readonly #history: DialHistory;

  constructor(options: BedOptions = {}) {
    this.#options = options;
    const client = { ...clientConfig([], options.wrap ?? NO_WRAP), remotes: [REMOTE], ...options.config };
    this.#config = options.static ?? client;
    this.#history = new DialHistory(this.#config, this.#random);
    this.dialer = this.#newDialer();
  }

  /** As after an internal error: another dialer, which knows what the one before knew. */
  replaceDialer(): void {
    this.dialer.discard(this.now);
    this.down();
    for (const link of this.links) link.close();
    this.dialer = this.#newDialer();
  }

  #newDialer(): Dialer {
    const log: Log = {
      enabled: () => true,
      write: (level, event, text, fields = {}) =>
        this.lines.push(`${level} ${event} ${JSON.stringify(fields)} ${text}`),
    };
    return new Dialer({
      config: this.#config,
      history: this.#history,
      side: this,
      links: this,
      resolver: this.names,
      slab: this.#slab,
      scratch: new Arena(this.#slab, SCRATCH, 2 * SCRATCH),
      cbc: nobleCbc(this.#slab),
      decompressors: NO_DECOMPRESSORS,
      aead: this.#counting(nobleAead(this.#slab)),
      control: noblePrimitives,
      tls: this.#countingContexts(fakeTls(this.#random, CERTIFICATE)),
      log,
      random: this.#random,
      unixSeconds: () => 1_700_000_000,
    });
  }

  get link(): FakeLink | undefined {
    return this.links.findLast((link) => !link.isClosed);
  }

  get isUp(): boolean {
    return this.tunnel !== undefined;
  }

  /** Hosts that were dialled, in their order. */
  get dialled(): string[] {
    return this.links.map(({ request }) => `${request.remote.address}`);
  }

  /** What the client logged in with last. */
  get password(): string | undefined {
    return this.links.at(-1)?.server.login[1];
  }

  open(_now: number, request: LinkRequest, receiver: LinkReceiver): Link | string {
    if (request.localPort === 1) return "the local port 1 is in use";
    const link = new FakeLink(request, receiver, this.#newServer());
    link.isSilent = this.isSilent;
    this.links.push(link);
    return link;
  }

  refusal(remote: IpAddress): string | undefined {
    return `${remote}` === "198.51.100.9" ? "our own address" : undefined;
  }

  up(_now: number, tunnel: OpenTunnel): string | undefined {
    if (this.#options.refusal !== undefined) return this.#options.refusal;
    this.tunnel = tunnel;
    return undefined;
  }

  down(): void {
    this.tunnel = undefined;
  }

  deliver(_now: number, rows: Batch): void {
    for (let i = 0; i < rows.count; i++) this.delivered.push(rows.len[i]!);
  }

  /** Lets the time pass until the condition holds. */
  until(condition: () => boolean): void {
    for (let steps = 0; !condition(); steps++) {
      if (steps > 100_000) throw new Error(`it does not come to hold: ${this.lines.slice(-5).join("\n")}`);
      this.now += 10;
      this.step();
    }
  }

  step(): void {
    this.dialer.poll(this.now);
    const { link } = this;
    if (link !== undefined && !link.isSilent)
      for (let p = link.server.poll(this.now); p !== undefined; p = link.server.poll(this.now)) this.receive(p);
    this.dialer.poll(this.now);
  }

  /** A packet comes out of the link. */
  receive(packet: Uint8Array, path = this.path): void {
    const rows = new Batch(1);
    this.#slab.bytes.set(packet, AT);
    rows.push(AT, packet.length);
    this.link?.receiver.handleRows(this.now, path, rows);
  }

  /** The side sends a packet of so many bytes. */
  send(len: number): void {
    const rows = new Batch(1);
    rows.push(AT, len);
    this.tunnel?.send(this.now, rows);
  }

  #newServer(): OpenvpnPeer {
    const random = this.#random;
    const { push = PUSH, wrap = NO_WRAP, serverWrap = wrap } = this.#options;
    const far = serverWrap.kind === "tls-auth" ? { ...serverWrap, direction: 0 as const } : serverWrap;
    const keys = { cipher: "AES-256-GCM", peerId: 5, push, ekm: true } as const;
    return new OpenvpnPeer({ wrap: far, tls: fakeTlsContext(true, random, CERTIFICATE), random, ...keys });
  }

  #countingContexts(tls: TlsContextFactory): TlsContextFactory {
    return {
      context: (parameters) => {
        this.contexts++;
        const context = tls.context(parameters);
        return { engine: (accept) => context.engine(accept), close: () => void this.contexts-- };
      },
    };
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

test("a remote with a key of its own for control packets is spoken to under it, and named with it", () => {
  const remotes = [REMOTE, { ...REMOTE, host: "203.0.113.11", own: { wrap: TLS_CRYPT } }];
  const bed = new DialerBed({ wrap: TLS_AUTH, serverWrap: TLS_CRYPT, config: { remotes } });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  expect(bed.links.length).toBe(2);
  expect(bed.lines.find((line) => line.includes("link.silent"))).toContain("tls-auth");
  bed.isSilent = true;
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.lines.at(-1)?.includes("link.silent") === true);
  expect(bed.lines.at(-1)).toContain("tls-crypt");
});

test("the web page of a login is told, and known until the tunnel is up", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  const server = () => bed.link?.server as OpenvpnPeer;
  server().withholdsPush = true;
  bed.until(() => server().session.state === "login");
  server().say("AUTH_PENDING,timeout 60");
  server().say("INFO_PRE,WEB_AUTH::https://login.example/x");
  bed.until(() => bed.dialer.loginPage !== undefined);
  expect(bed.dialer.loginPage).toBe("https://login.example/x");
  expect(bed.lines.find((line) => line.includes("auth.url"))).toContain("https://login.example/x");
  server().session.decide(bed.now, { kind: "accept", peerId: 5, options: PUSH });
  bed.until(() => bed.isUp);
  expect(bed.dialer.loginPage).toBeUndefined();
});

test("whoever looks on sees what the tunnel is and since when, and without one why there is none", () => {
  const bed = new DialerBed({ config: NAMED });
  const status = () => bed.dialer.status;
  expect(status()).toMatchObject({ state: "waiting", since: undefined, reason: undefined, tunnel: undefined });
  bed.names.known.set("vpn.example", "vpn.example: there is no such name");
  bed.dialer.networkUp(bed.now);
  bed.until(() => status().state === "backing-off");
  expect(status()).toMatchObject({ reason: "vpn.example: there is no such name", server: undefined });
  bed.names.known.set("vpn.example", ["203.0.113.10"]);
  bed.until(() => status().state === "connecting");
  expect(status()).toMatchObject({ server: "203.0.113.10:1194", protocol: "udp", tunnel: undefined });
  bed.until(() => bed.isUp);
  const upAt = bed.now;
  expect(status()).toMatchObject({ state: "up", since: upAt, reason: undefined });
  expect(status().tunnel).toMatchObject({ cipher: "AES-256-GCM", mtu: bed.tunnel!.mtu, options: bed.tunnel!.options });
  bed.link!.server.say("PUSH_UPDATE,tun-mtu 1300");
  bed.until(() => bed.tunnel?.mtu === 1300);
  expect(status()).toMatchObject({ since: upAt, tunnel: { mtu: 1300, cipher: "AES-256-GCM" } });
  bed.now += 5000;
  bed.dialer.networkDown(bed.now, "the WAN link is down");
  expect(status()).toMatchObject({
    state: "waiting",
    since: bed.now,
    reason: "the WAN link is down",
    tunnel: undefined,
  });
});

test("what the server changes while the tunnel is up becomes of the side, and is told", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  const address = () => `${bed.tunnel?.options.address} ${bed.tunnel?.mtu} ${bed.tunnel?.options.routes.length}`;
  const before = address();
  bed.link?.server.say("PUSH_UPDATE,ifconfig 10.8.0.9 255.255.255.0,tun-mtu 1400,route 10.1.0.0 255.255.0.0");
  bed.until(() => bed.lines.at(-1)?.includes("tunnel.changed") === true);
  expect([before, address()]).toEqual(["10.8.0.2/24 1500 1", "10.8.0.9/24 1400 2"]);
  expect(bed.lines.at(-1)).toContain('"mtu":1400');
  expect(bed.keys).toBe(2);
  // What makes no tunnel ends the session.
  bed.link?.server.say("PUSH_UPDATE,-ifconfig");
  bed.until(() => !bed.isUp);
  expect(bed.lines.find((line) => line.includes("tunnel.down"))).toContain("ifconfig");
});

test("a server that demands new keys without end does not fill the log", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  for (let n = 0; n < 100; n++) {
    const next = bed.now + 1100;
    bed.link?.server.renegotiate(bed.now);
    bed.until(() => bed.now >= next);
  }
  const lines = bed.lines.filter((line) => line.includes("tunnel.rekeyed"));
  expect(lines.length).toBeWithin(64, 80);
});

test("a session that is given up lets go of its keys and its link: another network, none, a reload", () => {
  const bed = new DialerBed();
  for (let i = 0; i < 5; i++) {
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    expect(bed.keys).toBe(2);
  }
  bed.dialer.networkDown(bed.now, "no link");
  expect([bed.keys, bed.isUp]).toEqual([0, false]);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.dialer.stop(bed.now, "reload");
  expect([bed.keys, bed.contexts]).toEqual([0, 0]);
  expect([bed.links.length, bed.link, bed.isUp]).toEqual([6, undefined, false]);
});

test("a dialer that is stopped says goodbye to the server, where the profile has explicit-exit-notify", () => {
  for (const exitNotify of [0, 1]) {
    const bed = new DialerBed({ config: { exitNotify } });
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    bed.dialer.stop(bed.now, "reload");
    expect([exitNotify, bed.links.at(-1)?.server.exited === true]).toEqual([exitNotify, exitNotify === 1]);
  }
});

test("so does one whose tunnel cannot be opened, because of the push or of the side", () => {
  for (const options of [{ push: PUSH.filter((option) => !option.startsWith("ifconfig")) }, { refusal: "no device" }]) {
    const bed = new DialerBed(options);
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 5 && bed.link === undefined);
    expect([bed.keys, bed.isUp]).toEqual([0, false]);
    expect(bed.lines.some((line) => line.includes("what the server pushes cannot be used"))).toBe(true);
  }
});

test("the side is told what the tunnel is; what it sends is sealed, and what comes is opened and delivered", () => {
  const bed = new DialerBed({ push: [...PUSH, "tun-mtu 1400", "route 10.1.0.0 255.255.0.0"] });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  expect(bed.tunnel).toMatchObject({ mtu: 1400 });
  expect(bed.tunnel!.options.routes.map(({ network }) => `${network}`)).toEqual(["10.8.0.0/24", "10.1.0.0/16"]);
  bed.send(40);
  expect(bed.link?.sealed).toBe(1);
  bed.receive(bed.link!.server.seal(bed.now, Uint8Array.of(0x45, ...Array(29).fill(0))) as Uint8Array);
  expect(bed.delivered).toEqual([30]);
});

test("the local port that is in use is said, and tried again", () => {
  const bed = new DialerBed({ config: { link: { localPort: 1, streamPort: 1, float: false } } });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.now > 30_000);
  expect(bed.lines.filter((line) => line.includes("the local port 1 is in use")).length).toBeGreaterThan(2);
});

test("a connection, and datagrams through a proxy, begin at a port of their own unless a line asks for one", () => {
  const asked = (streamPort: number | undefined, remote: object): number | undefined => {
    const config = { link: { localPort: 1194, streamPort, float: false }, remotes: [{ ...REMOTE, ...remote }] };
    const bed = new DialerBed({ config });
    bed.dialer.networkUp(bed.now);
    return bed.links[0]?.request.localPort;
  };
  const proxy = { kind: "socks", host: "203.0.113.21", port: 1080, origin: REMOTE.origin, login: undefined } as const;
  expect([asked(undefined, {}), asked(undefined, { protocol: "tcp" }), asked(1194, { protocol: "tcp" })]).toEqual([
    1194,
    undefined,
    1194,
  ]);
  expect(asked(undefined, { own: { proxy } })).toBeUndefined();
});

test("a name's address that cannot be a server's is passed over for its next one", () => {
  const bed = new DialerBed({ config: { remotes: [{ ...REMOTE, host: "vpn.example" }] } });
  bed.names.known.set("vpn.example", ["198.51.100.9", "192.0.2.1"]);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  expect(bed.dialled).toEqual(["192.0.2.1"]);
  expect(bed.names.asked).toEqual(["vpn.example"]);
});

test("a link that cannot be made costs one address of a name, not all of them", () => {
  const config = { link: { localPort: 1, streamPort: 1, float: false }, remotes: [{ ...REMOTE, host: "vpn.example" }] };
  const bed = new DialerBed({ config });
  bed.names.known.set("vpn.example", ["192.0.2.1", "192.0.2.2"]);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.names.asked.length === 2);
  const askedAgain = bed.lines.findLastIndex((line) => line.includes("link.resolving"));
  const before = bed.lines.slice(0, askedAgain);
  expect(before.filter((line) => line.includes("the local port 1 is in use"))).toHaveLength(2);
});

test("the next session logs in with the token of the one before, also over a change of the network", () => {
  const bed = new DialerBed({ push: [...PUSH, "auth-token first"] });
  for (const password of ["pw", "first", "first"]) {
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    expect(bed.password).toBe(password);
  }
});

test("a dialer that takes the place of a failed one waits as that one would have, and logs in with its token", () => {
  const bed = new DialerBed({ push: [...PUSH, "auth-token first"] });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.replaceDialer();
  expect([bed.keys, bed.contexts]).toEqual([0, 0]);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  expect(bed.password).toBe("first");

  const refused = new DialerBed();
  refused.dialer.networkUp(refused.now);
  refused.until(() => refused.isUp);
  refused.link?.server.say("AUTH_FAILED");
  refused.until(() => !refused.isUp);
  const refusedAt = refused.now;
  refused.replaceDialer();
  refused.dialer.networkUp(refused.now);
  refused.until(() => refused.links.length === 2);
  expect(refused.now - refusedAt).toBeGreaterThanOrEqual(59_000);
});

test("a refused token is given up for the password at once; a refused password waits, whatever the network does", () => {
  const bed = new DialerBed({ push: [...PUSH, "auth-token first"] });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.link?.server.say("AUTH_FAILED");
  const refusedAt = bed.now;
  bed.until(() => bed.links.length === 3 && bed.isUp);
  expect(bed.password).toBe("pw");
  expect(bed.now - refusedAt).toBeLessThan(2000);
  bed.link?.server.say("AUTH_FAILED");
  bed.until(() => bed.link === undefined);
  const from = bed.now;
  bed.dialer.networkDown(bed.now, "no link");
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.links.length === 4);
  expect(bed.now - from).toBeGreaterThan(59_000);
});

test("remote-random-hostname: each look-up is of another name below the remote's (man openvpn)", () => {
  const retry = { ...clientConfig([], NO_WRAP).retry, remoteRandomHostname: true };
  const bed = new DialerBed({ config: { ...NAMED, retry } });
  for (let i = 0; i < 3; i++) bed.dialer.networkUp(bed.now);
  expect(new Set(bed.names.asked).size).toBe(3);
  for (const host of bed.names.asked) expect(host).toMatch(/^[0-9a-f]{12}\.vpn\.example$/);
  const fixed = new DialerBed({ config: { retry } });
  fixed.dialer.networkUp(fixed.now);
  fixed.until(() => fixed.isUp);
});

describe("a server's name", () => {
  test("is asked for anew while the server is silent, and once its address has failed: where it leads then counts", () => {
    const bed = new DialerBed({ config: NAMED });
    bed.names.known.set("vpn.example", ["203.0.113.10"]);
    bed.isSilent = true;
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.names.asked.length === 2);
    expect(bed.links.length).toBe(1);
    bed.names.known.set("vpn.example", ["203.0.113.11"]);
    bed.isSilent = false;
    bed.until(() => bed.isUp);
    expect(bed.dialled).toEqual(["203.0.113.10", "203.0.113.11"]);
  });

  test("that moved is found within 20 s of silence", () => {
    const bed = new DialerBed({ config: NAMED });
    bed.names.known.set("vpn.example", ["203.0.113.10"]);
    bed.isSilent = true;
    const from = bed.now;
    bed.dialer.networkUp(from);
    bed.until(() => bed.links.length === 1);
    bed.names.known.set("vpn.example", ["203.0.113.11"]);
    bed.until(() => bed.links.length === 2);
    expect([bed.dialled.at(-1), bed.now - from < 20_000]).toEqual(["203.0.113.11", true]);
  });

  test("that leads where it did, or elsewhere by a doubtful answer, moves nothing while the server is silent", () => {
    for (const [known, note] of [
      [["203.0.113.10"], undefined],
      [["203.0.113.11"], "the resolver answers every name with this address"],
    ] as const) {
      const bed = new DialerBed({ config: NAMED });
      bed.names.known.set("vpn.example", ["203.0.113.10"]);
      bed.isSilent = true;
      bed.dialer.networkUp(bed.now);
      bed.until(() => bed.links.length === 1);
      bed.names.known.set("vpn.example", known);
      bed.names.note = note;
      bed.until(() => bed.names.asked.length === 2);
      const asked = bed.now;
      bed.until(() => bed.now > asked + 10_000);
      expect(bed.dialled).toEqual(["203.0.113.10"]);
    }
  });

  test("with several addresses: each is tried in the order of one answer, then it is asked for again; also in another network", () => {
    const bed = new DialerBed({ config: NAMED });
    bed.names.known.set("vpn.example", ["203.0.113.10", "203.0.113.11"]);
    bed.isSilent = true;
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 1);
    bed.names.known.set("vpn.example", ["203.0.113.11", "203.0.113.10"]); // as servers rotate them
    bed.until(() => bed.links.length === 2);
    expect([bed.dialled, bed.names.asked.length]).toEqual([["203.0.113.10", "203.0.113.11"], 1]);
    bed.until(() => bed.links.length === 3);
    expect(bed.names.asked.length).toBe(2);
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 4);
    expect(bed.names.asked.length).toBe(3);
  });

  test("that does not resolve is asked for again, in few lines of the log; right again, it is found within the wait", () => {
    const bed = new DialerBed({ config: NAMED });
    bed.names.known.set("vpn.example", "the resolver blocks this name");
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.names.asked.length === 20);
    const told = bed.lines.filter((line) => line.includes("link.unresolved"));
    expect(told.length).toBeGreaterThanOrEqual(3);
    expect(told.length).toBeLessThan(8);
    // Whoever looks at the last lines sees why.
    bed.until(() => bed.lines.at(-1)!.includes("link.waiting"));
    expect(bed.lines.slice(-4).join("\n")).toContain("the resolver blocks this name");
    const said = bed.lines.filter((line) => line.includes("the resolver blocks this name"));
    expect(said.length).toBe(bed.lines.filter((line) => /link\.(unresolved|waiting .*blocks)/.test(line)).length);
    bed.names.known.set("vpn.example", ["203.0.113.10"]);
    const from = bed.now;
    bed.until(() => bed.isUp);
    expect(bed.now - from).toBeLessThan(10_000);
  });
});

test("an address of the profile that cannot be a server's is never dialled", () => {
  for (const host of ["0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", "198.51.100.9"]) {
    const bed = new DialerBed({ config: { remotes: [{ ...REMOTE, host }] } });
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.now > 60_000);
    expect(bed.links.length).toBe(0);
    expect(bed.lines.some((line) => line.includes(`the remote ${host} is`))).toBe(true);
  }
});

describe("a server that answers from another address", () => {
  const FLOAT = { config: { link: { localPort: undefined, streamPort: undefined, float: true } } };

  test("is followed there once its packets prove that it is the server", () => {
    const bed = new DialerBed(FLOAT);
    bed.path = 1;
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    expect([bed.link?.settled, bed.link?.sentTo.has(1)]).toEqual([1, true]);
    expect(bed.lines.some((line) => line.includes("link.floated") && line.includes("203.0.113.99"))).toBe(true);
  });

  test("moves while the tunnel is up by data that only it can make; forged packets move nothing", () => {
    const bed = new DialerBed({ ...FLOAT, push: [...PUSH, "ping 1"] });
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    const { link } = bed;
    for (const packet of ["300000000000", "4800000500000001ffffffffffffffffffffffffffffffff00", "28"])
      bed.receive(Uint8Array.fromHex(packet), 1);
    expect([link?.settled, link?.sentTo.has(1)]).toEqual([0, false]);
    const sealed = link!.server.seal(bed.now, Uint8Array.of(0x45, ...Array(19).fill(0))) as Uint8Array;
    bed.receive(sealed, 1);
    expect(link?.settled).toBe(1);
    expect(bed.delivered).toEqual([20]);
    // The same again is a replay, from wherever it comes.
    bed.receive(sealed, 0);
    expect(link?.settled).toBe(1);
  });

  test("without float is named with that address", () => {
    const bed = new DialerBed();
    bed.isSilent = true;
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 1);
    bed.link!.seen = { ...NOTHING_SEEN, stranger: { address: address("203.0.113.11"), port: 1194 } };
    bed.until(() => bed.lines.some((line) => line.includes("link.silent")));
    expect(bed.lines.find((line) => line.includes("link.silent"))).toMatch(/203\.0\.113\.11:1194 instead: .*add float/);
  });
});

test("a server whose key is another is told from one that is silent", () => {
  const other = { ...TLS_AUTH, key: Uint8Array.from({ length: 256 }, (_, i) => i) } as ControlWrap;
  const bed = new DialerBed({ wrap: TLS_AUTH, serverWrap: other });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.link !== undefined);
  // It drops what does not fit its own key; but its reset for somebody else may come here.
  bed.receive(Uint8Array.of(8 << 3, ...Array(60).fill(7)));
  bed.until(() => bed.lines.some((line) => line.includes("link.silent")));
  expect(bed.lines.find((line) => line.includes("link.silent"))).toMatch(/does not fit the tls-auth key/);
});

test("a server that lets the session up and ends it at once is asked less and less often, in few lines of the log", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  const from = bed.now;
  while (bed.now - from < 600_000) {
    bed.until(() => bed.isUp || bed.now - from >= 600_000);
    if (!bed.isUp) break;
    for (let i = 0; i < 10; i++) bed.link?.server.say(`INFO,${i}`);
    bed.link?.server.say("RESTART");
    bed.until(() => !bed.isUp);
  }
  expect(bed.links.length).toBeLessThan(120);
  expect(bed.lines.filter((line) => !line.startsWith("debug")).length).toBeLessThan(1000);
});

test("a clock that jumps by more than ping-restart, as after a suspension, means to connect anew at once", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.now += 3_600_000;
  const resumed = bed.now;
  bed.until(() => bed.links.length === 2 && bed.isUp);
  expect(bed.now - resumed).toBeLessThan(3000);
  expect(bed.lines.some((line) => line.includes("tunnel.down") && line.includes("ping-timeout"))).toBe(true);
});

test("a pushed tun-mtu counts up to tun-mtu-max (man openvpn), and what is left of it is told", () => {
  const base = clientConfig([], NO_WRAP);
  const bed = new DialerBed({
    push: [...PUSH, "tun-mtu 4000"],
    config: { tunnel: { ...base.tunnel, mtuMax: 1600 } },
  });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  expect(bed.tunnel?.mtu).toBe(1600);
  expect(bed.lines.filter((line) => line.includes("tun-mtu-max"))).toHaveLength(1);
});

describe("a link that is a connection", () => {
  const TCP = { ...REMOTE, protocol: "tcp" } as const;
  const [FIRST, SECOND] = [TCP, { ...TCP, host: "203.0.113.11" }];

  test("is waited for; then the session begins, and comes up", () => {
    const bed = new DialerBed({ config: { remotes: [FIRST] } });
    bed.dialer.networkUp(bed.now);
    bed.now += 2000;
    bed.step();
    expect([bed.link?.sentTo.size, bed.isUp]).toEqual([0, false]);
    bed.link?.becomeOpen(bed.now);
    bed.until(() => bed.isUp);
  });

  test("costs 15 s where nobody answers, whether to the connection or over it, and nothing where it is refused", () => {
    for (const isConnected of [false, true]) {
      const bed = new DialerBed({ config: { remotes: [FIRST, SECOND] } });
      bed.isSilent = true;
      bed.dialer.networkUp(bed.now);
      const begun = bed.now;
      bed.until(() => bed.now - begun >= 5000);
      if (isConnected) bed.link?.becomeOpen(bed.now);
      bed.until(() => bed.links.length === 2);
      expect(bed.now - begun).toBeGreaterThanOrEqual(15_000);
      expect(bed.now - begun).toBeLessThan(16_000);
    }
    const refused = new DialerBed({ config: { remotes: [FIRST, SECOND] } });
    refused.dialer.networkUp(refused.now);
    const begun = refused.now;
    refused.link?.receiver.ended(refused.now, { kind: "link-refused" });
    refused.until(() => refused.links.length === 2);
    expect(refused.now - begun).toBeLessThan(1000);
    expect(refused.lines.join("\n")).toContain("203.0.113.10 port 1194 (TCP) refuses the connection");
  });

  test("that ends behind the server's last word ends for the reason that the word gives", () => {
    const bed = new DialerBed({ config: { remotes: [FIRST] } });
    bed.dialer.networkUp(bed.now);
    bed.link?.becomeOpen(bed.now);
    bed.until(() => bed.isUp);
    const { link } = bed;
    link?.server.say("RESTART,maintenance");
    for (let p = link?.server.poll(bed.now); p !== undefined; p = link?.server.poll(bed.now)) bed.receive(p);
    link?.receiver.ended(bed.now, { kind: "link-closed" });
    expect(bed.lines.filter((line) => line.includes("tunnel.down"))).toEqual([
      expect.stringContaining("server-restart"),
    ]);
    bed.until(() => bed.links.length === 2);
    bed.link?.becomeOpen(bed.now);
    bed.until(() => bed.isUp);
    bed.link?.receiver.ended(bed.now, { kind: "link-reset" });
    expect([bed.isUp, bed.lines.filter((line) => line.includes("link-reset")).length]).toEqual([false, 1]);
    bed.until(() => bed.links.length === 3);
  });
});

describe("through a proxy", () => {
  const origin = { file: "x", line: 1 };
  const named = { host: "proxy.example", port: 3128, origin, login: undefined };
  const http = { ...named, kind: "http", method: "auto", version: "1.0", agent: undefined, headers: [] } as const;
  const remote = { ...REMOTE, host: "vpn.example", protocol: "tcp" } as const;

  test("only the proxy's name is asked for, and it is connected to; what it refuses is said with its address", () => {
    const bed = new DialerBed({ config: { remotes: [remote], proxy: http } });
    bed.names.known.set("proxy.example", ["203.0.113.20"]);
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 1);
    const { request, receiver } = bed.links[0]!;
    expect([bed.names.asked, request.remote.port, bed.dialled]).toEqual([["proxy.example"], 3128, ["203.0.113.20"]]);
    expect(String.fromCharCode(...request.proxy!.dialogue.begin())).toStartWith("CONNECT vpn.example:1194 HTTP/1.0");
    receiver.ended(bed.now, { kind: "proxy-failed", text: "asks for a login (407)" });
    receiver.ended(bed.now, { kind: "link-refused" });
    expect(bed.lines.at(-1)).toContain("the HTTP proxy 203.0.113.20 port 3128 asks for a login (407)");
    bed.until(() => bed.links.length === 2);
    bed.link?.becomeOpen(bed.now);
    bed.until(() => bed.isUp);
    expect(bed.lines.at(-1)).toContain('"server":"vpn.example:1194","proxy":"203.0.113.20:3128"');
  });

  test("that refuses the login is left alone for a minute, whatever the network does, and longer each time", () => {
    const bed = new DialerBed({ config: { remotes: [remote], proxy: http } });
    bed.names.known.set("proxy.example", ["203.0.113.20"]);
    bed.dialer.networkUp(bed.now);
    for (const [count, wait] of [
      [1, 60_000],
      [2, 120_000],
    ] as const) {
      bed.until(() => bed.links.length === count);
      bed.link?.receiver.ended(bed.now, { kind: "proxy-login-refused", text: "refuses user and password (407)" });
      const from = bed.now;
      bed.dialer.networkDown(bed.now, "no link");
      bed.dialer.networkUp(bed.now);
      bed.until(() => bed.links.length === count + 1);
      expect(bed.now - from).toBeGreaterThanOrEqual(wait);
    }
    expect(bed.lines.join("\n")).toContain("the HTTP proxy 203.0.113.20 port 3128 refuses user and password (407)");
  });

  test("of SOCKS, datagrams need the server's address as well; a block's proxy is the one of its server alone", () => {
    const socks = { ...named, kind: "socks", host: "203.0.113.21" } as const;
    const own = { ...REMOTE, host: "vpn.example", own: { proxy: socks } };
    const bed = new DialerBed({ config: { remotes: [own, REMOTE] } });
    bed.names.known.set("vpn.example", ["203.0.113.10"]);
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.links.length === 1);
    const { request, receiver } = bed.links[0]!;
    expect(`${request.remote.address} ${request.proxy?.server.address} ${request.proxy?.server.port}`).toBe(
      "203.0.113.21 203.0.113.10 1194",
    );
    expect(request.proxy?.dialogue.isForDatagrams).toBe(true);
    receiver.ended(bed.now, { kind: "link-refused" });
    bed.until(() => bed.links.length === 2);
    expect([bed.dialled[1], bed.links[1]?.request.proxy]).toEqual(["203.0.113.10", undefined]);
  });
});

test("a server over UDP to which the network has no way costs nothing where there is another; one that has answered is not given up", () => {
  const remotes = [REMOTE, { ...REMOTE, host: "203.0.113.11" }];
  const bed = new DialerBed({ config: { remotes } });
  bed.isSilent = true;
  bed.dialer.networkUp(bed.now);
  const begun = bed.now;
  const tell = (): void => {
    bed.link!.seen = { ...NOTHING_SEEN, unreachable: "port" };
    bed.link!.receiver.unreachable(bed.now);
  };
  tell();
  bed.isSilent = false;
  bed.until(() => bed.links.length === 2);
  expect(bed.now - begun).toBeLessThan(1000);
  expect(bed.lines.join("\n")).toContain("nothing listens on that port");
  bed.until(() => bed.lines.some((line) => line.includes("tls.established")));
  tell();
  bed.until(() => bed.isUp);
  tell();
  expect([bed.links.length, bed.isUp]).toEqual([2, true]);
  const alone = new DialerBed();
  alone.isSilent = true;
  alone.dialer.networkUp(alone.now);
  alone.link!.receiver.unreachable(alone.now);
  expect([alone.links.length, alone.link?.isClosed]).toEqual([1, false]);
});

test("of a name's addresses those that did not answer go last, also when a family has come to the WAN meanwhile", () => {
  const bed = new DialerBed({ config: NAMED });
  bed.isSilent = true;
  bed.names.known.set("vpn.example", ["203.0.113.10"]);
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.links.length === 1);
  bed.names.known.set("vpn.example", ["203.0.113.10", "203.0.113.11"]);
  const begun = bed.now;
  bed.until(() => bed.links.length === 2);
  expect([bed.now - begun < 18_000, bed.dialled]).toEqual([true, ["203.0.113.10", "203.0.113.11"]]);
  expect(bed.lines.join("\n")).not.toContain("link.moved");
});

test("a way that takes less than before: the tunnel takes less, and its TCP segments with it, but IPv6 still fits", () => {
  const bed = new DialerBed();
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  const link = bed.link!;
  const narrow = (mtu: number): (number | undefined)[] => {
    link.receiver.narrowed(bed.now, link.endpoint(0).address, mtu);
    return [bed.tunnel?.mtu, bed.tunnel?.mssClamp];
  };
  expect([bed.tunnel?.mtu, bed.tunnel?.mssClamp]).toEqual([1500, 1492 - 28 - 24 - 40]);
  expect(narrow(1400)).toEqual([1400 - 28 - 24, 1400 - 28 - 24 - 40]);
  expect(narrow(900)).toEqual([1280, 900 - 28 - 24 - 40]);
  expect(bed.lines.filter((line) => line.includes("tunnel.changed")).length).toBe(2);
});

test("ten minutes later larger packets are tried anew (RFC 1191 6.3), unless the host below knows better, and every word of it is said", () => {
  const bed = new DialerBed({ push: [...PUSH, "ping-restart 0"] });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  const link = bed.link!;
  const { address } = link.endpoint(0);
  const said = (): string[] => bed.lines.filter((line) => line.includes("tunnel.changed"));
  const run = (ms: number): void => {
    for (const end = bed.now + ms; bed.now < end; ) {
      bed.now += 1000;
      bed.step();
    }
  };
  link.receiver.narrowed(bed.now, address, 1400);
  run(300_000);
  link.receiver.narrowed(bed.now, address, 1350);
  const from = bed.now;
  bed.until(() => bed.tunnel?.mtu === 1500);
  expect([bed.now - from, bed.tunnel?.mssClamp]).toEqual([600_000, 1492 - 28 - 24 - 40]);
  link.receiver.narrowed(bed.now, address, 1400);
  Object.assign(link, { pathMtu: () => 1400 });
  run(650_000);
  expect(bed.tunnel?.mtu).toBe(1400 - 28 - 24);
  expect(said().length).toBe(4);
  expect(said()[1]).toContain('"mtu":1298');
  expect(said()[1]).toContain("takes only smaller packets (1350 bytes)");
  expect(said()[2]).toContain("larger packets to the server are tried anew (1500 bytes)");
});

test("a tunnel in which nothing else is due wakes up to forget what was said of the way", () => {
  const bed = new DialerBed({ push: [...PUSH, "ping 0", "ping-restart 0"] });
  bed.dialer.networkUp(bed.now);
  bed.until(() => bed.isUp);
  bed.until(() => bed.dialer.pollAt() > bed.now + 600_000);
  bed.link!.receiver.narrowed(bed.now, bed.link!.endpoint(0).address, 1400);
  expect(bed.dialer.pollAt()).toBe(bed.now + 600_000);
});

test("what the host below knows of the way counts from the beginning; one that leads elsewhere is another one", () => {
  const float = { config: { link: { localPort: undefined, streamPort: undefined, float: true } } };
  const bed = new DialerBed(float);
  bed.dialer.networkUp(bed.now);
  Object.assign(bed.link!, { pathMtu: () => 1400 });
  bed.until(() => bed.isUp);
  expect(bed.tunnel?.mtu).toBe(1400 - 28 - 24);
  Object.assign(bed.link!, { pathMtu: () => Number.POSITIVE_INFINITY });
  bed.receive(bed.link!.server.seal(bed.now, Uint8Array.of(0x45, ...Array(19).fill(0))) as Uint8Array, 1);
  expect([bed.link?.settled, bed.tunnel?.mtu]).toEqual([1, 1500]);
  expect(bed.lines.at(-1)).toContain("the way to the server is another one (1500 bytes)");
});

/** A packet of `len` bytes as the other end of the static key seals it. */
function sealedByPeer(len: number): Uint8Array {
  const slab = slabOver(new ArrayBuffer(2 * SCRATCH));
  const memory = { slab, aead: nobleAead(slab), cbc: nobleCbc(slab), scratch: new Arena(slab, SCRATCH, 2 * SCRATCH) };
  const peer = new StaticSession(
    staticConfig(1),
    { ...memory, random: seededRandom(2), decompressors: NO_DECOMPRESSORS },
    { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000, wallClock: () => 1_700_000_000 },
  );
  const [plain, sealed] = [new Batch(1), new Batch(1)];
  peer.start(0);
  plain.push(AT, len);
  peer.sealBatch(0, plain, sealed);
  return slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
}

test("under a static key what was recorded is not opened after a reconnect, nor after an internal error; each remote has ids of its own", () => {
  const config = staticConfig(0);
  const other = { ...REMOTE, host: "192.0.2.2" };
  const bed = new DialerBed({ static: { ...config, remotes: [{ ...REMOTE, host: "vpn.example" }, other] } });
  const packet = sealedByPeer(60);
  const connect = (): number => {
    bed.dialer.networkUp(bed.now);
    bed.until(() => bed.isUp);
    bed.receive(packet);
    return bed.dialer.counters()?.["drop.data-replay"] ?? 0;
  };
  bed.isSilent = true;
  bed.names.known.set("vpn.example", ["192.0.2.1"]);
  expect([connect(), bed.delivered]).toEqual([0, [60]]);
  expect([connect(), bed.delivered]).toEqual([1, [60]]);
  bed.replaceDialer();
  expect([connect(), bed.delivered]).toEqual([1, [60]]);
  bed.names.known.set("vpn.example", "no such name");
  expect([connect(), bed.delivered, bed.dialled.at(-1)]).toEqual([0, [60, 60], "192.0.2.2"]);
});

test("under a static key a remote from which nothing comes for ping-restart, or to which there is no way, gives its place to the next", () => {
  const config = staticConfig(0, ["ping 5", "ping-restart 20"]);
  const remotes = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((host) => ({ ...REMOTE, host }));
  const bed = new DialerBed({ static: { ...config, remotes } });
  bed.isSilent = true;
  bed.dialer.networkUp(bed.now);
  const from = bed.now;
  bed.until(() => bed.links.length === 2);
  expect([bed.dialled, Math.round((bed.now - from) / 1000)]).toEqual([["192.0.2.1", "192.0.2.2"], 21]);
  bed.link?.receiver.unreachable(bed.now);
  bed.until(() => bed.links.length === 3);
  expect(bed.now - from).toBeLessThan(25_000);
  // One that has been heard is not left for that, and is asked again first.
  bed.receive(sealedByPeer(60));
  bed.link?.receiver.unreachable(bed.now);
  bed.until(() => bed.links.length === 4);
  expect(bed.dialled).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"]);
  bed.until(() => bed.links.length === 5);
  expect(bed.dialled.at(-1)).toBe("192.0.2.1");
  // Alone, it is asked on.
  const alone = new DialerBed({ static: { ...config, remotes: remotes.slice(0, 1) } });
  alone.isSilent = true;
  alone.dialer.networkUp(alone.now);
  alone.link?.receiver.unreachable(alone.now);
  expect(alone.isUp).toBe(true);
});
