import { expect, test } from "bun:test";
import { staticConfig } from "../../../test/support/static-config.ts";
import { Batch } from "../../lib/batch.ts";
import { seededRandom } from "../../lib/random.ts";
import { Arena, slabOver } from "../../lib/slab.ts";
import type { ReplayGuard } from "../control/replay-guard.ts";
import { nobleAead } from "../data/noble-aead.ts";
import { nobleCbc } from "../data/noble-cbc.ts";
import { NO_DECOMPRESSORS } from "../ports.ts";
import type { SessionEvent } from "./events.ts";
import { StaticSession } from "./static.ts";

const AT = 512;
const end = (direction: 0 | 1, ...lines: string[]) => endOver({ isStream: false }, direction, ...lines);

function endOver(
  { isStream, guard }: { isStream: boolean; guard?: ReplayGuard },
  direction: 0 | 1,
  ...lines: string[]
) {
  const slab = slabOver(new ArrayBuffer(16_384));
  const session = new StaticSession(
    staticConfig(direction, lines),
    {
      slab,
      aead: nobleAead(slab),
      cbc: nobleCbc(slab),
      random: seededRandom(direction + 1),
      scratch: new Arena(slab, 8192, 16_384),
      decompressors: NO_DECOMPRESSORS,
    },
    { link: { overhead: 28, isStream }, unixSeconds: 1_700_000_000, wallClock: () => 1_700_000_009, guard },
  );
  const sent = (now: number): Uint8Array[] => {
    const packets: Uint8Array[] = [];
    for (let p = session.pollTransmit(now); p !== undefined; p = session.pollTransmit(now)) packets.push(p);
    return packets;
  };
  const take = (now: number, ...packets: Uint8Array[]): Uint8Array | undefined => {
    const [datagrams, plain] = [new Batch(packets.length), new Batch(packets.length)];
    for (const [i, packet] of packets.entries()) {
      slab.bytes.set(packet, AT + i * AT);
      datagrams.push(AT + i * AT, packet.length);
    }
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

test("over a stream what cannot come of the peer ends it, and nothing behind it is opened; over UDP it is a drop", () => {
  const seal = (): Uint8Array[] => {
    const other = endOver({ isStream: true }, 1);
    other.session.start(0);
    return [other.seal(1, PACKET), other.seal(1, PACKET)];
  };
  const [first, second] = seal();
  const forged = first!.with(0, first![0]! ^ 1);
  const cases = [
    [[forged, second!], "data-authentication", []],
    [[first!.subarray(0, 50), second!], "data-truncated", []],
    [[first!, first!, second!], "data-replay", ["server-answered"]],
  ] as const;
  for (const [packets, drop, before] of cases) {
    const [stream, udp] = [endOver({ isStream: true }, 0), end(0)];
    for (const one of [stream, udp]) {
      one.session.start(0);
      one.take(2, ...packets);
    }
    const [, ...events] = stream.events();
    expect(events).toEqual([
      ...before.map((kind) => ({ kind })),
      { kind: "ended", end: { kind: "stream-broken", drop } },
    ]);
    expect(stream.session.drops.snapshot()).toEqual({ [drop]: 1, "session-ended": 1 });
    expect(udp.events().some(({ kind }) => kind === "ended")).toBe(false);
  }
});

test("what a session opened the next one does not, where it knows of it", () => {
  const [one, other] = [end(0), end(1)];
  for (const { session } of [one, other]) session.start(0);
  const packet = other.seal(1, PACKET);
  expect(one.take(2, packet)).toEqual(PACKET);
  one.session.abandon();
  const next = endOver({ isStream: false, guard: one.session.guard }, 0);
  next.session.start(3);
  expect([next.take(4, packet), next.take(5, other.seal(5, PACKET))]).toEqual([undefined, PACKET]);
  expect(next.session.drops.snapshot()).toEqual({ "data-replay": 1 });
});
