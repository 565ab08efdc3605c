/**
 * CONNECT through an HTTP proxy (RFC 9110 9.3.6), with the logins Basic (RFC 7617) and Digest (RFC 7616). A proxy that wants a
 * login says so by 407; the connection is left then, and a new one brings it, as OpenVPN does (proxy.c).
 *
 *   request -> status 200: open | 407: again, with a login | anything else: failed, with the proxy's words
 */
import type { Random } from "../../lib/random.ts";
import { printable } from "../../protocol/config/lexer.ts";
import { encodeBase64 } from "../../protocol/config/material.ts";
import type { HttpProxyConfig } from "../../protocol/config/types.ts";
import { encodeUtf8 } from "../../protocol/config/utf8.ts";
import { type ProxyDialogue, type ProxyStep, WAIT } from "./dialogue.ts";
import { type DigestChallenge, digestAnswer, digestChallenges } from "./http-digest.ts";

/** Our choice: a status and headers that are longer come from no honest proxy. */
const LONGEST_HEAD = 16_384;
/** Our choice: how often a proxy may ask for a login, or say that its nonce is stale. */
const MOST_ASKED = 3;
/** RFC 9110 9.3.6: any 2xx makes the connection a tunnel. */
const OK = 200;
const REDIRECTION = 300;
const UNAUTHORIZED = 401;
const LOGIN_REQUIRED = 407;
const LINE_END = "\r\n";

/** The login that the next request has. */
type Login =
  | { readonly kind: "none" }
  | { readonly kind: "basic" }
  | { readonly kind: "digest"; readonly challenge: DigestChallenge };

interface Head {
  readonly status: number;
  readonly reason: string;
  /** All of this name, lower case. */
  header(name: string): readonly string[];
}

export class HttpConnect implements ProxyDialogue {
  readonly isForDatagrams = false;
  readonly #config: HttpProxyConfig;
  readonly #authority: string;
  readonly #random: Random;
  #login: Login;
  #asked = 0;
  #isDone = false;

  constructor(config: HttpProxyConfig, remote: { readonly host: string; readonly port: number }, random: Random) {
    const { host, port } = remote;
    this.#config = config;
    this.#authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.#random = random;
    this.#login = { kind: config.method === "basic" && config.login ? "basic" : "none" };
  }

  begin(): Uint8Array {
    const { version, agent, headers } = this.#config;
    this.#isDone = false;
    const own = headers.map(([name, value]) => (value === undefined ? name : `${name}: ${value}`));
    const hasHost = headers.some(([name = ""]) => /^host(:|$)/i.test(name));
    const lines = [
      `CONNECT ${this.#authority} HTTP/${version}`,
      ...(hasHost ? [] : [`Host: ${this.#authority}`]),
      ...own,
      ...(agent === undefined ? [] : [`User-Agent: ${agent}`]),
      ...this.#authorization(),
    ];
    return encodeUtf8(`${lines.join(LINE_END)}${LINE_END}${LINE_END}`);
  }

  feed(bytes: Uint8Array): ProxyStep {
    if (this.#isDone) return WAIT;
    const end = headEnd(bytes);
    if (end < 0) {
      if (bytes.length >= LONGEST_HEAD) return this.#failed("answers with a head that has no end");
      return looksLikeHttp(bytes) ? WAIT : this.#failed("does not speak HTTP; check host and port of http-proxy");
    }
    const head = parseHead(bytes.subarray(0, end));
    if (head === undefined) return this.#failed("does not speak HTTP; check host and port of http-proxy");
    this.#isDone = true;
    if (head.status >= OK && head.status < REDIRECTION) return { kind: "open", used: end, relay: undefined };
    if (head.status === LOGIN_REQUIRED) return this.#asksForLogin(head);
    const { status, reason } = head;
    const { login } = this.#config;
    // As tinyproxy answers to a login that is wrong.
    if (status === UNAUTHORIZED && login !== undefined && this.#login.kind !== "none")
      return this.#refused(status, login.label);
    return this.#failed(`refuses to connect to ${this.#authority}: it answers ${status} ${reason}`.trimEnd());
  }

  #asksForLogin(head: Head): ProxyStep {
    const { login, method } = this.#config;
    const offers = head.header("proxy-authenticate");
    if (login === undefined)
      return this.#failed(
        "asks for a login (407); put user and password into a file of two rows beside the profile, and its name into http-proxy-user-pass",
      );
    const digests = digestChallenges(offers);
    const before = this.#login;
    const isStale = before.kind === "digest" && digests.some(({ stale }) => stale);
    if (++this.#asked > MOST_ASKED || (before.kind !== "none" && !isStale))
      return this.#refused(head.status, login.label);
    const [challenge] = digests;
    if (challenge !== undefined) this.#login = { kind: "digest", challenge };
    else if (method === "auto" && offers.some((offer) => /^basic\b/i.test(offer.trim())))
      this.#login = { kind: "basic" };
    else return this.#failed(`asks for a login of another kind (407: ${this.#kinds(offers)}); ${available(method)}`);
    return { kind: "again" };
  }

  #kinds(offers: readonly string[]): string {
    const names = offers.map((offer) => printable(offer.trim().split(/[\s,]/)[0] ?? "").slice(0, 30));
    return names.slice(0, 5).join(", ") || "none is named";
  }

  #authorization(): string[] {
    const { login } = this.#config;
    const way = this.#login;
    if (login === undefined || way.kind === "none") return [];
    if (way.kind === "basic")
      return [`Proxy-Authorization: Basic ${encodeBase64(encodeUtf8(`${login.user}:${login.password}`))}`];
    const nonce = new Uint8Array(16);
    this.#random.fill(nonce);
    return [`Proxy-Authorization: ${digestAnswer(way.challenge, login, "CONNECT", this.#authority, nonce.toHex())}`];
  }

  #refused(status: number, label: string): ProxyStep {
    this.#isDone = true;
    return { kind: "login-refused", text: `refuses user and password (${status}); correct them in ${label}` };
  }

  #failed(text: string): ProxyStep {
    this.#isDone = true;
    return { kind: "failed", text };
  }
}

const available = (method: HttpProxyConfig["method"]): string =>
  method === "auto-nct" ? "auto-nct allows digest only; auto allows basic too" : "basic and digest are available";

/** Where the empty line behind the head ends, as lenient about CR as RFC 9112 2.2 allows; -1: it has not come. */
function headEnd(bytes: Uint8Array): number {
  const most = Math.min(bytes.length, LONGEST_HEAD);
  for (let at = bytes.indexOf(10); at >= 0 && at + 1 < most; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && at + 2 < most && bytes[at + 2] === 10) return at + 3;
  }
  return -1;
}

const START = encodeUtf8("HTTP/");
const looksLikeHttp = (bytes: Uint8Array): boolean => START.every((byte, i) => i >= bytes.length || bytes[i] === byte);

function parseHead(bytes: Uint8Array): Head | undefined {
  // ASCII is all that counts of it.
  const [first = "", ...rest] = Array.from(bytes, (byte) => String.fromCharCode(byte))
    .join("")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""));
  const [, status, reason = ""] = /^HTTP\/\d\.\d ([1-5]\d\d)(?: (.*))?$/.exec(first) ?? [];
  if (status === undefined) return undefined;
  return {
    status: Number(status),
    reason: printable(reason).slice(0, 100),
    header: (name) =>
      rest.flatMap((line) => {
        const colon = line.indexOf(":");
        return colon > 0 && line.slice(0, colon).toLowerCase() === name ? [line.slice(colon + 1)] : [];
      }),
  };
}
