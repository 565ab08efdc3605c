/**
 * The client session over the real TLS engine (libssl) against a server with another library's TLS, over a network that
 * loses, doubles and reorders. Time stands still while the server's TLS works, so a seed decides what is lost and when.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import type { TlsContext } from "../../src/protocol/ports.ts";
import { clientConfig, NO_WRAP, TLS_AUTH, TLS_CRYPT } from "../support/client-config.ts";
import { NodePeerTls } from "../support/independent/node-tls.ts";
import { LOSSY, packet, Sim } from "../support/sim.ts";
import { makeTlsPki, type TlsPki } from "../support/tls-pki.ts";

let pki: TlsPki;
let client: TlsContext;
beforeAll(() => {
  pki = makeTlsPki();
  const { tls, verify } = clientConfig([], NO_WRAP);
  const own = { ca: pki.material("ca.crt"), cert: pki.material("client.crt"), key: pki.material("client.key") };
  client = libsslTls.context({ ...tlsParameters(tls, verify), ...own });
});
afterAll(() => {
  client.close();
  pki.remove();
});

type SimOptions = ConstructorParameters<typeof Sim>[1];

function simulation(seed: number, version: "TLSv1.2" | "TLSv1.3", options: SimOptions) {
  const read = (file: string): string => readFileSync(join(pki.directory, file), "utf8");
  const material = { ca: read("ca.crt"), cert: read("server.crt"), key: read("server.key"), version };
  const engines: NodePeerTls[] = [];
  const server = (): NodePeerTls => {
    const engine = new NodePeerTls(material);
    engines.push(engine);
    return engine;
  };
  const sim = new Sim(seed, { ...options, tls: { client, server } });
  const settle = async (): Promise<boolean> => {
    let any = false;
    for (const engine of engines) if (await engine.settle()) any = true;
    return any;
  };
  const run = (ms: number, until?: () => boolean): Promise<boolean> => sim.runSettled(ms, settle, until);
  sim.session.start(sim.now);
  return { sim, run };
}

const CASES = [
  { version: "TLSv1.3", wrap: TLS_CRYPT, ekm: true },
  { version: "TLSv1.2", wrap: TLS_CRYPT, ekm: true },
  { version: "TLSv1.3", wrap: TLS_AUTH, ekm: false },
  { version: "TLSv1.2", wrap: NO_WRAP, ekm: false },
] as const;

test.each(CASES)(
  "$version, $wrap.kind, exporter $ekm: up, renegotiations by both sides and a goodbye, without a loss",
  async (c) => {
    const lines = ["reneg-sec 25 25", "explicit-exit-notify 1", "remote-cert-tls server"];
    const { sim, run } = simulation(3, c.version, { wrap: c.wrap, lines, peer: { ekm: c.ekm } });
    expect(await run(20_000, () => sim.session.isUp)).toBe(true);
    let n = 0;
    for (; n < 90; n++) {
      if (n % 40 === 35) sim.peer.renegotiate(sim.now);
      sim.sendData(packet(2 * n));
      sim.answerData(packet(2 * n + 1));
      await run(1000);
    }
    expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(3);
    expect(sim.peer.received.map((p) => p.toHex())).toEqual(Array.from({ length: n }, (_, i) => packet(2 * i).toHex()));
    expect(sim.received.map((p) => p.toHex())).toEqual(Array.from({ length: n }, (_, i) => packet(2 * i + 1).toHex()));
    expect(sim.session.drops.snapshot()).toEqual({});
    sim.session.close(sim.now);
    await run(5000);
    expect([sim.end?.kind, sim.peer.exited]).toEqual(["closed", true]);
  },
);

test.each(CASES)(
  "$version, $wrap.kind, exporter $ekm: over a bad network, with renegotiations by both sides",
  async (c) => {
    for (const seed of [1, 2, 3]) {
      const { sim, run } = simulation(seed, c.version, {
        wrap: c.wrap,
        lines: ["reneg-sec 40 40"],
        peer: { ekm: c.ekm },
        link: LOSSY,
      });
      expect(await run(60_000, () => sim.session.isUp)).toBe(true);
      const sent = new Set<string>();
      for (let n = 0; n < 100; n++) {
        if (n % 60 === 30) sim.peer.renegotiate(sim.now);
        sent.add(packet(n).toHex());
        sim.sendData(packet(n));
        await run(1000);
      }
      expect(sim.end).toBeUndefined();
      expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(2);
      const arrived = sim.peer.received.map((p) => p.toHex());
      expect(new Set(arrived).size).toBe(arrived.length);
      expect(arrived.every((p) => sent.has(p))).toBe(true);
      expect(arrived.length).toBeGreaterThan(60);
      sim.link = { loss: 0, duplicate: 0, jitter: 0 };
      await run(20_000);
      sim.sendData(packet(1000));
      await run(500);
      expect(sim.peer.received.at(-1)).toEqual(packet(1000));
    }
  },
);

test.each(["TLSv1.3", "TLSv1.2"] as const)(
  "%s: a certificate of another name ends the session before a login is sent",
  async (version) => {
    const { sim, run } = simulation(5, version, { lines: ["verify-x509-name other name"] });
    expect(await run(20_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.end?.kind, sim.peer.login]).toEqual(["certificate-rejected", [undefined, undefined]]);
  },
);
