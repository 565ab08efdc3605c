import { expect, test } from "bun:test";
import { ACK_V1, CONTROL_V1 } from "./opcode.ts";
import { MAX_RETRANSMIT_MS, RECEIVE_WINDOW, Reliable, SEND_WINDOW } from "./reliable.ts";

const payload = Uint8Array.of(1);
function filled(count: number): Reliable {
  const r = new Reliable(2000);
  for (let i = 0; i < count; i++) r.queue(CONTROL_V1, payload);
  return r;
}
const sendAll = (r: Reliable, now: number): number[] => {
  const ids: number[] = [];
  for (let p = r.pollSend(now); p !== undefined; p = r.pollSend(now)) ids.push(p.id);
  return ids;
};

test("retransmissions come at doubling intervals, at most 8 s apart, until acknowledged", () => {
  const r = filled(1);
  const times: number[] = [];
  for (let now = 0; now <= 40_000; now += 100) if (sendAll(r, now).length > 0) times.push(now);
  expect(times.slice(0, 5)).toEqual([0, 2000, 6000, 14_000, 22_000]);
  for (let i = 1; i < times.length; i++) expect(times[i]! - times[i - 1]!).toBeLessThanOrEqual(MAX_RETRANSMIT_MS);
  r.acknowledge([0]);
  expect([r.allAcked, r.pollAt()]).toEqual([true, Number.POSITIVE_INFINITY]);
});

test("the send window is 6, and acknowledgements make room", () => {
  const r = filled(SEND_WINDOW);
  expect(r.sendRoom).toBe(0);
  expect(sendAll(r, 0)).toEqual([0, 1, 2, 3, 4, 5]);
  r.acknowledge([1, 1, 99]);
  expect(r.sendRoom).toBe(1);
});

test("a packet goes again at once when three later ones were acknowledged", () => {
  const r = filled(5);
  sendAll(r, 0);
  r.acknowledge([1, 2]);
  expect(sendAll(r, 10)).toEqual([]);
  r.acknowledge([3]);
  expect(sendAll(r, 10)).toEqual([0]);
});

test("what was not sent cannot be acknowledged", () => {
  const r = filled(1);
  r.acknowledge([0]);
  expect(r.allAcked).toBe(false);
});

test("a duplicate is acknowledged again: the acknowledgement before may be lost", () => {
  const r = new Reliable(2000);
  for (let i = 0; i < 2; i++) {
    r.receive(0, CONTROL_V1, payload);
    expect([r.acksPending, r.takeAcks(8)]).toEqual([true, [0]]);
    expect(r.acksPending).toBe(false);
    r.take();
  }
});

test("it is known since when the oldest packet waits for its acknowledgement", () => {
  const r = filled(2);
  expect(r.waitingSince).toBe(Number.POSITIVE_INFINITY);
  r.pollSend(100);
  r.pollSend(200);
  sendAll(r, 5000);
  expect(r.waitingSince).toBe(100);
  r.acknowledge([0]);
  expect(r.waitingSince).toBe(200);
});

test("packets of both sides may begin at 1, where the resets were exchanged before", () => {
  const r = new Reliable(2000, 1);
  r.queue(CONTROL_V1, payload);
  expect(sendAll(r, 0)).toEqual([1]);
  r.receive(0, CONTROL_V1, payload);
  expect([r.take(), r.takeAcks(8)]).toEqual([undefined, [0]]);
  r.receive(1, CONTROL_V1, payload);
  expect(r.take()).toMatchObject({ opcode: CONTROL_V1 });
});

test("packets come out in order, each once; ahead of the window they are refused and not acknowledged", () => {
  const r = new Reliable(2000);
  const id = (n: number) => Uint8Array.of(n);
  for (const n of [2, 0, 2, 1, 0]) expect(r.receive(n, CONTROL_V1, id(n))).toBe(true);
  expect(r.receive(RECEIVE_WINDOW, CONTROL_V1, id(9))).toBe(false);
  const out: number[] = [];
  for (let p = r.take(); p !== undefined; p = r.take()) out.push(p.payload[0]!);
  expect(out).toEqual([0, 1, 2]);
  expect(r.receive(RECEIVE_WINDOW, CONTROL_V1, id(9))).toBe(true);
  expect(r.takeAcks(8).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 12]);
});

test("up to 8 acknowledgements on an ACK, 4 on others, and recent ones again where there is room (test_relack.cpp)", () => {
  const r = new Reliable(2000);
  for (let n = 0; n < 11; n++) r.receive(n, ACK_V1, payload);
  expect(r.takeAcks(4)).toEqual([0, 1, 2, 3]);
  expect(r.takeAcks(8).slice(0, 7)).toEqual([4, 5, 6, 7, 8, 9, 10]);
  expect(r.acksPending).toBe(false);
  expect(r.takeAcks(8)).toHaveLength(8);
});

test("the list of recent acknowledgements moves as in test_packet_id.c", () => {
  const r = new Reliable(2000);
  for (const n of [2, 1, 3, 2]) r.receive(n, CONTROL_V1, payload);
  expect(r.takeAcks(4)).toEqual([2, 1, 3]);
  for (let n = 5; n <= 11; n++) r.receive(n, CONTROL_V1, payload);
  expect(r.takeAcks(8)).toEqual([5, 6, 7, 8, 9, 10, 11, 2]);
});
