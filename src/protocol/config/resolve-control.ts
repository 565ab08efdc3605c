/** The control channel, and keys that both ends have: lines -> values. */
import { INLINE, type Line } from "./lexer.ts";
import { materialLine, staticKey } from "./material.ts";
import { type Reader, SECONDS } from "./reader.ts";
import { tlsCryptV2Key } from "./tls-crypt-v2-key.ts";
import type { ControlConfig, ControlWrap, DigestName, ReplayWindowConfig, Role, StaticKey } from "./types.ts";

/** The directives with a key for control packets. A server's tls-crypt-v2 is another thing, and stands beside one of the others. */
const WRAPS = ["tls-auth", "tls-crypt", "tls-crypt-v2"] as const;
const SHARED_WRAPS = ["tls-auth", "tls-crypt"] as const;

/** @param digest `auth`, which tls-auth uses as well */
export function resolveControl(
  reader: Reader,
  role: Role,
  digest: DigestName | "none",
  replayWindow: ReplayWindowConfig,
): ControlConfig {
  return {
    wrap: resolveWrap(reader, digest, role) ?? { kind: "none" },
    replayWindow,
    handWindow: reader.int("hand-window", 60, { min: 1, max: SECONDS.max }),
    tlsTimeout: reader.int("tls-timeout", 2, { min: 1, max: SECONDS.max }),
    tranWindow: reader.int("tran-window", 3600),
    renegSec: resolveRenegSec(reader, role),
    renegBytes: reader.int("reneg-bytes", 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    renegPkts: reader.int("reneg-pkts", 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
  };
}

/** The key that these lines, of the file or of a `<connection>` block, name for control packets. */
export function resolveWrap(reader: Reader, digest: DigestName | "none", role: Role): ControlWrap | undefined {
  const wraps = role === "server" ? SHARED_WRAPS : WRAPS;
  for (const name of wraps) {
    const line = reader.last(name);
    if (line && !materialLine(reader, name))
      reader.problem(line, `${INLINE} stands for a <${name}> block, which is missing`);
  }
  const stray = reader.last("key-direction");
  if (stray && !reader.has("tls-auth")) reader.warn(stray, "ignored: it belongs to tls-auth");
  const [line, other] = wraps.flatMap((name) => materialLine(reader, name) ?? []);
  // So does openvpn refuse it.
  if (line && other)
    reader.problem(
      other,
      `cannot stand beside ${line.words[0]}; ${role === "server" ? "clients use" : "a server uses"} one of them`,
    );
  return line && wrapOf(reader, line, digest);
}

function wrapOf(reader: Reader, line: Line, digest: DigestName | "none"): ControlWrap | undefined {
  const name = line.words[0];
  if (name === "tls-crypt-v2") return tlsCryptV2Key(reader, line);
  if (name === "tls-crypt") {
    const key = staticKey(reader, line);
    return key && { kind: "tls-crypt", ...key };
  }
  const key = directedKey(reader, "tls-auth", line);
  if (digest === "none") return reader.problem(line, "needs a digest; auth is none");
  return key && { kind: "tls-auth", digest, ...key };
}

/** `secret`. */
export function resolveSecret(reader: Reader): StaticKey | undefined {
  const line = materialLine(reader, "secret");
  if (line) return directedKey(reader, "secret", line);
  const placeholder = reader.last("secret");
  if (placeholder) reader.problem(placeholder, `${INLINE} stands for a <secret> block, which is missing`);
  return undefined;
}

/** The key of a line, with the direction behind it or of key-direction, whichever is said last. */
function directedKey(reader: Reader, name: string, line: Line): StaticKey | undefined {
  let direction: 0 | 1 | undefined;
  const take = (where: Line, index: number): void => {
    const word = reader.choice(where, index, ["0", "1"]);
    if (word !== undefined) direction = word === "0" ? 0 : 1;
  };
  for (const each of reader.all(name)) take(each, 2);
  for (const each of reader.all("key-direction")) take(each, 1);
  const key = staticKey(reader, line);
  return key && { ...key, direction };
}

/**
 * A client starts its renegotiation at `max`, a server up to a tenth earlier, unless the line says how far it may vary
 * (man openvpn, reneg-sec; OpenVPN's init.c, do_init_crypto_tls).
 */
function resolveRenegSec(reader: Reader, role: Role): ControlConfig["renegSec"] {
  const untold = (max: number): number => (role === "server" ? max - Math.floor(max / 10) : max);
  let value = { max: 3600, min: untold(3600) };
  for (const line of reader.all("reneg-sec")) {
    const max = reader.number(line, 1, SECONDS);
    if (max === undefined) continue;
    const min = line.words[2] === undefined ? untold(max) : reader.number(line, 2, SECONDS);
    if (min !== undefined && min > max) reader.problem(line, `the second value, ${min}, is above the first`);
    else if (min !== undefined) value = { max, min };
  }
  return value;
}
