/** The machine's own settings, everything that is not OpenVPN's: what appliance.toml says (parse.ts), and the defaults. */
import { Cidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4 } from "../../lib/ip.ts";
import type { LogLevel } from "../../lib/log.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Address6 } from "./address6.ts";
import { type DhcpSettings, defaultDhcp } from "./dhcp.ts";
import { DEFAULT_DNS, type DnsSettings } from "./dns.ts";
import type { ForwardSetting } from "./forward.ts";
import type { SyslogSetting } from "./syslog.ts";

/** `[server]`: what its clients reach, and who they are. */
export interface ServerSettings {
  /** Clients reach the LAN by their own addresses, as the gateway, or not at all. */
  readonly lan: "routed" | "translated" | "closed";
  /** They reach the internet by the WAN, translated to its address; undefined: where the profile pushes redirect-gateway. */
  readonly internet: boolean | undefined;
  /** The file of users and their passwords (users.ts); undefined: no login is asked for. */
  readonly users: string | undefined;
}

export interface Settings {
  readonly hostname: string;
  readonly wan: {
    /** Which NIC; undefined: the first. */
    readonly mac: Mac | undefined;
    /** "none": the file has a problem, and nobody knows what it should be. */
    readonly address: "dhcp" | Cidr | "none";
    /** Set exactly where the address is static. */
    readonly gateway: IpAddress | undefined;
    readonly address6: Address6;
    /** Set exactly where the IPv6 address is static. */
    readonly gateway6: IpAddress | undefined;
    /** Empty: from the network. */
    readonly dns: readonly IpAddress[];
    readonly mtu: number;
  };
  readonly lan: {
    /** Which NIC; undefined: the second. */
    readonly mac: Mac | undefined;
    readonly address: Cidr;
    /** undefined: no DHCP server; also where something is wrong with the LAN's settings, as wrong leases outlive the mistake. */
    readonly dhcp: DhcpSettings | undefined;
    /** What is answered to DNS questions of the LAN; undefined: nothing is. */
    readonly dns: DnsSettings | undefined;
    readonly address6: Address6;
  };
  readonly vpn: {
    /** File name of the profile; undefined: the only one that is there. */
    readonly config: string | undefined;
    readonly nat: boolean;
    readonly forwards: readonly ForwardSetting[];
  };
  readonly server: ServerSettings;
  readonly status: StatusSettings;
  readonly log: {
    readonly level: LogLevel;
    /** Who gets its lines as well; undefined: nobody. */
    readonly syslog: SyslogSetting | undefined;
  };
}

/** `[status]`: the page on the LAN. */
export interface StatusSettings {
  readonly enabled: boolean;
  readonly port: number;
  /** A server's clients can be told to go, and be pushed other options. */
  readonly commands: boolean;
  /** The file of those who may; undefined: whoever is on the LAN. */
  readonly users: string | undefined;
}

const DEFAULT_LAN = new Cidr(parseIpv4("192.168.50.1") as IpAddress, 24);

export const DEFAULT_SETTINGS: Settings = {
  hostname: "morgana",
  wan: {
    mac: undefined,
    address: "dhcp",
    gateway: undefined,
    address6: "auto",
    gateway6: undefined,
    dns: [],
    mtu: 1500,
  },
  lan: { mac: undefined, address: DEFAULT_LAN, address6: "auto", dhcp: defaultDhcp(DEFAULT_LAN), dns: DEFAULT_DNS },
  vpn: { config: undefined, nat: true, forwards: [] },
  server: { lan: "routed", internet: undefined, users: undefined },
  status: { enabled: true, port: 80, commands: false, users: undefined },
  log: { level: "info", syslog: undefined },
};

/** An address that nobody meant must not be used: not a wrong one, and not one by DHCP in the place of a static one. */
export const withoutWan = (settings: Settings): Settings => ({
  ...settings,
  wan: { ...settings.wan, address: "none", gateway: undefined, address6: "off", gateway6: undefined },
});

/** Leases that nobody meant must not be given: hosts keep them for longer than the mistake is there. */
export const withoutDhcp = (settings: Settings): Settings => ({
  ...settings,
  lan: { ...settings.lan, dhcp: undefined },
});
