/** What a server keeps over a restart: the keys of its cookies and tokens, and who had which address. */
import { parseIp } from "../../lib/ip.ts";
import type { Random } from "../../lib/random.ts";
import type { PoolLease } from "../../protocol/server/pool.ts";
import type { StateStore } from "./store.ts";

export interface ServerKeys {
  /** 32 bytes each. */
  readonly cookie: Uint8Array;
  readonly token: Uint8Array;
}

const KEYS = "server-keys";
const POOL = "pool";
const KEY_BYTES = 32;

/** Those of before, or new ones, which are kept from now on. */
export function serverKeys(now: number, state: StateStore | undefined, random: Random): ServerKeys {
  const kept = state?.read(now, KEYS, (data): ServerKeys => {
    const { cookie, token } = data as { readonly cookie: unknown; readonly token: unknown };
    return { cookie: keyOf(cookie), token: keyOf(token) };
  });
  if (kept !== undefined) return kept;
  const fresh = { cookie: new Uint8Array(KEY_BYTES), token: new Uint8Array(KEY_BYTES) };
  for (const key of Object.values(fresh)) random.fill(key);
  state?.keep(now, KEYS, () => ({ cookie: fresh.cookie.toHex(), token: fresh.token.toHex() }));
  return fresh;
}

function keyOf(text: unknown): Uint8Array {
  const key = typeof text === "string" ? Uint8Array.fromHex(text) : undefined;
  if (key?.length !== KEY_BYTES) throw new Error("no key of 32 bytes");
  return key;
}

/** Who had which address before; nobody, where that was not kept. */
export function keptPool(now: number, state: StateStore | undefined): readonly PoolLease[] | undefined {
  return state?.read(now, POOL, (data) => {
    if (!Array.isArray(data)) throw new Error("no leases");
    return data.map(leaseOf);
  });
}

/** Has it written, soon. */
export function keepPool(now: number, state: StateStore | undefined, leases: () => readonly PoolLease[]): void {
  state?.keep(now, POOL, () =>
    leases().map(({ name, address, address6, releasedAt }) => ({
      name,
      ...(address === undefined ? {} : { address: `${address}` }),
      ...(address6 === undefined ? {} : { address6: `${address6}` }),
      ...(releasedAt === undefined ? {} : { releasedAt }),
    })),
  );
}

function leaseOf(lease: Record<string, unknown>): PoolLease {
  const { name, address, address6, releasedAt } = lease;
  const ip = (text: unknown, isIpv4: boolean) => {
    if (text === undefined) return undefined;
    const parsed = parseIp(String(text));
    if (parsed?.isIpv4 !== isIpv4) throw new Error("a lease without an address");
    return parsed;
  };
  if (typeof name !== "string" || (releasedAt !== undefined && !Number.isSafeInteger(releasedAt)))
    throw new Error("a lease that cannot be read");
  return {
    name,
    address: ip(address, true),
    address6: ip(address6, false),
    releasedAt: releasedAt as number | undefined,
  };
}

/** Where the profile's file and what was kept differ about a name, its file is older, unless it is one that is only read. */
export function leasesOfBoth(ofFile: readonly PoolLease[], kept: readonly PoolLease[]): PoolLease[] {
  const fixed = ofFile.filter(({ isFixed }) => isFixed);
  const known = new Set([...kept, ...fixed].map(({ name }) => name));
  const isFixed = new Set(fixed.map(({ name }) => name));
  return [...fixed, ...kept.filter(({ name }) => !isFixed.has(name)), ...ofFile.filter(({ name }) => !known.has(name))];
}
