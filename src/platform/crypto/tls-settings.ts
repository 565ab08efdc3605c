/**
 * Versions, ciphers, groups and security level of a TLS context, in the order and with the meaning that OpenVPN 2.6 gives them
 * (ssl.c init_ssl, ssl_openssl.c tls_ctx_set_cert_profile, tls_ctx_restrict_ciphers, tls_ctx_set_tls_groups, tls_ctx_set_options).
 */
import { printable } from "../../protocol/config/lexer.ts";
import type { TlsParameters, TlsVersion } from "../../protocol/ports.ts";
import type { OpenSsl } from "./libssl.ts";
import { takeErrors } from "./tls-error.ts";
import { UnusableTls } from "./tls-unusable.ts";

/** include/openssl/ssl.h */
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_CTRL_SET_GROUPS_LIST = 92;
const SSL_CTRL_SET_DH_AUTO = 118;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_CTRL_SET_MAX_PROTO_VERSION = 124;
const SSL_MODE_RELEASE_BUFFERS = 0x10;
const SSL_SESS_CACHE_OFF = 0;
/** NO_TICKET, NO_COMPRESSION, CIPHER_SERVER_PREFERENCE, NO_RENEGOTIATION. */
const OPTIONS = 2 ** 14 + 2 ** 17 + 2 ** 22 + 2 ** 30;

const VERSIONS: Readonly<Record<TlsVersion, number>> = { "1.0": 0x301, "1.1": 0x302, "1.2": 0x303, "1.3": 0x304 };
/** tls-cert-profile is OpenSSL's security level; without one, OpenVPN sets 1 whatever the distribution's default is. */
const LEVELS = { insecure: 0, legacy: 1, preferred: 2, suiteb: 3 } as const;
/** Without tls-cipher: AEAD and CBC with forward secrecy. */
const DEFAULT_CIPHERS = "DEFAULT:!EXP:!LOW:!MEDIUM:!kDH:!kECDH:!DSS:!PSK:!SRP:!kRSA";

/** @throws UnusableTls where the library has nothing of what a list names */
export function applySettings(openssl: OpenSsl, context: number, p: TlsParameters): void {
  const { lib } = openssl;
  lib.ERR_clear_error();
  lib.SSL_CTX_set_security_level(context, LEVELS[p.certProfile]);
  if (p.certProfile === "suiteb")
    refuse(
      openssl,
      lib.SSL_CTX_set_cipher_list(context, openssl.text("SUITEB128")),
      () => new UnusableTls("tls-cert-profile", "suiteb is not available in this OpenSSL"),
    );
  // Before material is loaded: @SECLEVEL in the list decides what is too weak.
  const ciphers = p.cipherList === undefined ? DEFAULT_CIPHERS : opensslNames(openssl, p.cipherList);
  refuse(openssl, lib.SSL_CTX_set_cipher_list(context, openssl.text(ciphers)), () => {
    const list = printable(p.cipherList ?? "the default");
    const example = "for example TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384 would be";
    return new UnusableTls("tls-cipher", `there is no usable cipher in "${list}"; ${example}`);
  });
  if (p.cipherSuites !== undefined) {
    const list = p.cipherSuites;
    refuse(openssl, lib.SSL_CTX_set_ciphersuites(context, openssl.text(list.replaceAll("-", "_"))), () => {
      const known =
        "the suites of TLS 1.3 are TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256";
      return new UnusableTls(
        "tls-ciphersuites",
        `"${printable(list)}" holds a suite that is unknown to OpenSSL; ${known}`,
      );
    });
  }
  if (p.groups !== undefined) setGroups(openssl, context, p.groups);
  lib.SSL_CTX_set_options(context, OPTIONS);
  const bound = (command: number, directive: string, version: TlsVersion): void =>
    refuse(
      openssl,
      lib.SSL_CTX_ctrl(context, command, VERSIONS[version], 0),
      () => new UnusableTls(directive, `OpenSSL does not take TLS ${version} as a bound`),
    );
  bound(SSL_CTRL_SET_MIN_PROTO_VERSION, "tls-version-min", p.minVersion);
  bound(SSL_CTRL_SET_MAX_PROTO_VERSION, "tls-version-max", p.maxVersion);
  lib.SSL_CTX_ctrl(context, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, 0);
  // Every key exchange is a full handshake: a ticket or a session would outlive a revocation list.
  lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, 0);
  lib.SSL_CTX_set_num_tickets(context, 0);
  // Finite-field groups of RFC 7919 by the strength of the certificate, for clients without elliptic curves.
  if (p.isServer) lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 1, 0);
}

function setGroups(openssl: OpenSsl, context: number, list: string): void {
  const accepts = (text: string): boolean =>
    openssl.lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, openssl.text(text)) === 1;
  if (accepts(list)) return;
  const unknown = list.split(":").filter((name) => !accepts(name));
  takeErrors(openssl);
  const which =
    unknown.length === 0 ? "is not a list of groups" : `names what is unknown to OpenSSL: ${unknown.join(", ")}`;
  const example = "X25519:secp256r1:secp384r1 for example would be usable";
  throw new UnusableTls("tls-groups", `"${printable(list)}" ${printable(which)}; ${example}`);
}

let ianaNames: ReadonlyMap<string, string> | undefined;

/** IANA names with dashes, as profiles have them, in OpenSSL's spelling; everything else of the list as it is. */
function opensslNames(openssl: OpenSsl, list: string): string {
  ianaNames ??= cipherNames(openssl);
  const names = ianaNames;
  return list
    .split(":")
    .map((name) => names.get(name) ?? name)
    .join(":");
}

/** "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384" -> "ECDHE-RSA-AES256-GCM-SHA384", for everything that the library has. */
function cipherNames(openssl: OpenSsl): ReadonlyMap<string, string> {
  const { lib } = openssl;
  const context = lib.SSL_CTX_new(lib.TLS_method());
  try {
    lib.SSL_CTX_set_cipher_list(context, openssl.text("ALL:COMPLEMENTOFALL:@SECLEVEL=0"));
    return new Map(
      openssl.stack(lib.SSL_CTX_get_ciphers(context)).map((cipher) => {
        const iana = openssl.string(lib.SSL_CIPHER_standard_name(cipher));
        return [iana.replaceAll("_", "-"), openssl.string(lib.SSL_CIPHER_get_name(cipher))];
      }),
    );
  } finally {
    lib.SSL_CTX_free(context);
  }
}

function refuse(openssl: OpenSsl, result: number, problem: () => UnusableTls): void {
  if (result === 1) return;
  takeErrors(openssl);
  throw problem();
}
