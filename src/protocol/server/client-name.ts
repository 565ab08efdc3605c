/** What a client is called (OpenVPN's ssl_verify.c: verify_cert, set_common_name). */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { ClientFile } from "../config/server-types.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import { userName } from "../exchange/certificate-name.ts";
import { readCertificate } from "../exchange/read-certificate.ts";
import { DEFAULT_FILE, NOBODY } from "./reserved-names.ts";

/** OpenVPN takes 64 bytes of each field of x509-username-field, and this of all together (verify_cert). */
const MAX_NAME_BYTES = 255;

/** What a certificate says of who has it. */
export type CertificateName =
  | { readonly ok: true; readonly name: string; readonly fingerprint: string }
  | { readonly ok: false; readonly problem: string };

/** @param certificate DER; that it is good has been checked @param fields x509-username-field */
export function certificateName(certificate: Uint8Array, fields: readonly string[]): CertificateName {
  const bad = (problem: string): CertificateName => ({ ok: false, problem });
  const what = fields.join(" or ");
  try {
    const name = userName(readCertificate(certificate), fields);
    if (name === undefined) return bad(`its certificate has no ${what}, which would be its name (x509-username-field)`);
    if (name.trim() === "" || name === NOBODY)
      return bad(`the ${what} of its certificate is "${name}", which is no name: it needs another certificate`);
    if (encodeUtf8(name).length > MAX_NAME_BYTES)
      return bad(`the ${what} of its certificate is longer than ${MAX_NAME_BYTES} bytes`);
    return { ok: true, name, fingerprint: bytesToHex(sha256(certificate)) };
  } catch {
    // The parser throws at what it does not understand.
    return bad("its certificate cannot be read");
  }
}

/** A user's name as OpenVPN takes it (string_mod_remap_name): without control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
export const remapped = (user: string): string => user.replace(/[\u0000-\u001f\u007f]/g, "_");

/** A name as a file of client-config-dir (OpenVPN's platform_gen_path). */
const fileName = (name: string): string => name.replaceAll("/", "_");

/** The file of client-config-dir for this name, or the one for all others. */
export const fileOf = (files: ReadonlyMap<string, ClientFile>, name: string): ClientFile | undefined =>
  files.get(fileName(name)) ?? files.get(DEFAULT_FILE);

/** ccd-exclusive: whether it has a file of its own (ssl_verify.c, verify_final_auth_checks). */
export const hasOwnFile = (files: ReadonlyMap<string, ClientFile>, name: string): boolean =>
  name !== NOBODY && name !== DEFAULT_FILE && files.has(fileName(name));
