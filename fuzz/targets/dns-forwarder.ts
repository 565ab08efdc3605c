/** The DNS forwarder as a machine: hosts that ask, well or badly, servers that answer, honestly or not, time, and servers that change. */
import { concat } from "../../src/lib/bytes.ts";
import { parseCidr } from "../../src/lib/cidr.ts";
import { type IpAddress, parseIpv4 } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { DnsForwarder } from "../../src/netstack/dns/forwarder.ts";
import { LocalNames } from "../../src/netstack/dns/names.ts";
import type { Datagram } from "../../src/netstack/service.ts";
import { Decisions, type Target } from "../target.ts";

const address = (text: string): IpAddress => parseIpv4(text) as IpAddress;
const LAN = parseCidr("192.168.50.1/24")!;
const HOSTS = ["192.168.50.2", "192.168.50.3", "10.0.0.9"].map(address);
const SERVERS = ["10.8.0.1", "10.8.0.2"].map((text) => ({ address: address(text), port: 53 }));
const GROUPS = [
  [],
  [{ domains: [], servers: SERVERS }],
  [
    { domains: [], servers: SERVERS.slice(0, 1) },
    { domains: ["corp"], servers: SERVERS.slice(1) },
  ],
];
/** The root, names of many kinds, and pieces of names. */
const NAMES = ["", "a.corp", "www.some-long-name.example", "lan", "h.lan", "1.50.168.192.in-addr.arpa", "x.onion"];
const TYPES = [1, 28, 12, 65, 255, 6, 65_280];
const OPT = [0, 0, 41, 4, 208, 0, 0, 128, 0, 0, 0];
const POINTER = [0xc0, 12];
const UDP_MOST = 1232;
/** A question makes at most so many: a server may be asked once more without capitals, and without EDNS. */
const MOST_ATTEMPTS = 7;
const WITHIN = 5000;

const wire = (name: string): number[] => [
  ...name
    .split(".")
    .filter((label) => label !== "")
    .flatMap((label) => [label.length, ...[...label].map((c) => c.charCodeAt(0))]),
  0,
];

function record(decisions: Decisions): Uint8Array {
  const owner = decisions.below(4) === 0 ? [...decisions.take(3)] : POINTER;
  const type = TYPES[decisions.below(TYPES.length)] as number;
  const data = decisions.take(decisions.below(3) === 0 ? decisions.byte() : type === 1 ? 4 : 16);
  const length = decisions.below(16) === 1 ? decisions.byte() : data.length;
  return Uint8Array.of(
    ...owner,
    type >> 8,
    type & 255,
    0,
    1,
    decisions.byte(),
    0,
    0,
    decisions.byte(),
    0,
    length,
    ...data,
  );
}

export const dnsForwarder: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const hosts = { addressesOf: (label: string) => (label === "h" ? HOSTS.slice(0, 1) : []), nameOf: () => "h" };
    const names = new LocalNames({ hostname: "morgana", domain: "lan", hosts, networks: () => [LAN] });
    const isOfLan = (a: IpAddress): boolean => LAN.contains(a);
    const forwarder = new DnsForwarder({ random: seededRandom(9), names, isOfLan });
    let now = 1000;
    let asked: (Datagram & { readonly isDialed?: boolean })[] = [];
    let questions = 0;
    let attempts = 0;
    let openUntil = now;
    const check = (answer: Uint8Array, stream: number): void => {
      if ((answer[2]! & 0x80) === 0) throw new Error("a question as an answer");
      if (stream === 0 && answer.length > UDP_MOST) throw new Error(`${answer.length} bytes by UDP`);
      seen(`rcode ${answer[3]! & 15} ${answer[2]! & 2} ${Math.min(answer[7]!, 2)} ${Math.min(answer[9]!, 2)}`);
    };
    const drain = (): void => {
      for (let t = forwarder.asking.pollTransmit(); t !== undefined; t = forwarder.asking.pollTransmit()) {
        attempts++;
        asked = [t, ...asked].slice(0, 8);
      }
      for (let id = forwarder.asking.pollHangUp(); id !== undefined; id = forwarder.asking.pollHangUp())
        seen("hang up");
      for (let d = forwarder.asking.pollDial(); d !== undefined; d = forwarder.asking.pollDial()) {
        attempts++;
        asked = [{ socket: d.id, peer: d.server, payload: d.question, isDialed: true }, ...asked].slice(0, 8);
      }
      for (let a = forwarder.pollAnswer(); a !== undefined; a = forwarder.pollAnswer()) check(a.message, a.stream);
      for (let e = forwarder.pollEvent(); e !== undefined; e = forwarder.pollEvent()) seen(e.kind);
    };
    const pass = (until: number): void => {
      while (forwarder.asking.pollAt() <= until) {
        now = Math.max(now, forwarder.asking.pollAt());
        forwarder.asking.handleTimeout(now);
        if (forwarder.asking.pollAt() <= now) throw new Error(`asks again for ${forwarder.asking.pollAt()} at ${now}`);
        drain();
      }
      now = until;
    };
    forwarder.setServers(now, GROUPS[1] as (typeof GROUPS)[1], []);
    for (let steps = 0; decisions.left > 0 && steps < 64; steps++) {
      switch (decisions.below(8)) {
        case 0:
          forwarder.setServers(now, GROUPS[decisions.below(GROUPS.length)] ?? [], ["corp"]);
          break;
        case 1:
          pass(now + decisions.uint16());
          break;
        case 2: {
          const bytes = decisions.take(decisions.byte());
          const len = forwarder.ask(now, HOSTS[0] as IpAddress, 1000, 0, bytes, 0, bytes.length);
          if (len > 0) check(forwarder.reply.subarray(0, len), 0);
          break;
        }
        case 3:
        case 4: {
          const flags = decisions.below(4) === 0 ? [decisions.byte(), decisions.byte()] : [1, decisions.byte() & 0x30];
          const name =
            decisions.below(8) === 1 ? [...decisions.take(8)] : wire(NAMES[decisions.below(NAMES.length)] as string);
          const type = TYPES[decisions.below(TYPES.length)] as number;
          const hasEdns = decisions.below(2) === 1;
          const opt = hasEdns ? OPT.with(3, decisions.byte()) : [];
          const bytes = Uint8Array.of(
            7,
            7,
            ...flags,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            hasEdns ? 1 : 0,
            ...name,
            type >> 8,
            type & 255,
            0,
            1,
            ...opt,
          );
          const stream = decisions.below(4) === 1 ? 1 : 0;
          const from = HOSTS[decisions.below(HOSTS.length)] as IpAddress;
          questions++;
          openUntil = now + WITHIN;
          const len = forwarder.ask(now, from, decisions.byte() + 1, stream, bytes, 0, bytes.length);
          if (len > 0) check(forwarder.reply.subarray(0, len), stream);
          break;
        }
        default: {
          // an answer to one of the last questions: its header and question, with these flags and records
          const question = asked[decisions.below(8)];
          if (question === undefined) break;
          const end = question.payload.length - (question.payload[11] === 1 ? OPT.length : 0);
          const records = Array.from({ length: decisions.below(5) }, () => record(decisions));
          const hasOpt = decisions.below(2) === 1;
          const answer = concat(question.payload.subarray(0, end), ...records, Uint8Array.from(hasOpt ? OPT : []));
          answer[2] = 0x80 | (decisions.below(4) === 0 ? decisions.byte() : 1);
          answer[3] = decisions.below(2) === 0 ? 0 : decisions.byte();
          const authority = decisions.below(records.length + 1);
          answer[7] = records.length - authority;
          answer[9] = authority;
          answer[11] = hasOpt ? 1 : 0;
          if (decisions.below(8) === 1) answer[0] = answer[0]! ^ 1;
          if (decisions.below(8) === 1) for (let i = 12; i < end - 4; i++) answer[i] = answer[i]! | 0x20;
          if (question.isDialed === true) {
            if (decisions.below(4) === 1) forwarder.asking.handleDialEnd(now, question.socket);
            else forwarder.asking.handleMessage(now, question.socket, answer);
            break;
          }
          const peer = decisions.below(8) === 1 ? (SERVERS[1] as (typeof SERVERS)[0]) : question.peer;
          seen(String(forwarder.asking.handle(now, { socket: question.socket, peer, payload: answer })));
        }
      }
      drain();
    }
    if (attempts > questions * MOST_ATTEMPTS) throw new Error(`${attempts} questions to servers for ${questions}`);
    pass(Math.max(now, openUntil));
    if (forwarder.asking.sockets.size > 0) throw new Error("a question without end");
    for (const name of Object.keys(forwarder.counters.snapshot())) seen(name);
  },
};
