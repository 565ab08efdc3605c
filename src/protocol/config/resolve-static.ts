/** `secret`: the key of a file that both ends have, and what it is used for. */
import { type CbcName, cipherNamed, isAead } from "../ports.ts";
import type { Reader } from "./reader.ts";
import { resolveSecret } from "./resolve-control.ts";
import type { DataConfig, DigestName, StaticConfig } from "./types.ts";

/** @param data its fallbackCipher is that of the line `cipher`, since nothing is negotiated */
export function resolveStatic(
  reader: Reader,
  data: DataConfig,
): Pick<StaticConfig, "secret" | "cipher" | "digest"> | undefined {
  const secret = resolveSecret(reader);
  const cipher = resolveCipher(reader, data.fallbackCipher);
  const digest = resolveDigest(reader, data.auth);
  return secret && cipher && digest && { secret, cipher, digest };
}

function resolveCipher(reader: Reader, name: string | undefined): CbcName | undefined {
  const line = reader.last("cipher");
  if (line === undefined || name === undefined) {
    reader.report.missing(
      "cipher",
      "with secret openvpn means BF-CBC then, which no OpenSSL of today has; write cipher AES-256-CBC at both ends",
    );
    return undefined;
  }
  const cipher = cipherNamed(name);
  if (cipher === undefined)
    return reader.problem(line, `${name} is not available; write cipher AES-256-CBC at both ends`);
  // So does openvpn (crypto.c): its ids need the packet's time, for which AEAD has no place.
  if (isAead(cipher))
    return reader.problem(line, `${cipher} needs TLS; with secret write cipher AES-256-CBC at both ends`);
  return cipher;
}

function resolveDigest(reader: Reader, auth: DataConfig["auth"]): DigestName | undefined {
  if (auth !== "none") return auth;
  const line = reader.last("auth");
  return (
    line && reader.problem(line, "none would leave packets without authentication; write auth SHA256 at both ends")
  );
}
