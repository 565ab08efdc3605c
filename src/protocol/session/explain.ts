/**
 * Why there is no tunnel, in the words of the person who has to mend it: the cause, and what to do. One sentence or two,
 * for the log. Nothing secret goes into it.
 */
import type { LogLevel } from "../../lib/log.ts";
import type { ClientConfig, ControlWrap, DialConfig, LinkProtocol } from "../config/types.ts";
import type { SessionEnd } from "./events.ts";
import { explainBrokenStream, explainLinkEnd } from "./explain-link.ts";
import { explainNoHello, explainTls } from "./explain-tls.ts";
import { aside, explainSighting, NOTHING_SEEN, type Sightings } from "./sightings.ts";

export interface Place {
  readonly address: string;
  readonly port: number;
  readonly protocol: LinkProtocol;
  /** What is between; whether it has let us through. */
  readonly proxy?: ThroughProxy | undefined;
  /** An authentic packet came from there. */
  readonly isAnswered: boolean;
  /** The wall clock: a wrong one makes good certificates look bad. */
  readonly unixSeconds: number;
}

export interface ThroughProxy {
  readonly kind: "http" | "socks";
  readonly address: string;
  readonly port: number;
  readonly isPassed: boolean;
}

export interface Explanation {
  readonly level: LogLevel;
  readonly message: string;
}

/** The parts of a profile that an explanation may name. */
export type NamedParts = Pick<ClientConfig, "control" | "tls" | "data"> & Partial<Pick<ClientConfig, "login">>;

/** Of two ends neither serves the other: in their words the peer is the other end. */
export function inWordsOf({ role, remotes }: Pick<DialConfig, "role" | "remotes">, said: Explanation): Explanation {
  if (role === "client") return said;
  const message = said.message
    .replaceAll("the server", "the other end")
    .replaceAll("on the other end", "at the other end");
  // Who waits does not connect.
  return {
    ...said,
    message: remotes.length > 0 ? message : message.replaceAll("; connecting anew", "; waiting for it again"),
  };
}

/** The server has not answered for a while; trying goes on. */
export function explainSilence(seconds: number, config: NamedParts, place: Place, seen = NOTHING_SEEN): Explanation {
  return warn(silence(seconds, config, place, seen));
}

/** The server answered, and then no more; trying goes on. */
export function explainStall(phase: string, config: NamedParts, place: Place): Explanation {
  return warn(stalled(phase, undefined, config, place));
}

export function explainEnd(end: SessionEnd, config: NamedParts, place: Place, seen = NOTHING_SEEN): Explanation {
  const plain = explainPlain(end, place, config.control.wrap);
  if (plain !== undefined) return plain;
  switch (end.kind) {
    case "no-answer":
      return warn(silence(end.seconds, config, place, seen));
    case "handshake-timeout":
      return warn(`${stalled(end.phase, end.silentSeconds, config, place)}; connecting anew`);
    case "tls-failed":
      return {
        level: end.failure.kind === "closed" ? "warn" : "error",
        message: explainTls(end.failure, config.tls, place.unixSeconds),
      };
    case "certificate-rejected":
      return error(
        `the server's certificate was refused by ${end.problem.directive}: ${end.problem.problem}; this is another ` +
          `server than the profile is for, or ${end.problem.directive} in the profile is wrong`,
      );
    case "unusable":
      return error(`${end.directive}: ${end.problem}`);
    case "auth-failed":
      return authFailed(end, config);
    case "push-rejected":
      return error(`what the server pushes cannot be used: ${end.problem}`);
  }
  return error("the session ended");
}

/** Of a tunnel with a static key, where nothing is agreed on. */
export function explainStaticEnd(end: SessionEnd, place: Place): Explanation {
  if (end.kind === "stream-broken" && end.drop === "data-authentication")
    return warn(
      `what ${at(place)} sends does not open: its secret, key direction, cipher or auth differs, or somebody forged it; connecting anew`,
    );
  if (end.kind === "push-rejected") return error(`the tunnel of the profile cannot be used: ${end.problem}`);
  return explainPlain(end, place, { kind: "none" }) ?? error("the session ended");
}

/** What is the same whatever the profile has. */
function explainPlain(end: SessionEnd, place: Place, wrap: ControlWrap): Explanation | undefined {
  switch (end.kind) {
    case "ping-timeout":
      return warn(
        `nothing came from the server for ${end.seconds} s (${end.exit ? "ping-exit" : "ping-restart"}); connecting anew`,
      );
    case "server-restart":
      return warn(said("the server asks to connect anew", end.message));
    case "server-halt":
      return warn(said("the server ends the session", end.message));
    case "server-exit":
      return warn("the server is going down");
    case "inactive":
      return info("no traffic for as long as `inactive` says; connecting anew");
    case "session-timeout":
      return info("the session is as old as `session-timeout` allows; connecting anew");
    case "renegotiation-failed":
      return warn(`new keys could not be agreed on: ${end.problem}; connecting anew`);
    case "stream-broken":
      return warn(explainBrokenStream(end.drop, at(place), wrap));
    case "link-refused":
    case "link-unreachable":
    case "link-timed-out":
    case "link-reset":
    case "link-closed":
    case "link-garbled":
    case "proxy-failed":
    case "proxy-login-refused":
      return warn(explainLinkEnd(end, at(place), place.isAnswered, wrap));
    case "closed":
      return info("closed by this side");
    default:
      return undefined;
  }
}

const error = (message: string): Explanation => ({ level: "error", message });
const warn = (message: string): Explanation => ({ level: "warn", message });
const info = (message: string): Explanation => ({ level: "info", message });
const said = (text: string, message: string): string => (message === "" ? text : `${text}: "${message}"`);

const PROXIES = Object.freeze({ http: "HTTP", socks: "SOCKS" });

/** Whom one speaks with: the server, or the proxy that has not let us through yet. */
function at({ address, port, protocol, proxy }: Place): string {
  const through = proxy && `the ${PROXIES[proxy.kind]} proxy ${proxy.address} port ${proxy.port}`;
  if (through !== undefined && !proxy?.isPassed) return through;
  const server = `${address} port ${port} (${protocol.toUpperCase()})`;
  return through === undefined ? server : `${server} through ${through}`;
}

function silence(seconds: number, config: NamedParts, place: Place, seen: Sightings): string {
  const { wrap } = config.control;
  const start = `no answer from ${at(place)} for ${seconds} s:`;
  const sighting = explainSighting(seen, wrap);
  if (sighting !== undefined) return `${start} ${sighting}`;
  const key =
    wrap.kind === "none"
      ? "the server demands a tls-auth or tls-crypt key that the profile does not have"
      : `the ${wrap.kind} key (${wrap.material.label}) is not the server's`;
  return `${start} the server is down, or the port is blocked on the way, or ${key}${aside(seen)}`;
}

/** @param silentSeconds so long nothing at all came, although there was something to acknowledge; undefined: something did */
function stalled(
  phase: string,
  silentSeconds: number | undefined,
  config: NamedParts,
  { address, port }: Place,
): string {
  const answered = `the server at ${address} port ${port} answered`;
  const text =
    silentSeconds === undefined
      ? `${answered}, but the handshake does not go on (phase: ${phase}):`
      : `${answered}, but then nothing more came from it for ${silentSeconds} s (phase: ${phase}): it was started anew, or`;
  switch (phase) {
    case "hello":
      return `${text} ${explainNoHello(config.tls)}; or the path loses large packets`;
    case "tls":
    case "key-exchange":
      return `${text} ${refusedCertificate(config)}, or the path loses large packets`;
    default:
      return `${text} it is overloaded, still checks the login or has this client disabled, or the path loses packets`;
  }
}

/** OpenVPN before 2.7 refuses a client certificate without a word. */
function refusedCertificate({ tls }: NamedParts): string {
  const own = tls.cert?.label ?? tls.pkcs12?.label;
  return own === undefined
    ? "the server demands a client certificate, which the profile does not have"
    : `the server does not accept the client certificate (${own})`;
}

/** The server asks, and nobody is there. */
export function unanswered(question: string, login: NamedParts["login"]): string {
  const where = login === undefined ? "the file with user and password" : login.label;
  return (
    `the server asks a question ("${question}"), and nobody is there to answer it: put the answer, or ` +
    `otpauth://totp/...?secret=..., into the third row of ${where}`
  );
}

function authFailed(end: SessionEnd & { readonly kind: "auth-failed" }, config: NamedParts): Explanation {
  const reason = end.reason === "" ? "" : ` (it says: "${end.reason}")`;
  if (end.temporary !== undefined) return warn(`the server cannot check user and password just now${reason}`);
  // The login itself was good: OpenVPN 2.6 reports this in the same way as a wrong password.
  if (/cipher negotiation failed/i.test(end.reason)) {
    return error(
      `the server allows none of this client's data ciphers (${config.data.ciphers.join(", ")})${reason}; add one of them ` +
        "to data-ciphers of the server, or one of the server's to those of the profile",
    );
  }
  // The words of OpenVPN 2.6 where a plugin or script asks for a method that the client did not announce (IV_SSO).
  if (/pending auth method/i.test(end.reason)) {
    return error(
      `the server demands another step of the login, such as a web page, that a router cannot take${reason}; ask for ` +
        "an account or a server without it",
    );
  }
  if (end.tokenRefused) return info(`the login token has expired${reason}; logging in with user and password again`);
  const { login } = config;
  if (end.willAnswer) return info(`the server asks for another step of the login${reason}; logging in with the answer`);
  if (end.challenge?.needsAnswer === true && login?.answer === undefined)
    return error(unanswered(end.challenge.text, login));
  if (login?.staticChallenge !== undefined && login.answer === undefined)
    return error(unanswered(login.staticChallenge.text, login));
  if (login === undefined) {
    return error(
      `authentication failed: the server refuses this client${reason}; it may want user and password, which the ` +
        "profile does not ask for (auth-user-pass), or the client certificate is not accepted",
    );
  }
  return error(
    `authentication failed: the server refuses user and password${login.answer === undefined ? "" : " with the answer"}${reason}; correct them in ${login.label} and restart ` +
      "(trying again too often may lock the account)",
  );
}
