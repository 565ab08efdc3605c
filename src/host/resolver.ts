/**
 * The addresses of a remote given by name, as every program of this host finds them (getaddrinfo(3): hosts file, DNS and whatever
 * else is configured), on a thread of the runtime. What a name led to last stands in where nothing answers: the tunnel's
 * own resolver is silent while the tunnel is.
 */
import { type IpAddress, parseIp } from "../lib/ip.ts";
import type { AddressFamily } from "../protocol/config/types.ts";
import type { Resolution, Resolver } from "../tunnel/resolve.ts";

/** Looks a name up. @throws Error in words */
export type LookUp = (name: string, family: AddressFamily) => Promise<readonly string[]>;

const FAMILIES = { any: 0, ipv4: 4, ipv6: 6 } as const;

export const systemLookUp: LookUp = async (name, family) => {
  const found = await Bun.dns.lookup(name, { family: FAMILIES[family], socketType: "udp", backend: "libc" });
  return found.map(({ address }) => address);
};

/** Our choice: longer than three tries of an ordinary resolv.conf take a server that is there. */
const PATIENCE_MS = 10_000;

interface Wanted {
  readonly key: string;
  readonly name: string;
  readonly done: (now: number, result: Resolution) => void;
  readonly by: number;
}

export class HostResolver implements Resolver {
  readonly #lookUp: LookUp;
  /** Told when an answer is there: poll() is due. */
  readonly #known = new Map<string, readonly IpAddress[]>();
  #wanted: Wanted | undefined;
  #answer: Resolution | undefined;

  constructor(lookUp: LookUp = systemLookUp) {
    this.#lookUp = lookUp;
  }

  resolve(now: number, name: string, family: AddressFamily, done: (now: number, result: Resolution) => void): void {
    const wanted = { key: `${family} ${name}`, name, done, by: now + PATIENCE_MS };
    this.#wanted = wanted;
    this.#answer = undefined;
    this.#ask(wanted, family).catch(() => {});
  }

  cancel(): void {
    this.#wanted = undefined;
    this.#answer = undefined;
  }

  pollAt(): number {
    if (this.#wanted === undefined) return Number.POSITIVE_INFINITY;
    return this.#answer === undefined ? this.#wanted.by : Number.NEGATIVE_INFINITY;
  }

  poll(now: number): void {
    const wanted = this.#wanted;
    if (wanted === undefined) return;
    if (this.#answer === undefined && now >= wanted.by)
      this.#answer = this.#instead(wanted, "no resolver has answered in time");
    const answer = this.#answer;
    if (answer === undefined) return;
    this.cancel();
    wanted.done(now, answer);
  }

  async #ask(wanted: Wanted, family: AddressFamily): Promise<void> {
    let answer: Resolution;
    try {
      const texts = await this.#lookUp(wanted.name, family);
      const addresses = texts.map((text) => parseIp(text)).filter((address) => address !== undefined);
      if (addresses.length > 0) this.#known.set(wanted.key, addresses);
      answer =
        addresses.length > 0
          ? { ok: true, addresses, note: undefined }
          : this.#instead(wanted, "it has no address of the family that proto asks for");
    } catch (error) {
      answer = this.#instead(wanted, (error as Error).message);
    }
    if (this.#wanted === wanted) this.#answer = answer;
  }

  #instead({ key, name }: Wanted, why: string): Resolution {
    const addresses = this.#known.get(key);
    if (addresses === undefined) return { ok: false, text: `${name}: ${why}` };
    return { ok: true, addresses, note: `${name} cannot be looked up (${why}); what it led to before is taken` };
  }
}
