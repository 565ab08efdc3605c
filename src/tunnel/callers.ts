/** Those who came to the gate of an end that waits: each is an attempt, and the first whose tunnel is up is the peer. */
import type { Endpoint } from "../lib/endpoint.ts";
import { formatEndpoint } from "../lib/endpoint.ts";
import type { Log } from "../lib/log.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import type { DialConfig, Remote } from "../protocol/config/types.ts";
import type { ControlPrimitives } from "../protocol/ports.ts";
import { Strangers } from "../protocol/server/strangers.ts";
import type { AssociationStart } from "../protocol/session/start.ts";
import type { Attempt } from "./attempt.ts";
import { Gate } from "./gate.ts";
import type { GateLink } from "./gate-link.ts";
import type { LinkReceiver } from "./link.ts";
import type { ListenPorts } from "./listen.ts";
import type { Way } from "./remote-finder.ts";

/** Our choice: whoever comes when so many are in the midst of their handshake takes the place of the oldest. */
const MAX_CALLERS = 8;
/** As connect-freq-initial of a server: answers to first packets. */
const FIRST_PACKETS = { count: 100, seconds: 10 };
const COOKIE_KEY_LEN = 32;
const NO_PORTS = "nothing can be listened on here; name the other end by remote";

/** The attempt of somebody who came. */
export interface Begun {
  readonly attempt: Attempt;
  readonly receiver: LinkReceiver;
}

export interface CallersOptions {
  readonly config: DialConfig;
  /** undefined: this program goes to its peers only. */
  readonly ports: ListenPorts | undefined;
  readonly slab: Slab;
  readonly control: ControlPrimitives;
  readonly random: Random;
  readonly unixSeconds: () => number;
  readonly log: Log;
  /** Bytes of the longest packet that can be right. */
  readonly longest: number;
  /** Makes an attempt of somebody who came, and begins its session. @returns undefined: nobody is wanted now */
  readonly begin: (now: number, way: Way, link: GateLink, resumed: AssociationStart["resumed"]) => Begun | undefined;
  /** One has to go for a newer one. */
  readonly crowdedOut: (now: number, attempt: Attempt) => void;
}

export class Callers {
  readonly #options: CallersOptions;
  /** Oldest first. */
  readonly #attempts = new Set<Attempt>();
  #gate: Gate | undefined;
  /** What the gate is open for. */
  #only: string | undefined;

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  get all(): ReadonlySet<Attempt> {
    return this.#attempts;
  }

  /**
   * Listens, if that is not so yet.
   * @param only who alone is heard; undefined: anybody
   * @returns why it cannot, in words
   */
  listen(now: number, only: Endpoint | undefined): string | undefined {
    const { config, ports, log, longest, slab, unixSeconds } = this.#options;
    const { listen } = config;
    if (listen === undefined || ports === undefined) return NO_PORTS;
    const name = only && formatEndpoint(only);
    if (this.#gate !== undefined && this.#only === name) return undefined;
    this.#gate?.close();
    const gate = new Gate({
      ...{ ports, config: listen, longest, slab, only, unixSeconds, float: config.link.float },
      strangers: config.role === "static" || listen.protocol === "tcp" ? undefined : this.#strangers(config),
      arrived: (at, link, resumed) => this.#arrived(at, link, resumed),
    });
    this.#gate = undefined;
    const problem = gate.open(now);
    if (problem !== undefined) return problem;
    this.#gate = gate;
    this.#only = name;
    const { address, port, protocol } = listen;
    const fields = { address: address === undefined ? "*" : `${address}`, port, protocol, peer: name ?? "any" };
    log.write("info", "link.listening", "", fields);
    return undefined;
  }

  /** A link to a peer that is known, over the port that is listened on. undefined: there is none */
  dial(endpoint: Endpoint, receiver: LinkReceiver): GateLink | undefined {
    return this.#gate?.dial(endpoint, receiver);
  }

  /** It is one of them no longer. */
  remove(attempt: Attempt): boolean {
    return this.#attempts.delete(attempt);
  }

  /** Listens no longer. Whoever is here has to be ended before. */
  close(): void {
    this.#gate?.close();
    this.#gate = undefined;
  }

  pollAt(): number {
    let at = Number.POSITIVE_INFINITY;
    for (const attempt of this.#attempts) at = Math.min(at, attempt.pollAt());
    return at;
  }

  snapshot(): Record<string, number> | undefined {
    return this.#gate?.snapshot();
  }

  #arrived(now: number, link: GateLink, resumed: AssociationStart["resumed"]): LinkReceiver | undefined {
    const { begin, crowdedOut } = this.#options;
    const begun = begin(now, this.#wayTo(link), link, resumed);
    if (begun === undefined) return undefined;
    const [oldest] = this.#attempts;
    if (oldest !== undefined && this.#attempts.size === MAX_CALLERS) crowdedOut(now, oldest);
    this.#attempts.add(begun.attempt);
    return begun.receiver;
  }

  #wayTo(link: GateLink): Way {
    const { config } = this.#options;
    const { address, port } = link.endpoint(0);
    const { protocol, family, origin } = config.listen as NonNullable<DialConfig["listen"]>;
    const remote: Remote = { host: `${address}`, port, protocol, family, origin, own: {} };
    return { remote, config, address, server: address };
  }

  #strangers({ control }: Exclude<DialConfig, { role: "static" }>): Strangers {
    const { random, control: primitives } = this.#options;
    const cookieKey = new Uint8Array(COOKIE_KEY_LEN);
    random.fill(cookieKey);
    const limits = { connectFreq: undefined, connectFreqInitial: FIRST_PACKETS };
    return new Strangers({ control, wrappedKeys: undefined, limits }, primitives, cookieKey);
  }
}
