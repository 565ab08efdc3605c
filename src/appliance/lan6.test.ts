import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BoundedLog } from "../lib/bounded-log.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { Bed, mac, ROUTER_MAC, side } from "../netstack/testing/bed.ts";
import { advert6, frame6, HOST_LL, icmp6, UNSOLICITED } from "../netstack/testing/bed6.ts";
import { type RouterAdvert, routerAdvertBuild, routerAdvertParse } from "../netstack/wire/router-advert.ts";
import { encodeState } from "../platform/state/format.ts";
import { StateStore } from "../platform/state/store.ts";
import { ownPrf } from "./identity.ts";
import { keptNetwork, Lan6, ownNetwork } from "./lan6.ts";

const MACS = [mac("52:54:00:00:00:02"), mac(ROUTER_MAC)];
const PRF = ownPrf(MACS, "morgana");
const ADVERT = 134;

class LanSide6 {
  readonly bed = new Bed();
  readonly it;
  readonly outlet;
  readonly lan: Lan6;
  readonly log: string[] = [];
  readonly adverts: RouterAdvert[] = [];
  now = 1000;

  constructor() {
    ({ it: this.it, outlet: this.outlet } = side(this.bed, "lan"));
    const sink: Log = {
      enabled: () => true,
      write: (_level, event, message, fields) => void this.log.push(`${event} ${message}${fields?.["address"] ?? ""}`),
    };
    const address = ownNetwork(PRF);
    const own = { lan: this.it, device: "eth1", mac: mac(ROUTER_MAC), address, prf: PRF, random: seededRandom(5) };
    this.lan = new Lan6({ ...own, log: sink, heard: new BoundedLog(sink) });
  }

  /** Lets the time pass; the advertisements that were sent, as lifetimes. */
  advance(ms: number): number[] {
    const end = this.now + ms;
    for (let at = this.#next(); at <= end; at = this.#next()) {
      this.now = Math.max(this.now, at);
      if (this.it.pollAt() <= this.now) this.it.handleTimeout(this.now);
      if (this.lan.pollAt() <= this.now) this.lan.handleTimeout(this.now);
    }
    this.now = end;
    return this.sent();
  }

  sent(): number[] {
    const lifetimes: number[] = [];
    for (const { view, bytes } of this.outlet.take()) {
      if (view.getUint16(12) !== 0x86dd || view.getUint8(54) !== ADVERT) continue;
      const advert = routerAdvertParse(bytes.slice(54)) as RouterAdvert;
      expect([view.getUint8(21), `${IpAddress.fromBytes(bytes.slice(38, 54))}`]).toEqual([255, "ff02::1"]);
      this.adverts.push(advert);
      lifetimes.push(advert.lifetime);
    }
    return lifetimes;
  }

  push(frame: Uint8Array): void {
    this.it.ingest(this.now, this.bed.receive(frame));
  }

  #next(): number {
    return Math.min(this.it.pollAt(), this.lan.pollAt());
  }
}

test("the network is a ULA, the same after every start, another one for other machines and names (RFC 4193)", () => {
  const network = `${ownNetwork(PRF)}`;
  expect(network).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::1\/64$/);
  expect(`${ownNetwork(ownPrf(MACS, "morgana"))}`).toBe(network);
  expect(`${ownNetwork(ownPrf(MACS, "other"))}`).not.toBe(network);
  expect(`${ownNetwork(ownPrf([...MACS].reverse(), "morgana"))}`).not.toBe(network);
});

test("a network that was kept stays, whatever machine and name are now; what is none is named and replaced", () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-ula-"));
  const lines: string[] = [];
  const log = { enabled: () => true, write: (_level: string, event: string) => void lines.push(event) };
  const open = () => new StateStore(folder, folder, log);
  try {
    expect(`${keptNetwork(0, PRF, undefined)}`).toBe(`${ownNetwork(PRF)}`);
    const state = open();
    expect(`${keptNetwork(0, PRF, state)}`).toBe(`${ownNetwork(PRF)}`);
    expect(state.pollAt()).toBeLessThan(Number.POSITIVE_INFINITY);
    writeFileSync(join(folder, "ula.json"), encodeState("fd12:3456:789a:1::/64"));
    const again = open();
    expect(`${keptNetwork(0, PRF, again)}`).toBe("fd12:3456:789a:1::1/64");
    expect([again.pollAt(), lines]).toEqual([Number.POSITIVE_INFINITY, []]);
    for (const wrong of ["2001:db8::/64", "fd12::/48", "", 7]) {
      writeFileSync(join(folder, "ula.json"), encodeState(wrong));
      expect(`${keptNetwork(0, PRF, open())}`).toBe(`${ownNetwork(PRF)}`);
      expect(lines.splice(0)).toEqual(["state.damaged"]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("once its link-local address is its own it tells the hosts: a prefix and no way out, and then one, and then none", () => {
  const h = new LanSide6();
  h.lan.tell(h.now, { dns: [ownNetwork(PRF).address] });
  h.lan.start(h.now);
  expect(h.log).toEqual([`lan.configured ${ownNetwork(PRF)}`]);
  expect(h.advance(500)).toEqual([]);
  expect(h.advance(1000)).toEqual([0]);
  expect(h.adverts[0]).toMatchObject({
    prefixes: [{ prefix: ownNetwork(PRF).network, autonomous: true, onLink: true }],
    rdnss: [{ servers: [ownNetwork(PRF).address] }],
  });
  h.advance(100_000);
  h.lan.tell(h.now, { isDefaultRouter: true });
  expect(h.advance(0)).toEqual([1800]);
  h.advance(100_000);
  h.lan.tell(h.now, { isDefaultRouter: false });
  expect(h.advance(0)).toEqual([0]);
  h.advance(100_000);
  h.lan.leave(h.now);
  expect(h.sent()).toEqual([0]);
  expect(h.adverts.at(-1)?.rdnss[0]?.lifetime).toBe(0);
  expect(h.advance(1_000_000)).toEqual([]);
});

test("a host that asks is answered within half a second; one from beyond the link is not (RFC 4861 6.1.1, 6.2.6)", () => {
  const h = new LanSide6();
  h.lan.start(h.now);
  h.advance(60_000);
  const solicit = (hops: number): void => {
    const body = Uint8Array.of(1, 1, 0x52, 0x54, 0, 0, 0, 0x99);
    h.push(frame6(icmp6({ src: HOST_LL, dst: "ff02::2", hops }, 133, 0, 0, body), "33:33:00:00:00:02"));
  };
  solicit(254);
  expect(h.advance(1000)).toEqual([]);
  solicit(255);
  expect(h.advance(500)).toEqual([0]);
  expect(h.lan.counters).toEqual({ lanSolicitations: 1, lanSolicitationsIgnored: 0, lanAdverts: 4 });
});

test("another router on the LAN is named: what hosts send there goes around the tunnel", () => {
  const h = new LanSide6();
  h.lan.start(h.now);
  h.advance(2000);
  const hear = (lifetime: number): void => {
    const none = {
      hopLimit: 0,
      managed: false,
      other: false,
      preference: 0 as const,
      reachableTime: 0,
      retransTimer: 0,
    };
    const lists = { mac: undefined, mtu: undefined, prefixes: [], routes: [], rdnss: [], dnssl: [] };
    const message = routerAdvertBuild({ ...none, ...lists, lifetime });
    const rest = new DataView(message.buffer).getInt32(4);
    h.push(
      frame6(
        icmp6({ src: HOST_LL, dst: "ff02::1", hops: 255 }, ADVERT, 0, rest, message.subarray(8)),
        "33:33:00:00:00:01",
      ),
    );
  };
  hear(0);
  expect(h.log).toHaveLength(1);
  hear(1800);
  expect(h.log.at(-1)).toStartWith(`lan.other-router another IPv6 router (${HOST_LL}) advertises itself on the LAN`);
});

test("a link-local address that another host has gives way to the next, four times; the gateway's own is named", () => {
  const h = new LanSide6();
  h.lan.start(h.now);
  const seen = new Set<string>();
  for (let i = 0; i < 5; i++) {
    h.advance(200);
    const own = `${h.it.v6.addressing.addresses[0]?.value}`;
    seen.add(own);
    h.push(advert6(own, { dst: "ff02::1", flags: UNSOLICITED }));
  }
  expect([seen.size, h.advance(10_000)]).toEqual([4, []]);
  expect(h.log.at(-1)).toMatch(/^lan\.conflict another host .* uses our LAN address fe80::/);
  const g = new LanSide6();
  g.lan.start(g.now);
  g.advance(200);
  g.push(advert6(`${ownNetwork(PRF).address}`, { dst: "ff02::1", flags: UNSOLICITED }));
  expect(g.log.at(-1)).toContain(`uses our LAN address ${ownNetwork(PRF).address}`);
  expect(g.advance(2000)).toEqual([0]);
});
