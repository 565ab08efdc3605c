/** Digest access authentication (RFC 7616) with MD5 and SHA-256, qop auth; and without qop, as RFC 2069 has it. */
import { md5 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { UserPass } from "../../protocol/config/types.ts";
import { encodeUtf8 } from "../../protocol/config/utf8.ts";

export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: "MD5" | "SHA-256";
  /** The answer to a nonce that is used once has another form. */
  readonly isSession: boolean;
  readonly hasQop: boolean;
  /** The login was good, and the nonce is too old. */
  readonly stale: boolean;
}

const HASHES = Object.freeze({ MD5: md5, "SHA-256": sha256 });
/** Requests with one nonce; each of ours has its own. */
const COUNT = "00000001";

/** Those that can be answered, the strongest first. @param offers values of Proxy-Authenticate */
export function digestChallenges(offers: readonly string[]): DigestChallenge[] {
  const found = offers.flatMap((offer) => {
    const start = /(?:^|,)\s*digest\s+/i.exec(offer);
    if (start === null) return [];
    const challenge = parseChallenge(offer.slice(start.index + start[0].length));
    return challenge === undefined ? [] : [challenge];
  });
  return found.toSorted((a, b) => Number(a.algorithm === "MD5") - Number(b.algorithm === "MD5"));
}

/** The value of Proxy-Authorization. @param cnonce random, hexadecimal */
export function digestAnswer(
  challenge: DigestChallenge,
  { user, password }: Pick<UserPass, "user" | "password">,
  method: string,
  uri: string,
  cnonce: string,
): string {
  const { realm, nonce, opaque, algorithm, isSession, hasQop } = challenge;
  const hash = (text: string): string => bytesToHex(HASHES[algorithm](encodeUtf8(text)));
  // RFC 7616 3.4.2, 3.4.3, 3.4.1.
  const secret = hash(`${user}:${realm}:${password}`);
  const a1 = isSession ? hash(`${secret}:${nonce}:${cnonce}`) : secret;
  const a2 = hash(`${method}:${uri}`);
  const response = hash(hasQop ? `${a1}:${nonce}:${COUNT}:${cnonce}:auth:${a2}` : `${a1}:${nonce}:${a2}`);
  const fields = [
    `username=${quoted(user)}`,
    `realm=${quoted(realm)}`,
    `nonce=${quoted(nonce)}`,
    `uri=${quoted(uri)}`,
    `response="${response}"`,
    `algorithm=${algorithm}${isSession ? "-sess" : ""}`,
    ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
    ...(hasQop ? ["qop=auth", `nc=${COUNT}`] : []),
    ...(hasQop || isSession ? [`cnonce="${cnonce}"`] : []),
  ];
  return `Digest ${fields.join(", ")}`;
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** name=value, name="value with \\" ", separated by commas; another scheme ends them. */
function parseChallenge(text: string): DigestChallenge | undefined {
  const fields = new Map<string, string>();
  const field = /\s*([A-Za-z0-9_-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)/y;
  for (let match = field.exec(text); match !== null; match = field.exec(text)) {
    const [, name = "", string, token = ""] = match;
    fields.set(name.toLowerCase(), string === undefined ? token : string.replace(/\\(.)/g, "$1"));
  }
  const [realm, nonce] = [fields.get("realm"), fields.get("nonce")];
  const named = /^(MD5|SHA-256)(-sess)?$/i.exec(fields.get("algorithm") ?? "MD5");
  // They go back into a line of the request.
  if ([...fields.values()].some((value) => [...value].some((c) => c < " " || c === "\x7f"))) return undefined;
  const qop = fields
    .get("qop")
    ?.toLowerCase()
    .split(/[\s,]+/);
  if (realm === undefined || nonce === undefined || named === null) return undefined;
  if (qop !== undefined && !qop.includes("auth")) return undefined;
  return {
    realm,
    nonce,
    opaque: fields.get("opaque"),
    algorithm: named[1]?.toUpperCase() === "MD5" ? "MD5" : "SHA-256",
    isSession: named[2] !== undefined,
    hasQop: qop !== undefined,
    stale: fields.get("stale")?.toLowerCase() === "true",
  };
}
