import { expect, test } from "bun:test";
import { Drop } from "../drop.ts";
import { cidr } from "../testing/bed.ts";
import { frame6, icmp6, ROUTER_LL } from "../testing/bed6.ts";
import { Dialogue6 } from "../testing/dialogue6.ts";
import { icmpv6Check } from "../wire/icmpv6.ts";
import { ipv6Address, ipv6HopLimit, ipv6NextHeader, ipv6PseudoSum } from "../wire/ipv6.ts";

const GROUP = "ff02::1:ff00:1";
const ALERT = "3a00050200000100";

/** Reports among what leaves, as "kind group" each. */
function reports(d: Dialogue6): string[] {
  return d.frames().flatMap(({ view, bytes }) => {
    if (view.getUint8(14 + 48) !== 143) return [];
    expect([ipv6NextHeader(view, 14), ipv6HopLimit(view, 14)]).toEqual([0, 1]);
    expect(bytes.slice(54, 62).toHex()).toBe(ALERT); // as Linux writes it
    expect(ipv6Address(view, 14 + 24).toString()).toBe("ff02::16");
    expect(bytes.slice(0, 6).toHex()).toBe("333300000016");
    expect(icmpv6Check(view, 62, bytes.length - 62, ipv6PseudoSum(view, 14, 58), true)).toBe(Drop.None);
    const records = Array.from({ length: view.getUint16(68) }, (_, i) => 70 + 20 * i);
    return [records.map((at) => `${view.getUint8(at)} ${ipv6Address(view, at + 4)}`).join(", ")];
  });
}
const step = (d: Dialogue6, ms: number): string[] => {
  const end = d.now + ms;
  const lines: string[] = [];
  for (let at = d.it.pollAt(); at <= end; at = d.it.pollAt()) {
    d.now = Math.max(d.now, at);
    d.it.handleTimeout(d.now);
    lines.push(...reports(d));
  }
  d.now = end;
  return lines;
};
const query = (delay: number, fields: { hops?: number; src?: string; cut?: number } = {}) => {
  const ip = { src: fields.src ?? "fe80::9", dst: "ff02::1", hops: fields.hops ?? 1 };
  const rest = new Uint8Array(20 - (fields.cut ?? 0));
  return frame6(icmp6(ip, 130, 0, delay << 16, rest), "33:33:00:00:00:01");
};
const up = () => {
  const d = new Dialogue6("lan");
  d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }], isRouter: true });
  return d;
};

test("what we listen to is told twice within a second (RFC 3810 6.1)", () => {
  const d = up();
  expect(step(d, 3000)).toEqual(Array(2).fill(`4 ff02::2, 4 ${GROUP}`));
  expect(d.it.pollAt()).toBe(Number.POSITIVE_INFINITY);
});

test("so is what we do not listen to any more; a group that two addresses have stays with one of them", () => {
  const d = up();
  d.configure({
    addresses: [{ address: cidr(`${ROUTER_LL}/64`) }, { address: cidr("fd00::100:1/64") }],
    isRouter: true,
  });
  step(d, 3000);
  d.configure({ addresses: [{ address: cidr("fd00::1/64") }, { address: cidr("fd00::2/64") }] });
  expect(step(d, 3000)).toEqual(Array(2).fill("3 ff02::2, 4 ff02::1:ff00:2"));
});

test("a question is answered within its time, with all that we listen to (RFC 3810 5.2.12, 6.2)", () => {
  const d = up();
  step(d, 3000);
  d.push(query(1000), query(1000));
  expect(d.it.counters.snapshot().listeners).toBe(2);
  expect(step(d, 1000)).toEqual([`2 ff02::2, 2 ${GROUP}`]);
  d.push(query(0x8000)); // 4096 << 3 ms
  expect(step(d, 32_768)).toHaveLength(1);
});

test("a flood of questions gets five answers a second at most", () => {
  const d = up();
  step(d, 3000);
  const answers: string[] = [];
  for (let i = 0; i < 1000; i++) {
    d.push(query(0));
    answers.push(...step(d, 1));
  }
  expect(answers.length).toBeGreaterThan(2);
  expect(answers.length).toBeLessThanOrEqual(6);
});

test("questions from beyond the link, from no router's address, or cut short are refused", () => {
  const d = up();
  step(d, 3000);
  d.push(query(0, { hops: 2 }), query(0, { src: "2001:db8::5" }), query(0, { cut: 5 }));
  expect(d.drops()).toEqual({ IcmpUnwanted: 2, IcmpTruncated: 1 });
  expect(step(d, 1000)).toEqual([]);
});

test("where nothing is announced nobody is told, and questions are not answered", () => {
  const d = new Dialogue6("wan").up();
  d.push(query(0));
  expect(step(d, 5000)).toEqual([]);
  expect(d.drops()).toEqual({ IcmpBadType: 1 });
});
