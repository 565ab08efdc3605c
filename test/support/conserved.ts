import { expect } from "bun:test";
import type { Router } from "../../src/netstack/router.ts";
import { total } from "./total.ts";

/** Every packet that came to the router went on, back, or waits for the rest of it, or is a named drop. */
export function expectConserved({ lan, tunnel }: Router): void {
  const v = { ...lan.counters.snapshot(), ...tunnel.counters.snapshot() };
  const n = (name: string): number => v[name] ?? 0;
  expect(n("lanReceived")).toBe(n("toTunnel") + n("lanBack") + n("lanHeld") + total(lan.drops));
  expect(n("tunnelReceived")).toBe(n("toLan") + total(tunnel.drops));
}
