/** What the TLS library says to the material and settings of a profile, before there is a server: problems and warnings at their line. */
// Before what reads certificates is loaded.
import "reflect-metadata";
import { utc } from "../../lib/utc.ts";
import type {
  ClientConfig,
  ConfigProblem,
  Material,
  P2pConfig,
  ServerConfig,
  VerifyConfig,
} from "../../protocol/config/types.ts";
import { checkPeerCertificate } from "../../protocol/exchange/certificate-check.ts";
import { tlsParameters } from "../../protocol/exchange/tls-parameters.ts";
import { pemBlocks } from "./pem.ts";
import { LibsslContext } from "./tls.ts";
import type { Dated, Weak } from "./tls-material.ts";
import { UnusableTls } from "./tls-unusable.ts";

type Checked = "tls" | "verify" | "file" | "role";
/** Of any role with TLS. */
export type CheckedConfig = Pick<ClientConfig | P2pConfig, Checked> | Pick<ServerConfig, Checked | "entry">;

export interface TlsCheck {
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

/**
 * A key of another certificate, a wrong pass phrase, a list without anything that the library has; certificates that are too weak,
 * dates that are not today's, authorities that crl-verify has no list of.
 * @param unixSeconds the wall clock
 */
export function checkTls(config: CheckedConfig, unixSeconds: number): TlsCheck {
  const { tls, file } = config;
  let context: LibsslContext;
  try {
    context = contextOf(config);
  } catch (error) {
    if (!(error instanceof UnusableTls)) throw error;
    const origin = error.material?.origin ?? tls.origins[error.directive] ?? { file, line: 1 };
    return { problems: [{ origin, directive: error.directive, problem: error.problem }], warnings: [] };
  }
  context.close();
  const { dated, weak } = context.loaded;
  const dates = datesOf(dated, unixSeconds);
  const lists = tls.crl === undefined ? [] : withoutList(dated).flatMap((item) => warn(item, noList(item)));
  const purpose = config.role === "client" ? [] : unfit(tls.cert);
  return {
    problems: [],
    warnings: [...purpose, ...weak.flatMap((item) => warn(item, tooWeak(item))), ...dates, ...lists],
  };
}

/** Of what is loaded already, what has run out by now or will soon. @throws UnusableTls */
export function dateWarnings(config: CheckedConfig, unixSeconds: number): readonly ConfigProblem[] {
  const context = contextOf(config);
  context.close();
  return datesOf(context.loaded.dated, unixSeconds);
}

function contextOf(config: CheckedConfig): LibsslContext {
  const clientCert = "entry" in config ? config.entry.clientCert : "require";
  const isServer = config.role !== "client";
  return new LibsslContext({ ...tlsParameters(config.tls, config.verify), isServer, clientCert });
}

const datesOf = (dated: readonly Dated[], unixSeconds: number): ConfigProblem[] =>
  dated.flatMap((item) => warn(item, outOfDate(item, unixSeconds)));

const warn = ({ material, directive }: Dated | Weak, problem: string | undefined): ConfigProblem[] =>
  problem === undefined ? [] : [{ origin: material.origin, directive, problem }];

/** A server's certificate that most clients refuse, as their profiles have remote-cert-tls server. */
function unfit(cert: Material | undefined): ConfigProblem[] {
  if (cert === undefined) return [];
  const [own] = pemBlocks("cert", cert, /CERTIFICATE$/, "certificate");
  const refusal = own && checkPeerCertificate({ ...NO_DEMANDS, remoteCertTls: "server" }, [own.der]);
  if (refusal === undefined) return [];
  const has = refusal.problem.replace("the peer's certificate", "it");
  const problem = `is not made for a server (${has}): clients with remote-cert-tls server refuse it; make one with the extended key usage serverAuth`;
  return [{ origin: cert.origin, directive: "cert", problem }];
}

const NO_DEMANDS: VerifyConfig = {
  remoteCertTls: undefined,
  remoteCertEku: undefined,
  remoteCertKu: undefined,
  nsCertType: undefined,
  x509Name: undefined,
  usernameFields: ["CN"],
  verifyHash: undefined,
  peerFingerprints: undefined,
};

/** Authorities of the profile that no list is of. OpenVPN takes what they signed as not revoked. */
function withoutList(dated: readonly Dated[]): Dated[] {
  const issuers = new Set(dated.filter(({ kind }) => kind === "list").map(({ name }) => name));
  return dated.filter(({ isTrusted, name }) => isTrusted && !issuers.has(name));
}

const noList = ({ name }: Dated): string =>
  `crl-verify has no list of ${name}: whether what it signed is revoked cannot be seen, and it is taken as good`;

const tooWeak = ({ name, reason, isOwn }: Weak): string =>
  isOwn
    ? `the certificate of ${name} is too weak for TLS today (${reason}); it is shown all the same, and where the peer refuses it, a new one is needed`
    : `the authority ${name} counts for nothing (${reason}): whom it vouches for is refused; the peer needs another one, or, where it is only weak, tls-cert-profile insecure accepts it`;

function outOfDate({ kind, name, from, until }: Dated, now: number): string | undefined {
  const what = kind === "list" ? `the revocation list of ${name}` : `the certificate of ${name}`;
  const clock = `the clock here says ${utc(now)}`;
  if (from !== undefined && from > now)
    return `${what} is valid only from ${utc(from)} on; ${clock}: set it right, or wait`;
  if (until === undefined) return undefined;
  if (until < now) return `${what} has expired on ${utc(until)}; ${clock}: if that is right, a new one is needed`;
  const soon = Math.min(SOON_S, (until - (from ?? now)) / 3);
  if (until - now > soon) return undefined;
  return `${what} expires on ${utc(until)}; ${clock}: put a new one in its place before that`;
}

/** Our choice: a month before the end, or in the last third of what is made for a shorter time, there is something to do. */
const SOON_S = 30 * 86_400;
