import { expect, test } from "bun:test";
import { type SessionState, TRANSITIONS } from "./state.ts";

const states = Object.keys(TRANSITIONS) as SessionState[];

test("every state can be left for the end at once, and nothing leaves the end", () => {
  for (const from of states) expect(TRANSITIONS[from].includes("ended")).toBe(from !== "ended");
});

test("the way to the tunnel leads through each state once, and never back", () => {
  const way: SessionState[] = ["idle", "handshake", "push", "up", "closing", "ended"];
  for (const [i, from] of way.entries()) {
    expect(TRANSITIONS[from].filter((to) => to !== "ended")).toEqual(
      way.slice(i + 1, i + 2).filter((to) => to !== "ended"),
    );
  }
});
