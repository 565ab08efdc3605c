/** The parts of a resolved configuration that only a server has, and what a file of client-config-dir says of one client. */
import type { Cidr } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import type { AddressFamily, LinkProtocol, Material, Origin } from "./types.ts";

/** How clients see each other: all in one subnet, each in four addresses of its own with the server, or each alone with it. */
export type Topology = "subnet" | "net30" | "p2p";

/** One place where a server listens. */
export interface ListenConfig {
  /** undefined: every address of the machine. */
  readonly address: IpAddress | undefined;
  readonly port: number;
  readonly protocol: LinkProtocol;
  readonly family: AddressFamily;
  readonly origin: Origin;
}

/** The tunnel's own networks, out of which clients have their addresses (server, server-ipv6, ifconfig, ifconfig-pool, ...). */
export interface ServerNetworkConfig {
  readonly topology: Topology;
  /**
   * The server's address, with the prefix of the tunnel's subnet (also where the topology is not "subnet"). undefined: no IPv4. Of
   * server-bridge the network itself, in which no address is ours.
   */
  readonly address: Cidr | undefined;
  /** Addresses to give away, both included; of net30 the first of the first four and the last of the last. undefined: none. */
  readonly pool: { readonly first: IpAddress; readonly last: IpAddress } | undefined;
  /** The server's IPv6 address, with the prefix of the tunnel's subnet. undefined: no IPv6. */
  readonly address6: Cidr | undefined;
  /** The first IPv6 address to give away, with the prefix of the tunnel's subnet. */
  readonly pool6: Cidr | undefined;
  /** ifconfig-pool-persist: the file's name as written, and how often it is written, in seconds; 0: it is only read. */
  readonly persist: { readonly file: string; readonly seconds: number } | undefined;
  /** route, route-ipv6: networks that are behind some client; iroute says behind which. */
  readonly routes: readonly Cidr[];
  /** What every client is pushed because of server, server-ipv6, server-bridge and topology: it goes with the addresses. */
  readonly push: readonly string[];
}

/** Who may come in. */
export interface EntryConfig {
  /** verify-client-cert. */
  readonly clientCert: "require" | "optional" | "none";
  readonly usernameAsCommonName: boolean;
  /** auth-user-pass-optional: a client without a login is judged by its certificate alone. */
  readonly passwordOptional: boolean;
  /**
   * auth-gen-token; lifetime 0: for ever; renewal in seconds. `secret`: 128 bytes of auth-gen-token-secret, of which the HMAC's
   * key is 64 to 95; undefined: one of its own.
   */
  readonly token:
    | { readonly lifetime: number; readonly renewal: number; readonly secret: Uint8Array | undefined }
    | undefined;
  /** duplicate-cn: a name may be in more than once. */
  readonly duplicateNames: boolean;
  /** client-config-dir as written, and where. */
  readonly clientFolder: { readonly name: string; readonly origin: Origin } | undefined;
  /** ccd-exclusive: who has no file of its own there is not let in. */
  readonly clientFileNeeded: boolean;
  /** Where the directives of entry stand, by name; what is not written is not there. */
  readonly origins: Readonly<Record<string, Origin>>;
}

/** What bounds clients and strangers. */
export interface ServerLimits {
  readonly maxClients: number;
  /** connect-freq: new sessions in so many seconds; undefined: as many as come. */
  readonly connectFreq: { readonly count: number; readonly seconds: number } | undefined;
  /** connect-freq-initial: answers to first packets of strangers. */
  readonly connectFreqInitial: { readonly count: number; readonly seconds: number };
  readonly maxRoutesPerClient: number;
}

/** tls-crypt-v2 of a server. */
export interface WrappedKeysConfig {
  /** 128 bytes. */
  readonly serverKey: Uint8Array;
  readonly material: Material;
  readonly forceCookie: boolean;
  /** tls-crypt-v2-max-age in days; undefined: any age. */
  readonly maxAgeDays: number | undefined;
}

/** All of a server that is its alone. */
export interface ServerPart {
  readonly listen: readonly ListenConfig[];
  readonly wrappedKeys: WrappedKeysConfig | undefined;
  readonly network: ServerNetworkConfig;
  readonly entry: EntryConfig;
  readonly limits: ServerLimits;
  readonly clientToClient: boolean;
  /** What the lines of push say, in the file's order; what every client is pushed: push/common-push.ts. */
  readonly push: readonly string[];
  /** What every client is pushed because of keepalive and tcp-nodelay. */
  readonly pushTimers: readonly string[];
}

/** What a file of client-config-dir says of one client. */
export interface ClientFile {
  readonly file: string;
  readonly isDisabled: boolean;
  /** ifconfig-push: its address, and the server's end or the netmask as written. */
  readonly address: { readonly local: IpAddress; readonly second: IpAddress } | undefined;
  /** ifconfig-ipv6-push: with its prefix, and the gateway where one is written. */
  readonly address6: { readonly local: Cidr; readonly gateway: IpAddress | undefined } | undefined;
  /** iroute, iroute-ipv6: networks behind it. */
  readonly networks: readonly Cidr[];
  /** What it changes of what everybody is pushed, line by line. */
  readonly push: readonly PushEdit[];
  /** The lines of what is held against the server's profile: by directive, of iroute and iroute-ipv6 by the network. */
  readonly lines: ReadonlyMap<string, number>;
}

/** push, push-remove, push-reset: each changes what is there by then, as OpenVPN reads them (push.c). */
export type PushEdit =
  | { readonly kind: "add"; readonly option: string }
  /** Options that begin so. */
  | { readonly kind: "remove"; readonly start: string }
  /** All of them, but for what the protocol needs. */
  | { readonly kind: "reset" };
