/** The stub resolver as a machine: queries, time, and answers of which some are meant for it. */
import { concat } from "../../src/lib/bytes.ts";
import { type IpAddress, parseIpv4 } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { DnsClient } from "../../src/netstack/dns/client.ts";
import type { Datagram } from "../../src/netstack/service.ts";
import { Decisions, type Target } from "../target.ts";

const SERVERS = ["10.0.0.1", "10.0.0.2"].map((text) => parseIpv4(text) as IpAddress);
const NAMES = ["vpn.example", "VPN.example.", "a..b", "other.example", "x".repeat(64)];
/** A client asks at most so many times, whatever comes: two families, with and without EDNS, of each server, a few rounds. */
const MOST_QUESTIONS = 64;

/** The option record at the end of a query. */
const EDNS_LEN = 11;
const POINTER_TO_QUESTION = [0xc0, 12];
const CNAME = 5;

/** A record for the question's name: of this type, an alias, or anything. */
function record(decisions: Decisions, type: number): Uint8Array {
  const ttl = [...decisions.take(4)];
  switch (decisions.below(4)) {
    case 0:
      return Uint8Array.of(...POINTER_TO_QUESTION, 0, CNAME, 0, 1, ...ttl, 0, 2, ...POINTER_TO_QUESTION);
    case 1:
      return decisions.take(decisions.byte() & 31);
    default: {
      const data = [...decisions.take(type === 1 ? 4 : 16)];
      return Uint8Array.of(...POINTER_TO_QUESTION, 0, type, 0, 1, ...ttl, 0, data.length, ...data);
    }
  }
}

export const dns: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const client = new DnsClient({ random: seededRandom(9) });
    client.setServers(SERVERS);
    let now = 1000;
    let asked: Datagram[] = [];
    let questions = 0;
    const open = new Set<number>();
    const drain = (): void => {
      for (let t = client.pollTransmit(); t !== undefined; t = client.pollTransmit()) {
        questions++;
        asked = [t, ...asked].slice(0, 8);
      }
      for (let e = client.pollEvent(); e !== undefined; e = client.pollEvent()) {
        if (!open.delete(e.id)) throw new Error(`an event for ${e.id}, which is not open`);
        seen(
          e.kind === "failed"
            ? e.reason
            : `${e.stale === undefined} ${Math.min(e.ipv4.length, 2)} ${Math.min(e.ipv6.length, 2)}`,
        );
        if (e.kind === "answer" && ![...e.ipv4, ...e.ipv6].every((address) => address.isHost))
          throw new Error(`an address that no host can have: ${e.ipv4} ${e.ipv6}`);
      }
    };
    let queries = 0;
    for (let steps = 0; decisions.left > 0 && steps < 64; steps++) {
      switch (decisions.below(8)) {
        case 0: {
          const id = client.query(now, NAMES[decisions.below(NAMES.length)] as string);
          open.add(id);
          queries++;
          break;
        }
        case 1: {
          const id = decisions.byte();
          client.cancel(id);
          open.delete(id);
          break;
        }
        case 2:
          client.setServers(SERVERS.slice(0, decisions.below(3)));
          break;
        case 3:
          if (client.pollAt() !== Number.POSITIVE_INFINITY) now = Math.max(now, client.pollAt());
          client.handleTimeout(now);
          if (client.pollAt() <= now) throw new Error(`asks again for ${client.pollAt()} at ${now}`);
          break;
        case 4:
          now += decisions.uint16();
          client.handleTimeout(now);
          break;
        default: {
          // an answer to one of the last questions: its header and question, with these flags and records
          const question = asked[decisions.below(8)];
          if (question === undefined) break;
          const end = question.payload.length - (question.payload[11] === 1 ? EDNS_LEN : 0);
          const type = decisions.below(4) === 0 ? decisions.byte() : question.payload[end - 3];
          const records = Array.from({ length: decisions.below(5) }, () => record(decisions, type ?? 0));
          const answer = concat(question.payload.subarray(0, end), ...records);
          answer[2] = 0x80 | (decisions.below(4) === 0 ? decisions.byte() : 1);
          answer[3] = decisions.below(2) === 0 ? 0 : decisions.byte();
          answer[7] = records.length;
          answer[11] = decisions.below(4) === 0 ? 1 : 0;
          if (decisions.below(8) === 1) answer[0] = (answer[0] as number) ^ 1;
          const from = decisions.below(8) === 1 ? (SERVERS[decisions.below(2)] as IpAddress) : question.peer.address;
          seen(
            String(client.handle(now, { socket: question.socket, peer: { address: from, port: 53 }, payload: answer })),
          );
        }
      }
      drain();
    }
    if (questions > queries * MOST_QUESTIONS) throw new Error(`${questions} questions for ${queries} names`);
    // everything comes to an end
    for (let i = 0; i < 1000 && open.size > 0; i++) {
      now = Math.max(now, client.pollAt());
      if (now === Number.POSITIVE_INFINITY) throw new Error("a query without end");
      client.handleTimeout(now);
      drain();
    }
    if (open.size > 0) throw new Error("a query without end");
  },
};
