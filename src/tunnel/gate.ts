/**
 * Where the end of a tunnel of two is found by its peer: a port with at most one peer behind it, and a few who may become that.
 * Each of them has a link of its own, as if this end had gone there; whether one is the peer its session finds out.
 *
 *     TLS over UDP   whoever has shown that the address is its own (admission.ts) has a link: nothing is kept of others
 *     static, UDP    there is one link, with which whatever comes from elsewhere is tried: who has the key is its peer
 *     TCP            each connection is a link
 */
import { Batch } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import { IpAddress, wordsOf } from "../lib/ip.ts";
import type { Slab } from "../lib/slab.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import { DATA_V1, DATA_V2, opcodeOf } from "../protocol/control/opcode.ts";
import { CONTROL_HEADER_LEN } from "../protocol/control/packet.ts";
import { SessionDrops } from "../protocol/drop.ts";
import { LIMITED, type Strangers } from "../protocol/server/strangers.ts";
import type { AssociationStart } from "../protocol/session/start.ts";
import { GateLink } from "./gate-link.ts";
import type { LinkReceiver } from "./link.ts";
import type {
  DatagramPort,
  ListenPorts,
  ListenReceiver,
  OpenPort,
  PeerLink,
  Sources,
  StreamReceiver,
} from "./listen.ts";

/** Rows of one sender that are handed over at once. */
const ROWS = 1024;

const COUNTERS = [
  "first-packets-answered",
  "first-packets-limited",
  "elsewhere",
  "unknown-peer",
  "connections-refused",
] as const;
const [ANSWERED, LIMITED_COUNT, ELSEWHERE, UNKNOWN, REFUSED] = [0, 1, 2, 3, 4] as const;

export interface GateOptions {
  readonly ports: ListenPorts;
  readonly slab: Slab;
  readonly config: ListenConfig;
  /** Bytes of the longest packet that can be right. */
  readonly longest: number;
  /** The peer that is up may go on from another address. */
  readonly float: boolean;
  /** Who alone is heard; undefined: anybody. */
  readonly only: Endpoint | undefined;
  /** TLS: who may begin. undefined: a static key says who is the peer. */
  readonly strangers: Strangers | undefined;
  readonly unixSeconds: () => number;
  /** Somebody may be the peer. @returns who takes its packets; undefined: it is not wanted */
  readonly arrived: (now: number, link: GateLink, resumed: AssociationStart["resumed"]) => LinkReceiver | undefined;
}

export class Gate implements ListenReceiver {
  readonly counters = new Counters<(typeof COUNTERS)[number]>(COUNTERS);
  /** Of packets that nobody's session saw. */
  readonly drops = new SessionDrops();
  readonly #options: GateOptions;
  readonly #links: GateLink[] = [];
  readonly #run = new Batch(ROWS);
  #port: OpenPort | undefined;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Begins to listen. @returns why it cannot, in words */
  open(now: number): string | undefined {
    const { ports, config, longest } = this.#options;
    const port = ports.listen(now, config, longest, this);
    if (typeof port === "string") return port;
    this.#port = port;
    return undefined;
  }

  /** Ends all links too, without a word to their receivers. */
  close(): void {
    for (const link of [...this.#links]) link.close();
    this.#port?.close();
    this.#port = undefined;
  }

  /** What was dropped and counted here, by name. */
  snapshot(): Record<string, number> {
    const fields: Record<string, number> = {};
    for (const [name, n] of Object.entries(this.counters.snapshot())) fields[`gate-${name}`] = n;
    const drops = { ...this.drops.snapshot(), ...this.#port?.drops() };
    for (const [name, n] of Object.entries(drops)) fields[`drop.${name}`] = n;
    return fields;
  }

  /** The way to a peer that is known, which nothing has come from yet; undefined: there is none but over a link of its own. */
  dial(endpoint: Endpoint, receiver: LinkReceiver): GateLink | undefined {
    const peer = this.#port?.dial?.(endpoint);
    return peer && this.#add(new GateLink(peer, (link) => this.#remove(link)), receiver);
  }

  handleDatagrams(now: number, port: DatagramPort, rows: Batch, from: Sources): void {
    const run = this.#run;
    for (let i = 0; i < rows.count; ) {
      if (rows.len[i] === 0) i++;
      else if (!this.#isHeard(from, i)) {
        this.counters.bump(ELSEWHERE);
        i++;
      } else {
        const link = this.#whose(rows, i, from);
        if (link === undefined) this.#handleStranger(now, port, rows, i++, from);
        else {
          run.clear();
          do run.push(rows.at[i]!, rows.len[i++]!);
          while (i < rows.count && this.#isHeard(from, i) && this.#whose(rows, i, from) === link);
          link.handOver(now, run);
        }
      }
    }
  }

  narrowed(now: number, _port: DatagramPort, to: Endpoint, mtu: number): void {
    const words = Int32Array.from(wordsOf(to.address));
    for (const link of this.#links) if (link.isAt(words, 0, to.port)) link.narrow(now, mtu);
  }

  accepted(now: number, peer: PeerLink): StreamReceiver | undefined {
    const { only, arrived } = this.#options;
    const isWanted = only === undefined || only.address.equals(peer.endpoint.address);
    const link = new GateLink(peer, (each) => this.#remove(each));
    const receiver = isWanted ? arrived(now, link, undefined) : undefined;
    if (receiver === undefined) {
      this.counters.bump(REFUSED);
      return undefined;
    }
    this.#add(link, receiver);
    return {
      handleRows: (at, rows) => link.handOver(at, rows),
      ended: (at, end) => {
        this.#remove(link);
        receiver.ended(at, end);
      },
    };
  }

  #isHeard({ words, port }: Sources, i: number): boolean {
    const { only, float } = this.#options;
    if (only === undefined || float) return true;
    const own = wordsOf(only.address);
    return port[i] === only.port && own.every((word, k) => word === words[4 * i + k]);
  }

  /** Whose a row is by its source; of two who share one the control packets by the session id. */
  #whose(rows: Batch, i: number, from: Sources): GateLink | undefined {
    const { bytes } = this.#options.slab;
    const at = rows.at[i]!;
    const isControl = this.#options.strangers !== undefined && !isData(bytes[at]!);
    for (const link of this.#links) {
      if (!link.isAt(from.words, 4 * i, from.port[i]!)) continue;
      if (!isControl || (rows.len[i]! >= CONTROL_HEADER_LEN && link.isSession(bytes, at + 1))) return link;
    }
    return undefined;
  }

  #handleStranger(now: number, port: DatagramPort, rows: Batch, i: number, from: Sources): void {
    const { strangers, slab, unixSeconds, float } = this.#options;
    const at = rows.at[i]!;
    const len = rows.len[i]!;
    if (strangers === undefined) return this.#tryKey(now, port, at, len, from, i);
    if (isData(slab.bytes[at]!)) {
      // Which of the few has moved its key tells: an address of its own is no proof.
      const mover = float ? this.#links[0] : undefined;
      if (mover === undefined) return this.counters.bump(UNKNOWN);
      return this.#handOther(now, mover, port, at, len, from, i);
    }
    const admission = strangers.judge(now, unixSeconds(), slab.bytes, at, len, from, i);
    if (admission === LIMITED) return this.counters.bump(LIMITED_COUNT);
    if (typeof admission === "number") return this.drops.drop(admission);
    const endpoint = endpointOf(from, i);
    if (admission.kind === "answer") {
      this.counters.bump(ANSWERED);
      return port.answer(now, endpoint, admission.packet);
    }
    const resumed = admission.kind === "session" ? admission.resumed : undefined;
    const link = this.#arrive(now, port.peer(endpoint), resumed);
    if (link === undefined) return;
    link.setSession(slab.bytes, at + 1);
    this.#run.clear();
    this.#run.push(at, len);
    link.handOver(now, this.#run);
  }

  /** With a static key nothing but the key says who somebody is. */
  #tryKey(now: number, port: DatagramPort, at: number, len: number, from: Sources, i: number): void {
    const [link] = this.#links;
    if (link !== undefined) return this.#handOther(now, link, port, at, len, from, i);
    const first = this.#arrive(now, port.peer(endpointOf(from, i)), undefined);
    this.#run.clear();
    this.#run.push(at, len);
    first?.handOver(now, this.#run);
  }

  #handOther(now: number, link: GateLink, port: DatagramPort, at: number, len: number, from: Sources, i: number): void {
    if (!link.isOtherAt(from.words, 4 * i, from.port[i]!)) link.setOther(port.peer(endpointOf(from, i)));
    this.#run.clear();
    this.#run.push(at, len);
    link.handOverOther(now, this.#run);
  }

  #arrive(now: number, peer: PeerLink, resumed: AssociationStart["resumed"]): GateLink | undefined {
    const link = new GateLink(peer, (each) => this.#remove(each));
    const receiver = this.#options.arrived(now, link, resumed);
    if (receiver !== undefined) return this.#add(link, receiver);
    this.counters.bump(REFUSED);
    return undefined;
  }

  #add(link: GateLink, receiver: LinkReceiver): GateLink {
    link.receiver = receiver;
    this.#links.push(link);
    return link;
  }

  #remove(link: GateLink): void {
    const i = this.#links.indexOf(link);
    if (i >= 0) this.#links.splice(i, 1);
  }
}

function isData(first: number): boolean {
  const opcode = opcodeOf(first);
  return opcode === DATA_V1 || opcode === DATA_V2;
}

const endpointOf = ({ words, port }: Sources, i: number): Endpoint => ({
  address: new IpAddress(words[4 * i]!, words[4 * i + 1]!, words[4 * i + 2]!, words[4 * i + 3]!),
  port: port[i]!,
});
