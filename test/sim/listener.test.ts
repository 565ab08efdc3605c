/** The listener: many clients of the product's own on a bad network, who may come in, and what becomes of them. */
import { describe, expect, test } from "bun:test";
import { formatEndpoint } from "../../src/lib/endpoint.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { CONTROL_V1, firstByte } from "../../src/protocol/control/opcode.ts";
import { EXIT_LEN, exitEmit } from "../../src/protocol/data/magic.ts";
import type { TlsContext, TlsContextFactory } from "../../src/protocol/ports.ts";
import { CERTIFICATE, NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { fakeTls, fakeTlsContext } from "../support/fake-tls.ts";
import { wholeConfig } from "../support/served/config.ts";
import { type SimClient, World } from "../support/served/world.ts";
import { LOSSY, packet } from "../support/sim.ts";

const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];

describe.each(WRAPS)("with $kind", (wrap) => {
  test("a client comes in, is known by its name, and packets go both ways; then it leaves", () => {
    const world = new World(1, { wrap });
    const ann = world.joined("ann", { lines: ["explicit-exit-notify 1"] });
    expect(world.said("server.listening").map((line) => line.fields)).toEqual([
      { address: "*", port: 1194, protocol: "udp" },
    ]);
    expect(world.said("peer.up").map((line) => line.fields)).toMatchObject([
      { name: "ann", tunnel: "10.8.0.2", cipher: "AES-256-GCM", protocol: "udp", version: expect.any(String) },
    ]);
    expect(ann.options).toEqual(expect.arrayContaining(["ifconfig 10.8.0.2 255.255.0.0", "tun-mtu 1500"]));
    world.expectFlow(ann);
    ann.session.close(world.now);
    world.run(3000);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "client-exit" }]);
    expect([world.side.joined.size, world.desk.guests.size]).toEqual([0, 0]);
  });

  test("twelve at once over a bad network: each gets in, and nobody's packets are another's", () => {
    const world = new World(2, { wrap, link: LOSSY });
    const clients = Array.from({ length: 12 }, (_, i) => world.client(`c${i}`));
    expect(world.run(60_000, () => clients.every((client) => client.isUp))).toBe(true);
    world.link = { loss: 0, duplicate: 0, jitter: 0 };
    world.run(20_000);
    for (const client of clients) world.expectFlow(client);
    expect(world.side.joined.size).toBe(12);
    expect(world.said("internal.error")).toEqual([]);
  });

  test("over a connection", () => {
    const world = new World(3, { wrap });
    const ann = world.joined("ann", { isStream: true });
    world.expectFlow(ann);
    world.disconnect(ann);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "link-reset" }]);
  });
});

describe("who takes whose place", () => {
  test("a newer session of the same name: the older one ends without a word, its address goes on", () => {
    const world = new World(1);
    const old = world.joined("ann");
    old.isDead = true;
    const young = world.joined("ann");
    world.expectFlow(young);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "replaced" }]);
    expect([
      world.side.joined.size,
      world.desk.guests.size,
      young.options.includes("ifconfig 10.8.0.2 255.255.0.0"),
    ]).toEqual([1, 1, true]);
  });

  test("duplicate-cn: both stay", () => {
    const { entry } = wholeConfig(TLS_CRYPT);
    const world = new World(1, { config: { entry: { ...entry, duplicateNames: true } } });
    const clients = [world.joined("ann"), world.joined("ann")];
    for (const client of clients) world.expectFlow(client);
    expect([world.side.joined.size, world.said("peer.down")]).toEqual([2, []]);
  });

  test("a client that starts anew at its old address and port, long before it is missed", () => {
    const world = new World(1);
    const old = world.joined("ann");
    old.isDead = true;
    const young = world.client("ann", { endpoint: old.endpoint });
    expect(world.run(5000, () => young.isUp)).toBe(true);
    world.expectFlow(young);
    expect(world.side.joined.size).toBe(1);
  });

  test("another one at the address of a client that is there takes its place only when its login is accepted", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    world.desk.refused.set("eve", "no");
    const eve = world.client("eve", { endpoint: ann.endpoint });
    // What the server sends there goes to eve, as the later one of the two.
    expect(world.run(30_000, () => eve.end !== undefined)).toBe(true);
    expect(eve.end).toMatchObject({ kind: "auth-failed", reason: "no" });
    eve.isDead = true;
    world.clients.splice(world.clients.indexOf(eve), 1);
    expect(world.said("peer.down")).toEqual([]);
    world.expectFlow(ann);

    const bob = world.client("bob", { endpoint: ann.endpoint });
    expect(world.run(5000, () => bob.isUp)).toBe(true);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "replaced" }]);
    world.expectFlow(bob);
  });

  test("one that waits at the address of a client that leaves gets it", () => {
    const world = new World(1);
    world.desk.withPassword.set("bob", "pw");
    const ann = world.joined("ann");
    ann.isDead = true;
    const bob = world.client("bob", { endpoint: ann.endpoint });
    expect(world.run(5000, () => world.passwords.waiting === 1)).toBe(true);
    expect(world.listener.kill(world.now, "ann")).toBe(1);
    world.run(3000);
    world.passwords.settle(world.now);
    expect(world.run(5000, () => bob.isUp)).toBe(true);
    world.expectFlow(bob);
  });

  test("a client that hangs in the handshake and begins again does not wait for itself", () => {
    const world = new World(1);
    const first = world.client("ann");
    world.run(70);
    first.isDead = true;
    const second = world.client("ann", { endpoint: first.endpoint });
    expect(world.run(3000, () => second.isUp)).toBe(true);
    world.expectFlow(second);
    expect([...world.listener.peers()].length).toBe(1);
  });
});

describe("a login", () => {
  test("refused: the client is told, and the log names it and the cause", () => {
    const world = new World(1);
    world.desk.refused.set("eve", "not today");
    const eve = world.client("eve");
    world.run(5000, () => eve.end !== undefined);
    expect(eve.end).toMatchObject({ kind: "auth-failed", reason: "not today", temporary: undefined });
    world.run(10_000);
    expect(world.said("peer.refused").map((line) => line.fields)).toEqual([
      { user: "eve", address: "198.51.0.0:1024", reason: "eve may not: not today" },
    ]);
    expect(world.said("peer.down")).toEqual([]);
  });

  test("with a password is decided when that is verified, while others come and go", () => {
    const world = new World(1);
    world.desk.withPassword.set("ann", "pw").set("bob", "other");
    const [ann, bob, eve] = [world.client("ann"), world.client("bob"), world.client("eve")];
    expect(world.run(5000, () => eve.isUp && world.passwords.waiting === 2)).toBe(true);
    world.expectFlow(eve);
    expect([ann.isUp, bob.isUp]).toEqual([false, false]);
    world.passwords.settle(world.now);
    world.run(5000);
    expect([ann.isUp, bob.end]).toMatchObject([true, { kind: "auth-failed", reason: "wrong user name or password" }]);
    expect(world.said("peer.refused").map((line) => line.fields["reason"])).toEqual(["the password of bob is wrong"]);
    expect(JSON.stringify(world.lines)).not.toContain("other");
  });

  test("refused, in whatever way: the log tells the user that it names from the name in its certificate", () => {
    const { limits } = wholeConfig(TLS_CRYPT);
    const world = new World(1, { config: { limits: { ...limits, maxClients: 1 } } });
    world.joined("ann");
    world.desk.refused.set("bob", "not today");
    world.desk.withPassword.set("cid", "other");
    world.desk.certificateNames.set("bob", "laptop-b").set("cid", "laptop-c").set("dee", "laptop-d");
    const others = ["bob", "cid", "dee"].map((name) => world.client(name));
    expect(world.run(5000, () => world.passwords.waiting === 1)).toBe(true);
    world.passwords.settle(world.now);
    expect(world.run(10_000, () => others.every(({ end }) => end !== undefined))).toBe(true);
    world.run(10_000);
    const told = world
      .said("peer.refused")
      .map(({ fields }) => [fields["name"], fields["user"], fields["certificate"]]);
    expect(told.sort()).toEqual([
      [undefined, "bob", "laptop-b"],
      [undefined, "cid", "laptop-c"],
      [undefined, "dee", "laptop-d"],
    ]);
  });

  test.each([false, true])("whose answer comes when the client is gone has no effect (under way: %p)", (answersAll) => {
    const world = new World(1);
    world.passwords.answersAll = answersAll;
    world.desk.withPassword.set("ann", "pw");
    const ann = world.client("ann");
    expect(world.run(5000, () => world.passwords.waiting === 1)).toBe(true);
    ann.isDead = true;
    world.run(200_000);
    world.passwords.settle(world.now);
    world.run(1000);
    expect([world.desk.guests.size, world.side.joined.size, world.said("internal.error")]).toEqual([0, 0, []]);
  });

  test("of one client more than max-clients: told that it may come back, and it gets in when one has left", () => {
    const { limits } = wholeConfig(TLS_CRYPT);
    const world = new World(1, { config: { limits: { ...limits, maxClients: 2 } } });
    const ann = world.joined("ann", { lines: ["explicit-exit-notify 1"] });
    world.joined("bob");
    const eve = world.client("eve");
    world.run(5000, () => eve.end !== undefined);
    expect(eve.end).toMatchObject({ kind: "auth-failed", temporary: { backoff: 10, advance: "no" } });
    expect(world.said("peer.refused").map((line) => line.fields["reason"])).toEqual(["max-clients 2 are in"]);
    // Its own older session does not count.
    world.expectFlow(world.joined("bob"));
    ann.session.close(world.now);
    world.run(3000);
    world.expectFlow(world.joined("eve"));
  });

  test("auth-token: pushed with the options, and anew with each renegotiation", () => {
    const world = new World(1);
    world.desk.hasTokens = true;
    const ann = world.joined("ann", { lines: ["reneg-sec 20 20"] });
    expect(ann.session.loginMemory.authToken).toMatchObject({ token: "SESS_ID_AT_0" });
    expect(world.run(30_000, () => ann.count("rekeyed") === 1)).toBe(true);
    world.run(1000);
    expect(ann.session.loginMemory.authToken).toMatchObject({ token: "SESS_ID_AT_1" });
    expect(world.desk.logins.map((login) => login.password)).toEqual(["pw", "SESS_ID_AT_0"]);
    world.expectFlow(ann);
  });

  test("what of a client's file is not done as it is written is said when it comes up", () => {
    const world = new World(1);
    world.desk.warnings = ["ccd/ann: iroute: 10.8.0.0/24 lies within the tunnel's own network"];
    world.joined("ann");
    expect(world.said("peer.warning")).toMatchObject([
      { level: "warn", message: world.desk.warnings[0], fields: { name: "ann" } },
    ]);
  });

  test("auth-token: renewed in time, where nobody renegotiates for longer than one is good", () => {
    const world = new World(1);
    // Between two pings, which come every 10 s.
    Object.assign(world.desk, { hasTokens: true, tokenSeconds: 7 });
    const ann = world.joined("ann");
    const token = (): string | undefined => ann.session.loginMemory.authToken?.token;
    world.run(6500);
    expect(token()).toBe("SESS_ID_AT_0");
    world.run(1000);
    expect(token()).toBe("SESS_ID_AT_1");
    world.run(7000 * 20);
    expect(token()).toBe("SESS_ID_AT_21");
    expect(ann.count("rekeyed")).toBe(0);
    world.expectFlow(ann);
  });

  test("a renegotiation is judged as one of the client that is in", () => {
    const world = new World(1);
    const earlier: (string | undefined)[] = [];
    const { judge } = world.desk;
    world.desk.judge = (unixSeconds, login, before, from) => {
      earlier.push(before?.name);
      return judge.call(world.desk, unixSeconds, login, before, from);
    };
    const ann = world.joined("ann", { lines: ["reneg-sec 20 20"] });
    expect(world.run(30_000, () => ann.count("rekeyed") === 1)).toBe(true);
    expect(earlier).toEqual([undefined, "ann"]);
  });

  test("a renegotiation that is refused ends the session", () => {
    const world = new World(1);
    const ann = world.joined("ann", { lines: ["reneg-sec 20 20"] });
    world.desk.refused.set("ann", "locked");
    expect(world.run(30_000, () => ann.end !== undefined)).toBe(true);
    world.run(6000);
    expect(ann.end).toMatchObject({ kind: "auth-failed", reason: "locked" });
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "refused" }]);
    expect(world.side.joined.size).toBe(0);
  });

  test("without a cipher in common: both sides' words are about the cipher", () => {
    const world = new World(1);
    const ann = world.client("ann", { lines: ["data-ciphers AES-128-GCM"] });
    world.run(5000, () => ann.end !== undefined);
    expect(ann.end).toMatchObject({ kind: "auth-failed", reason: expect.stringContaining("cipher") });
    world.run(6000);
    expect(world.said("peer.refused").map((line) => line.fields["reason"])).toEqual([
      expect.stringMatching(/no shared cipher.*data-ciphers AES-256-GCM/),
    ]);
    expect([world.desk.guests.size, world.side.joined.size]).toEqual([0, 0]);
  });
});

describe("float", () => {
  test("a client whose address changes goes on, and the log says so", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    const [peer, before] = [world.peerOf(ann), ann.endpoint];
    ann.endpoint = world.newEndpoint();
    world.sendUp(ann, packet(1));
    world.run(200);
    expect(world.peerOf(ann)).toBe(peer);
    world.expectFlow(ann);
    world.expectFlow(bob);
    expect(world.said("peer.float").map((line) => line.fields)).toMatchObject([
      { name: "ann", from: formatEndpoint(before), address: formatEndpoint(ann.endpoint) },
    ]);
    expect(ann.count("rekeyed")).toBe(0);
  });

  test("and renegotiates from there", () => {
    const world = new World(1);
    const ann = world.joined("ann", { lines: ["reneg-sec 20 20"] });
    ann.endpoint = world.newEndpoint();
    world.sendUp(ann, packet(1));
    expect(world.run(30_000, () => ann.count("rekeyed") === 1)).toBe(true);
    world.expectFlow(ann);
  });

  test("its packets from elsewhere, repeated or changed, move nothing", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const seen: Uint8Array[] = [];
    for (let n = 0; n < 5; n++) seen.push(world.sealUp(ann, packet(n)));
    for (const bytes of seen) world.strange(ann.endpoint, bytes);
    const eve = world.newEndpoint();
    for (const bytes of seen) {
      world.strange(eve, bytes);
      for (let at = 0; at < bytes.length; at += 5) world.strange(eve, bytes.with(at, bytes[at]! ^ 0x40));
      world.strange(eve, bytes.subarray(0, bytes.length - 7));
    }
    world.run(1000);
    expect([world.said("peer.float"), world.peerOf(ann) >= 0]).toEqual([[], true]);
    expect(world.sent.filter(({ to }) => to.port === eve.port)).toEqual([]);
    world.expectFlow(ann);
  });

  test("not to the address of another client", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    const before = world.side.received.length;
    world.strange(bob.endpoint, world.sealUp(ann, packet(1)));
    expect([world.said("peer.float"), world.side.received.length]).toEqual([[], before]);
    expect(world.listener.counters()).toMatchObject({ "floats-refused": 1 });
    for (const client of [ann, bob]) world.expectFlow(client);
  });
});

describe("a narrow way", () => {
  const of = (world: World, client: SimClient) => world.side.joined.get(world.peerOf(client));

  test("what goes to a client fits what routers said of the way to it; others have the tunnel's MTU, and so has the client elsewhere", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    const [whole, clamp] = [of(world, ann)!.mtu, of(world, ann)!.mssClamp];
    expect(whole).toBe(1500);
    world.narrow(ann.endpoint, 1400);
    // 28 of IP and UDP, 28 of the data channel with epochs: opcode and peer id, packet id, tag.
    expect(of(world, ann)).toMatchObject({ mtu: 1344, mssClamp: 1344 - 40 });
    expect(of(world, bob)).toMatchObject({ mtu: whole, mssClamp: clamp });
    world.narrow(ann.endpoint, 1450);
    world.narrow(world.newEndpoint(), 1300);
    expect([of(world, ann)!.mtu, of(world, bob)!.mtu]).toEqual([1344, whole]);
    world.expectFlow(ann);
    // IPv6 needs 1280 bytes: below that packets go in pieces.
    world.narrow(ann.endpoint, 700);
    expect(of(world, ann)!.mtu).toBe(1280);
    ann.endpoint = world.newEndpoint();
    world.sendUp(ann, packet(1));
    world.run(200);
    expect(of(world, ann)).toMatchObject({ mtu: whole, mssClamp: clamp });
  });

  test("is forgotten ten minutes after it became narrower (RFC 1191 6.3), said, and narrow again when a router says so again", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    const mtus = (): number[] => [of(world, ann)!.mtu, of(world, bob)!.mtu];
    world.narrow(ann.endpoint, 1450);
    // The loop looks at once what is due next: nothing else may be for longer.
    expect(world.listener.pollAt()).toBe(Number.NEGATIVE_INFINITY);
    world.run(60_000);
    world.narrow(ann.endpoint, 1400);
    const from = world.now;
    expect(mtus()).toEqual([1344, 1500]);
    expect(world.run(700_000, () => of(world, ann)!.mtu === 1500)).toBe(true);
    expect([world.now - from >= 600_000, world.now - from < 602_000]).toEqual([true, true]);
    world.narrow(ann.endpoint, 1400);
    expect(mtus()).toEqual([1344, 1500]);
    expect(world.said("peer.path").map(({ fields }) => fields?.["mtu"])).toEqual([1450, 1400, 1500, 1400]);
    world.expectFlow(ann);
  });

  test("what the host below knows of a way counts from the beginning, and is not forgotten before it forgets it", () => {
    const world = new World(1);
    const ann = world.client("ann");
    world.known.set(formatEndpoint(ann.endpoint), 1400);
    expect(world.run(60_000, () => ann.isUp)).toBe(true);
    world.run(650_000);
    expect(of(world, ann)!.mtu).toBe(1344);
    expect(world.said("peer.path")).toEqual([]);
    world.known.clear();
    expect(world.run(650_000, () => of(world, ann)!.mtu === 1500)).toBe(true);
  });

  test("it is heeded also before the tunnel is up, and not for somebody over TCP", () => {
    const world = new World(1);
    const ann = world.client("ann");
    expect(world.run(60_000, () => world.listener.counters()["sessions-begun"] === 1)).toBe(true);
    world.narrow(ann.endpoint, 1400);
    expect(world.run(60_000, () => ann.isUp)).toBe(true);
    world.run(200);
    expect(of(world, ann)!.mtu).toBe(1344);
    const bob = world.joined("bob", { isStream: true });
    world.narrow(bob.endpoint, 1400);
    expect(of(world, bob)!.mtu).toBe(1500);
  });
});

describe("the end", () => {
  test.each([
    [0, false],
    [1, false],
    [2, true],
  ])(
    "explicit-exit-notify %d: clients are told to come again, and it takes no longer than that",
    (exitNotify, next) => {
      const world = new World(1, { config: { exitNotify } });
      const clients = ["ann", "bob"].map((name) => world.joined(name));
      world.listener.leave(world.now);
      expect(world.run(3000, () => world.listener.left)).toBe(true);
      for (const client of clients) expect(client.end).toMatchObject({ kind: "server-restart", nextRemote: next });
      expect([world.side.tunnel, world.side.joined.size, world.listener.pollAt()]).toEqual([undefined, 0, Infinity]);
    },
  );

  test("whoever does not answer is not waited for longer than 3 s", () => {
    const world = new World(1);
    world.joined("ann").isDead = true;
    world.client("bob");
    world.run(30);
    world.listener.leave(world.now);
    expect(world.run(3000, () => world.listener.left)).toBe(true);
  });

  test("a client that is gone is missed after keepalive's time, and its place is free", () => {
    const world = new World(1);
    world.joined("ann").isDead = true;
    expect(world.run(130_000, () => world.said("peer.down").length > 0)).toBe(true);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ reason: "ping-timeout" }]);
    expect([world.desk.guests.size, world.side.joined.size, world.listener.pollAt()]).toEqual([0, 0, Infinity]);
  });

  test("after a restart clients come back by themselves; what they still send means nothing to the new one", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const late = world.sealUp(ann, packet(1));
    const after = new World(2);
    after.strange(ann.endpoint, late);
    expect(after.listener.counters()).toEqual({ clients: 0, "peer-unknown": 1 });
    expect(after.sent).toEqual([]);
  });
});

test("what one peer's packet throws ends that peer, and nobody else hears of it", () => {
  const world = new World(1);
  const [ann, bob] = [world.joined("ann"), world.joined("bob")];
  const { judge } = world.desk;
  world.desk.judge = () => {
    throw new Error("a fault");
  };
  const eve = world.client("eve");
  world.run(3000);
  world.desk.judge = judge;
  expect(eve.isUp).toBe(false);
  expect(world.said("internal.error").map((line) => line.message)).toEqual([expect.stringContaining("a fault")]);
  for (const client of [ann, bob]) world.expectFlow(client);
});

test("nobody stays whose session cannot be begun, and the next one begins", () => {
  const tls = fakeTlsContext(true, seededRandom(5), CERTIFICATE);
  let isOut = true;
  const engine: TlsContext["engine"] = (...accept) => {
    if (isOut) throw new Error("out of memory");
    return tls.engine(...accept);
  };
  const world = new World(1, { tls: { context: () => ({ ...tls, engine }) } });
  const ann = world.client("ann");
  world.run(500);
  expect([world.said("internal.error").length > 0, ann.isUp]).toEqual([true, false]);
  expect(world.said("peer.refused").map(({ fields }) => fields["reason"])).toContain(
    "an error in the server, which is logged on its own",
  );
  isOut = false;
  expect(world.run(60_000, () => ann.isUp)).toBe(true);
  world.expectFlow(ann);
});

test("what the side, the entrance or a password's answer throws ends one client, and the others stay", () => {
  const world = new World(1);
  const ann = world.joined("ann");
  const { join } = world.side;
  world.side.join = () => {
    throw new Error("no room");
  };
  world.client("bob");
  world.run(3000);
  world.side.join = join;
  world.desk.withPassword.set("eve", "pw");
  world.desk.verified = () => {
    throw new Error("no verdict");
  };
  world.client("eve");
  world.run(3000);
  world.passwords.settle(world.now);
  world.run(3000);
  const said = world.said("internal.error").map((line) => line.message.split("\n")[0]);
  expect(said).toEqual(["Error: no room", "Error: 1 leaves, and was not there", "Error: no verdict"]);
  expect([...world.listener.peers()].map(({ name }) => name)).toEqual(["ann"]);
  world.expectFlow(ann);
});

test("of one client one TLS session is kept: the one before a renegotiation is let go of when nobody can say anything in it any more", () => {
  const real = fakeTls(seededRandom(3), CERTIFICATE);
  let open = 0;
  const tls: TlsContextFactory = {
    context: (parameters) => {
      const context = real.context(parameters);
      return {
        engine: (accept, name) => {
          const engine = context.engine(accept, name);
          const close = engine.close.bind(engine);
          let isOpen = true;
          open++;
          engine.close = () => {
            if (isOpen) open--;
            isOpen = false;
            close();
          };
          return engine;
        },
        close: () => context.close(),
      };
    },
  };
  const world = new World(1, { tls });
  const ann = world.joined("ann", { lines: ["reneg-sec 100 100"] });
  expect(open).toBe(1);
  world.run(110_000, () => ann.count("rekeyed") === 1);
  world.run(1000);
  expect([ann.count("rekeyed"), open]).toEqual([1, 2]);
  world.run(70_000);
  expect([ann.count("rekeyed"), open]).toEqual([1, 1]);
  world.expectFlow(ann);
  world.listener.kill(world.now, "ann");
  world.run(5000);
  expect(open).toBe(0);
});

test("a client that says in a data packet that it leaves has left, and nothing behind that comes from it any more", () => {
  const world = new World(1);
  const ann = world.joined("ann");
  world.strange(ann.endpoint, world.sealUp(ann, packet(1)));
  const exit = new Uint8Array(EXIT_LEN);
  exitEmit(exit, 0);
  const control = Uint8Array.of(firstByte(CONTROL_V1, 0), ...new Uint8Array(80));
  world.strange(ann.endpoint, world.sealUp(ann, exit), control, world.sealUp(ann, packet(2)));
  world.run(1000);
  expect([world.side.received.map(({ bytes }) => bytes), world.side.joined.size]).toEqual([[packet(1)], 0]);
  expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "client-exit" }]);
  // Its key is closed: nothing is tried with it.
  expect(world.listener.counters()).toMatchObject({ clients: 0, "drop.session-ended": 1 });
});

test("what was dropped is counted also when the client has left", () => {
  const world = new World(1);
  const ann = world.joined("ann", { lines: ["explicit-exit-notify 1"] });
  world.strange(ann.endpoint, world.sealUp(ann, packet(1)).with(30, 0));
  expect(world.listener.counters()).toMatchObject({ clients: 1, "drop.data-authentication": 1 });
  ann.session.close(world.now);
  world.run(5000);
  expect(world.listener.counters()).toMatchObject({ clients: 0, "drop.data-authentication": 1 });
});

test("while it leaves nobody new is answered", () => {
  const world = new World(1);
  world.joined("ann").isDead = true;
  world.listener.leave(world.now);
  const before = world.sent.length;
  world.client("bob");
  world.run(1500);
  expect([world.listener.left, world.sent.length]).toEqual([false, before]);
});

test.each(["comp-lzo", "comp-lzo no", "compress", "compress stub-v2", "compress lz4"])(
  "a client with %s in its profile, which this server has not: both frame packets the same",
  (line) => {
    const world = new World(1);
    const ann = world.joined("ann", { lines: [line] });
    expect(ann.options).toContain("compress stub-v2");
    world.expectFlow(ann);
    const bob = world.joined("bob");
    expect(bob.options.some((option) => option.startsWith("comp"))).toBe(false);
    world.expectFlow(bob);
  },
);

test.each([{ renegPkts: 50 }, { renegBytes: 5000 }])(
  "what a client sends counts for the limits of a key, also where nothing goes back: %j",
  (limit) => {
    const { control } = wholeConfig(TLS_CRYPT);
    const world = new World(1, { config: { control: { ...control, ...limit } } });
    const ann = world.joined("ann");
    for (let n = 0; n < 60; n++) world.sendUp(ann, new Uint8Array(100).fill(n));
    expect(world.run(1000, () => ann.count("rekeyed") === 1)).toBe(true);
    world.expectFlow(ann);
  },
);
