import type { CompressionForm } from "../data/compression.ts";
import type { CbcName, CipherName, TlsSettings } from "../ports.ts";
import type { ListenConfig, ServerPart } from "./server-types.ts";

/**
 * The resolved configuration: what an OpenVPN file says after every default, alias and file reference is settled.
 * Times are in seconds as in the file unless a name says otherwise; Infinity means "never".
 */

/** Where a value came from, for messages: `office.ovpn:12` and what stands there. */
export interface Origin {
  readonly file: string;
  /** Counted from 1; 0: the whole of it. */
  readonly line: number;
}

/** Text or bytes taken from an inline block or from a file that the profile names. */
export interface Material {
  /** How a person finds it: "<ca> block" or the file's name as written in the profile. */
  readonly label: string;
  readonly origin: Origin;
  readonly bytes: Uint8Array;
}

export type DigestName = "SHA1" | "SHA224" | "SHA256" | "SHA384" | "SHA512" | "MD5";
export type LinkProtocol = "udp" | "tcp";
export type AddressFamily = "any" | "ipv4" | "ipv6";

export interface Remote {
  /** Host name, IPv4 or IPv6 address as written. */
  readonly host: string;
  readonly port: number;
  readonly protocol: LinkProtocol;
  readonly family: AddressFamily;
  readonly origin: Origin;
  /** What its <connection> block says otherwise than the rest of the profile: connection.ts puts both together. */
  readonly own: Partial<ConnectionConfig>;
}

/** What OpenVPN keeps for each connection. */
export interface ConnectionConfig {
  readonly link: LinkConfig;
  readonly proxy: ProxyConfig;
  readonly connectTimeout: number;
  readonly connectRetry: NonNullable<RetryConfig["connectRetry"]>;
  readonly exitNotify: number;
  readonly wrap: ControlWrap;
  readonly sizes: TunnelSizes;
  readonly fragment: DataConfig["fragment"];
}

/** What a server is reached through. */
export type ProxyConfig = HttpProxyConfig | SocksProxyConfig;

interface ProxyPlace {
  readonly host: string;
  readonly port: number;
  readonly origin: Origin;
  readonly login: UserPass | undefined;
}

export interface HttpProxyConfig extends ProxyPlace {
  readonly kind: "http";
  /** When the login goes: at once in clear text; when the proxy asks, and as it asks; the same, but never in clear text. */
  readonly method: "basic" | "auto" | "auto-nct";
  /** http-proxy-option VERSION, as "1.0". */
  readonly version: string;
  readonly agent: string | undefined;
  /** http-proxy-option CUSTOM-HEADER: name, and content where there is one. */
  readonly headers: readonly (readonly string[])[];
}

export interface SocksProxyConfig extends ProxyPlace {
  readonly kind: "socks";
}

/** A key file of both ends that is used with a direction. */
export interface StaticKey {
  /** 256 bytes. */
  readonly key: Uint8Array;
  /** key-direction; undefined = bidirectional (key 0 both ways). */
  readonly direction: 0 | 1 | undefined;
  readonly material: Material;
}

/** How control packets are wrapped. `key` is the whole static key, 256 bytes. */
export type ControlWrap =
  | { readonly kind: "none" }
  | (StaticKey & { readonly kind: "tls-auth"; readonly digest: DigestName })
  | { readonly kind: "tls-crypt"; readonly key: Uint8Array; readonly material: Material }
  /** `wrapped`: the key as the server wrapped it for itself, which is sent to it. */
  | {
      readonly kind: "tls-crypt-v2";
      readonly key: Uint8Array;
      readonly wrapped: Uint8Array;
      readonly material: Material;
    };

export interface TlsConfig extends TlsSettings {
  /** The file that the pass phrase comes from, as written; askpass has no block form. */
  readonly passphraseFile: string | undefined;
  /** Where the settings (tls-cipher, tls-version-min, ...) stand, by directive; what is not written is not there. */
  readonly origins: Readonly<Record<string, Origin>>;
}

export interface VerifyConfig {
  /** remote-cert-tls: key usage and extended key usage that the peer's certificate must have. */
  readonly remoteCertTls: "server" | "client" | undefined;
  /** remote-cert-eku: an OID or OpenSSL name. */
  readonly remoteCertEku: string | undefined;
  /** remote-cert-ku: accepted values of the key usage bit field (empty array: any, but it must be there). */
  readonly remoteCertKu: readonly number[] | undefined;
  readonly nsCertType: "server" | "client" | undefined;
  readonly x509Name: { readonly type: "subject" | "name" | "name-prefix"; readonly name: string } | undefined;
  /** x509-username-field: what of the certificate a name is compared with; ["CN"] where nothing else is said. */
  readonly usernameFields: readonly string[];
  /** verify-hash: digests of the certificate that signed the peer's ("level 1"); any of them. */
  readonly verifyHash: { readonly algorithm: "SHA1" | "SHA256"; readonly digests: readonly string[] } | undefined;
  /** peer-fingerprint: SHA-256 of the peer certificate, lower-case hex without colons; any of them. */
  readonly peerFingerprints: readonly string[] | undefined;
}

/** What codes that change with time are made of (RFC 6238). */
export interface Totp {
  readonly secret: Uint8Array;
  readonly algorithm: "SHA1" | "SHA256" | "SHA512";
  readonly digits: number;
  /** Seconds that a code is good for. */
  readonly period: number;
}

/** What a server's challenge is answered with: the row as it stands, or the code of the moment. */
export interface ChallengeAnswer {
  readonly row: string;
  readonly totp: Totp | undefined;
}

/** static-challenge: what is asked with the password, and how the answer goes with it. */
export interface StaticChallenge {
  readonly text: string;
  readonly format: "scrv1" | "concat";
}

/** A login, of a server or of a proxy. */
export interface UserPass {
  readonly user: string;
  readonly password: string;
  /** Where a person would change them: "auth.txt", "<auth-user-pass> block", or the file named. */
  readonly label: string;
  readonly origin: Origin;
}

export interface Credentials extends UserPass {
  /** The third row, where there is one. */
  readonly answer: ChallengeAnswer | undefined;
  readonly staticChallenge: StaticChallenge | undefined;
}

/** A route option, pushed or local, kept as words; push.ts gives it meaning. */
export type OptionLine = readonly string[];

export interface PullFilter {
  readonly action: "accept" | "ignore" | "reject";
  readonly prefix: string;
}

/** mssfix N [mtu|fixed]; 0 = off. `mode` "mtu": N is the size of the encapsulated packet with IP and UDP header. */
export interface MssFix {
  readonly size: number;
  readonly mode: "payload" | "mtu" | "fixed";
}

/** How the packets of OpenVPN leave this end. */
export interface LinkConfig {
  /** lport/port with bind; undefined = any port (nobind). */
  readonly localPort: number | undefined;
  /** The same for a connection, and for datagrams through a proxy: any port unless a line asks for one. */
  readonly streamPort: number | undefined;
  /** The peer may go on from another address, once it has proved that it is the peer. */
  readonly float: boolean;
}

/** replay-window: packets remembered, and seconds that one may be late. */
export interface ReplayWindowConfig {
  readonly packets: number;
  readonly seconds: number;
}

/** The control channel: its wrap, and the timers of its key exchanges. */
export interface ControlConfig {
  readonly wrap: ControlWrap;
  readonly replayWindow: ReplayWindowConfig;
  readonly handWindow: number;
  readonly tlsTimeout: number;
  readonly tranWindow: number;
  /** Seconds until this side starts a renegotiation; 0 = never by time. */
  readonly renegSec: { readonly max: number; readonly min: number };
  /** 0 = never by bytes. */
  readonly renegBytes: number;
  readonly renegPkts: number;
}

/** The data channel. */
export interface DataConfig {
  /** In the order that this side prefers; what IV_CIPHERS announces. */
  readonly ciphers: readonly CipherName[];
  /** data-ciphers-fallback or `cipher` as the OCC string gives it, upper case ("AES-256-CBC"); undefined when neither is written. */
  readonly fallbackCipher: string | undefined;
  /** `auth`, for the OCC string and tls-auth. */
  readonly auth: DigestName | "none";
  /** Of comp-lzo and compress; a pushed one takes its place. */
  readonly compression: CompressionForm;
  /**
   * allow-compression; nothing is sent compressed in any case. "no": what the server compresses is not read either; "asym": it is
   * told that it may; undefined: it is told so where the profile has compression.
   */
  readonly allowCompression: "no" | "asym" | undefined;
  /** Packets go in pieces, so that no datagram has more than so many bytes; `isOuter`: with its IP and UDP headers. */
  readonly fragment: { readonly size: number; readonly isOuter: boolean } | undefined;
  readonly replayWindow: ReplayWindowConfig;
}

export interface KeepaliveConfig {
  /** Seconds without a packet sent until a ping goes; 0 = off. */
  readonly ping: number;
  /** ping-restart or ping-exit; 0 = off. */
  readonly timeout: number;
  readonly action: "restart" | "exit";
  /** inactive SECONDS [BYTES]. */
  readonly inactive: { readonly seconds: number; readonly bytes: number } | undefined;
  /** 0 = off. */
  readonly sessionTimeout: number;
}

/** A line of the profile that a server can also push. */
export interface LocalOption {
  readonly words: OptionLine;
  readonly origin: Origin;
}

export interface TunnelSizes {
  readonly mtu: number;
  readonly mtuMax: number;
  readonly mssFix: MssFix;
}

export interface TunnelConfig extends TunnelSizes {
  /**
   * The profile's own lines that can also be pushed (ifconfig, route, redirect-gateway, dhcp-option, topology,
   * route-gateway, route-metric, dns, block-ipv6, ...), in file order, to be merged with what the server pushes.
   */
  readonly localOptions: readonly LocalOption[];
}

/** What goes through the tunnel: IP packets, or whole frames of Ethernet. */
export type DeviceType = "tun" | "tap";

/** The parts that every role has. */
interface CommonConfig {
  /** The name the file was read under, for messages. */
  readonly file: string;
  readonly device: string;
  readonly deviceType: DeviceType;
  readonly link: LinkConfig;
  readonly data: DataConfig;
  readonly keepalive: KeepaliveConfig;
  readonly tunnel: TunnelConfig;
  /** explicit-exit-notify N; 0 = off. */
  readonly exitNotify: number;
}

/** The parts of the roles whose ends agree on keys by TLS. */
interface TlsRoleConfig extends CommonConfig {
  readonly control: ControlConfig;
  readonly tls: TlsConfig;
  readonly verify: VerifyConfig;
}

/** When the next server, or the same one again, is tried. */
export interface RetryConfig {
  /** connect-retry N [max]; undefined: the appliance's own backoff. */
  readonly connectRetry: { readonly initial: number; readonly max: number } | undefined;
  /** connect-timeout / server-poll-timeout. */
  readonly connectTimeout: number;
  readonly remoteRandom: boolean;
  readonly remoteRandomHostname: boolean;
}

/** What of a push reply is heeded. */
export interface PullConfig {
  readonly routeNoPull: boolean;
  readonly filters: readonly PullFilter[];
}

/** What the peer is told about this end beside what the protocol needs. */
export interface PeerInfoConfig {
  /** push-peer-info: the variables are sent. */
  readonly pushPeerInfo: boolean;
  /** UV_* and IV_GUI_VER of setenv. */
  readonly variables: ReadonlyMap<string, string>;
}

/** The part of the roles with one peer, which they go to or wait for. */
interface DialPart {
  /** Empty: whoever proves itself where this end waits is the peer. */
  readonly remotes: readonly Remote[];
  /** Where this end can be reached; undefined: nowhere, it goes to its remotes. With remotes only they are heard there. */
  readonly listen: ListenConfig | undefined;
  /** http-proxy or socks-proxy; undefined: servers are reached by themselves. */
  readonly proxy: ProxyConfig | undefined;
  readonly retry: RetryConfig;
}

export interface ClientConfig extends TlsRoleConfig, DialPart {
  readonly role: "client";
  /** auth-user-pass; undefined: no login. */
  readonly login: Credentials | undefined;
  /** undefined: a point-to-point tunnel, of which the profile says everything. */
  readonly pull: PullConfig | undefined;
  readonly peerInfo: PeerInfoConfig;
}

export interface ServerConfig extends TlsRoleConfig, ServerPart {
  readonly role: "server";
}

/** One end of a tunnel of two, which is the TLS server. */
export interface P2pConfig extends TlsRoleConfig, DialPart {
  readonly role: "p2p";
  readonly peerInfo: PeerInfoConfig;
}

/** One end of a tunnel of two with a key that both have. */
export interface StaticConfig extends CommonConfig, DialPart {
  readonly role: "static";
  readonly secret: StaticKey;
  readonly cipher: CbcName;
  readonly digest: DigestName;
}

/** Profiles that a dialer takes. */
export type DialConfig = ClientConfig | P2pConfig | StaticConfig;

export type Config = ClientConfig | ServerConfig | P2pConfig | StaticConfig;
export type Role = Config["role"];
export type ConfigOf<R extends Role> = Extract<Config, { role: R }>;

/** A problem that a person has to mend: printed as FILE:LINE: directive: problem. */
export interface ConfigProblem {
  readonly origin: Origin;
  readonly directive: string;
  readonly problem: string;
}

/** @template R the roles that the profile may have */
export type ConfigResult<R extends Role = Role> =
  | { readonly ok: true; readonly config: ConfigOf<R>; readonly warnings: readonly ConfigProblem[] }
  | {
      readonly ok: false;
      /** As far as it could be seen. */
      readonly role: Role | undefined;
      readonly deviceType: DeviceType | undefined;
      readonly problems: readonly ConfigProblem[];
      readonly warnings: readonly ConfigProblem[];
    };
