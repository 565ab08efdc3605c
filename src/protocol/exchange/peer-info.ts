/**
 * What a client says about itself in the key-method message: peer info (KEY=value lines) and the options string that
 * old servers compare with their own (they only warn). It announces nothing that is not implemented: a server really
 * changes the wire format for what it reads here. Source: OpenVPN's ssl.h (IV_PROTO) and ssl.c (push_peer_info).
 */
import product from "../../../package.json" with { type: "json" };
import type { ControlWrap, DataConfig, DeviceType, PeerInfoConfig, TunnelConfig } from "../config/types.ts";
import { DIGEST_LEN } from "../control/tls-auth.ts";
import { COMPRESSION } from "../data/compression.ts";
import { FRAGMENT_HEADER_LEN } from "../data/fragment.ts";
import type { Decompressors } from "../ports.ts";
import type { Side } from "../side.ts";

export const IV_PROTO_DATA_V2 = 1 << 1;
export const IV_PROTO_REQUEST_PUSH = 1 << 2;
export const IV_PROTO_TLS_KEY_EXPORT = 1 << 3;
export const IV_PROTO_AUTH_PENDING_KW = 1 << 4;
export const IV_PROTO_NCP_P2P = 1 << 5;
export const IV_PROTO_CC_EXIT_NOTIFY = 1 << 7;
export const IV_PROTO_AUTH_FAIL_TEMP = 1 << 8;
export const IV_PROTO_DYN_TLS_CRYPT = 1 << 9;
export const IV_PROTO_DATA_EPOCH = 1 << 10;
export const IV_PROTO_DNS_OPTION_V2 = 1 << 11;
export const IV_PROTO_PUSH_UPDATE = 1 << 12;

export const IV_PROTO =
  IV_PROTO_DATA_V2 |
  IV_PROTO_REQUEST_PUSH |
  IV_PROTO_TLS_KEY_EXPORT |
  IV_PROTO_AUTH_PENDING_KW |
  IV_PROTO_CC_EXIT_NOTIFY |
  IV_PROTO_AUTH_FAIL_TEMP |
  IV_PROTO_DYN_TLS_CRYPT |
  IV_PROTO_DATA_EPOCH |
  IV_PROTO_DNS_OPTION_V2 |
  IV_PROTO_PUSH_UPDATE;

/** Of a client that does not pull: what is said of pushes is of no use (ssl.c, push_peer_info). */
export const IV_PROTO_P2P =
  IV_PROTO_DATA_V2 |
  IV_PROTO_TLS_KEY_EXPORT |
  IV_PROTO_NCP_P2P |
  IV_PROTO_CC_EXIT_NOTIFY |
  IV_PROTO_DYN_TLS_CRYPT |
  IV_PROTO_DATA_EPOCH;

/** Sent without push-peer-info too, as by openvpn. */
export const GUI_VERSION = "IV_GUI_VER";

/** What is told of the machine with push-peer-info (OpenVPN's ssl.c, push_peer_info); what is not known is left out. */
export interface MachineInfo {
  /** MAC address of the interface that leads to the internet, in lower case with colons. */
  readonly hardwareAddress?: string | undefined;
  /** The library of TLS, as it calls itself. */
  readonly tlsLibrary?: string | undefined;
  /** The kernel's release, as uname says it. */
  readonly kernelRelease?: string | undefined;
}

/**
 * @param decompressors what can be read of what the server compresses
 * @param canAnswer the profile has an answer to a question of the server
 */
export function clientPeerInfo(
  data: DataConfig,
  tunnel: TunnelConfig,
  peerInfo: PeerInfoConfig,
  decompressors: Decompressors,
  canAnswer: boolean,
  isPulling = true,
  machine: MachineInfo = {},
): string {
  const lines = [
    `IV_VER=morgana-${product.version}`,
    "IV_PLAT=linux",
    `IV_MTU=${tunnel.mtuMax}`,
    // two AEAD ciphers or more can be negotiated; IV_CIPHERS says which
    ...(data.ciphers.includes("AES-256-GCM") && data.ciphers.includes("AES-128-GCM") ? ["IV_NCP=2"] : []),
    `IV_CIPHERS=${data.ciphers.join(":")}`,
    `IV_PROTO=${isPulling ? IV_PROTO : IV_PROTO_P2P}`,
    ...compressionInfo(data, decompressors),
    `IV_SSO=${["webauth", "openurl", ...(canAnswer ? ["crtext"] : [])].join(",")}`,
  ];
  const { hardwareAddress, tlsLibrary, kernelRelease } = machine;
  if (peerInfo.pushPeerInfo && hardwareAddress !== undefined) lines.push(`IV_HWADDR=${hardwareAddress}`);
  if (peerInfo.pushPeerInfo && tlsLibrary !== undefined) lines.push(`IV_SSL=${tlsLibrary}`);
  if (peerInfo.pushPeerInfo && kernelRelease !== undefined) lines.push(`IV_PLAT_VER=${kernelRelease}`);
  for (const [name, value] of peerInfo.variables)
    if (peerInfo.pushPeerInfo || name === GUI_VERSION) lines.push(`${name}=${value}`);
  return lines.map((line) => `${line.replace(/[\0\n]/g, "")}\n`).join("");
}

/** OpenVPN's comp.c, comp_generate_peer_info_string: a server does not compress for who says nothing but stubs. */
function compressionInfo({ compression, allowCompression }: DataConfig, { lzo, lz4 }: Decompressors): string[] {
  const isAsked = COMPRESSION[compression].algorithm !== undefined || allowCompression === "asym";
  const isStub = compression === "compress stub" || compression === "compress stub-v2";
  const reads = isAsked && !isStub && allowCompression !== "no";
  return [
    ...(reads && lz4 !== undefined ? ["IV_LZ4=1", "IV_LZ4v2=1"] : []),
    reads && lzo !== undefined ? "IV_LZO=1" : "IV_LZO_STUB=1",
    "IV_COMP_STUB=1",
    "IV_COMP_STUBv2=1",
  ];
}

/** What the frame grows by, as old peers compute it for their link-mtu (OpenVPN's mtu.c, calc_options_string_link_mtu). */
const AEAD_LINK_OVERHEAD = 49;
/** tun-mtu-extra, which OpenVPN sets by itself for tap (TAP_MTU_EXTRA_DEFAULT). */
const TAP_EXTRA = 32;
const BLOCK_LEN: Readonly<Record<string, number>> = {
  "BF-CBC": 8,
  "AES-128-CBC": 16,
  "AES-192-CBC": 16,
  "AES-256-CBC": 16,
};
const KEY_BITS: Readonly<Record<string, number>> = {
  "BF-CBC": 128,
  "AES-128-CBC": 128,
  "AES-192-CBC": 192,
  "AES-256-CBC": 256,
  "AES-128-GCM": 128,
  "AES-192-GCM": 192,
  "AES-256-GCM": 256,
  "CHACHA20-POLY1305": 256,
};

/** What of a configuration the options string tells, beside the control channel. */
interface PlainConfig {
  readonly data: DataConfig;
  readonly deviceType: DeviceType;
  readonly tunnel: Pick<TunnelConfig, "mtu">;
}

export function optionsString(
  side: Side,
  { data, deviceType, tunnel }: PlainConfig,
  wrap: ControlWrap,
  isStream: boolean,
): string {
  const cipher = data.fallbackCipher ?? data.ciphers[0] ?? "AES-256-GCM";
  const block = BLOCK_LEN[cipher];
  const aead = block === undefined;
  const { framing } = COMPRESSION[data.compression];
  const overhead =
    (aead ? AEAD_LINK_OVERHEAD : 1 + (data.auth === "none" ? 0 : DIGEST_LEN[data.auth]) + block + 4 + block) +
    (framing === "byte" || framing === "swap" ? 1 : 0) +
    (data.fragment === undefined ? 0 : FRAGMENT_HEADER_LEN);
  return [
    "V4",
    `dev-type ${deviceType}`,
    `link-mtu ${tunnel.mtu + (deviceType === "tap" ? TAP_EXTRA : 0) + overhead}`,
    `tun-mtu ${tunnel.mtu}`,
    // OpenVPN's options.c (options_string) by proto_remote of socket.c
    `proto ${isStream ? `TCPv4_${side.toUpperCase()}` : "UDPv4"}`,
    // of any compression framing, as openvpn does
    ...(framing === "none" ? [] : ["comp-lzo"]),
    ...(data.fragment === undefined ? [] : ["mtu-dynamic"]),
    ...(wrap.kind === "tls-auth" && wrap.direction !== undefined ? [`keydir ${wrap.direction}`] : []),
    `cipher ${cipher}`,
    `auth ${aead ? "[null-digest]" : data.auth === "none" ? "[null-digest]" : data.auth}`,
    `keysize ${KEY_BITS[cipher] ?? 256}`,
    ...(wrap.kind === "tls-auth" ? ["tls-auth"] : []),
    "key-method 2",
    `tls-${side}`,
  ].join(",");
}

/** The value of an item of the peer's options string ("cipher", "auth", ...). */
export function optionsStringValue(options: string, name: string): string | undefined {
  const item = options.split(",").find((word) => word.startsWith(`${name} `));
  return item?.slice(name.length + 1);
}
