/** Who may come in to a server: lines -> values. */
import type { Line } from "./lexer.ts";
import { INLINE, printable } from "./lexer.ts";
import { materialLine, pemKey } from "./material.ts";
import { type Reader, SECONDS } from "./reader.ts";
import type { EntryConfig, WrappedKeysConfig } from "./server-types.ts";
import type { ControlConfig } from "./types.ts";

export function resolveEntry(reader: Reader, control: ControlConfig): EntryConfig {
  const folder = reader.last("client-config-dir");
  const exclusive = reader.last("ccd-exclusive");
  if (exclusive && !folder) reader.problem(exclusive, "needs client-config-dir, the folder of the files that count");
  return {
    clientCert: resolveClientCert(reader),
    usernameAsCommonName: reader.has("username-as-common-name"),
    passwordOptional: reader.has("auth-user-pass-optional"),
    token: resolveToken(reader, control),
    duplicateNames: reader.has("duplicate-cn"),
    clientFolder: folder && { name: folder.words[1] as string, origin: reader.report.origin(folder.line) },
    clientFileNeeded: exclusive !== undefined,
    origins: Object.fromEntries(
      WITH_ORIGIN.flatMap((name) => {
        const line = reader.last(name)?.line;
        return line === undefined ? [] : [[name, reader.report.origin(line)]];
      }),
    ),
  };
}

/** Those that depend on whether there are users, which the profile does not say. */
const WITH_ORIGIN = ["verify-client-cert", "client-cert-not-required", "username-as-common-name"].concat([
  "auth-user-pass-optional",
  "auth-gen-token",
]);

function resolveClientCert(reader: Reader): EntryConfig["clientCert"] {
  let value: EntryConfig["clientCert"] = "require";
  for (const line of reader.allOf(["verify-client-cert", "client-cert-not-required"])) {
    if (line.words[0] === "client-cert-not-required") {
      reader.warn(line, "was removed from OpenVPN: verify-client-cert none took its place, and is taken to be meant");
      value = "none";
    } else if (line.words[1] === undefined) value = "require";
    else value = reader.choice(line, 1, ["none", "optional", "require"]) ?? value;
  }
  return value;
}

/** man openvpn, auth-gen-token: [lifetime [renewal]] [external-auth]. */
function resolveToken(reader: Reader, control: ControlConfig): EntryConfig["token"] {
  const secretLine = materialLine(reader, "auth-gen-token-secret");
  const placeholder = reader.last("auth-gen-token-secret");
  const secret = secretLine && pemKey(reader, secretLine, TOKEN_KEY);
  if (placeholder && !secretLine) reader.problem(placeholder, missingBlock("auth-gen-token-secret"));
  const line = reader.last("auth-gen-token");
  if (line === undefined) {
    if (placeholder) reader.warn(placeholder, "ignored: without auth-gen-token no token is given");
    return undefined;
  }
  const words = line.words.slice(1);
  const isExternal = words.at(-1) === "external-auth";
  const numbers = isExternal ? words.slice(0, -1) : words;
  if (isExternal)
    reader.warn(line, "external-auth is ignored: there is no program that could be asked beside the token itself");
  if (numbers.length > 2) return reader.problem(line, `"${printable(numbers[2] as string)}" is not external-auth`);
  const lifetime = reader.number(line, 1, SECONDS);
  const renewal = numbers[1] === undefined ? 0 : reader.number(line, 2, SECONDS);
  if ((numbers[0] !== undefined && lifetime === undefined) || renewal === undefined) return undefined;
  return {
    lifetime: numbers[0] === undefined ? 0 : (lifetime ?? 0),
    renewal: renewalOf(reader, line, renewal, control),
    secret: secret?.bytes,
  };
}

/** As openvpn: a token is renewed as often as keys are, and must outlive a handshake. */
function renewalOf(reader: Reader, line: Line, written: number, { renegSec, handWindow }: ControlConfig): number {
  if (renegSec.max === 0)
    reader.problem(line, "needs renegotiations, with which tokens are renewed; reneg-sec 0 turns them off");
  else if (written > 0 && written < 2 * handWindow)
    reader.problem(line, `renewal after ${written} seconds is less than twice hand-window (${handWindow})`);
  return written === 0 ? renegSec.max : written;
}

export const TOKEN_KEY = { name: "auth-token server", length: 128 } as const;
export const SERVER_KEY = { name: "tls-crypt-v2 server", length: 128 } as const;

const missingBlock = (name: string): string => `${INLINE} stands for a <${name}> block, which is missing`;

export function resolveWrappedKeys(reader: Reader): WrappedKeysConfig | undefined {
  const maxAgeDays = reader.int("tls-crypt-v2-max-age", 0, { min: 1, max: 36_500 }) || undefined;
  const line = materialLine(reader, "tls-crypt-v2");
  const placeholder = reader.last("tls-crypt-v2");
  if (line === undefined) {
    if (placeholder) reader.problem(placeholder, missingBlock("tls-crypt-v2"));
    const age = reader.last("tls-crypt-v2-max-age");
    if (age) reader.warn(age, "ignored: without tls-crypt-v2 no client has a key with a date");
    return undefined;
  }
  let forceCookie = false;
  for (const each of reader.all("tls-crypt-v2")) {
    const word = reader.choice(each, 2, ["force-cookie", "allow-noncookie"]);
    if (word !== undefined) forceCookie = word === "force-cookie";
  }
  const key = pemKey(reader, line, SERVER_KEY);
  if (key === undefined) return undefined;
  return { serverKey: key.bytes, material: key.material, forceCookie, maxAgeDays };
}
