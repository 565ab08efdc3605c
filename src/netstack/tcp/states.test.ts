/** Every state meets every input: nothing throws, nothing ends but by what may end it, and what the peer may not know is not said. */
import { expect, test } from "bun:test";
import { Dialogue } from "../testing/tcp-dialogue.ts";
import type { Connection } from "./connection.ts";

const PLAIN = "win 60000 mss 1000";

interface Case {
  readonly t: Dialogue;
  readonly c: Connection | undefined;
  /** What the peer would send next: its sequence number, and what it may acknowledge last. */
  readonly seq: number;
  readonly ack: number;
}

const opened = (): Case => {
  const t = new Dialogue({ pages: 16 });
  return { t, c: t.connected({}, PLAIN), seq: 1, ack: 1 };
};

const STATES: Record<string, () => Case> = {
  LISTEN: () => {
    const t = new Dialogue({ pages: 16 });
    t.listen();
    return { t, c: undefined, seq: 0, ack: 0 };
  },
  "SYN-SENT": () => {
    const t = new Dialogue({ pages: 16 });
    const c = t.connect();
    t.take();
    return { t, c, seq: 0, ack: 1 };
  },
  "half open": () => {
    const t = new Dialogue({ pages: 16 });
    t.listen();
    t.push(`S 0 ${PLAIN}`);
    t.take();
    return { t, c: undefined, seq: 1, ack: 1 };
  },
  "SYN-RECEIVED": () => {
    const t = new Dialogue({ pages: 16 });
    const c = t.connect();
    t.push(`S 0 ${PLAIN}`);
    t.take();
    return { t, c, seq: 1, ack: 1 };
  },
  ESTABLISHED: () => {
    const it = opened();
    it.t.write(it.c as Connection, 500);
    it.t.take();
    return { ...it, ack: 501 };
  },
  "FIN-WAIT-1": () => {
    const it = opened();
    it.c?.shutdown();
    it.t.send();
    it.t.take();
    return { ...it, ack: 2 };
  },
  "FIN-WAIT-2": () => {
    const it = STATES["FIN-WAIT-1"]!();
    it.t.push(". 1 ack 2");
    return it;
  },
  "CLOSE-WAIT": () => {
    const it = opened();
    it.t.push("F. 1 ack 1");
    it.t.take();
    return { ...it, seq: 2 };
  },
  CLOSING: () => {
    const it = STATES["FIN-WAIT-1"]!();
    it.t.push("F. 1 ack 1");
    it.t.take();
    return { ...it, seq: 2 };
  },
  "LAST-ACK": () => {
    const it = STATES["CLOSE-WAIT"]!();
    it.c?.shutdown();
    it.t.send();
    it.t.take();
    return { ...it, ack: 2 };
  },
  "TIME-WAIT": () => {
    const it = STATES["FIN-WAIT-1"]!();
    it.t.push("F. 1 ack 2");
    it.t.take();
    return { ...it, seq: 2 };
  },
};

const FLAGS = ["", "S", "F", "R", ".", "S.", "FP.", "R.", "SF", "SR.", "SFRP.UEW"];
const OFFSETS = [-70_000, -1, 0, 1, 500, 59_999, 70_000, 0x7fff_0000];
const ACKS = [-70_000, -1, 0, 1, 70_000];
const LENGTHS = [0, 1400];

for (const [name, make] of Object.entries(STATES))
  test(`${name} meets every input`, () => {
    for (const flags of FLAGS)
      for (const len of LENGTHS) {
        // One dialogue serves as long as its state stays what it is.
        let it = make();
        const before = it.c?.state;
        const whole = JSON.stringify(it.t.tcp.census);
        for (const offset of OFFSETS)
          for (const ackOffset of ACKS) {
            const seq = it.seq + offset;
            const span = len + (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0);
            it.t.push(`${flags} ${seq}:${seq + span} ack ${it.ack + ackOffset} win 60000 mss 1000`);
            it.t.advance(600);
            if (it.c !== undefined) {
              const { c } = it;
              if (c.end === "reset") expect([offset, flags.includes("R")]).toEqual([0, true]);
              if (c.end === "refused") expect(flags).toContain("R");
              expect(c.readable).toBeGreaterThanOrEqual(0);
              expect(c.readable).toBeLessThanOrEqual(1400 + 600);
              if (!flags.includes(".") && before !== "SYN-SENT") expect(c.readable).toBe(0);
            }
            const { census } = it.t.tcp;
            expect(census.connections + census.halfOpen + census.timeWait).toBeLessThanOrEqual(2);
            // A reset is never answered, and nothing is answered by more than a few segments.
            const sent = it.t.take();
            if (flags.includes("R")) expect(sent.filter((s) => s.startsWith("R") && offset < -1)).toEqual([]);
            if (it.c?.state !== before || JSON.stringify(census) !== whole) it = make();
          }
      }
  });
