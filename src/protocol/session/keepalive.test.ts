import { expect, test } from "bun:test";
import type { KeepaliveConfig } from "../config/types.ts";
import { Keepalive } from "./keepalive.ts";

const OFF: KeepaliveConfig = { ping: 0, timeout: 0, action: "restart", inactive: undefined, sessionTimeout: 0 };

test("0 switches each timer off", () => {
  const off = new Keepalive({ ...OFF, inactive: { seconds: 0, bytes: 0 } }, 0);
  expect([off.pingAt(5), off.timeoutAt(5), off.inactiveAt(), off.pollAt(5, 5)]).toEqual(
    new Array(4).fill(Number.POSITIVE_INFINITY),
  );
});

test("ping counts from what was sent, the timeout from what came", () => {
  const k = new Keepalive({ ...OFF, ping: 10, timeout: 60 }, 0);
  expect([k.pingAt(500), k.timeoutAt(700)]).toEqual([10_500, 60_700]);
});

test("inactive: enough bytes begin a new interval, too few end the session (man openvpn, --inactive)", () => {
  const k = new Keepalive({ ...OFF, inactive: { seconds: 100, bytes: 1000 } }, 0);
  expect(k.isInactive(100_000, 1000)).toBe(false);
  expect(k.inactiveAt()).toBe(200_000);
  expect(k.isInactive(200_000, 1999)).toBe(true);
});
