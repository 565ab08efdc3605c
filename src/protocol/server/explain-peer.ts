/** Why somebody is a client no longer, or never became one, in words. */
import type { ServerConfig } from "../config/types.ts";
import { sessionDropText } from "../drop.ts";
import { NO_CIPHER } from "../session/server.ts";
import { explainClientTls } from "./explain-client-tls.ts";
import type { PeerEnd } from "./peer.ts";

export function explainPeer(end: PeerEnd, config: ServerConfig, unixSeconds: number): string {
  switch (end.kind) {
    case "handshake-timeout":
      return end.silentSeconds === undefined
        ? `the handshake was not finished within hand-window (${config.control.handWindow} s): ${stalled(end.phase, config)}`
        : `in the handshake nothing more came from it for ${end.silentSeconds} s: ${stalled(end.phase, config)}`;
    case "tls-failed":
      return explainClientTls(end.failure, config.tls, unixSeconds);
    case "certificate-rejected":
      return `${end.problem.directive}: ${end.problem.problem}`;
    case "unusable":
      return end.directive === "push" ? `push: ${end.problem}` : end.problem;
    case "ping-timeout":
      return `nothing came from it for ${end.seconds} s (${end.exit ? "ping-exit" : "ping-restart"})`;
    case "inactive":
      return "too little went through the tunnel (inactive)";
    case "session-timeout":
      return "its time is over (session-timeout)";
    case "renegotiation-failed":
      return `the renegotiation failed: ${end.problem}`;
    case "stream-broken":
      return `what came over the connection is not the client's: ${sessionDropText(end.drop)}`;
    case "closed":
      return "the server leaves";
    case "refused":
      return end.reason === NO_CIPHER
        ? `${end.reason}; here: data-ciphers ${config.data.ciphers.join(":")}`
        : "its login was refused";
    case "client-exit":
      return "it left";
    case "link-refused":
    case "link-unreachable":
      return "the network has no way to it";
    case "link-timed-out":
      return "the connection broke: nothing was acknowledged any more";
    case "link-reset":
      return "it broke the connection off";
    case "link-closed":
      return "it closed the connection";
    case "link-garbled":
      return `what came over the connection is no OpenVPN: no packet has ${end.length} bytes`;
    case "proxy-failed":
    case "proxy-login-refused":
      return end.text;
    case "replaced":
      return "a newer session of its name, or from its address, has taken its place (where two machines have one certificate: give each its own)";
    case "killed":
      return "it was told to go";
    case "expelled":
      return end.cause;
    case "crowded-out":
      return "too many were in the midst of a handshake";
    case "stream-silent":
      return "over the connection no first packet came in time";
    case "stream-stranger":
      return `what came first over the connection is no client's: ${end.drop}`;
    case "fault":
      return "an error in the server, which is logged on its own";
  }
  end satisfies never;
}

/** Most clients that go away in the midst of it do so without a word, and their own log says why. */
function stalled(phase: string, { tls }: ServerConfig): string {
  switch (phase) {
    case "tls": {
      const own = tls.cert?.label ?? tls.pkcs12?.label ?? "cert";
      return `it does not accept the server's certificate (${own}), as its own log then says, was ended, or the path loses large packets`;
    }
    case "key-exchange":
      return "TLS is established, but what it sets its keys up with did not come; it was ended, or the path loses packets";
    case "push":
      return "it did not ask for its options: it was ended, or the path loses packets";
    default:
      return "it began and sent no TLS: our answers do not reach it, or its address is not its own";
  }
}
