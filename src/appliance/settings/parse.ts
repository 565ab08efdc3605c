/**
 * appliance.toml, read. Every key has a default; an unknown key, a wrong type, a bad value or a syntax error is a problem with its
 * line, and all of them are reported at once.
 */
import { ParseError, parseTOML } from "toml-eslint-parser";
import type { Cidr } from "../../lib/cidr.ts";
import { withLineFeeds } from "../../protocol/config/line-ends.ts";
import type { ConfigProblem, DeviceType, Role } from "../../protocol/config/types.ts";
import { type Address6, gateway6, lanAddress6, wanAddress6 } from "./address6.ts";
import { crossCheck } from "./cross-checks.ts";
import { type DhcpSettings, readDhcp } from "./dhcp.ts";
import { type DnsSettings, readDns } from "./dns.ts";
import { type ForwardSetting, readForwards } from "./forward.ts";
import { FORWARD, KeyedValues, problemAt } from "./keyed-values.ts";
import { tooDeepAt } from "./nesting.ts";
import { DEFAULT_SETTINGS, type Settings, withoutDhcp, withoutWan } from "./settings.ts";
import { quotesHint, syntaxLine } from "./syntax.ts";
import { readSyslog, type SyslogSetting } from "./syslog.ts";
import { fileName, hostCidr, hostName, lanAccess, logLevel, unicast, unicastMac, wanAddress } from "./values.ts";

export type SettingsResult =
  | {
      readonly ok: true;
      readonly settings: Settings;
      /** Where vpn.config, server.users and status.users stand. */
      readonly configLine: number;
      readonly usersLine: number;
      readonly operatorsLine: number;
    }
  | {
      readonly ok: false;
      /** What could be read, the defaults for the rest; where something is wrong with the WAN it has no address. */
      readonly settings: Settings;
      readonly usersLine: number;
      readonly problems: ConfigProblem[];
    };

/** The smallest MTU that every IPv4 host must take (RFC 1122 3.3.3), and the largest of Ethernet with jumbo frames. */
const MTU = { min: 576, max: 9000 };
const MAX_PORT = 65_535;

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
  let values: KeyedValues;
  try {
    values = new KeyedValues(file, parseTOML(toml, { tomlVersion: "1.0" }));
  } catch (error) {
    // Whatever else the parser throws is for what the file holds as well.
    if (!(error instanceof ParseError)) return unusable(file, 1, "syntax", `cannot be parsed: ${error}`);
    const line = syntaxLine(error, toml);
    const row = toml.split("\n")[line - 1] ?? "";
    return unusable(file, line, "syntax", `${error.message}${quotesHint(row)}`);
  }
  const settings = settingsOf(values, role);
  crossCheck(values, settings, { role, deviceType });
  const usersLine = values.line("server.users");
  if (values.problems.count > 0) {
    const problems = values.problems.list();
    const withWan = values.hasFailed("wan") ? withoutWan(settings) : settings;
    return { ok: false, settings: values.hasFailed("lan") ? withoutDhcp(withWan) : withWan, usersLine, problems };
  }
  const [configLine, operatorsLine] = [values.line("vpn.config"), values.line("status.users")];
  return { ok: true, settings, configLine, usersLine, operatorsLine };
}

/** @param why as the end of a sentence that begins with the file's name */
export const unreadableSettings = (file: string, why: string): SettingsResult => unusable(file, 1, "file", why);

/** Nothing of the file counts, and nobody knows what it should say. */
const unusable = (file: string, line: number, what: string, text: string): SettingsResult => ({
  ok: false,
  settings: withoutWan(withoutDhcp(DEFAULT_SETTINGS)),
  usersLine: 1,
  problems: [problemAt(file, line, what, text)],
});

/** What the file says, and the defaults for the rest; a value that is wrong by itself is a problem, and counts as not given. */
function settingsOf(values: KeyedValues, role: Role | undefined): Settings {
  const defaults = DEFAULT_SETTINGS;
  const lan = values.string("lan.address", (t) => hostCidr(t, 30));
  const lan6 = values.string("lan.address6", lanAddress6) ?? defaults.lan.address6;
  const nat = values.boolean("vpn.nat") ?? defaults.vpn.nat;
  return {
    hostname: values.string("hostname", hostName) ?? defaults.hostname,
    wan: {
      mac: values.string("wan.mac", unicastMac),
      address: values.string("wan.address", wanAddress) ?? (values.has("wan.address") ? "none" : "dhcp"),
      gateway: values.string("wan.gateway", unicast),
      address6: values.string("wan.address6", wanAddress6) ?? defaults.wan.address6,
      gateway6: values.string("wan.gateway6", gateway6),
      dns: values.addresses("wan.dns"),
      mtu: values.integer("wan.mtu", MTU.min, MTU.max) ?? defaults.wan.mtu,
    },
    lan: {
      mac: values.string("lan.mac", unicastMac),
      address: lan ?? defaults.lan.address,
      dhcp: values.hasFailed("lan.address") ? undefined : dhcpOf(values, role, lan ?? defaults.lan.address),
      dns: dnsOf(values, role),
      address6: lan6,
    },
    vpn: {
      config: values.string("vpn.config", fileName),
      nat,
      forwards: forwardsOf(values, nat, lan ?? defaults.lan.address, lan6),
    },
    server: {
      lan: values.string("server.lan", lanAccess) ?? defaults.server.lan,
      internet: values.boolean("server.internet"),
      users: values.string("server.users", fileName),
    },
    status: {
      enabled: values.boolean("status.enabled") ?? defaults.status.enabled,
      port: values.integer("status.port", 1, MAX_PORT) ?? defaults.status.port,
      commands: values.boolean("status.commands") ?? defaults.status.commands,
      users: values.string("status.users", fileName),
    },
    log: {
      level: values.string("log.level", logLevel) ?? defaults.log.level,
      syslog: syslogOf(values, lan ?? defaults.lan.address, lan6),
    },
  };
}

/** The LAN of a server has its own services: it had them before there was a tunnel. */
function isOffByDefault(values: KeyedValues, role: Role | undefined, key: string): boolean {
  return role === "server" && !values.has(key);
}

function dnsOf(values: KeyedValues, role: Role | undefined): DnsSettings | undefined {
  if (isOffByDefault(values, role, "lan.dns")) return undefined;
  return readDns(values.node("lan.dns"), (text, line) => values.fail("lan.dns", text, line));
}

function dhcpOf(values: KeyedValues, role: Role | undefined, lan: Cidr): DhcpSettings | undefined {
  if (isOffByDefault(values, role, "lan.dhcp")) return undefined;
  return readDhcp(values.node("lan.dhcp"), lan, (text, line) => values.fail("lan.dhcp", text, line));
}

function forwardsOf(values: KeyedValues, nat: boolean, lan: Cidr, lan6: Address6): readonly ForwardSetting[] {
  const place = { nat, ...lanPlace(values, lan, lan6) };
  return readForwards(values.forwards, place, (text, line) => values.fail(FORWARD, text, line));
}

function syslogOf(values: KeyedValues, lan: Cidr, lan6: Address6): SyslogSetting | undefined {
  const fail = (text: string, line?: number) => values.fail("log.syslog", text, line);
  return readSyslog(values.node("log.syslog"), lanPlace(values, lan, lan6), fail);
}

/** What hosts of the LAN are checked against: nothing that has a problem of its own. */
const lanPlace = (values: KeyedValues, lan: Cidr, lan6: Address6) => ({
  lan: values.hasFailed("lan.address") ? undefined : lan,
  lan6: values.hasFailed("lan.address6") ? undefined : lan6,
});
