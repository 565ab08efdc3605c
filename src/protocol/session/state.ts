/**
 * The states of a client session, named by what they wait for, and the table of its transitions.
 *
 *     idle --start--> handshake --negotiated--> push --pushed--> up --close--> closing
 *                         \____________________/________________/____________/---end--> ended
 */
export type SessionState = "idle" | "handshake" | "push" | "up" | "closing" | "ended";
export type SessionInput = "start" | "negotiated" | "pushed" | "close" | "end";

/** The next state; an input without a meaning in a state leaves it. */
export function nextState(state: SessionState, input: SessionInput): SessionState {
  switch (state) {
    case "idle":
      return input === "start" ? "handshake" : input === "end" || input === "close" ? "ended" : state;
    case "handshake":
      return input === "negotiated" ? "push" : input === "end" || input === "close" ? "ended" : state;
    case "push":
      return input === "pushed" ? "up" : input === "end" || input === "close" ? "ended" : state;
    case "up":
      return input === "close" ? "closing" : input === "end" ? "ended" : state;
    case "closing":
      return input === "end" ? "ended" : state;
    case "ended":
      return state;
  }
  return state satisfies never;
}
