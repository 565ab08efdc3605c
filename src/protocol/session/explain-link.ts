/** Why there is no link to a server, or no more: the cause, and what to do. */
import type { ControlWrap } from "../config/types.ts";
import { type SessionDrop, sessionDropText } from "../drop.ts";
import type { LinkEnd } from "./events.ts";

/** The server as a person knows it: "203.0.113.10 port 1194". */
export function explainLinkEnd(end: LinkEnd, server: string, isAnswered: boolean, wrap: ControlWrap): string {
  switch (end.kind) {
    case "link-refused":
      return `${server} refuses the connection: the server does not run, or listens on another port, or over UDP only`;
    case "link-unreachable":
      return `the network has no way to ${server}: it is switched off, or a firewall is between, or the remote is wrong`;
    case "link-timed-out":
      return isAnswered
        ? `nothing that was sent to ${server} was acknowledged for very long; connecting anew`
        : `no answer from ${server}: it is down, or the port is blocked on the way`;
    case "link-reset":
    case "link-closed": {
      const text = `${server} ${end.kind === "link-reset" ? "broke off" : "closed"} the connection`;
      return isAnswered ? `${text}; connecting anew` : `${text} ${unanswered(wrap)}`;
    }
    case "link-garbled":
      return (
        `what ${server} sends is not OpenVPN over TCP (a packet of ${end.length} bytes): ` +
        (isAnswered
          ? "connecting anew"
          : "another service has that port, or an answer that is not the server's came from a proxy")
      );
    case "proxy-failed":
    case "proxy-login-refused":
      return `${server} ${end.text}`;
  }
  end satisfies never;
  return "";
}

export function explainBrokenStream(drop: SessionDrop, server: string, wrap: ControlWrap): string {
  if (drop === "control-authentication" && wrap.kind !== "none")
    return `what ${server} sends does not fit the ${wrap.kind} key (${wrap.material.label}): take the key that this server has`;
  return `${server} sent what cannot come over TCP: ${sessionDropText(drop)}; connecting anew`;
}

/** What a server over TCP means that hangs up without a word: OpenVPN does so with each packet that it does not accept. */
function unanswered(wrap: ControlWrap): string {
  return wrap.kind === "none"
    ? "before it answered: it demands a tls-auth or tls-crypt key that the profile does not have, or is no OpenVPN server"
    : `before it answered: the ${wrap.kind} key (${wrap.material.label}) is not the server's, or it is no OpenVPN server`;
}
