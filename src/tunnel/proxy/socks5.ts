/**
 * SOCKS 5 (RFC 1928) with user and password (RFC 1929): CONNECT for a stream, UDP ASSOCIATE for datagrams.
 *
 *   greeting -> method -> [login -> verdict ->] request -> reply
 */
import type { Endpoint } from "../../lib/endpoint.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import type { SocksProxyConfig } from "../../protocol/config/types.ts";
import { encodeUtf8 } from "../../protocol/config/utf8.ts";
import { type ProxyDialogue, type ProxyStep, WAIT } from "./dialogue.ts";
import { ATYP_IPV4, ATYP_IPV6, addressAt, addressLen, writeAddress } from "./socks-address.ts";

const VERSION = 5;
const LOGIN_VERSION = 1;
const NO_LOGIN = 0;
const USER_AND_PASSWORD = 2;
const NO_METHOD = 0xff;
const CONNECT = 1;
const UDP_ASSOCIATE = 3;
const ATYP_NAME = 3;
/** Any address of ours, which we may not know as the proxy does. */
const ANYWHERE: Endpoint = { address: parseIp("0.0.0.0") as IpAddress, port: 0 };
const REPLY_HEADER = 4;

/** RFC 1928 6. */
const REPLIES: readonly string[] = [
  "",
  "reports a failure of its own",
  "does not allow this connection",
  "reports that the network of the server is unreachable",
  "reports that the server is unreachable",
  "reports that the server refuses the connection",
  "reports that the way to the server is too long",
  "does not support this kind of request",
  "does not know addresses of that kind",
];

type State = "method" | "verdict" | "reply" | "done";

export class Socks5Dialogue implements ProxyDialogue {
  readonly isForDatagrams: boolean;
  readonly #config: SocksProxyConfig;
  readonly #remote: { readonly host: string; readonly port: number };
  readonly #proxy: IpAddress;
  #state: State = "method";

  /** @param remote where CONNECT leads @param proxy the address of the proxy, which may be that of its relay */
  constructor(
    config: SocksProxyConfig,
    remote: { readonly host: string; readonly port: number },
    isForDatagrams: boolean,
    proxy: IpAddress,
  ) {
    this.#config = config;
    this.#remote = remote;
    this.isForDatagrams = isForDatagrams;
    this.#proxy = proxy;
  }

  begin(): Uint8Array {
    this.#state = "method";
    const methods = this.#config.login ? [NO_LOGIN, USER_AND_PASSWORD] : [NO_LOGIN];
    return Uint8Array.of(VERSION, methods.length, ...methods);
  }

  feed(bytes: Uint8Array): ProxyStep {
    switch (this.#state) {
      case "method":
        return this.#method(bytes);
      case "verdict":
        return this.#verdict(bytes);
      case "reply":
        return this.#reply(bytes);
      case "done":
        return WAIT;
    }
    this.#state satisfies never;
    return WAIT;
  }

  #method(bytes: Uint8Array): ProxyStep {
    if (bytes.length < 2) return WAIT;
    const [version, method] = bytes;
    if (version !== VERSION) return this.#failed("does not speak SOCKS 5; check host and port of socks-proxy");
    const { login } = this.#config;
    if (method === NO_LOGIN) return this.#request(bytes, 2);
    if (method === USER_AND_PASSWORD && login !== undefined) {
      const [user, password] = [encodeUtf8(login.user), encodeUtf8(login.password)];
      this.#state = "verdict";
      return this.#say(bytes, 2, [LOGIN_VERSION, user.length, ...user, password.length, ...password]);
    }
    if (method === NO_METHOD && login === undefined)
      return this.#failed(
        "asks for a login; name a file with user and password behind its port: socks-proxy HOST PORT FILE",
      );
    return this.#failed("asks for a kind of login that is not available; user and password, or none, are");
  }

  #verdict(bytes: Uint8Array): ProxyStep {
    if (bytes.length < 2) return WAIT;
    if (bytes[1] !== 0) {
      const { login } = this.#config;
      const place = login?.label ?? "the file of socks-proxy";
      this.#state = "done";
      return { kind: "login-refused", text: `refuses user and password; correct them in ${place}` };
    }
    return this.#request(bytes, 2);
  }

  #request(bytes: Uint8Array, used: number): ProxyStep {
    this.#state = "reply";
    if (this.isForDatagrams) return this.#say(bytes, used, [VERSION, UDP_ASSOCIATE, 0, ...writeAddress(ANYWHERE)]);
    const { host, port } = this.#remote;
    const address = parseIp(host);
    const name = encodeUtf8(host);
    const to =
      address === undefined
        ? [ATYP_NAME, name.length, ...name, port >> 8, port & 255]
        : writeAddress({ address, port });
    return this.#say(bytes, used, [VERSION, CONNECT, 0, ...to]);
  }

  #reply(bytes: Uint8Array): ProxyStep {
    if (bytes.length < REPLY_HEADER + 1) return WAIT;
    const [version, reply = 0, , kind = 0] = bytes;
    if (version !== VERSION) return this.#failed("answers with something else than SOCKS 5");
    if (reply !== 0) return this.#failed(REPLIES[reply] ?? `answers with the unknown error ${reply}`);
    const named =
      kind === ATYP_NAME ? 1 + bytes[REPLY_HEADER]! : kind === ATYP_IPV4 || kind === ATYP_IPV6 ? addressLen(kind) : -1;
    if (named < 0) return this.#failed("answers with an address of an unknown kind");
    const used = REPLY_HEADER + named + 2;
    if (bytes.length < used) return WAIT;
    if (this.isForDatagrams && kind === ATYP_NAME) return this.#failed("names a relay that is no address");
    const bound = kind === ATYP_NAME ? undefined : addressAt(bytes, REPLY_HEADER - 1);
    this.#state = "done";
    return { kind: "open", used, relay: this.isForDatagrams && bound ? this.#relay(bound) : undefined };
  }

  /** RFC 1928 leaves open what 0.0.0.0 means; it is said by proxies that listen on all of their addresses. */
  #relay({ address, port }: Endpoint): Endpoint {
    return { address: address.isUnspecified ? this.#proxy : address, port };
  }

  /** The proxy never says more than one message ahead of ours. */
  #say(bytes: Uint8Array, used: number, said: readonly number[]): ProxyStep {
    if (bytes.length > used) return this.#failed("says more than it is asked");
    return { kind: "say", bytes: Uint8Array.from(said) };
  }

  #failed(text: string): ProxyStep {
    this.#state = "done";
    return { kind: "failed", text };
  }
}
