/** The rows of test/interop/certificates.test.ts. Files are those of make.sh. */
export interface Case {
  readonly name: string;
  /** What both clients do; ours alone, where `differs` says why. */
  readonly verdict: "up" | "refused";
  /** Certificate and key of the server, by name; default "server". */
  readonly shows?: string;
  /** More lines of the server. */
  readonly server?: readonly string[];
  readonly client: readonly string[];
  /** What our words must say. */
  readonly says?: RegExp;
  readonly differs?: string;
}

/** A server that refuses nothing by itself but a client of another authority. */
export const SERVER_LINES = ({ shows = "server" }: Case): string[] => [
  "ca ca.crt",
  `cert ${shows}.crt`,
  `key ${shows.replace("-chain", "")}.key`,
  "dh none",
  "tls-cert-profile insecure",
  'tls-cipher "ALL:@SECLEVEL=0"',
];

const OWN = ["cert client.crt", "key client.key"];
const CA = ["ca ca.crt", ...OWN];
const LEVEL_0 = 'tls-cipher "DEFAULT:@SECLEVEL=0"';

const up = (name: string, client: readonly string[], more: Partial<Case> = {}): Case => ({
  name,
  verdict: "up",
  client,
  ...more,
});
const refused = (name: string, client: readonly string[], says: RegExp, more: Partial<Case> = {}): Case => ({
  name,
  verdict: "refused",
  client,
  says,
  ...more,
});

const TLS_1_2 = ["tls-version-max 1.2"];
const KINDS = ["ec-secp384r1", "ec-secp521r1", "rsa-2048", "ed25519", "ed448", "pss"];

const ALGORITHMS: readonly Case[] = [
  up("P-256", CA),
  ...KINDS.flatMap((shows) => [up(shows, CA, { shows }), up(`${shows}, TLS 1.2`, CA, { shows, server: TLS_1_2 })]),
  ...["ec-brainpoolP256r1", "ec-brainpoolP512r1", "ec-secp256k1"].flatMap((shows) => [
    refused(`${shows}, which TLS 1.3 does not have`, CA, /no TLS (version, )?cipher or group/, { shows }),
    up(`${shows}, TLS 1.2`, [...CA, "tls-groups brainpoolP256r1:brainpoolP512r1:secp256k1:X25519:secp256r1"], {
      shows,
      server: [...TLS_1_2, "tls-groups X25519:secp256r1"],
    }),
  ]),
  up("an RSA authority", ["ca rsa-ca.crt", ...OWN], { shows: "by-rsa" }),
  up("a signature with RSA-PSS", ["ca rsa-ca.crt", ...OWN], { shows: "pss-signed" }),
  up("a signature with SHA-512", CA, { shows: "sha512" }),
  up("an authority on secp521r1", ["ca ca-p521.crt", ...OWN], { shows: "by-p521" }),
  up("secp521r1 as the only group", CA, { server: ["tls-groups secp521r1"] }),
  refused("a group that the client's own key is not of, TLS 1.2", CA, /client certificate/, {
    server: ["tls-groups secp521r1", ...TLS_1_2],
  }),
];

const STRENGTH: readonly Case[] = [
  up("RSA of 1,024 bits", CA, { shows: "rsa-1024" }),
  refused(
    "RSA of 1,024 bits under tls-cert-profile preferred",
    [...CA, "tls-cert-profile preferred"],
    /CN=rsa-1024.*too small.*preferred/,
    {
      shows: "rsa-1024",
    },
  ),
  refused("RSA of 512 bits", CA, /CN=rsa-512.*key that is too small/, { shows: "rsa-512", server: TLS_1_2 }),
  refused("an authority of RSA with 512 bits", ["ca ca-512.crt", ...OWN], /CA certificate of CN=ca-512.*too small/, {
    shows: "by-512",
  }),
  up("an authority of RSA with 512 bits, where the profile takes it", ["ca ca-512.crt", ...OWN, LEVEL_0], {
    shows: "by-512",
  }),
  up("an authority of RSA with 1,024 bits", ["ca ca-1024.crt", ...OWN], { shows: "by-1024" }),
  refused("secp224r1, whose group is not offered", CA, /cipher or group/, { shows: "ec-secp224r1", server: TLS_1_2 }),
  refused("a signature with SHA-1", CA, /CN=sha1\).*SHA-1 or MD5.*SECLEVEL=0/, { shows: "sha1" }),
  refused("a signature with SHA-1 by RSA", ["ca rsa-ca.crt", ...OWN], /CN=sha1-rsa\).*SHA-1 or MD5/, {
    shows: "sha1-rsa",
  }),
  refused("a signature with MD5", ["ca rsa-ca.crt", ...OWN], /CN=md5\).*SHA-1 or MD5/, { shows: "md5" }),
  up("a signature with SHA-1, where the profile takes it", [...CA, LEVEL_0], { shows: "sha1" }),
  up("a signature with MD5, where the profile takes it", ["ca rsa-ca.crt", ...OWN, LEVEL_0], { shows: "md5" }),
  up("a signature with SHA-1 under tls-cert-profile insecure", [...CA, "tls-cert-profile insecure"], { shows: "sha1" }),
  up("a root that signed itself with SHA-1: nobody relies on that", ["ca ca-sha1.crt", ...OWN], { shows: "by-sha1" }),
  up("P-256 under tls-cert-profile preferred", [...CA, "tls-cert-profile preferred"]),
  up("P-256 under tls-cert-profile suiteb", [...CA, "tls-cert-profile suiteb"], {
    server: [...TLS_1_2, "tls-groups secp256r1", 'tls-cipher "ECDHE-ECDSA-AES128-GCM-SHA256"'],
  }),
  refused("RSA of 2,048 bits under tls-cert-profile suiteb", [...CA, "tls-cert-profile suiteb"], /TLS|certificate/, {
    shows: "rsa-2048",
  }),
  refused(
    "own key too weak",
    ["ca ca.crt", "cert rsa-512.crt", "key rsa-512.key"],
    /case\.ovpn:7: cert: .*CN=rsa-512.*too weak/,
  ),
  refused(
    "own certificate signed with SHA-1",
    ["ca ca.crt", "cert sha1.crt", "key sha1.key"],
    /cert: .*CN=sha1.*too weak/,
  ),
];

const DATES_AND_CHAINS: readonly Case[] = [
  refused("expired", CA, /CN=expired\) has expired; the clock here says 2/, { shows: "expired" }),
  refused("not yet valid", CA, /CN=future\) is not yet valid; the clock here says 2/, { shows: "future" }),
  refused("another authority", ["ca other.crt", ...OWN], /certificate.*does not verify.*other\.crt/),
  up("two authorities in one file", ["ca both.crt", ...OWN]),
  up("two authorities in one file, the other first", ["ca both-turned.crt", ...OWN]),
  refused("an intermediate certificate that nobody has", CA, /CN=deep\) does not verify: no CA in ca\.crt/, {
    shows: "deep",
  }),
  up("an intermediate certificate from the server's extra-certs", CA, {
    shows: "deep",
    server: ["extra-certs chain-sub.crt"],
  }),
  up("an intermediate certificate behind the server's own", CA, { shows: "deep-chain" }),
  up("two intermediate certificates", CA, { shows: "deepest", server: ["extra-certs chain-deeper.crt"] }),
  up("an intermediate certificate in ca", ["ca both-sub.crt", ...OWN], { shows: "deep" }),
  refused("an intermediate certificate alone in ca", ["ca sub.crt", ...OWN], /does not verify/, { shows: "deep" }),
  refused("an authority that may not sign", ["ca ca-no-sign.crt", ...OWN], /may not vouch|does not verify/, {
    shows: "by-no-sign",
  }),
  refused("an intermediate certificate that may not sign", CA, /may not vouch|does not verify/, {
    shows: "by-sub-no-sign",
    server: ["extra-certs sub-no-sign.crt"],
  }),
  refused("a server's certificate that signed another", CA, /may not vouch/, {
    shows: "by-server",
    server: ["extra-certs server.crt"],
  }),
  refused("more levels than pathlen allows", CA, /may not vouch/, {
    shows: "beyond",
    server: ["extra-certs chain-limited.crt"],
  }),
  refused("signed by itself", CA, /does not verify/, { shows: "self-signed" }),
  refused("a critical extension that nobody knows", CA, /CN=critical\)/, { shows: "critical" }),
  up("a TRUSTED CERTIFICATE as ca", ["ca ca-trusted.crt", ...OWN]),
  refused(
    "a TRUSTED CERTIFICATE that is not to be trusted for servers",
    ["ca ca-rejecting.crt", ...OWN],
    /certificate/,
  ),
];

const CRL = (list: string): string[] => [...CA, `crl-verify ${list}.crl`];
const SUB = { shows: "deep", server: ["extra-certs chain-sub.crt"] };
const LISTS: readonly Case[] = [
  up("a list without the certificate", CRL("nobody")),
  refused("revoked", CRL("revoked"), /CN=revoked\) is revoked by the list in revoked\.crl/, { shows: "revoked" }),
  up("not revoked by a list that revokes others", CRL("revoked")),
  refused("an old list and a new one", CRL("old-new"), /CN=revoked\) is revoked/, { shows: "revoked" }),
  refused("a new list and an old one", CRL("new-old"), /CN=revoked\) is revoked/, { shows: "revoked" }),
  up("a list of the root alone under an intermediate", CRL("nobody"), {
    ...SUB,
    says: /no list that says whether CN=deep is revoked/,
  }),
  up("a list of the intermediate alone", CRL("sub"), { ...SUB, says: /crl-verify has no list of CN=ca/ }),
  up("lists of both, the root's first", CRL("ca-sub"), SUB),
  up("lists of both, the intermediate's first", CRL("sub-ca"), SUB),
  refused("a revoked intermediate certificate", CRL("sub-revoked"), /CA certificate of CN=sub-revoked is revoked/, {
    shows: "under-revoked",
    server: ["extra-certs sub-revoked.crt"],
  }),
  up("a list of another authority", CRL("other"), { says: /crl-verify has no list of CN=ca/ }),
  up("lists of another authority and of this one", CRL("other-ca")),
  refused("an expired list", CRL("expired"), /list in expired\.crl.*CN=server\) has expired; the clock/),
  refused("a list that is not yet valid", CRL("future"), /list in future\.crl.*not yet valid; the clock/),
  up("a list with a time without seconds", CRL("odd-time")),
  refused("revoked at a time without seconds", CRL("odd-time"), /CN=revoked\) is revoked/, { shows: "revoked" }),
  up("a list in ca, which does not count", ["ca ca-with-list.crt", ...OWN], { shows: "revoked" }),
  up(
    "a list in ca, which does not count beside crl-verify either",
    ["ca ca-with-list.crt", ...OWN, "crl-verify sub.crl"],
    {
      shows: "revoked",
      says: /ca: ca-with-list\.crt also holds a X509 CRL, which does not count here/,
    },
  ),
  up("an intermediate certificate without a list of its own", CRL("sub-revoked"), SUB),
];

const USAGES: readonly Case[] = [
  up("no usage at all", CA, { shows: "plain" }),
  refused("remote-cert-tls server: no usage at all", [...CA, "remote-cert-tls server"], /remote-cert-tls/, {
    shows: "plain",
  }),
  up("remote-cert-tls server", [...CA, "remote-cert-tls server"]),
  refused("remote-cert-tls client", [...CA, "remote-cert-tls client"], /remote-cert-tls/),
  refused("a client's certificate", CA, /CN=as-client\) may not be used for this/, { shows: "as-client" }),
  up("extended key usage alone", CA, { shows: "no-usage" }),
  refused("remote-cert-tls server: extended key usage alone", [...CA, "remote-cert-tls server"], /remote-cert-tls/, {
    shows: "no-usage",
  }),
  up("key usage alone", CA, { shows: "usage-only" }),
  refused("remote-cert-tls server: key usage alone", [...CA, "remote-cert-tls server"], /remote-cert-tls/, {
    shows: "usage-only",
  }),
  refused("a key that may only sign certificates", CA, /may not be used for this|CN=cert-sign/, { shows: "cert-sign" }),
  refused("any extended key usage", CA, /CN=any-usage/, { shows: "any-usage" }),
  up("remote-cert-ku a0", [...CA, "remote-cert-ku a0"]),
  refused("remote-cert-ku 06", [...CA, "remote-cert-ku 06"], /remote-cert-ku/),
  up("remote-cert-eku by name", [...CA, 'remote-cert-eku "TLS Web Server Authentication"']),
  up("remote-cert-eku by number", [...CA, "remote-cert-eku 1.3.6.1.5.5.7.3.1"]),
  refused("remote-cert-eku of clients", [...CA, 'remote-cert-eku "TLS Web Client Authentication"'], /remote-cert-eku/),
  up("ns-cert-type server by the Netscape extension", [...CA, "ns-cert-type server"], { shows: "netscape" }),
  up("ns-cert-type server by extended key usage", [...CA, "ns-cert-type server"]),
  refused("ns-cert-type client", [...CA, "ns-cert-type client"], /ns-cert-type/),
  refused("the Netscape extension of a client", CA, /may not be used for this/, { shows: "netscape-client" }),
  refused("ns-cert-type server: a certificate that says nothing", [...CA, "ns-cert-type server"], /ns-cert-type/, {
    shows: "plain",
    differs: "it takes a certificate that says nothing about its purpose for one of any purpose",
  }),
];

const NAMES: readonly Case[] = [
  up("verify-x509-name subject", [...CA, "verify-x509-name 'C=DE, O=Acme, Inc., CN=vpn.example'"], { shows: "named" }),
  refused(
    "verify-x509-name of another",
    [...CA, "verify-x509-name CN=other"],
    /verify-x509-name.*C=DE, O=Acme, Inc\., CN=vpn\.example/,
    {
      shows: "named",
    },
  ),
  up("verify-x509-name name", [...CA, "verify-x509-name vpn.example name"], { shows: "named" }),
  up("verify-x509-name name-prefix", [...CA, "verify-x509-name vpn. name-prefix"], { shows: "named" }),
  ...(
    [
      ["UID", "e7"],
      ["uid", "e7"],
      ["OU", "edge"],
      ["organizationalUnitName", "edge"],
      ["emailAddress", "own@vpn.example"],
      ["ext:subjectAltName", "alt@vpn.example"],
      ["OU UID", "edge_e7"],
    ] as const
  ).map(([field, name]) =>
    up(`x509-username-field ${field}`, [...CA, `x509-username-field ${field}`, `verify-x509-name ${name} name`], {
      shows: "rich",
    }),
  ),
  ...["CN", "L", "OU"].map((field) =>
    refused(
      `x509-username-field ${field}, which has another value or none`,
      [...CA, `x509-username-field ${field}`, "verify-x509-name e7 name"],
      /verify-x509-name/,
      { shows: "rich" },
    ),
  ),
  refused("verify-x509-name of a part", [...CA, "verify-x509-name vpn. name"], /verify-x509-name/, { shows: "named" }),
];

export type Fingerprint = (name: string, algorithm: "sha256" | "sha1") => string;

/** Rows that name digests of what make.sh has made. */
export function fingerprintCases(of: Fingerprint): readonly Case[] {
  const [server, ca] = [of("server", "sha256"), of("ca", "sha256")];
  return [
    up("peer-fingerprint without ca", [`peer-fingerprint ${server}`, ...OWN]),
    up("peer-fingerprint without ca: an expired certificate", [`peer-fingerprint ${of("expired", "sha256")}`, ...OWN], {
      shows: "expired",
    }),
    refused("peer-fingerprint of another", [`peer-fingerprint ${ca}`, ...OWN], /peer-fingerprint/),
    up("two peer-fingerprints", [`peer-fingerprint ${ca}`, `peer-fingerprint ${server}`, ...OWN]),
    up("peer-fingerprint and ca", [...CA, `peer-fingerprint ${server}`]),
    refused(
      "peer-fingerprint of an expired certificate, and ca",
      [...CA, `peer-fingerprint ${of("expired", "sha256")}`],
      /has expired/,
      {
        shows: "expired",
      },
    ),
    refused(
      "peer-fingerprint and another ca",
      ["ca other.crt", ...OWN, `peer-fingerprint ${server}`],
      /does not verify/,
    ),
    up("verify-hash SHA1", [...CA, `verify-hash ${of("ca", "sha1")}`]),
    up("verify-hash SHA256", [...CA, `verify-hash ${ca} SHA256`]),
    refused("verify-hash of another", [...CA, `verify-hash ${server} SHA256`], /verify-hash/),
    up("two verify-hash lines", [...CA, `verify-hash ${ca} SHA256`, `verify-hash ${server} SHA256`]),
    refused(
      "verify-hash beside peer-fingerprint",
      [...CA, `verify-hash ${ca} SHA256`, `peer-fingerprint ${server}`],
      /peer-fingerprint/,
    ),
  ];
}

const SETTINGS: readonly Case[] = [
  refused("no common version", [...CA, "tls-version-min 1.3"], /no TLS version.*tls-version-min 1\.3/, {
    server: TLS_1_2,
  }),
  refused("no common version, the other way", [...CA, "tls-version-max 1.2"], /no TLS version/, {
    server: ["tls-version-min 1.3"],
  }),
  up("tls-version-min or-highest", [...CA, "tls-version-min 1.9 or-highest"]),
  refused("TLS 1.0 at the usual level", [...CA, "tls-version-min 1.0"], /TLS/, {
    server: ["tls-version-min 1.0", "tls-version-max 1.0"],
  }),
  up("TLS 1.0 at level 0", [...CA, "tls-version-min 1.0", LEVEL_0], {
    server: ["tls-version-min 1.0", "tls-version-max 1.0"],
  }),
  up("TLS 1.1 at level 0", [...CA, "tls-version-max 1.1", LEVEL_0], { server: ["tls-version-min 1.0"] }),
  up("tls-cipher by IANA's names", [...CA, "tls-cipher TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256"], {
    server: TLS_1_2,
  }),
  up(
    "tls-cipher with names that there are not",
    [...CA, "tls-cipher TLS-NO-SUCH:TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256"],
    { server: TLS_1_2 },
  ),
  refused(
    "tls-cipher of nothing that there is",
    [...CA, "tls-cipher TLS-NO-SUCH"],
    /case\.ovpn:9: tls-cipher: there is no usable cipher/,
  ),
  refused(
    "no common cipher of TLS 1.2",
    [...CA, "tls-cipher TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384"],
    /no TLS (version, )?cipher or group/,
    {
      server: TLS_1_2,
    },
  ),
  up("tls-cipher says nothing about TLS 1.3", [...CA, "tls-cipher TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384"]),
  up("DHE", [...CA, "tls-cipher TLS-DHE-RSA-WITH-AES-256-GCM-SHA384"], {
    shows: "rsa-2048",
    server: [...TLS_1_2, "dh ffdhe2048.pem"],
  }),
  up("CBC with SHA-1 by name", [...CA, "tls-cipher TLS-ECDHE-RSA-WITH-AES-256-CBC-SHA"], {
    shows: "rsa-2048",
    server: TLS_1_2,
  }),
  up("RSA key exchange by name", [...CA, "tls-cipher TLS-RSA-WITH-AES-256-GCM-SHA384"], {
    shows: "rsa-2048",
    server: TLS_1_2,
  }),
  refused("RSA key exchange, which the default does not have", CA, /no TLS (version, )?cipher or group/, {
    shows: "rsa-2048",
    server: [...TLS_1_2, 'tls-cipher "kRSA:@SECLEVEL=0"'],
  }),
  refused("a server without certificates", [...CA, 'tls-cipher "aNULL:@SECLEVEL=0"'], /the TLS handshake failed/, {
    server: [...TLS_1_2, 'tls-cipher "aNULL:@SECLEVEL=0"'],
  }),
  up("tls-ciphersuites", [...CA, "tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256"]),
  up("tls-ciphersuites with dashes", [...CA, "tls-ciphersuites TLS-AES-256-GCM-SHA384"]),
  refused(
    "no common suite of TLS 1.3",
    [...CA, "tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256", "tls-version-min 1.3"],
    /no TLS (version, )?cipher or group.*tls-ciphersuites/,
    {
      server: ["tls-ciphersuites TLS_AES_128_GCM_SHA256"],
    },
  ),
  refused(
    "tls-ciphersuites that there are not",
    [...CA, "tls-ciphersuites TLS_NO_SUCH"],
    /tls-ciphersuites: .*holds a suite that is unknown to OpenSSL/,
  ),
  up("tls-groups", [...CA, "tls-groups secp384r1"]),
  up("tls-groups by other names", [...CA, "tls-groups P-384:prime256v1"]),
  refused("tls-groups that there are not", [...CA, "tls-groups X25519:secp999"], /case\.ovpn:9: tls-groups: .*secp999/),
  refused("no common group", [...CA, "tls-groups secp384r1"], /no TLS (version, )?cipher or group.*tls-groups/, {
    server: ["tls-groups X448"],
  }),
  up("ecdh-curve, which says nothing to a client", [...CA, "ecdh-curve secp384r1"], { says: /ecdh-curve: ignored/ }),
];

const P12 = (name: string, ...more: string[]): string[] => [`pkcs12 ${name}.p12`, ...more];
const SECRET = "askpass secret.txt";
const MATERIAL: readonly Case[] = [
  up("PKCS #12", P12("p12", SECRET)),
  up("PKCS #12 without a pass phrase", P12("p12-empty")),
  up("PKCS #12 without a pass phrase, and askpass", P12("p12-empty", SECRET)),
  up("PKCS #12 with 3DES", P12("p12-3des", SECRET)),
  refused("PKCS #12 with RC2", P12("p12-rc2", SECRET), /case\.ovpn:6: pkcs12: .*encryption is too old/),
  refused("PKCS #12, wrong pass phrase", P12("p12", "askpass wrong.txt"), /pkcs12: .*pass phrase \(askpass\) is wrong/),
  refused("PKCS #12 without an authority", P12("p12-bare", SECRET), /does not verify/),
  up("PKCS #12 without an authority, beside ca", P12("p12-bare", SECRET, "ca ca.crt")),
  refused(
    "PKCS #12 whose authority does not count beside ca",
    P12("p12", SECRET, "ca other.crt"),
    /does not verify: its chain ends at CN=ca, which is not in other\.crt/,
  ),
  up("PKCS #12 with another authority, beside ca", P12("p12-other", SECRET, "ca ca.crt")),
  refused("PKCS #12 without a key", P12("p12-no-key", SECRET), /pkcs12: .*holds no (certificate|private key)/),
  up("a locked key (PKCS #8)", ["ca ca.crt", "cert client.crt", "key locked.key", SECRET]),
  up("a locked key (as OpenSSL wrote it before)", ["ca ca.crt", "cert client.crt", "key locked-old.key", SECRET]),
  refused(
    "a locked key, wrong pass phrase",
    ["ca ca.crt", "cert client.crt", "key locked.key", "askpass wrong.txt"],
    /key: .*pass phrase \(askpass\) is wrong/,
  ),
  refused(
    "a locked key with DES",
    ["ca ca.crt", "cert client.crt", "key locked-des.key", SECRET],
    /key: .*encryption is too old/,
  ),
  refused(
    "the key of another certificate",
    ["ca ca.crt", "cert client.crt", "key server.key"],
    /key: .*does not belong to the certificate in client\.crt/,
  ),
  up("a certificate of another kind: RSA", ["ca ca.crt", "cert own-rsa.crt", "key own-rsa.key"]),
  up("a certificate of another kind: Ed25519", ["ca ca.crt", "cert own-ed25519.crt", "key own-ed25519.key"]),
  refused(
    "a client certificate of another authority",
    ["ca ca.crt", "cert client-other.crt", "key client-other.key"],
    /client certificate/,
  ),
  up("own intermediate certificate from extra-certs", [
    "ca ca.crt",
    "cert own-deep.crt",
    "key own-deep.key",
    "extra-certs sub.crt",
  ]),
  refused(
    "own intermediate certificate that nobody has",
    ["ca ca.crt", "cert own-deep.crt", "key own-deep.key"],
    /client certificate/,
  ),
  refused(
    "a TRUSTED CERTIFICATE as cert",
    ["ca ca.crt", "cert client-trusted.crt", "key client.key"],
    /cert: .*TRUSTED CERTIFICATE|no certificate/,
  ),
];

export const CASES: readonly Case[] = [
  ...ALGORITHMS,
  ...STRENGTH,
  ...DATES_AND_CHAINS,
  ...LISTS,
  ...USAGES,
  ...NAMES,
  ...SETTINGS,
  ...MATERIAL,
];

/** A row of the other direction: what a server does with the certificate of the real client. */
export interface ServerCase {
  readonly name: string;
  readonly verdict: "up" | "refused";
  /** Certificate and key of the client, by name. */
  readonly shows: string;
  readonly level0?: true;
  readonly crl?: string;
  readonly ca?: string;
}

export const SERVER_CASES: readonly ServerCase[] = [
  { name: "a client's certificate", verdict: "up", shows: "client" },
  { name: "no usage at all", verdict: "up", shows: "plain" },
  { name: "a server's certificate", verdict: "refused", shows: "server" },
  { name: "another authority", verdict: "refused", shows: "client-other" },
  { name: "two authorities", verdict: "up", shows: "client-other", ca: "both" },
  { name: "expired", verdict: "refused", shows: "client-expired" },
  { name: "not yet valid", verdict: "refused", shows: "client-future" },
  { name: "a list without the certificate", verdict: "up", shows: "client", crl: "revoked" },
  { name: "revoked", verdict: "refused", shows: "client-revoked", crl: "old-new" },
  { name: "a list of another authority", verdict: "up", shows: "client-revoked", crl: "other" },
  { name: "an expired list", verdict: "refused", shows: "client", crl: "expired" },
  { name: "RSA", verdict: "up", shows: "own-rsa" },
  { name: "Ed25519", verdict: "up", shows: "own-ed25519" },
  { name: "RSA of 1,024 bits", verdict: "up", shows: "client-1024" },
  { name: "a signature with SHA-1", verdict: "refused", shows: "client-sha1" },
  { name: "a signature with SHA-1, where the server takes it", verdict: "up", shows: "client-sha1", level0: true },
];
