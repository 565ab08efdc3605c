/**
 * The public face of the protocol library (docs/library.md): sessions without I/O, the configurations that they take, and what
 * stands around them. Whoever uses it from outside imports this file alone.
 */
// x509 throws at load without it
import "reflect-metadata";

export { Batch } from "../lib/batch.ts";
export { type Cidr, parseCidr } from "../lib/cidr.ts";
export { type Endpoint, formatEndpoint } from "../lib/endpoint.ts";
export { type IpAddress, parseIp } from "../lib/ip.ts";
export { Arena, HEADROOM, type Slab, slabOver, TAILROOM } from "../lib/slab.ts";
export type { ReadFile } from "./config/beside.ts";
export { parseClientFile } from "./config/client-file.ts";
export { formatConfig } from "./config/format.ts";
export { type ParseOptions, parseConfig } from "./config/parse.ts";
export type * from "./config/types.ts";
export { SessionCookies } from "./control/cookie.ts";
export { noblePrimitives } from "./control/noble-primitives.ts";
export { nobleAead } from "./data/noble-aead.ts";
export { nobleCbc } from "./data/noble-cbc.ts";
export { type SessionDrop, sessionDropText } from "./drop.ts";
export { serverTlsParameters, tlsParameters } from "./exchange/tls-parameters.ts";
export type * from "./ports.ts";
export { AEAD_NAMES, CBC_NAMES, CIPHER_NAMES, DEFAULT_CIPHERS, NO_DECOMPRESSORS } from "./ports.ts";
export {
  type Note,
  parseTunnelOptions,
  type Tunnel,
  type TunnelContext,
  type TunnelResult,
} from "./push/tunnel-options.ts";
export { type Admission, type AdmissionConfig, admit } from "./server/admission.ts";
export { Entrance, type EntrancePorts, type EntranceSetup } from "./server/entrance.ts";
export type { EntryDesk, Judgement, PasswordPort } from "./server/entry.ts";
export type { Guest, Identity } from "./server/guest.ts";
export type { Peer, PeerEnd } from "./server/peer.ts";
export type { DatagramSource, PeerLink, Sources } from "./server/peer-link.ts";
export { Server } from "./server/server.ts";
export type { ServerParts, ServerWatcher } from "./server/server-parts.ts";
export { parseUsers } from "./server/users.ts";
export type { SessionCounter } from "./session/association.ts";
export { ClientSession, type ClientStart } from "./session/client.ts";
export type { DialSession } from "./session/dial-session.ts";
export type * from "./session/events.ts";
export { type Explanation, explainEnd, explainSilence, explainStall, type Place } from "./session/explain.ts";
export type { LoginMemory } from "./session/login.ts";
export { type AttemptOutcome, RetryPolicy } from "./session/retry.ts";
export {
  type ClientLogin,
  ServerSession,
  type ServerSessionConfig,
  type ServerSessionEvent,
  type Verdict,
} from "./session/server.ts";
export type { AssociationStart, LinkFacts, SessionPorts } from "./session/start.ts";
export type { SessionState } from "./session/state.ts";
export { StaticSession, type StaticStart } from "./session/static.ts";
export { framePacket, frameRows, StreamRows } from "./stream.ts";
