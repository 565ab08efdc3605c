/**
 * appliance.toml: the machine's own settings, everything that is not OpenVPN's. Every key has a default; an unknown key,
 * a wrong type, a bad value or a syntax error is a problem with its line, and all of them are reported at once.
 */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser";
import { Cidr } from "../lib/cidr.ts";
import { type IpAddress, parseIp, parseIpv4 } from "../lib/ip.ts";
import type { LogLevel } from "../lib/log.ts";
import type { Mac } from "../lib/mac.ts";
import { withLineFeeds } from "../protocol/config/line-ends.ts";
import { ProblemList } from "../protocol/config/problem-list.ts";
import type { ConfigProblem, DeviceType, Role } from "../protocol/config/types.ts";
import { type Address6, gateway6, gateway6Problem, lanAddress6, wanAddress6 } from "./settings-address6.ts";
import { type DhcpSettings, defaultDhcp, readDhcp } from "./settings-dhcp.ts";
import { DEFAULT_DNS, type DnsSettings, readDns } from "./settings-dns.ts";
import { type ForwardSetting, type ForwardTable, readForwards } from "./settings-forward.ts";
import { tooDeepAt } from "./settings-nesting.ts";
import {
  Bad,
  fileName,
  hostCidr,
  hostName,
  keyName,
  lanAccess,
  listed,
  logLevel,
  shown,
  unicast,
  unicastMac,
  wanAddress,
} from "./settings-values.ts";

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
  readonly log: { readonly level: LogLevel };
}

export type SettingsResult =
  | { readonly ok: true; readonly settings: Settings; readonly configLine: number; readonly usersLine: number }
  | {
      readonly ok: false;
      /** What could be read, the defaults for the rest; where something is wrong with the WAN it has no address. */
      readonly settings: Settings;
      readonly problems: ConfigProblem[];
    };

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
  log: { level: "info" },
};

/** A list of tables. */
const FORWARD = "vpn.forward";
const KEYS: ReadonlySet<string> = new Set([
  "hostname",
  "wan.mac",
  "wan.address",
  "wan.gateway",
  "wan.address6",
  "wan.gateway6",
  "wan.dns",
  "wan.mtu",
  "lan.mac",
  "lan.address",
  "lan.address6",
  "lan.dhcp",
  "lan.dns",
  "vpn.config",
  "vpn.nat",
  FORWARD,
  "server.lan",
  "server.internet",
  "server.users",
  "log.level",
  "log.syslog",
]);
/** Keys that mean nothing where the LAN is bridged. */
const ROUTING = ["lan.address", "lan.address6", "lan.dhcp", "lan.dns", "vpn.nat", "server.lan", "server.internet"];
const BRIDGED =
  "means nothing with dev tap: the LAN is bridged, and has its addresses and services from the network beyond the tunnel; remove it";
const TABLES: ReadonlySet<string> = new Set(["wan", "lan", "vpn", "server", "log"]);

/** The smallest MTU that every IPv4 host must take (RFC 1122 3.3.3), and the largest of Ethernet with jumbo frames. */
const MTU = { min: 576, max: 9000 };

/** Our choices: all keys with hundreds of addresses and domains are less. The parser calls itself for each level. */
const MAX_CHARACTERS = 32 * 1024;
const MAX_NESTING = 16;

/**
 * @param text undefined where there is no file: the defaults
 * @param role of the profile, by which some defaults go and some keys belong there or not; undefined: not known, and a client's count
 * @param deviceType of the profile: with tap there is no address of ours on the LAN, and nothing is routed
 */
export function parseSettings(
  file: string,
  text: string | undefined,
  role?: Role,
  deviceType?: DeviceType,
): SettingsResult {
  const toml = withLineFeeds(text ?? "").replace(/^\ufeff/, "");
  if (toml.length > MAX_CHARACTERS) return unusable(file, 1, "file", `larger than ${MAX_CHARACTERS / 1024} KiB`);
  const deep = tooDeepAt(toml, MAX_NESTING);
  if (deep !== undefined)
    return unusable(file, deep, "syntax", `lists and tables within one another, more than ${MAX_NESTING} deep`);
  const reading = new Reading(file, role, deviceType === "tap");
  try {
    reading.collect(parseTOML(toml, { tomlVersion: "1.0" }));
  } catch (error) {
    // Whatever else the parser throws is for what the file holds as well.
    if (!(error instanceof ParseError)) return unusable(file, 1, "syntax", `cannot be parsed: ${error}`);
    const line = syntaxLine(error, toml);
    const row = toml.split("\n")[line - 1] ?? "";
    return unusable(file, line, "syntax", `${error.message}${quotesHint(row)}`);
  }
  const settings = reading.settings();
  if (reading.problems.count > 0) {
    const problems = reading.problems.list();
    const withWan = reading.hasFailed("wan") ? withoutWan(settings) : settings;
    return { ok: false, settings: reading.hasFailed("lan") ? withoutDhcp(withWan) : withWan, problems };
  }
  return { ok: true, settings, configLine: reading.line("vpn.config"), usersLine: reading.line("server.users") };
}

/** @param why as the end of a sentence that begins with the file's name */
export const unreadableSettings = (file: string, why: string): SettingsResult => unusable(file, 1, "file", why);

/** Nothing of the file counts, and nobody knows what it should say. */
const unusable = (file: string, line: number, what: string, text: string): SettingsResult => ({
  ok: false,
  settings: withoutWan(withoutDhcp(DEFAULT_SETTINGS)),
  problems: [problem(file, line, what, text)],
});

/** An address that nobody meant must not be used: not a wrong one, and not one by DHCP in the place of a static one. */
const withoutWan = (settings: Settings): Settings => ({
  ...settings,
  wan: { ...settings.wan, address: "none", gateway: undefined, address6: "off", gateway6: undefined },
});

/** Leases that nobody meant must not be given: hosts keep them for longer than the mistake is there. */
export const withoutDhcp = (settings: Settings): Settings => ({
  ...settings,
  lan: { ...settings.lan, dhcp: undefined },
});

/** The parser notices that a line ends too early at the start of the next one; a person looks for it in the line itself. */
function syntaxLine(error: ParseError, text: string): number {
  const previous = text.split("\n")[error.lineNumber - 2];
  if (error.column !== 0 || previous === undefined) return error.lineNumber;
  const isEarlyEnd = /Unspecified|Unterminated|same line/.test(error.message) || /=\s*$/.test(previous);
  return isEarlyEnd ? error.lineNumber - 1 : error.lineNumber;
}

/** The commonest mistake: text without the quotes, or in those of a word processor. */
function quotesHint(row: string): string {
  const [, key, value] = /^\s*([\w.-]+)\s*=\s*([^\s"'[{][^#]*)/.exec(row) ?? [];
  if (value === undefined) return "";
  const text = value.replace(/[\u201c-\u201f"]/g, "").trim();
  if (/^[+-]?[\d_.]*$/.test(text)) return "";
  if (/^(true|false|yes|no|on|off)$/i.test(text)) return "; write true or false";
  return `; text stands in quotes: ${key} = ${JSON.stringify(shown(text))}`;
}

const problem = (file: string, line: number, directive: string, text: string): ConfigProblem => ({
  origin: { file, line },
  directive,
  problem: text,
});

class Reading {
  readonly problems = new ProblemList("problems");
  readonly #failed = new Set<string>();
  readonly #values = new Map<string, AST.TOMLContentNode>();
  readonly #forwards: ForwardTable[] = [];
  readonly #file: string;
  readonly #role: Role | undefined;
  readonly #isBridged: boolean;

  constructor(file: string, role: Role | undefined, isBridged: boolean) {
    this.#file = file;
    this.#role = role;
    this.#isBridged = isBridged;
  }

  /** Whether there is a problem in a table. */
  hasFailed(table: string): boolean {
    return [...this.#failed].some((key) => key === table || key.startsWith(`${table}.`));
  }

  line(key: string): number {
    return this.#values.get(key)?.loc.start.line ?? 1;
  }

  fail(key: string, text: string, line = this.line(key)): undefined {
    this.#failed.add(key);
    this.problems.add(problem(this.#file, line, key, text));
  }

  collect(program: AST.TOMLProgram): void {
    for (const node of program.body[0].body) {
      if (node.type === "TOMLKeyValue") this.#pair("", node);
      else {
        // resolvedKey of [[x]] ends with its index.
        const name = node.resolvedKey.filter((part) => typeof part === "string").join(".");
        const { line } = node.key.loc.start;
        if (name === FORWARD && node.kind === "array") this.#forwards.push({ line, pairs: node.body });
        else if (name === FORWARD) this.fail(name, "is a list of tables: write [[vpn.forward]]", line);
        else if (!TABLES.has(name)) this.fail(shown(name), `unknown table; there are ${listed(TABLES)}`, line);
        else if (node.kind === "array")
          this.fail(name, "is one table: write [wan], not [[wan]]".replaceAll("wan", name), line);
        else for (const pair of node.body) this.#pair(`${name}.`, pair);
      }
    }
  }

  #pair(prefix: string, pair: AST.TOMLKeyValue): void {
    const key = prefix + keyName(pair.key);
    if (key === FORWARD) this.#forwardList(pair.value);
    else if (KEYS.has(key)) this.#values.set(key, pair.value);
    else if (!TABLES.has(key)) this.fail(shown(key), `unknown key; ${knownBeside(key)}`, pair.loc.start.line);
    else if (pair.value.type === "TOMLInlineTable") for (const inner of pair.value.body) this.#pair(`${key}.`, inner);
    else this.fail(key, "is a table, not a value", pair.loc.start.line);
  }

  /** The same list in one value. */
  #forwardList(value: AST.TOMLContentNode): void {
    const { line } = value.loc.start;
    const wrong = "is a list of tables: write [[vpn.forward]]";
    if (value.type !== "TOMLArray") return this.fail(FORWARD, wrong, line);
    for (const element of value.elements) {
      const { line: at } = element.loc.start;
      if (element.type === "TOMLInlineTable") this.#forwards.push({ line: at, pairs: element.body });
      else this.fail(FORWARD, wrong, at);
    }
  }

  settings(): Settings {
    const defaults = DEFAULT_SETTINGS;
    const lan = this.#string("lan.address", (t) => hostCidr(t, 30));
    const lan6 = this.#string("lan.address6", lanAddress6) ?? defaults.lan.address6;
    const nat = this.#boolean("vpn.nat") ?? defaults.vpn.nat;
    const settings: Settings = {
      hostname: this.#string("hostname", hostName) ?? defaults.hostname,
      wan: {
        mac: this.#string("wan.mac", unicastMac),
        address: this.#string("wan.address", wanAddress) ?? (this.#values.has("wan.address") ? "none" : "dhcp"),
        gateway: this.#string("wan.gateway", unicast),
        address6: this.#string("wan.address6", wanAddress6) ?? defaults.wan.address6,
        gateway6: this.#string("wan.gateway6", gateway6),
        dns: this.#addresses("wan.dns"),
        mtu: this.#integer("wan.mtu", MTU.min, MTU.max) ?? defaults.wan.mtu,
      },
      lan: {
        mac: this.#string("lan.mac", unicastMac),
        address: lan ?? defaults.lan.address,
        dhcp: this.#failed.has("lan.address") ? undefined : this.#dhcp(lan ?? defaults.lan.address),
        dns: this.#dns(),
        address6: lan6,
      },
      vpn: {
        config: this.#string("vpn.config", fileName),
        nat,
        forwards: this.#readForwards(nat, lan ?? defaults.lan.address, lan6),
      },
      server: {
        lan: this.#string("server.lan", lanAccess) ?? defaults.server.lan,
        internet: this.#boolean("server.internet"),
        users: this.#string("server.users", fileName),
      },
      log: { level: this.#string("log.level", logLevel) ?? defaults.log.level },
    };
    this.#refuseUnbuilt();
    this.#refuseOtherRole();
    if (this.#isBridged) this.#refuseRouting(settings);
    this.#crossCheck(settings);
    return settings;
  }

  /** The LAN of a server has its own services: it had them before there was a tunnel. */
  #isOffByDefault(key: string): boolean {
    return this.#role === "server" && !this.#values.has(key);
  }

  #dns(): DnsSettings | undefined {
    if (this.#isOffByDefault("lan.dns")) return undefined;
    return readDns(this.#values.get("lan.dns"), (text, line) => this.fail("lan.dns", text, line));
  }

  #dhcp(lan: Cidr): DhcpSettings | undefined {
    if (this.#isOffByDefault("lan.dhcp")) return undefined;
    return readDhcp(this.#values.get("lan.dhcp"), lan, (text, line) => this.fail("lan.dhcp", text, line));
  }

  #readForwards(nat: boolean, lan: Cidr, lan6: Address6): readonly ForwardSetting[] {
    const place = {
      nat,
      lan: this.#failed.has("lan.address") ? undefined : lan,
      lan6: this.#failed.has("lan.address6") ? undefined : lan6,
    };
    return readForwards(this.#forwards, place, (text, line) => this.fail(FORWARD, text, line));
  }

  #refuseUnbuilt(): void {
    if (this.#string("log.syslog", unicast) !== undefined)
      this.fail("log.syslog", "not available yet; remove the line");
  }

  /** What would be without effect, and was meant to have one. */
  #refuseOtherRole(): void {
    if (this.#role === undefined) return;
    if (this.#role !== "server") {
      for (const key of this.#values.keys())
        if (key.startsWith("server.")) this.fail(key, "belongs to a server's profile, and this one is none");
      return;
    }
    const remedy = "belongs to a client's profile; what a server's clients reach is said below [server]";
    if (this.#values.has("vpn.nat")) this.fail("vpn.nat", remedy);
    for (const { line } of this.#forwards) this.fail(FORWARD, remedy, line);
  }

  /** What only a router has. Services that are off are as they must be. */
  #refuseRouting({ lan }: Settings): void {
    const isOff = (key: string): boolean =>
      (key === "lan.dhcp" && lan.dhcp === undefined) || (key === "lan.dns" && lan.dns === undefined);
    for (const key of ROUTING) if (this.#values.has(key) && !isOff(key)) this.fail(key, BRIDGED);
    for (const { line } of this.#forwards) this.fail(FORWARD, BRIDGED, line);
  }

  /** What two values mean together; each is looked at only where it is good by itself. */
  #crossCheck({ wan, lan }: Settings): void {
    if (wan.address === "dhcp") {
      if (wan.gateway !== undefined)
        this.fail("wan.gateway", "belongs to a static address; with dhcp it comes from the server");
    } else if (wan.address !== "none") {
      this.#checkGateway(wan.address, wan.gateway);
      if (!this.#isBridged && wan.address.overlaps(lan.address) && !this.#failed.has("lan.address")) {
        const key = this.#values.has("lan.address") ? "lan.address" : "wan.address";
        const remedy = "give the LAN another one, below [lan]: address";
        this.fail(key, `the networks of LAN (${lan.address}) and WAN (${wan.address}) overlap; ${remedy}`);
      }
    }
    this.#crossCheck6(wan, lan);
    if (wan.mac && lan.mac && wan.mac.hi === lan.mac.hi && wan.mac.lo === lan.mac.lo) {
      this.fail("lan.mac", "is the same as wan.mac");
    }
  }

  #crossCheck6(wan: Settings["wan"], lan: Settings["lan"]): void {
    if (this.#failed.has("wan.address6") || this.#failed.has("wan.gateway6")) return;
    const wrong = gateway6Problem(wan.address6, wan.gateway6);
    if (wrong !== undefined)
      this.fail("wan.gateway6", wrong, this.line(this.#values.has("wan.gateway6") ? "wan.gateway6" : "wan.address6"));
    if (typeof wan.address6 === "string" || typeof lan.address6 === "string") return;
    if (wan.address6.overlaps(lan.address6)) this.fail("lan.address6", "the networks of LAN and WAN overlap");
  }

  #checkGateway(own: Cidr, gateway: IpAddress | undefined): void {
    // Without one only servers on the WAN's own subnet could be reached; such a server can be named as the gateway.
    if (gateway === undefined) {
      if (!this.#values.has("wan.gateway"))
        this.fail("wan.gateway", "missing: a static address needs it", this.line("wan.address"));
    } else if (gateway.equals(own.address)) this.fail("wan.gateway", "is the appliance's own address");
    else if (own.isNetworkOrBroadcast(gateway)) this.fail("wan.gateway", "is the network's or the broadcast address");
    // With a /32 every gateway is outside, and reached on the link all the same: so some providers number their machines.
    else if (own.prefix < 32 && !own.contains(gateway))
      this.fail(
        "wan.gateway",
        `${gateway} is not in the subnet of wan.address; where the provider really gives such a one, the address is ${own.address}/32`,
      );
  }

  /** A string that `read` turns into a value; `read` throws a Bad with what is wrong. */
  #string<T>(key: string, read: (text: string) => T): T | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "string") return this.fail(key, "must be a string in quotes");
    try {
      return read(node.value);
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      return this.fail(key, error.message);
    }
  }

  #addresses(key: string): IpAddress[] {
    const node = this.#values.get(key);
    if (node === undefined) return [];
    const wrong = 'must be a list of addresses, such as ["9.9.9.9"]';
    if (node.type !== "TOMLArray") return this.fail(key, wrong) ?? [];
    const values: IpAddress[] = [];
    for (const element of node.elements) {
      const isString = element.type === "TOMLValue" && element.kind === "string";
      const value = isString ? parseIp(element.value) : undefined;
      if (!isString) this.fail(key, wrong, element.loc.start.line);
      else if (value === undefined || !value.isHost)
        this.fail(key, `${shown(element.value)} is no address of a host`, element.loc.start.line);
      else values.push(value);
    }
    return values;
  }

  #integer(key: string, min: number, max: number): number | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "integer") return this.fail(key, "must be a whole number");
    if (node.value < min || node.value > max) return this.fail(key, `${node.value} is not between ${min} and ${max}`);
    return node.value;
  }

  #boolean(key: string): boolean | undefined {
    const node = this.#values.get(key);
    if (node === undefined) return undefined;
    if (node.type !== "TOMLValue" || node.kind !== "boolean") return this.fail(key, "must be true or false");
    return node.value;
  }
}

/** The keys of the table that `key` is in. */
function knownBeside(key: string): string {
  const table = key.split(".")[0] as string;
  if (!TABLES.has(table)) return `outside of the tables (${listed(TABLES)}) there is only hostname`;
  const names = [...KEYS]
    .filter((known) => known.startsWith(`${table}.`))
    .map((known) => known.slice(table.length + 1));
  return `[${table}] has ${listed(names)}`;
}
