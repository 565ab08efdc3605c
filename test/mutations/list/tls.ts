/** Checks of certificates, lists and strength, and what keeps a TLS session from outliving them. */
import { mutationsOf } from "../mutation.ts";

export const TLS = [
  ...mutationsOf(
    "platform/crypto/aead.ts",
    [
      "if (owners[this.#number] === key) return lib",
      "if (owners[this.#number] !== NOBODY) return lib",
      "that a cipher context has the key of whoever uses it",
    ],
    [
      "    this.#contexts.forget(this.#number, this.#key);\n",
      "",
      "that nobody takes a closed key's schedule for his own",
    ],
    [
      "    this.owners[n] = NOBODY;\n    this.lib.EVP_CipherInit_ex(this.pointers[n]!, 0, 0, this.#noKey, this.noncePointer, this.#encrypt);\n",
      "    this.owners[n] = NOBODY;\n",
      "that no schedule of a key is left when it is closed",
    ],
    [
      "      cell.memory.bytes.fill(0, cell.at, cell.at + CELL_BYTES);\n",
      "",
      "that a key which is closed is no more in memory",
    ],
  ),
  ...mutationsOf("protocol/exchange/certificate-name.ts", [
    ' && !value.includes("\\0")',
    "",
    "that an e-mail address with a NUL is no name",
  ]),
  ...mutationsOf(
    "platform/crypto/tls.ts",
    ["if (!ok && this.#parameters.verifyChain) {", "if (false) {", "the verdict on the peer's chain"],
    ["if (depth >= MAX_DEPTH) {", "if (false) {", "the depth of a chain"],
    ["    this.#openssl.lib.ERR_clear_error();\n", "", "that an error of another call is not this one's"],
    ["if (name !== undefined) this.#expect(name);", "", "that a server has the name that it is asked by"],
    [
      "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT",
      "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS",
      "that a common name is no name of a host (RFC 9525)",
    ],
    ["    calling = this;\n", "    calling ??= this;\n", "that each engine asks its own owner"],
    [
      '    assert(calling !== this, "a TLS engine is closed inside of its own call");\n',
      "",
      "that nothing is freed under the library's feet",
    ],
    [
      "this.#accepted ??= this.#accept(chain.map((x509) => this.#openssl.der(x509)));",
      "this.#accepted = true;",
      "what the profile demands of the peer's certificate",
    ],
    ["if (this.#accepted) return true;", "return true;", "the refusal of a peer whom the profile does not want"],
    [
      "if (this.#wantsPeer && this.#accepted !== true) {",
      "if (false) {",
      "the refusal of a peer without a certificate",
    ],
    [
      "if (code === X509_V_ERR_UNABLE_TO_GET_CRL) {",
      "if (false) {",
      "an authority without a list being a warning alone",
    ],
    [
      "SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;",
      "SSL_VERIFY_PEER;",
      "a client's certificate that must be shown",
    ],
  ),
  ...mutationsOf(
    "platform/crypto/tls-material.ts",
    ["if (lib.X509_STORE_add_crl(this.#store, crl) !== 1)", "if (false)", "a list that is not taken"],
    [
      "if (lib.X509_STORE_add_cert(this.#store, x509) !== 1) throw",
      "if (false) throw",
      "an authority that is not taken",
    ],
    [
      "this.#openssl.lib.X509_STORE_set_flags(this.#store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);",
      "",
      "revocation lists",
    ],
    [
      "for (const [index, block] of blocks.entries()) this.#list(material, block, index);",
      "this.#list(material, blocks[0] as PemBlock, 0);",
      "every list of a file",
    ],

    ["const isTrusted = this.#p.ca === undefined;", "const isTrusted = true;", "ca's word alone beside PKCS #12"],
  ),
  ...mutationsOf(
    "platform/crypto/tls-settings.ts",
    ["lib.SSL_CTX_set_security_level(context, LEVELS[p.certProfile]);", "", "tls-cert-profile"],
    ["  lib.SSL_CTX_set_options(context, OPTIONS);\n", "", "no ticket of TLS 1.2 that outlives a list"],
    ["if (p.cipherSuites !== undefined) {", "if (false) {", "tls-ciphersuites"],
    ["if (p.groups !== undefined) setGroups(openssl, context, p.groups);", "", "tls-groups"],
    ['  bound(SSL_CTRL_SET_MIN_PROTO_VERSION, "tls-version-min", p.minVersion);\n', "", "tls-version-min"],
    ['  bound(SSL_CTRL_SET_MAX_PROTO_VERSION, "tls-version-max", p.maxVersion);\n', "", "tls-version-max"],
    ["      lib.SSL_CTX_ctrl(context, command, VERSIONS[version], 0),", "      1,", "a version that is not taken"],
    ["lib.SSL_CTX_set_num_tickets(context, 0);", "", "no session that outlives a list"],
  ),
  ...mutationsOf("platform/crypto/libcrypto.ts", [
    "loaded.OPENSSL_init_crypto(NO_LOAD_CONFIG, 0);",
    "",
    "a machine's openssl.cnf having no say",
  ]),
  ...mutationsOf(
    "platform/crypto/tls-check.ts",
    ["if (until - now > soon) return undefined;", "return undefined;", "that dates which come soon are told"],
    ["if (from !== undefined && from > now)", "if (false)", "the warning of what is not yet valid"],
    ["if (until < now) return `", "if (false as boolean) return `", "the warning of what has expired"],
  ),
  ...mutationsOf("platform/crypto/date-watch.ts", [
    "if (now < this.#at) return;",
    "return;",
    "that dates are looked at once a day",
  ]),
  ...mutationsOf("platform/crypto/tls-own-weak.ts", [
    "isOwnCertificate(operation) ? 1 :",
    "true ? 1 :",
    "the security level of everything but our own certificate",
  ]),
];
