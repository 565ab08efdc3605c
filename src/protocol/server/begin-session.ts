/** The session of a client that may begin one. */
import type { ServerPart } from "../config/server-types.ts";
import type { ServerConfig, VerifyConfig } from "../config/types.ts";
import type { TlsContext } from "../ports.ts";
import { ServerSession, type ServerSessionConfig } from "../session/server.ts";
import type { SessionPorts } from "../session/start.ts";
import type { Admission } from "./admission.ts";
import type { PeerLink } from "./peer-link.ts";

/** Of a first packet that counts. */
export type Admitted = Exclude<Admission, { readonly kind: "answer" }>;

/** What is asked in each handshake, also of a renegotiation: it goes by the settings and the revocation list of the day. */
export interface OfTheDay {
  verify(): VerifyConfig;
  /** A handshake begins. */
  tls(): TlsContext;
}

export function beginSession(
  { control, data, deviceType, tunnel, keepalive, exitNotify }: ServerConfig & ServerPart,
  ports: Omit<SessionPorts, "tls">,
  {
    admission,
    link,
    unixSeconds,
  }: { readonly admission: Admitted; readonly link: PeerLink; readonly unixSeconds: number },
  day: OfTheDay,
): ServerSession {
  const config: ServerSessionConfig = {
    ...{ control: { ...control, wrap: admission.wrap }, data, deviceType, tunnel, keepalive, exitNotify, epoch: true },
    get verify() {
      return day.verify();
    },
  };
  const tls: TlsContext = { engine: (accept, name) => day.tls().engine(accept, name), close: () => {} };
  const resumed = admission.kind === "session" ? admission.resumed : undefined;
  return new ServerSession(config, { ...ports, tls }, { link, unixSeconds, resumed });
}
