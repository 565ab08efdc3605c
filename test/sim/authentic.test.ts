/** Authentic messages and packets of the server, each kind in each state of a client's session. */
import { describe, expect, test } from "bun:test";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { SOFT_RESET_V1 } from "../../src/protocol/control/opcode.ts";
import { controlEmit } from "../../src/protocol/control/packet.ts";
import type { SessionState } from "../../src/protocol/session/state.ts";
import { NO_WRAP, PUSH, TLS_CRYPT } from "../support/client-config.ts";
import type { OpenvpnPeer } from "../support/openvpn-peer.ts";
import { Sim } from "../support/sim.ts";

type State = Exclude<SessionState, "idle" | "ended">;

const PEER_PUSH = ["PUSH_REPLY", ...PUSH, "cipher AES-256-GCM", "peer-id 5", "protocol-flags cc-exit tls-ekm"].join(
  ",",
);

function reach(state: State, wrap: ControlWrap = TLS_CRYPT): Sim {
  const sim = new Sim(7, { wrap, server: "product", lines: ["explicit-exit-notify 5"] });
  const peer = sim.peer as OpenvpnPeer;
  peer.withholdsPush = true;
  sim.session.start(sim.now);
  // the server is done with the keys, and its answer is on its way
  expect(sim.run(5000, () => peer.session.state === "login")).toBe(true);
  if (state === "handshake") return sim;
  expect(sim.run(5000, () => sim.session.state === "push")).toBe(true);
  sim.run(1000);
  if (state === "push") return sim;
  peer.session.decide(sim.now, { kind: "accept", peerId: 5, options: PUSH });
  expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
  sim.run(1000);
  if (state === "closing") {
    // what the client says is lost, what the server says arrives
    sim.session.close(sim.now);
    sim.run(0);
    sim.lose();
  }
  return sim;
}

/** The state that each message leads to, and the end's kind where it ends the session; "-": as it was. */
const MESSAGES: Readonly<Record<string, Readonly<Record<State, string>>>> = {
  [PEER_PUSH]: { handshake: "up", push: "up", up: "-", closing: "-" },
  "PUSH_REPLY,push-continuation 2": { handshake: "push", push: "-", up: "-", closing: "-" },
  "PUSH_REPLY,cipher BF-CBC": { handshake: "push-rejected", push: "push-rejected", up: "-", closing: "-" },
  "AUTH_FAILED,no": { handshake: "auth-failed", push: "auth-failed", up: "auth-failed", closing: "closed" },
  "AUTH_PENDING,timeout 20": { handshake: "push", push: "-", up: "-", closing: "-" },
  "INFO,hello": { handshake: "push", push: "-", up: "-", closing: "-" },
  "INFO_PRE,WEB_AUTH::https://vpn.example": { handshake: "push", push: "-", up: "-", closing: "-" },
  "RESTART,[N]x": { handshake: "server-restart", push: "server-restart", up: "server-restart", closing: "closed" },
  "HALT,x": { handshake: "server-halt", push: "server-halt", up: "server-halt", closing: "closed" },
  EXIT: { handshake: "server-exit", push: "server-exit", up: "server-exit", closing: "closed" },
  PUSH_REQUEST: { handshake: "push", push: "-", up: "-", closing: "-" },
  "PUSH_UPDATE,route 10.0.0.0": { handshake: "push", push: "-", up: "-", closing: "-" },
  "PUSH_UPDATE,cipher X": { handshake: "push", push: "-", up: "push-rejected", closing: "-" },
  "CR_RESPONSE,x": { handshake: "push", push: "-", up: "-", closing: "-" },
  "\u0007": { handshake: "push", push: "-", up: "-", closing: "-" },
};

describe.each(["handshake", "push", "up", "closing"] as const)("in %s", (state) => {
  test.each(Object.keys(MESSAGES))("%s", (text) => {
    const sim = reach(state);
    expect(sim.session.state).toBe(state);
    sim.peer.say(text);
    sim.run(200);
    const expected = MESSAGES[text]![state];
    const is: string | undefined = sim.session.state === "ended" ? sim.end?.kind : sim.session.state;
    expect(is).toBe(expected === "-" ? state : expected);
    // it is authentic, so no drop; what follows the end is one
    const { "session-ended": _, ...drops } = sim.session.drops.snapshot();
    expect(drops).toEqual({});
  });
});

test("a renegotiation that the server begins too early is a drop, and so is one during the goodbye", () => {
  for (const [state, drops] of [
    ["push", { "control-unexpected": 1 }],
    ["up", {}],
    ["closing", { "control-unexpected": 1 }],
  ] as const) {
    const sim = reach(state, NO_WRAP);
    if (state === "push") {
      const reset = { opcode: SOFT_RESET_V1, keyId: 1, packetId: 0, acks: [], peerSessionId: undefined };
      sim.deliver(controlEmit({ ...reset, sessionId: sim.fromPeer[0]!.slice(1, 9), payload: new Uint8Array(0) }));
    } else {
      sim.peer.renegotiate(sim.now);
      sim.run(25);
    }
    expect([state, sim.session.drops.snapshot(), sim.session.state]).toEqual([state, drops, state]);
  }
});
