/**
 * What a client announces about itself, read defensively, and what a server makes of it: the cipher of the data channel and
 * how its keys are derived (man openvpn, "data channel cipher negotiation"). Source: OpenVPN's ssl_ncp.c and ssl.h.
 */
import type { DataConfig } from "../config/types.ts";
import type { KeyPlan } from "../data/key-plan.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { type CipherName, cipherNamed, isAead } from "../ports.ts";
import type { Side } from "../side.ts";
import {
  IV_PROTO_AUTH_FAIL_TEMP,
  IV_PROTO_CC_EXIT_NOTIFY,
  IV_PROTO_DATA_EPOCH,
  IV_PROTO_DATA_V2,
  IV_PROTO_DYN_TLS_CRYPT,
  IV_PROTO_NCP_P2P,
  IV_PROTO_PUSH_UPDATE,
  IV_PROTO_REQUEST_PUSH,
  IV_PROTO_TLS_KEY_EXPORT,
  optionsStringValue,
} from "./peer-info.ts";

/** What a client with compression in its profile can be told instead; "none": it has no such line. */
export type ClientCompression = "none" | "comp-lzo no" | "compress stub-v2";

export interface ClientAbilities {
  /** Upper case, as the client lists them. */
  readonly ciphers: readonly string[];
  /** The cipher of its options string, which clients without negotiation use. */
  readonly ownCipher: string | undefined;
  readonly dataV2: boolean;
  /** It is pushed to without asking. */
  readonly takesPush: boolean;
  readonly keyExport: boolean;
  /** It reads protocol-flags, and EXIT as a control message. */
  readonly controlExit: boolean;
  readonly dynamicTlsCrypt: boolean;
  /** It has the epoch format of AEAD packets. */
  readonly dataEpoch: boolean;
  /** It agrees on ciphers and flags without pushing. */
  readonly p2pNegotiation: boolean;
  /** It reads AUTH_FAILED,TEMP: what is refused now may be tried again. */
  readonly temporaryFailures: boolean;
  /** What it was pushed can be changed while the tunnel is up. */
  readonly pushUpdate: boolean;
  /** It takes tun-mtu (IV_MTU). */
  readonly takesMtu: boolean;
  /** It frames packets as its own comp-lzo or compress asks for, and does not know that this server has none (`compress migrate`). */
  readonly compression: ClientCompression;
  /** IV_VER: what it calls itself. */
  readonly version: string | undefined;
}

/** IV_NCP=2 alone stands for these. */
const NCP_2: readonly string[] = ["AES-256-GCM", "AES-128-GCM"];

/** @param peerInfo,options of the client's key-method message: anything at all */
export function clientAbilities(peerInfo: string | undefined, options: string): ClientAbilities {
  const values = new Map<string, string>();
  for (const line of (peerInfo ?? "").split("\n")) {
    const equals = line.indexOf("=");
    if (equals > 0) values.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const proto = /^\d{1,9}$/.test(values.get("IV_PROTO") ?? "") ? Number(values.get("IV_PROTO")) : 0;
  const list = values.get("IV_CIPHERS")?.toUpperCase().split(":");
  return {
    ciphers: list ?? (values.get("IV_NCP") === "2" ? NCP_2 : []),
    ownCipher: optionsStringValue(options, "cipher")?.toUpperCase(),
    dataV2: (proto & IV_PROTO_DATA_V2) !== 0,
    takesPush: (proto & IV_PROTO_REQUEST_PUSH) !== 0,
    keyExport: (proto & IV_PROTO_TLS_KEY_EXPORT) !== 0,
    controlExit: (proto & IV_PROTO_CC_EXIT_NOTIFY) !== 0,
    dynamicTlsCrypt: (proto & IV_PROTO_DYN_TLS_CRYPT) !== 0,
    dataEpoch: (proto & IV_PROTO_DATA_EPOCH) !== 0,
    p2pNegotiation: (proto & IV_PROTO_NCP_P2P) !== 0,
    temporaryFailures: (proto & IV_PROTO_AUTH_FAIL_TEMP) !== 0,
    pushUpdate: (proto & IV_PROTO_PUSH_UPDATE) !== 0,
    takesMtu: /^\d{1,5}$/.test(values.get("IV_MTU") ?? ""),
    compression: clientCompression(options, values.get("IV_COMP_STUBv2") === "1"),
    version: values.get("IV_VER"),
  };
}

/**
 * @param hasEpoch this server has the epoch format
 * @returns undefined: the two ends have no cipher in common
 */
export function planKeys(
  data: DataConfig,
  client: ClientAbilities,
  peerId: number,
  hasEpoch: boolean,
): KeyPlan | undefined {
  const cipher = chooseCipher(data, client);
  if (cipher === undefined) return undefined;
  return {
    cipher,
    digest: data.auth,
    derivation: client.keyExport ? "ekm" : "prf",
    peerId: client.dataV2 ? peerId : PEER_ID_NONE,
    // The profile of one end alone cannot be right: what goes without compression in any case is pushed to the client.
    compression: data.compression === "none" ? client.compression : data.compression,
    // These two are told by protocol-flags.
    dynamicTlsCrypt: client.dynamicTlsCrypt && client.controlExit,
    epoch: hasEpoch && client.dataEpoch && client.controlExit && isAead(cipher),
  };
}

/** OpenVPN's options string says of any framing "comp-lzo" (options.c, options_string; multi.c, multi_client_set_protocol_options). */
const clientCompression = (options: string, hasStub: boolean): ClientCompression =>
  !options.split(",").includes("comp-lzo") ? "none" : hasStub ? "compress stub-v2" : "comp-lzo no";

/** The server's order decides. data-ciphers-fallback is for a client that says nothing of ciphers. */
function chooseCipher({ ciphers, fallbackCipher }: DataConfig, client: ClientAbilities): CipherName | undefined {
  const common = ciphers.find((name) => client.ciphers.includes(name) || name === client.ownCipher);
  if (common !== undefined || client.ciphers.length > 0 || client.ownCipher !== undefined) return common;
  return cipherNamed(fallbackCipher);
}

/** Without an exporter (ssl_ncp.c: "vpn"). */
const P2P_PEER_ID = 0x76706e;

/**
 * What two ends agree on of which neither pushes, as a server would push it: each reads the same out of what both announced
 * (ssl_ncp.c, p2p_mode_ncp). The TLS server's order of ciphers decides.
 * @param side of this end @param ciphers of this end @param exportPeerId three bytes of the exporter as a number
 */
export function agreedOptions(
  side: Side,
  ciphers: readonly CipherName[],
  peer: ClientAbilities,
  exportPeerId: () => number,
): string[] {
  const [first, second]: (readonly string[])[] = side === "server" ? [ciphers, peer.ciphers] : [peer.ciphers, ciphers];
  const cipher = cipherNamed(first?.find((name) => second?.includes(name)));
  const common = cipher === undefined ? [] : [`cipher ${cipher}`];
  if (!peer.p2pNegotiation) return common;
  const flags = [
    ...(peer.keyExport ? ["tls-ekm"] : []),
    ...(peer.controlExit ? ["cc-exit"] : []),
    ...(peer.dynamicTlsCrypt ? ["dyn-tls-crypt"] : []),
    ...(peer.dataEpoch && cipher !== undefined && isAead(cipher) ? ["aead-epoch"] : []),
  ];
  return [
    ...common,
    ...(peer.dataV2 ? [`peer-id ${peer.keyExport ? exportPeerId() : P2P_PEER_ID}`] : []),
    ...(flags.length === 0 ? [] : [`protocol-flags ${flags.join(" ")}`]),
  ];
}
