/** Collects the parts of a push reply, and turns the whole into what the session works with or the reason why it cannot. */
import type { DataConfig, DeviceType, PullConfig } from "../config/types.ts";
import type { ControlMessage } from "../control/message.ts";
import { COMPRESSION, type CompressionForm } from "../data/compression.ts";
import { optionsStringValue } from "../exchange/peer-info.ts";
import { type CipherName, cipherNamed, isAead } from "../ports.ts";
import { applyPullFilter } from "./pull-filter.ts";
import { parseSessionOptions, type SessionOptions } from "./session-options.ts";

/** Our bounds on what is pushed, in many parts too: options, and characters in all of them. */
export const MAX_OPTIONS = 4096;
export const MAX_CHARACTERS = 256 * 1024;
export const TOO_MANY_OPTIONS = "the server pushed too many options";

export interface Pushed {
  readonly options: readonly string[];
  readonly session: SessionOptions;
  readonly cipher: CipherName;
  readonly compression: CompressionForm;
}

const areTooMany = (options: readonly string[]): boolean =>
  options.length > MAX_OPTIONS || options.reduce((sum, option) => sum + option.length, 0) > MAX_CHARACTERS;

export class PushReply {
  #options: string[] = [];

  /** Adds a part. @returns true when the reply is complete, a problem when it cannot be used */
  add(message: ControlMessage & { readonly kind: "push-reply" }): boolean | string {
    this.#options.push(...message.options);
    if (areTooMany(this.#options)) return TOO_MANY_OPTIONS;
    return message.continuation !== 2;
  }

  /** @param peerOptions the options string of the server's key-method message */
  settle(pull: PullConfig, data: DataConfig, peerOptions: string): Pushed | string {
    const filtered = applyPullFilter(this.#options, pull.filters, pull.routeNoPull);
    if (!filtered.ok) return filtered.problem;
    const session = parseSessionOptions(filtered.options, data.ciphers);
    const problem = session.problems[0];
    if (problem !== undefined) return problem;
    const cipher = session.cipher ?? negotiatedWithout(data, peerOptions);
    if (cipher === undefined) {
      return `the server did not negotiate a data cipher, and its own is none of ${data.ciphers.join(", ")}`;
    }
    if (!isAead(cipher) && data.auth === "none") {
      return `the server wants ${cipher}, with which auth none would leave packets without authentication`;
    }
    if (session.epoch && !isAead(cipher)) return `the server pushes aead-epoch with ${cipher}, which has no epochs`;
    const compression = session.compression ?? data.compression;
    if (data.allowCompression === "no" && COMPRESSION[compression].algorithm !== undefined)
      return `the server pushes ${compression}, and the profile has allow-compression no; turn compression off on the server`;
    return { options: filtered.options, session, cipher, compression };
  }
}

const COMPRESSION_MISMATCH =
  "the server is set up with compression, and neither it nor the profile says so here: if nothing gets through, " +
  "add `comp-lzo` or `compress` to the profile, whichever the server has";

const FRAGMENT_MISMATCH =
  "the server is set up with `fragment`, the profile is not, and it cannot be negotiated: nothing gets through until both have it";
const FRAGMENT_ALONE =
  "the profile has `fragment`, the server seems not to, and it cannot be negotiated: if nothing gets through, remove the line";

/**
 * Settings of the server, as its options string shows them, with which neither end could read the other's data packets.
 * OpenVPN warns of the same (its options.c, options_cmp_equivalent). The string says "comp-lzo" for any framing, and
 * "mtu-dynamic" for fragment.
 */
export function serverMismatches(
  { compression, session }: Pushed,
  { data, deviceType }: { readonly data: DataConfig; readonly deviceType: DeviceType },
  peerOptions: string,
): string[] {
  const theirs = peerOptions.split(",");
  const theirsIsCut = theirs.includes("mtu-dynamic");
  const texts: string[] = [];
  const theirType = optionsStringValue(peerOptions, "dev-type");
  if ((theirType === "tun" || theirType === "tap") && theirType !== deviceType)
    texts.push(
      `the server has dev ${theirType}, the profile dev ${deviceType}: nothing gets through until both have the same`,
    );
  if (compression === "none" && session.compression === undefined && theirs.includes("comp-lzo"))
    texts.push(COMPRESSION_MISMATCH);
  if (theirsIsCut && data.fragment === undefined) texts.push(FRAGMENT_MISMATCH);
  if (!theirsIsCut && data.fragment !== undefined && peerOptions !== "") texts.push(FRAGMENT_ALONE);
  return texts;
}

export interface AuthToken {
  readonly token: string;
  readonly user: string | undefined;
}

/** What takes the place of the password from the next key exchange on. */
export const authTokenOf = ({ authToken, authTokenUser }: SessionOptions): AuthToken | undefined =>
  authToken === undefined ? undefined : { token: authToken, user: authTokenUser };

/**
 * The token of a reply that comes while the tunnel is up. OpenVPN 2.6 with auth-gen-token sends one after each
 * renegotiation, because a token is only good for two renewal periods. Nothing else of such a reply is heeded.
 */
export function renewedToken(pull: PullConfig, data: DataConfig, options: readonly string[]): AuthToken | undefined {
  const filtered = applyPullFilter(options, pull.filters, pull.routeNoPull);
  return filtered.ok ? authTokenOf(parseSessionOptions(filtered.options, data.ciphers)) : undefined;
}

/**
 * Without a pushed cipher the server uses its own, which its options string names: one of ours, or what the profile has for servers
 * that do not negotiate. A server that names none has the latter.
 */
function negotiatedWithout({ ciphers, fallbackCipher }: DataConfig, peerOptions: string): CipherName | undefined {
  const theirs = optionsStringValue(peerOptions, "cipher")?.toUpperCase();
  if (theirs === undefined || theirs === fallbackCipher) return cipherNamed(fallbackCipher);
  return ciphers.find((cipher) => cipher === theirs);
}
