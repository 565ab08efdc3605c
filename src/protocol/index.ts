/** The public face of the protocol library: a client session without I/O, and the configuration that it takes. */
export { formatConfig } from "./config/format.ts";
export { type ParseOptions, parseConfig } from "./config/parse.ts";
export type * from "./config/types.ts";
export { SessionCookies } from "./control/cookie.ts";
export { noblePrimitives } from "./control/noble-primitives.ts";
export { nobleAead } from "./data/noble-aead.ts";
export { type SessionDrop, sessionDropText } from "./drop.ts";
export type * from "./ports.ts";
export { parseTunnelOptions, type Tunnel, type TunnelContext, type TunnelResult } from "./push/tunnel-options.ts";
export { type Admission, type AdmissionConfig, admit } from "./server/admission.ts";
export type { AssociationStart, SessionCounter, SessionPorts } from "./session/association.ts";
export { ClientSession, type ClientStart } from "./session/client.ts";
export type * from "./session/events.ts";
export { type Explanation, explainEnd, explainSilence, explainStall, type Place } from "./session/explain.ts";
export { type AttemptOutcome, RetryPolicy } from "./session/retry.ts";
export {
  type ClientLogin,
  ServerSession,
  type ServerSessionConfig,
  type ServerSessionEvent,
  type Verdict,
} from "./session/server.ts";
export type { SessionState } from "./session/state.ts";
export { framePacket, frameRows, StreamRows } from "./stream.ts";
