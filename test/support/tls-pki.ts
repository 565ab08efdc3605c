/** A small PKI made by the openssl program in a temporary directory: an independent maker of what TLS tests need. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Material } from "../../src/protocol/config/types.ts";
import type { TlsParameters } from "../../src/protocol/ports.ts";

export interface TlsPki {
  readonly directory: string;
  /** The bytes of a file of the PKI as a material labelled `<block> block`. */
  material(file: string, label?: string): Material;
  remove(): void;
}

const SCRIPT = `set -e
export LC_ALL=C
key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key; }
root() { key $1; openssl req -x509 -new -key $1.key -out $1.crt -days 30 -subj /CN=$1; }
request() { key $1; openssl req -new -key $1.key -out $1.csr -subj /CN=$1; }
leaf() { request $1; openssl x509 -req -in $1.csr -CA $3.crt -CAkey $3.key -set_serial $RANDOM$RANDOM -out $1.crt -days 30 \
  -extfile <(printf 'keyUsage=digitalSignature\\nextendedKeyUsage=%s' $2); }
root ca; root other; leaf server serverAuth ca; leaf client clientAuth ca
request sub; openssl x509 -req -in sub.csr -CA ca.crt -CAkey ca.key -set_serial 77 -out sub.crt -days 30 \
  -extfile <(printf 'basicConstraints=critical,CA:true\\nkeyUsage=keyCertSign')
leaf deep serverAuth sub
request named; openssl x509 -req -in named.csr -CA ca.crt -CAkey ca.key -set_serial 99 -out named.crt -days 30 \
  -extfile <(printf 'extendedKeyUsage=serverAuth\\nsubjectAltName=DNS:dns.example,DNS:*.wild.example,IP:10.8.0.1')
openssl ec -in client.key -aes256 -passout pass:secret -out client-locked.key
openssl pkcs12 -export -in client.crt -inkey client.key -certfile ca.crt -passout pass:secret -out client.p12
openssl pkcs12 -export -in client.crt -inkey client.key -certfile other.crt -passout pass:secret -out foreign.p12
printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\ncrlnumber=crlnumber\\nnew_certs_dir=.\\ncertificate=ca.crt\\nprivate_key=ca.key\\ndefault_md=sha256\\npolicy=p\\ndefault_crl_days=30\\ndefault_days=30\\nunique_subject=no\\n[p]\\ncommonName=supplied\\n' > ca.cnf
: > index; echo 1001 > serial; echo 01 > crlnumber
sign() { openssl ca -config ca.cnf -batch -in server.csr -out $1.crt -notext "\${@:2}"; }
sign expired -startdate 20200101000000Z -enddate 20210101000000Z
sign future -startdate 20400101000000Z -enddate 20410101000000Z
sign revoked
openssl ca -config ca.cnf -batch -in named.csr -out named-expired.crt -notext -startdate 20200101000000Z -enddate 20210101000000Z \
  -extfile <(printf 'subjectAltName=DNS:dns.example')
day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
openssl ca -config ca.cnf -gencrl -crl_lastupdate $(day yesterday) -crl_nextupdate $(day "next month") -out nobody.crl
openssl ca -config ca.cnf -revoke revoked.crt
openssl ca -config ca.cnf -gencrl -out revoked.crl
openssl ca -config ca.cnf -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z -out stale.crl
cat nobody.crl revoked.crl > old-new.crl; cat revoked.crl nobody.crl > new-old.crl
openssl x509 -in ca.crt -trustout -addtrust serverAuth -out ca-trusted.crt
openssl x509 -in ca.crt -trustout -addreject serverAuth -out ca-rejecting.crt
issuer=ca; for level in $(seq 17); do request level$level; openssl x509 -req -in level$level.csr -CA $issuer.crt -CAkey $issuer.key \
  -set_serial $level -out level$level.crt -days 30 -extfile <(printf 'basicConstraints=critical,CA:true\\nkeyUsage=keyCertSign'); issuer=level$level; done
leaf far serverAuth level17; leaf near serverAuth level14; cat level{1..17}.crt > levels.crt
printf 'secret\\n' > secret.txt; cat ca.crt other.crt > both.crt
{ cat ca.crt; printf -- '-----BEGIN CERTIFICATE-----\\nMAA=\\n-----END CERTIFICATE-----\\n'; } > half.crt
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.key; openssl req -new -key weak.key -subj /CN=weak -out weak.csr
openssl x509 -req -in weak.csr -CA ca.crt -CAkey ca.key -set_serial 88 -out weak.crt -days 30
openssl req -new -key weak.key -subj /CN=sha1-sub -out sha1-sub.csr; openssl x509 -req -sha1 -in sha1-sub.csr -CA ca.crt -CAkey ca.key -set_serial 89 -out sha1-sub.crt -days 30
openssl req -x509 -sha1 -key weak.key -subj /CN=sha1-root -out sha1-root.crt -days 30
`;

export function makeTlsPki(): TlsPki {
  const directory = mkdtempSync(join(tmpdir(), "morgana-pki-"));
  const made = Bun.spawnSync(["bash", "-c", SCRIPT], { cwd: directory });
  if (made.exitCode !== 0) throw new Error(`openssl: ${made.stderr.toString()}`);
  return {
    directory,
    material: (file, label = file) => ({
      label,
      origin: { file: "test.ovpn", line: 1 },
      bytes: new Uint8Array(readFileSync(join(directory, file))),
    }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** What a profile says that says nothing about TLS; a test adds its material and what it is about. */
export const TLS_DEFAULTS = {
  ca: undefined,
  cert: undefined,
  key: undefined,
  extraCerts: undefined,
  pkcs12: undefined,
  passphrase: undefined,
  crl: undefined,
  minVersion: "1.2",
  maxVersion: "1.3",
  cipherList: undefined,
  cipherSuites: undefined,
  groups: undefined,
  certProfile: "legacy",
  clientCert: "require",
  verifyChain: true,
} as const satisfies Omit<TlsParameters, "isServer">;
