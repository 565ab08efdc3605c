/**
 * A client session and the independent server through operations in any order: packets lost, forged and repeated, words of the server,
 * renegotiations by either side, silence. Nothing throws, and a session that is over stays silent.
 */

import { NO_WRAP, TLS_AUTH, TLS_CRYPT } from "../../test/support/client-config.ts";
import { Sim } from "../../test/support/sim.ts";
import { Decisions, type Target } from "../target.ts";

const WORDS = [
  "PUSH_REPLY,ifconfig 10.8.0.3 255.255.255.0",
  "PUSH_REPLY,auth-token x,push-continuation 2",
  "AUTH_FAILED",
  "AUTH_FAILED,TEMP[backoff 3]:later",
  "AUTH_PENDING,timeout 30",
  "RESTART,[N]",
  "HALT",
  "INFO,hello",
  "INFO_PRE,WEB_AUTH::https://x.example",
  "EXIT",
  "PUSH_UPDATE,route 10.0.0.0 255.0.0.0",
];
const LINES = [
  [],
  ["reneg-sec 20 20"],
  ["inactive 30 1000"],
  ["explicit-exit-notify 2", "hand-window 15"],
  ["reneg-pkts 40"],
];
const IPV4 = 0x45;

export const session: Target = {
  runs: 100,
  run(input, seen) {
    const decisions = new Decisions(input);
    const wrap = [TLS_CRYPT, TLS_AUTH, NO_WRAP][decisions.below(3)] as typeof TLS_CRYPT;
    const sim = new Sim(1 + decisions.byte(), { wrap, lines: LINES[decisions.below(LINES.length)] as string[] });
    sim.peer.isForgiving = true;
    sim.session.start(sim.now);
    let payload = 0;
    for (let steps = 0; decisions.left > 0 && steps < 100; steps++) {
      switch (decisions.below(14)) {
        case 0:
        case 1:
        case 2:
          sim.run(decisions.byte() * 4);
          break;
        case 3:
          sim.run(decisions.byte() * 250);
          break;
        case 4:
          sim.sendData(Uint8Array.from({ length: 60 }, (_, i) => (i === 0 ? IPV4 : payload)));
          payload++;
          break;
        case 5:
          sim.answerData(Uint8Array.from({ length: 60 }, (_, i) => (i === 0 ? IPV4 : payload)));
          payload++;
          break;
        case 6:
          if (sim.peer.keyId >= 0) sim.peer.renegotiate(sim.now);
          break;
        case 7:
          sim.peer.say(WORDS[decisions.below(WORDS.length)] as string);
          break;
        case 8:
          sim.peer.say(Buffer.from(decisions.take(decisions.byte())).toString("latin1"));
          break;
        case 9:
          sim.lose();
          break;
        case 10: {
          const recorded = sim.fromPeer[decisions.uint16() % Math.max(1, sim.fromPeer.length)];
          if (recorded === undefined) break;
          const bytes = recorded.slice();
          const flips = decisions.below(3);
          for (let i = 0; i < flips; i++) {
            const at = decisions.byte() % bytes.length;
            bytes[at] = (bytes[at] as number) ^ (1 << decisions.below(8));
          }
          sim.deliver(bytes.subarray(0, decisions.below(4) === 0 ? decisions.byte() : bytes.length));
          break;
        }
        case 11:
          sim.deliver(decisions.take(decisions.byte()));
          break;
        case 12:
          sim.peer.mute = !sim.peer.mute;
          break;
        default:
          if (decisions.below(4) === 0) sim.session.close(sim.now);
          else sim.peer.withholdsPush = !sim.peer.withholdsPush;
      }
      seen(sim.session.state);
    }
    for (const event of sim.events) seen(event.kind === "ended" ? `ended: ${event.end.kind}` : event.kind);
    for (const name of Object.keys(sim.session.drops.snapshot())) seen(name);
    sim.session.close(sim.now);
    sim.run(10_000);
    if (sim.session.state !== "ended") throw new Error(`closed, and still ${sim.session.state}`);
    const { length } = sim.sentAt;
    sim.run(200_000);
    if (sim.sentAt.length !== length) throw new Error("a session that is over sends on");
    if (sim.count("ended") !== 1) throw new Error(`${sim.count("ended")} ends`);
  },
};
