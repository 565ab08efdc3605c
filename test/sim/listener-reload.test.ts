/** What a running server takes of another configuration, and what clients hear of it. */
import { describe, expect, test } from "bun:test";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { parseCidr } from "../../src/lib/cidr.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { TlsContextFactory, TlsFailure } from "../../src/protocol/ports.ts";
import { CERTIFICATE } from "../support/client-config.ts";
import { fakeTls } from "../support/fake-tls.ts";
import type { WholeConfig } from "../support/served/config.ts";
import { World } from "../support/served/world.ts";

/** A list of revocations that is another one. */
const list = (content: string) => ({
  ...{ label: "crl.pem", origin: { file: "server.conf", line: 9 } },
  bytes: new TextEncoder().encode(content),
});

/** TLS of a server that finds everybody revoked who is, by the list that the context was made of. */
function revoking(revoked: (crl: string) => boolean): TlsContextFactory {
  const real = fakeTls(seededRandom(5), CERTIFICATE);
  return {
    context: (parameters) => {
      const context = real.context(parameters);
      const crl = new TextDecoder().decode(parameters.crl?.bytes ?? new Uint8Array(0));
      return {
        engine: () => {
          const engine = context.engine(() => !revoked(crl));
          const failure: TlsFailure = {
            ...{ kind: "certificate", code: "CERT_REVOKED", message: "certificate revoked" },
            certificate: { subject: "CN=ann", depth: 0 },
          };
          return new Proxy(engine, {
            get: (of, name) => {
              if (name === "failure" && of.state === "failed") return failure;
              const value = Reflect.get(of, name);
              return typeof value === "function" ? value.bind(of) : value;
            },
          });
        },
        close: () => context.close(),
      };
    },
  };
}

describe("reload", () => {
  test("keeps sessions, and says what it cannot take", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const config = {
      ...world.config,
      tunnel: { ...world.config.tunnel, mtu: 1400 },
      limits: { ...world.config.limits, maxClients: 2000 },
    };
    expect(world.listener.reload(world.now, config, world.desk)).toEqual([
      expect.stringMatching(/^tun-mtu: .*next start/),
      expect.stringMatching(/^max-clients: .*next start/),
    ]);
    world.run(1000);
    world.expectFlow(ann);
    expect(ann.count("rekeyed")).toBe(0);
  });

  test("another revocation list: each client shows its certificate again at once; who is on it is out, and comes in no more", () => {
    const world = new World(1, { tls: revoking((crl) => crl === "everybody") });
    const clients = [world.joined("ann"), world.joined("bob")];
    const withList = (content: string) => ({ ...world.config, tls: { ...world.config.tls, crl: list(content) } });
    expect(world.listener.reload(world.now, withList("nobody"), world.desk)).toEqual([]);
    world.run(5000);
    expect(clients.map((client) => client.count("rekeyed"))).toEqual([1, 1]);
    for (const client of clients) world.expectFlow(client);
    // The same list again is no reason.
    world.listener.reload(world.now, withList("nobody"), world.desk);
    world.run(5000);
    expect(clients.map((client) => client.count("rekeyed"))).toEqual([1, 1]);
    world.listener.reload(world.now, withList("everybody"), world.desk);
    world.run(5000);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([
      { reason: "renegotiation-failed" },
      { reason: "renegotiation-failed" },
    ]);
    for (const client of clients) client.isDead = true;
    const again = world.client("ann");
    world.run(20_000);
    expect(again.isUp).toBe(false);
    expect(world.said("peer.refused").map((line) => line.fields["reason"])).toEqual([
      "the client's certificate (CN=ann) is revoked by the list in crl.pem",
    ]);
  });

  test("other checks of certificates: each client is asked again at once, by the new ones; who does not pass them is out", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const withOnly = (fingerprint: string) => ({
      ...world.config,
      verify: { ...world.config.verify, peerFingerprints: [fingerprint] },
    });
    const own = bytesToHex(sha256(CERTIFICATE));
    expect(world.listener.reload(world.now, withOnly(own), world.desk)).toEqual([]);
    world.run(5000);
    expect(ann.count("rekeyed")).toBe(1);
    world.listener.reload(world.now, withOnly("00".repeat(32)), world.desk);
    world.run(5000);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ reason: "certificate-rejected" }]);
  });

  test.each(["the first packet", "the login"] as const)(
    "another revocation list while somebody is between %s and the tunnel: asked again when it is up",
    (since) => {
      const world = new World(1, { tls: revoking((crl) => crl === "everybody") });
      if (since === "the login") world.desk.withPassword.set("ann", "pw");
      const ann = world.client("ann");
      const isBegun = (): boolean =>
        since === "the login" ? world.passwords.waiting > 0 : world.listener.counters()["sessions-begun"]! > 0;
      expect(world.run(5000, isBegun)).toBe(true);
      const config = { ...world.config, tls: { ...world.config.tls, crl: list("everybody") } };
      world.listener.reload(world.now, config, world.desk);
      world.passwords.isPrompt = true;
      world.run(20_000);
      expect([ann.count("up"), world.listener.peers()]).toEqual([1, []]);
    },
  );

  test.each([false, true])(
    "another revocation list in the midst of a renegotiation (of which the verdict waits: %p)",
    (waits) => {
      const world = new World(1, { tls: revoking((crl) => crl === "everybody") });
      const ann = world.joined("ann");
      if (waits) world.desk.withPassword.set("ann", "pw");
      const withList = (content: string) => ({ ...world.config, tls: { ...world.config.tls, crl: list(content) } });
      world.listener.reload(world.now, withList("nobody"), world.desk);
      const asked = world.desk.logins.length;
      if (waits) expect(world.run(5000, () => world.desk.logins.length > asked)).toBe(true);
      else world.run(60);
      expect(ann.count("rekeyed")).toBe(0);
      world.listener.reload(world.now, withList("everybody"), world.desk);
      world.passwords.isPrompt = true;
      world.run(20_000);
      expect(world.listener.peers()).toEqual([]);
    },
  );

  test("a list that came with a key which cannot be used counts when the key is mended", () => {
    let isBad = false;
    const real = revoking((crl) => crl === "everybody");
    const tls: TlsContextFactory = {
      context: (parameters) => {
        if (isBad) throw new Error("key: does not match");
        return real.context(parameters);
      },
    };
    const world = new World(1, { tls });
    const ann = world.joined("ann");
    const config = {
      ...world.config,
      tls: { ...world.config.tls, crl: list("everybody") },
      verify: { ...world.config.verify, peerFingerprints: ["00".repeat(32)] },
    };
    isBad = true;
    const taken: unknown[] = [];
    world.listener.reload(world.now, config, world.desk, ({ tls, verify }) => {
      taken.push(tls.crl, verify.peerFingerprints);
      return { gone: [], changed: [] };
    });
    world.run(5000);
    expect(taken).toEqual([undefined, undefined]);
    world.expectFlow(ann);
    isBad = false;
    world.listener.reload(world.now, config, world.desk);
    world.run(5000);
    expect(world.listener.peers()).toEqual([]);
  });

  test("what is bound stays as it was, for the desk too", () => {
    const world = new World(1);
    const { network, tunnel } = world.config;
    const config = {
      ...world.config,
      tunnel: { ...tunnel, mtu: 1400 },
      network: { ...network, address: parseCidr("10.99.0.1/24"), topology: "net30" as const },
      push: ["route 10.5.0.0 255.255.0.0"],
    };
    const taken: WholeConfig[] = [];
    world.listener.reload(world.now, config, world.desk, (what) => {
      taken.push(what as WholeConfig);
      return { gone: [], changed: [] };
    });
    expect(taken).toMatchObject([{ network, tunnel, push: config.push }]);
    // Until it is started again it is said again.
    expect(world.listener.reload(world.now, config, world.desk).length).toBe(2);
  });

  test("own material that cannot be used: the former stays, and that is said", () => {
    let isBad = false;
    const real = fakeTls(seededRandom(5), CERTIFICATE);
    const tls: TlsContextFactory = {
      context: (parameters) => {
        if (isBad) throw new Error("key: does not match");
        return real.context(parameters);
      },
    };
    const world = new World(1, { tls });
    const ann = world.joined("ann");
    isBad = true;
    expect(world.listener.reload(world.now, world.config, world.desk)).toEqual([
      "certificates, keys and lists stay as they were: key: does not match",
    ]);
    world.expectFlow(ann);
    world.expectFlow(world.joined("bob"));
  });

  test("who may not stay is told to come again, and the log has the cause", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    const guest = [...world.desk.guests.keys()].find(({ name }) => name === "ann")!;
    const gone = [{ guest, cause: 'the file "ann" disables it' }];
    world.listener.reload(world.now, world.config, world.desk, () => ({ gone, changed: [] }));
    world.run(3000);
    expect(ann.end).toMatchObject({ kind: "server-restart" });
    expect(world.said("peer.down")).toMatchObject([
      { message: 'the file "ann" disables it', fields: { name: "ann", reason: "expelled" } },
    ]);
    world.expectFlow(bob);
  });

  test("who gets something else is told while its tunnel is up, and the side knows of its networks", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const [guest] = world.desk.guests.keys();
    const next = {
      ...guest!,
      options: [
        ...guest!.options.filter((option) => !option.startsWith("ping")),
        "route 10.7.0.0 255.255.0.0",
        "ping 7",
      ],
    };
    world.desk.guests.delete(guest!);
    world.desk.guests.set(next, next.name);
    const told = world.listener.reload(world.now, world.config, world.desk, () => ({
      gone: [],
      changed: [{ guest: guest!, now: next }],
    }));
    expect(told).toEqual([expect.stringContaining("ping, ping-restart counts for some clients when they come again")]);
    world.run(1000);
    expect(ann.count("changed")).toBe(1);
    expect(ann.options).toEqual(
      expect.arrayContaining(["route 10.7.0.0 255.255.0.0", "ifconfig 10.8.0.2 255.255.0.0"]),
    );
    world.expectFlow(ann);
    expect(world.listener.kill(world.now, "ann")).toBe(1);
    world.run(3000);
    expect(world.desk.guests.size).toBe(0);
  });
});

describe("push-update", () => {
  test("reaches one client, or all that can read it", () => {
    const world = new World(1);
    const [ann, bob] = [world.joined("ann"), world.joined("bob")];
    expect(world.listener.pushUpdate(world.now, "ann", ["route 10.5.0.0 255.255.0.0"])).toBe(1);
    world.run(1000);
    expect([ann.count("changed"), bob.count("changed")]).toEqual([1, 0]);
    expect(world.listener.pushUpdate(world.now, undefined, ["-route"])).toBe(2);
    world.run(1000);
    expect([ann.options.some((option) => option.startsWith("route ")), bob.count("changed")]).toEqual([false, 1]);
    expect(world.listener.pushUpdate(world.now, "nobody", ["-route"])).toBe(0);
    expect(world.listener.pushUpdate(world.now, "ann", ["x".repeat(2000)])).toContain("longer than a message");
    for (const client of [ann, bob]) world.expectFlow(client);
  });
});
