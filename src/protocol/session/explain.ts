/**
 * Why there is no tunnel, in the words of the person who has to mend it: the cause, and what to do. One sentence or two,
 * for the log. Nothing secret goes into it.
 */
import type { LogLevel } from "../../lib/log.ts";
import type { ClientConfig } from "../config/types.ts";
import type { TlsFailure } from "../ports.ts";
import type { SessionEnd } from "./events.ts";

export interface Place {
  readonly address: string;
  readonly port: number;
  /** The wall clock: a wrong one makes good certificates look bad. */
  readonly unixSeconds: number;
}

export interface Explanation {
  readonly level: LogLevel;
  readonly message: string;
}

/** The parts of a profile that an explanation may name. */
export type NamedParts = Pick<ClientConfig, "control" | "tls" | "data" | "login">;

/** The server has not answered for a while; trying goes on. */
export function explainSilence(seconds: number, config: NamedParts, place: Place): Explanation {
  return { level: "warn", message: silence(seconds, config, place) };
}

/** The server answered, and then no more; trying goes on. */
export function explainStall(phase: string, config: NamedParts, place: Place): Explanation {
  return warn(stalled(phase, config, place));
}

export function explainEnd(end: SessionEnd, config: NamedParts, place: Place): Explanation {
  switch (end.kind) {
    case "no-answer":
      return warn(silence(end.seconds, config, place));
    case "handshake-timeout":
      return warn(`${stalled(end.phase, config, place)}; connecting anew`);
    case "tls-failed":
      return tlsFailure(end.failure, config, place);
    case "certificate-rejected":
      return error(
        `the server's certificate was refused by ${end.problem.directive}: ${end.problem.problem}; this is another ` +
          `server than the profile is for, or ${end.problem.directive} in the profile is wrong`,
      );
    case "unusable":
      return error(`${end.directive}: ${end.problem}`);
    case "auth-failed":
      return authFailed(end, config);
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
    case "push-rejected":
      return error(`what the server pushes cannot be used: ${end.problem}`);
    case "inactive":
      return info("no traffic for as long as `inactive` says; connecting anew");
    case "session-timeout":
      return info("the session is as old as `session-timeout` allows; connecting anew");
    case "renegotiation-failed":
      return warn(`new keys could not be agreed on: ${end.problem}; connecting anew`);
    case "closed":
      return info("closed by this side");
  }
  end satisfies never;
  return error("the session ended");
}

const error = (message: string): Explanation => ({ level: "error", message });
const warn = (message: string): Explanation => ({ level: "warn", message });
const info = (message: string): Explanation => ({ level: "info", message });
const said = (text: string, message: string): string => (message === "" ? text : `${text}: "${message}"`);

function silence(seconds: number, config: NamedParts, { address, port }: Place): string {
  const { wrap } = config.control;
  const key =
    wrap.kind === "none"
      ? "the server demands a tls-auth or tls-crypt key that the profile does not have"
      : `the ${wrap.kind} key (${wrap.material.label}) is not the server's`;
  return (
    `no answer from ${address} port ${port} (UDP) for ${seconds} s: the server is down, or the port is blocked on the ` +
    `way, or ${key}`
  );
}

function stalled(phase: string, config: NamedParts, { address, port }: Place): string {
  const text = `the server at ${address} port ${port} answered, but the handshake does not go on (phase: ${phase})`;
  // OpenVPN before 2.7 refuses a client certificate without a word.
  const own = config.tls.cert?.label ?? config.tls.pkcs12?.label;
  const certificate =
    own === undefined
      ? "the server demands a client certificate, which the profile does not have"
      : `the server does not accept the client certificate (${own})`;
  return phase === "key-exchange" || phase === "tls"
    ? `${text}: ${certificate}, or the path loses large packets`
    : `${text}: the server is overloaded, still checks the login or has this client disabled, or the path loses packets`;
}

function authFailed(end: SessionEnd & { readonly kind: "auth-failed" }, config: NamedParts): Explanation {
  const reason = end.reason === "" ? "" : ` (it says: "${end.reason}")`;
  if (end.temporary !== undefined) return warn(`the server cannot check user and password just now${reason}`);
  // The login itself was good: OpenVPN 2.6 reports this in the same way as a wrong password.
  if (/cipher negotiation failed/i.test(end.reason)) {
    return error(
      `the server allows none of this client's data ciphers (${config.data.ciphers.join(", ")})${reason}; add one of them ` +
        "to data-ciphers of the server",
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
  if (end.challenge !== undefined) {
    return error(`the server asks a question that only a person can answer; a router cannot log in to it${reason}`);
  }
  const { login } = config;
  if (login === undefined) {
    return error(
      `authentication failed: the server refuses this client${reason}; it may want user and password, which the ` +
        "profile does not ask for (auth-user-pass), or the client certificate is not accepted",
    );
  }
  return error(
    `authentication failed: the server refuses user and password${reason}; correct them in ${login.label} and restart ` +
      "(trying again too often may lock the account)",
  );
}

/** What each refusal of the server's certificate by the TLS library means, by node's code. */
function certificate(code: string, config: NamedParts, place: Place): string | undefined {
  const ca = config.tls.ca?.label ?? "ca";
  const clock = `the clock here says ${utc(place.unixSeconds)}`;
  switch (code) {
    case "CERT_NOT_YET_VALID":
      return `the server's certificate is not yet valid; ${clock}: set it right, or wait`;
    case "CERT_HAS_EXPIRED":
      return `the server's certificate has expired; ${clock}: if that is right, the server needs a new one (or ${ca} a new CA)`;
    case "CERT_REVOKED":
      return `the server's certificate is revoked by the profile's crl-verify list; do not trust this server`;
    case "CRL_HAS_EXPIRED":
      return `the crl-verify list has expired, so the server's certificate cannot be verified; ${clock}`;
    case "CRL_NOT_YET_VALID":
      return `the crl-verify list is not yet valid; ${clock}`;
    case "UNABLE_TO_GET_CRL":
      return "the crl-verify list is not of the CA that signed the server's certificate";
    case "INVALID_PURPOSE":
      return (
        "the server's certificate is not for servers (its extended key usage says otherwise); " +
        "this is not the server that it claims to be, or it needs a server certificate (what remote-cert-tls server asks for)"
      );
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "CERT_SIGNATURE_FAILURE":
      return (
        `the server's certificate does not verify: the CA in ${ca} did not sign it; take the CA that belongs to this ` +
        "server, or this is not the server that it claims to be"
      );
    default:
      return undefined;
  }
}

/** The server's own words about us, by TLS alert (RFC 8446 6.2). */
function alert(code: string, config: NamedParts): string {
  const own = config.tls.cert?.label ?? config.tls.pkcs12?.label ?? "cert";
  switch (code) {
    case "unknown_ca":
    case "bad_certificate":
    case "unsupported_certificate":
    case "certificate_unknown":
    case "decrypt_error":
      return `the server does not accept the client certificate (${own}): another CA signed it, or it does not match`;
    case "certificate_expired":
      return `the server says that the client certificate (${own}) has expired; get a new one, or set the server's clock`;
    case "certificate_revoked":
      return `the server says that the client certificate (${own}) is revoked; get a new one`;
    case "certificate_required":
      return "the server demands a client certificate, and the profile has none (cert and key)";
    case "protocol_version":
      return "client and server share no TLS version (tls-version-min, tls-version-max; this client has 1.2 and 1.3)";
    case "handshake_failure":
    case "insufficient_security":
      return "client and server share no TLS cipher or key exchange, or the server wants a client certificate (tls-cipher, cert)";
    default:
      return `the server refuses the TLS handshake (alert ${code})`;
  }
}

function tlsFailure(failure: TlsFailure, config: NamedParts, place: Place): Explanation {
  switch (failure.kind) {
    case "certificate":
      return error(
        certificate(failure.code, config, place) ??
          `the server's certificate does not verify (${failure.code}: ${failure.message})`,
      );
    case "alert":
      return error(alert(failure.code, config));
    case "closed":
      return warn("the server closed the TLS session");
    case "protocol":
      return error(`the TLS handshake failed (${failure.code}: ${failure.message})`);
  }
  failure.kind satisfies never;
  return error(failure.message);
}

/** UTC, by days since 1970 to the civil calendar: the core has no Date. */
function utc(unixSeconds: number): string {
  const days = Math.floor(unixSeconds / 86400);
  const rest = unixSeconds - days * 86400;
  // Shifted so that the year begins in March: the leap day is its last.
  const z = days + 719468;
  const era = Math.floor(z / 146097);
  const doe = z - era * 146097;
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36524) - Math.floor(doe / 146096)) / 365);
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100));
  const mp = Math.floor((5 * doy + 2) / 153);
  const day = doy - Math.floor((153 * mp + 2) / 5) + 1;
  const month = mp < 10 ? mp + 3 : mp - 9;
  const year = yoe + era * 400 + (month <= 2 ? 1 : 0);
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  return `${year}-${two(month)}-${two(day)} ${two(rest / 3600)}:${two((rest % 3600) / 60)} UTC`;
}
