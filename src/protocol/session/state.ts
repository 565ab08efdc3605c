/**
 * The states of a client session, named by what they wait for, with what each needs, and the transitions that there are.
 *
 *     idle --start--> handshake --keys exchanged--> push --pushed--> up --close--> closing
 *       |                 |                          |                |              |
 *       +-----------------+--------------------------+----------------+--------------+----> ended
 */
import type { KeyPlan } from "../data/key-plan.ts";
import type { Pushed, PushReply } from "../push/collect.ts";
import type { PushUpdates } from "../push/update.ts";
import type { SessionEnd } from "./events.ts";

/** Our choice: a person hears by then that nothing has come of a session yet. */
export const SILENCE_MS = 15_000;

export type ClientState =
  | { readonly kind: "idle" }
  /** Resets, TLS, key-method messages. */
  | { readonly kind: "handshake" }
  /** `since`: when keys were exchanged. `reply`: the parts that have come. */
  | { readonly kind: "push"; readonly since: number; readonly reply: PushReply }
  /** `updates`: the options as the server has changed them since. */
  | {
      readonly kind: "up";
      readonly pushed: Pushed;
      readonly plan: KeyPlan;
      readonly updates: PushUpdates;
    }
  /** The goodbye is on its way. */
  | { readonly kind: "closing" }
  | { readonly kind: "ended"; readonly end: SessionEnd };

export type SessionState = ClientState["kind"];

/** Where each state may lead. */
export const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = Object.freeze({
  idle: ["handshake", "ended"],
  handshake: ["push", "ended"],
  push: ["up", "ended"],
  up: ["closing", "ended"],
  closing: ["ended"],
  ended: [],
});
