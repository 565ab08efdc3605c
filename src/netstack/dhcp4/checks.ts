/** Addresses that everybody on the link is being asked for, before one is given (RFC 2131 2.2): by ARP, twice, with half a second to answer. */
import type { DhcpMessage } from "../wire/dhcpv4.ts";
import type { Client } from "./pool.ts";

export interface Check {
  /** What follows where nobody has it. */
  purpose: "offer" | "adopt" | "reclaim";
  readonly client: Client;
  readonly address: number;
  /** The client's latest; undefined for reclaim. */
  message: DhcpMessage | undefined;
  asks: number;
  at: number;
  /** Addresses before this one that turned out to be taken. */
  readonly conflicts: number;
}

/** Our choices. */
const ASK_EVERY_MS = 250;
const ASKS = 2;
const MAX_CHECKS = 64;

export class AddressChecks {
  /** By address. */
  readonly #checks = new Map<number, Check>();
  readonly #probes: number[] = [];

  get isFull(): boolean {
    return this.#checks.size >= MAX_CHECKS;
  }

  get(address: number): Check | undefined {
    return this.#checks.get(address);
  }

  has(address: number): boolean {
    return this.#checks.has(address);
  }

  begin(
    now: number,
    purpose: Check["purpose"],
    client: Client,
    address: number,
    message: DhcpMessage | undefined,
    conflicts = 0,
  ): void {
    const check: Check = { purpose, client, address, message, asks: 0, at: now, conflicts };
    this.#checks.set(address, check);
    this.#probe(now, check);
  }

  /** It is decided, or of no use any more. */
  delete(address: number): void {
    this.#checks.delete(address);
  }

  /** Asks again where that is due. @returns those that nobody has answered; they stay until they are deleted */
  unanswered(now: number): Check[] {
    const over: Check[] = [];
    for (const check of this.#checks.values()) {
      if (now < check.at) continue;
      if (check.asks < ASKS) this.#probe(now, check);
      else over.push(check);
    }
    return over;
  }

  pollAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const check of this.#checks.values()) at = Math.min(at, check.at);
    return at;
  }

  /** An address that everybody is to be asked for (int32). */
  pollProbe(): number | undefined {
    return this.#probes.shift();
  }

  #probe(now: number, check: Check): void {
    check.asks++;
    check.at = now + ASK_EVERY_MS;
    this.#probes.push(check.address);
  }
}
