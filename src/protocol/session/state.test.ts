import { expect, test } from "bun:test";
import { nextState, type SessionInput, type SessionState } from "./state.ts";

const INPUTS: readonly SessionInput[] = ["start", "negotiated", "pushed", "close", "end"];
/** Every state with what each input leads to; "-" stays. */
const TABLE: Record<SessionState, readonly (SessionState | "-")[]> = {
  idle: ["handshake", "-", "-", "ended", "ended"],
  handshake: ["-", "push", "-", "ended", "ended"],
  push: ["-", "-", "up", "ended", "ended"],
  up: ["-", "-", "-", "closing", "ended"],
  closing: ["-", "-", "-", "-", "ended"],
  ended: ["-", "-", "-", "-", "-"],
};

test.each(Object.entries(TABLE) as [SessionState, readonly (SessionState | "-")[]][])("%s", (state, row) => {
  expect(INPUTS.map((input) => nextState(state, input))).toEqual(row.map((to) => (to === "-" ? state : to)));
});
