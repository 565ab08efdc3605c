import { expect, test } from "bun:test";
import { IpAddress } from "../lib/ip.ts";
import { seededRandom } from "../lib/random.ts";
import { slabOver } from "../lib/slab.ts";
import type { Interface } from "../netstack/interface.ts";
import type { Resolution } from "../tunnel/resolve.ts";
import { RemoteResolver } from "./remote-resolver.ts";

test("a question is due at once, and so is the answer that is there already", () => {
  let sent = 0;
  const wan = { bindUdp: () => ({}), closeUdp: () => {}, sendUdp: () => sent++ } as unknown as Interface;
  const resolver = new RemoteResolver({
    wan,
    slab: slabOver(new ArrayBuffer(64)),
    random: seededRandom(1),
    refuse: () => undefined,
  });
  const results: Resolution[] = [];
  const ask = (): void => resolver.resolve(1000, "vpn.example", "any", (_now, result) => results.push(result));
  expect(resolver.pollAt()).toBe(Number.POSITIVE_INFINITY);
  ask();
  expect(resolver.pollAt()).toBeLessThanOrEqual(1000);
  resolver.poll(1000);
  expect(results).toMatchObject([{ ok: false }]); // nobody to ask
  expect(resolver.pollAt()).toBe(Number.POSITIVE_INFINITY);
  resolver.setServers([IpAddress.fromIpv4(0x0a000001)]);
  ask();
  expect([resolver.pollAt() <= 1000, sent]).toEqual([true, 0]);
  resolver.poll(1000);
  expect([resolver.pollAt() > 1000, sent]).toEqual([true, 2]);
});
