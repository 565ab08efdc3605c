import { expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { seededRandom } from "../../lib/random.ts";
import { Arena, slabOver } from "../../lib/slab.ts";
import { parseConfig } from "../config/parse.ts";
import { nobleAead } from "../data/noble-aead.ts";
import { nobleCbc } from "../data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../ports.ts";
import type { SessionEvent } from "./events.ts";
import { StaticSession } from "./static.ts";

const AT = 512;
const KEY = `<secret>\n-----BEGIN OpenVPN Static key V1-----\n${Array.from({ length: 16 }, (_, i) => `${i.toString(16).padStart(2, "0").repeat(16)}\n`).join("")}-----END OpenVPN Static key V1-----\n</secret>`;

function end(direction: 0 | 1, ...lines: string[]) {
  const slab = slabOver(new ArrayBuffer(16_384));
  const text = ["dev tun", "remote 192.0.2.1", "cipher AES-128-CBC", `key-direction ${direction}`, ...lines, KEY];
  const result = parseConfig({ file: "x", text: text.join("\n") }, () => undefined, { roles: ["static"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  const session = new StaticSession(
    result.config,
    {
      slab,
      aead: nobleAead(slab),
      cbc: nobleCbc(slab),
      random: seededRandom(direction + 1),
      scratch: new Arena(slab, 8192, 16_384),
      decompressors: NO_DECOMPRESSORS,
    },
    { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000, wallClock: () => 1_700_000_009 },
  );
  const sent = (now: number): Uint8Array[] => {
    const packets: Uint8Array[] = [];
    for (let p = session.pollTransmit(now); p !== undefined; p = session.pollTransmit(now)) packets.push(p);
    return packets;
  };
  const take = (now: number, packet: Uint8Array): Uint8Array | undefined => {
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    slab.bytes.set(packet, AT);
    datagrams.push(AT, packet.length);
    session.handleBatch(now, datagrams, plain);
    return plain.count === 0 ? undefined : slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!);
  };
  const seal = (now: number, packet: Uint8Array): Uint8Array => {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    slab.bytes.set(packet, AT);
    plain.push(AT, packet.length);
    session.sealBatch(now, plain, sealed);
    return slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
  };
  const events = (): SessionEvent[] => {
    const all: SessionEvent[] = [];
    for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) all.push(e);
    return all;
  };
  return { session, sent, take, seal, events };
}

const PACKET = Uint8Array.from({ length: 40 }, (_, i) => 0x45 + i);

test("it is up at once, and packets go both ways", () => {
  const [one, other] = [end(0), end(1)];
  for (const { session } of [one, other]) session.start(0);
  expect(one.events()).toEqual([{ kind: "up", options: [], cipher: "AES-128-CBC", peerId: 0xffffff }]);
  expect(other.take(1, one.seal(1, PACKET))).toEqual(PACKET);
  expect(one.take(2, other.seal(2, PACKET))).toEqual(PACKET);
  expect([one.session.isAnswered, one.events().map(({ kind }) => kind)]).toEqual([true, ["server-answered"]]);
});

test("it pings at once and then again, and ends when nothing comes for ping-restart", () => {
  const [one, other] = [end(0, "ping 5", "ping-restart 20"), end(1)];
  one.session.start(0);
  other.session.start(0);
  one.events();
  // The first one at once: the other end hears where this one is.
  expect([one.sent(0).length, one.sent(4999).length, one.session.pollAt()]).toEqual([1, 0, 5000]);
  const [ping] = one.sent(5000);
  expect([other.take(5000, ping!), other.session.traffic().pings]).toEqual([undefined, 1]);
  one.session.handleTimeout(19_999);
  expect(one.events().at(-1)).toMatchObject({ kind: "warning", text: expect.stringContaining("nothing has come") });
  one.session.handleTimeout(20_000);
  expect(one.events()).toEqual([{ kind: "ended", end: { kind: "ping-timeout", seconds: 20, exit: false } }]);
  expect([one.sent(30_000), one.session.pollAt()]).toEqual([[], Number.POSITIVE_INFINITY]);
});

test("the goodbye is said as often as explicit-exit-notify says, and heard once", () => {
  const [one, other] = [end(0, "explicit-exit-notify 2"), end(1)];
  one.session.start(0);
  other.session.start(0);
  one.session.close(100);
  const notices = one.sent(100);
  one.events();
  expect(one.session.pollAt()).toBe(1100);
  one.session.handleTimeout(1100);
  notices.push(...one.sent(1100));
  expect([notices.length, one.events().at(-1)]).toEqual([2, { kind: "ended", end: { kind: "closed" } }]);
  for (const notice of notices) other.take(1200, notice);
  expect(other.events().filter(({ kind }) => kind === "ended")).toEqual([
    { kind: "ended", end: { kind: "server-exit" } },
  ]);
  expect(other.session.drops.snapshot()).toEqual({ "session-ended": 1 });
});

test("a packet of our own that comes back, one that is damaged, and an empty one are drops", () => {
  const one = end(0);
  one.session.start(0);
  const sealed = one.seal(1, PACKET);
  for (const packet of [sealed, sealed.subarray(0, 50), new Uint8Array(0)]) one.take(2, packet);
  expect(one.session.drops.snapshot()).toEqual({ "data-authentication": 1, "data-truncated": 1, "packet-empty": 1 });
});
