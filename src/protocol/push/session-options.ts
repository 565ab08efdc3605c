/** Pushed options that steer the session (ciphers, keep-alive, tokens); the tunnel's own are in tunnel-options.ts. */
import { printable, splitWords } from "../config/lexer.ts";
import { decodeBase64Text } from "../control/message.ts";
import { type CompressionForm, compressionForm } from "../data/compression.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { type CipherName, cipherNamed, DEFAULT_CIPHERS } from "../ports.ts";

export interface SessionOptions {
  /** PEER_ID_NONE: DATA_V1 packets, without peer id. */
  readonly peerId: number;
  /** undefined: the server did not negotiate, its own `cipher` applies. */
  readonly cipher: CipherName | undefined;
  readonly keyDerivation: "ekm" | "prf";
  /** Renegotiations are protected by a key of their own. */
  readonly dynamicTlsCrypt: boolean;
  /** Data packets have the epoch format. */
  readonly epoch: boolean;
  /** EXIT over the control channel is understood. */
  readonly ccExit: boolean;
  /** Seconds; undefined: not pushed, the profile's value stays. 0 = off. */
  readonly ping: number | undefined;
  readonly pingRestart: number | undefined;
  readonly pingExit: number | undefined;
  /** Secret: never in a message. */
  readonly authToken: string | undefined;
  readonly authTokenUser: string | undefined;
  /** Times that the goodbye is sent. */
  readonly explicitExitNotify: number | undefined;
  readonly sessionTimeout: number | undefined;
  readonly inactive: { readonly seconds: number; readonly bytes: number } | undefined;
  /**
   * What the last comp-lzo or compress asks for. OpenVPN applies it to AEAD data too. A server should push none of it to a
   * client that announced no stub, but some do to everybody. undefined: not pushed, the profile's stays.
   */
  readonly compression: CompressionForm | undefined;
  /** Values that the session cannot work with: it ends as "push-rejected". */
  readonly problems: readonly string[];
  /** Timers that are no numbers or not a server's to set: left out, as OpenVPN goes on in spite of them. For a person. */
  readonly ignored: readonly string[];
}

const INT32_MAX = 0x7fff_ffff;

type Mutable = { -readonly [K in keyof SessionOptions]: SessionOptions[K] };

/**
 * @param options pushed options in order, after the pull filters; later ones win
 * @param offered ciphers that IV_CIPHERS announced; another one is a problem
 */
export function parseSessionOptions(
  options: readonly string[],
  offered: readonly CipherName[] = DEFAULT_CIPHERS,
): SessionOptions {
  const problems: string[] = [];
  const ignored: string[] = [];
  const out: Mutable = {
    peerId: PEER_ID_NONE,
    cipher: undefined,
    keyDerivation: "prf",
    dynamicTlsCrypt: false,
    epoch: false,
    ccExit: false,
    ping: undefined,
    pingRestart: undefined,
    pingExit: undefined,
    authToken: undefined,
    authTokenUser: undefined,
    explicitExitNotify: undefined,
    sessionTimeout: undefined,
    inactive: undefined,
    compression: undefined,
    problems,
    ignored,
  };
  for (const option of options) {
    const words = splitWords(option);
    if (typeof words !== "string" && words[0] !== undefined) take(out, words, offered, problems, ignored);
  }
  return out;
}

function take(
  out: Mutable,
  words: string[],
  offered: readonly CipherName[],
  problems: string[],
  ignored: string[],
): void {
  const [name, value] = words;
  const number = (low: number, high: number, otherwise = ignored): number | undefined => {
    const n = value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : -1;
    if (n >= low && n <= high) return n;
    otherwise.push(`${printable(words.slice(0, 2).join(" "))}: not a number from ${low} to ${high}`);
    return undefined;
  };
  switch (name) {
    case "peer-id": {
      out.peerId = number(0, PEER_ID_NONE, problems) ?? out.peerId;
      break;
    }
    case "cipher": {
      const cipher = cipherNamed(value);
      if (cipher !== undefined && offered.includes(cipher)) out.cipher = cipher;
      else problems.push(`cipher ${printable(value ?? "")}: not among those offered (${offered.join(", ")})`);
      break;
    }
    case "key-derivation":
      if (value === "tls-ekm") out.keyDerivation = "ekm";
      else problems.push(`key-derivation ${printable(value ?? "")}: only tls-ekm is known`);
      break;
    case "protocol-flags":
      for (const flag of words.slice(1)) {
        if (flag === "tls-ekm") out.keyDerivation = "ekm";
        else if (flag === "cc-exit") out.ccExit = true;
        else if (flag === "dyn-tls-crypt") out.dynamicTlsCrypt = true;
        else if (flag === "aead-epoch") out.epoch = true;
        // Another flag changes the wire format, and a server sets it only if announced.
        else problems.push(`protocol-flags ${printable(flag)}: not announced by this client`);
      }
      break;
    case "ping":
      out.ping = number(0, INT32_MAX) ?? out.ping;
      break;
    // As in OpenVPN, the later of the two timers replaces the other.
    case "ping-restart":
    case "ping-exit": {
      const seconds = number(0, INT32_MAX);
      if (seconds === undefined) break;
      out.pingRestart = name === "ping-restart" ? seconds : undefined;
      out.pingExit = name === "ping-exit" ? seconds : undefined;
      break;
    }
    case "auth-token":
      if (value !== undefined && value !== "") out.authToken = value;
      break;
    case "auth-token-user":
      if (value !== undefined) out.authTokenUser = decodeBase64Text(value);
      break;
    case "reneg-sec":
      // OpenVPN takes none of its options.c's OPT_P_TLS_PARMS from a server (init.c, pull_permission_mask): else it could
      // put off new keys for ever, or demand one handshake after the other.
      ignored.push(`${printable(words.slice(0, 2).join(" "))}: only the profile says when keys are renewed`);
      break;
    case "explicit-exit-notify":
      out.explicitExitNotify = value === undefined ? 1 : (number(0, 1000) ?? out.explicitExitNotify);
      break;
    case "session-timeout":
      out.sessionTimeout = number(0, INT32_MAX) ?? out.sessionTimeout;
      break;
    case "inactive": {
      const seconds = number(0, INT32_MAX);
      const bytes = words[2] === undefined ? 0 : Number(/^\d{1,15}$/.test(words[2]) ? words[2] : Number.NaN);
      if (seconds !== undefined && !Number.isNaN(bytes)) out.inactive = { seconds, bytes };
      break;
    }
    case "comp-lzo":
    case "compress": {
      const form = compressionForm(name, value);
      if (form !== undefined) out.compression = form;
      else problems.push(`${printable(words.join(" "))}: not known`);
      break;
    }
  }
}
