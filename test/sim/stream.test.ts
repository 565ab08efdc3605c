/** Over a stream nothing is lost, repeated, reordered or damaged on the way: what looks as if it were ends the session, by name. */
import { describe, expect, test } from "bun:test";
import type { SessionEnd } from "../../src/protocol/session/events.ts";
import { TLS_AUTH } from "../support/client-config.ts";
import type { IndependentServer } from "../support/independent/server.ts";
import { CONTROL, opcode } from "../support/independent/wire.ts";
import { packet, type Sim, up } from "../support/sim.ts";

const STREAM = { link: { overhead: 42, isStream: true } };
const DATAGRAMS = { link: { overhead: 28, isStream: false } };

/** @returns the end of a session over each kind of link, to which `hurt` has happened */
function ends(hurt: (sim: Sim) => void): (SessionEnd | undefined)[] {
  return [STREAM, DATAGRAMS].map((start) => {
    const sim = up(1, { wrap: TLS_AUTH, start });
    hurt(sim);
    sim.run(100);
    return sim.end;
  });
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at]! ^ 1);
const lastControl = (sim: Sim): Uint8Array => sim.fromPeer.filter((p) => opcode(p) === CONTROL).at(-1) as Uint8Array;
const sealed = (sim: Sim, n: number): Uint8Array => sim.peer.seal(sim.now, packet(n)) as Uint8Array;

describe("ends a session over TCP, and not one over UDP:", () => {
  const hurts: readonly (readonly [string, (sim: Sim) => void])[] = [
    ["control-authentication", (sim) => sim.deliver(flipped(lastControl(sim), 60))],
    ["control-replay", (sim) => sim.deliver(lastControl(sim))],
    ["control-oversize", (sim) => sim.deliver(new Uint8Array(4097).fill(0x20))],
    ["opcode-unknown", (sim) => sim.deliver(new Uint8Array(60).fill(0xf8))],
    ["data-authentication", (sim) => sim.deliver(flipped(sealed(sim, 1), 30))],
    ["data-truncated", (sim) => sim.deliver(sealed(sim, 1).subarray(0, 20))],
    [
      "data-replay",
      (sim) => {
        const [one, two] = [sealed(sim, 1), sealed(sim, 2)];
        sim.deliver(two);
        sim.deliver(one);
      },
    ],
  ];
  test.each(hurts)("%s", (drop, hurt) => {
    expect(ends(hurt)).toEqual([{ kind: "stream-broken", drop: drop as never }, undefined]);
  });
});

test("ids over TCP may leave some out, which the peer sealed and had no room to send", () => {
  const sim = up(2, { wrap: TLS_AUTH, start: STREAM });
  (sim.peer as IndependentServer).skipDataIds(5000);
  sim.expectFlow();
  sim.peer.renegotiate(sim.now);
  expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
  sim.expectFlow();
  expect(sim.end).toBeUndefined();
});
