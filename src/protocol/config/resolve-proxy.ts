/** http-proxy, socks-proxy and what belongs to them -> a proxy. OpenVPN: options.c, add_option; proxy.c, http_proxy_new. */
import { parseIpv4 } from "../../lib/ip.ts";
import { INLINE, type Line, printable } from "./lexer.ts";
import { content, firstRows, materialLine } from "./material.ts";
import type { Reader } from "./reader.ts";
import { portOf } from "./resolve-link.ts";
import type { HttpProxyConfig, ProxyConfig, UserPass } from "./types.ts";
import { encodeUtf8 } from "./utf8.ts";
import { isHostName, isIpv6 } from "./values.ts";

const HTTP_PORT = 8080;
const SOCKS_PORT = 1080;
/** RFC 1929 2: a byte says how long each of the two is. */
const SOCKS_LONGEST = 255;
/** OpenVPN's MAX_CUSTOM_HTTP_HEADER, and its limit of a header's line. */
const MAX_HEADERS = 10;
const LONGEST_HEADER = 512;
const METHODS = ["none", "basic", "ntlm", "ntlm2"] as const;

/** The proxy that a profile, or a <connection> block of it, has; undefined: none. */
export function resolveProxy(reader: Reader): ProxyConfig | undefined {
  const http = reader.last("http-proxy");
  const socks = reader.last("socks-proxy");
  if (http && socks) return reader.problem(socks, "cannot stand beside http-proxy");
  if (socks) return resolveSocks(reader, socks);
  if (http) return resolveHttp(reader, http);
  return undefined;
}

function resolveSocks(reader: Reader, line: Line): ProxyConfig | undefined {
  const place = placeOf(reader, line, SOCKS_PORT);
  const file = line.words[3];
  const login = file === undefined ? undefined : loginOf(reader, line, file);
  if (login && [login.user, login.password].some((text) => encodeUtf8(text).length > SOCKS_LONGEST))
    return reader.problem(line, `${login.label}: user or password is longer than ${SOCKS_LONGEST} bytes`);
  return place && { kind: "socks", ...place, login };
}

function resolveHttp(reader: Reader, line: Line): HttpProxyConfig | undefined {
  const place = placeOf(reader, line, HTTP_PORT);
  const [, , , third, fourth] = line.words;
  const file = third === "auto" || third === "auto-nct" || third === INLINE ? undefined : third;
  const userPass = materialLine(reader, "http-proxy-user-pass");
  const login = userPass
    ? loginOf(reader, userPass, userPass.words[1] ?? "")
    : file === undefined
      ? undefined
      : loginOf(reader, line, file);
  const asked = fourth === undefined ? undefined : reader.choice(line, 4, METHODS);
  if (asked === "ntlm" || asked === "ntlm2")
    return reader.problem(line, `${asked} is not available; write auto: basic and digest are`);
  const isBasic = asked === "basic" || (asked === undefined && (file !== undefined || third === INLINE));
  const method = third === "auto-nct" ? "auto-nct" : isBasic ? "basic" : "auto";
  if (isBasic && login === undefined && !userPass && file === undefined)
    reader.problem(line, "basic needs user and password: name a file of two rows, or give <http-proxy-user-pass>");
  return place && { kind: "http", ...place, method, login, ...httpOptions(reader) };
}

function httpOptions(reader: Reader): Pick<HttpProxyConfig, "version" | "agent" | "headers"> {
  let version = "1.0";
  let agent: string | undefined;
  const headers: (readonly string[])[] = [];
  for (const line of reader.all("http-proxy-option")) {
    const [, name, value, text] = line.words;
    const words = line.words.slice(2);
    // What would end the line would be another one of the request.
    if (words.some((word) => [...word].some((c) => c < " " || c === "\x7f" || c > "~")))
      reader.problem(line, "only printable ASCII can stand in a request");
    else if (words.join(": ").length > LONGEST_HEADER) reader.problem(line, `longer than ${LONGEST_HEADER} characters`);
    else if (value === undefined) reader.problem(line, `${printable(name ?? "")} needs a value`);
    else if (name === "VERSION" && text === undefined) {
      if (/^\d\.\d$/.test(value)) version = value;
      else reader.problem(line, `"${printable(value)}" is no version of HTTP, such as 1.1`);
    } else if (name === "AGENT" && text === undefined) agent = value;
    else if (name === "CUSTOM-HEADER" && words.length <= 2) {
      if (headers.length === MAX_HEADERS) reader.problem(line, `more than ${MAX_HEADERS} custom headers`);
      else headers.push(words);
    } else
      reader.problem(
        line,
        `"${printable(name ?? "")}" with ${words.length} values is none of VERSION, AGENT, CUSTOM-HEADER`,
      );
  }
  return { version, agent, headers };
}

function placeOf(reader: Reader, line: Line, usual: number): Pick<ProxyConfig, "host" | "port" | "origin"> | undefined {
  const host = line.words[1] as string;
  const port = line.words[2] === undefined ? usual : portOf(reader, line, 2);
  if (parseIpv4(host) === undefined && !isIpv6(host) && !isHostName(host))
    return reader.problem(line, `"${printable(host)}" is neither an address nor a host name`);
  return port === undefined ? undefined : { host, port, origin: reader.report.origin(line.line) };
}

/** User and password for the proxy: two rows of a block or a file. */
function loginOf(reader: Reader, line: Line, file: string): UserPass | undefined {
  const found = content(reader, line.block === undefined ? { ...line, words: [line.words[0] as string, file] } : line);
  if (found === undefined) return undefined;
  const [user, password] = firstRows(found.bytes);
  if (!user) return reader.problem(line, `${found.label}: the first row, the user, is empty`);
  if (password === undefined) return reader.problem(line, `${found.label}: the second row, the password, is missing`);
  return { user, password, label: found.label, origin: reader.report.origin(line.line) };
}
