/** What settings mean beside each other and beside the profile: values that contradict each other, and those that would be without effect. */
import type { Cidr } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { DNS_PORT } from "../../netstack/wire/dns.ts";
import type { DeviceType, Role } from "../../protocol/config/types.ts";
import { gateway6Problem } from "./address6.ts";
import { FORWARD, type KeyedValues } from "./keyed-values.ts";
import type { Settings } from "./settings.ts";

/** What settings go by of the profile that they are beside. */
export interface BesideProfile {
  /** Some defaults go by it, and some keys belong there or not; undefined: not known, and a client's count. */
  readonly role: Role | undefined;
  /** With tap there is no address of ours on the LAN, and nothing is routed. */
  readonly deviceType: DeviceType | undefined;
}

/** Keys that mean nothing where the LAN is bridged. */
const ROUTING = [
  "lan.address",
  "lan.address6",
  "lan.dhcp",
  "lan.dns",
  "vpn.nat",
  "server.lan",
  "server.internet",
].concat(["status.enabled", "status.port", "status.commands", "status.users", "log.syslog"]);
const BRIDGED =
  "means nothing with dev tap: the LAN is bridged, and has its addresses and services from the network beyond the tunnel; remove it";

/** Adds to the problems what is wrong with `settings`, which were read from `values`; each value is good by itself, or has failed. */
export function crossCheck(values: KeyedValues, settings: Settings, { role, deviceType }: BesideProfile): void {
  const isBridged = deviceType === "tap";
  refuseOtherRole(values, role);
  if (isBridged) refuseRouting(values, settings);
  checkTogether(values, settings, isBridged);
  checkStatus(values, settings);
  if (role === "server" && settings.log.syslog?.through === "tunnel")
    values.fail("log.syslog", 'through = "tunnel" belongs to a client\'s profile; name a host of the LAN');
}

/** What would be without effect, and was meant to have one. */
function refuseOtherRole(values: KeyedValues, role: Role | undefined): void {
  if (role === undefined) return;
  if (role !== "server") {
    for (const key of values.keys)
      if (key.startsWith("server.") || key === "status.commands" || key === "status.users")
        values.fail(key, "belongs to a server's profile, and this one is none");
    return;
  }
  const remedy = "belongs to a client's profile; what a server's clients reach is said below [server]";
  if (values.has("vpn.nat")) values.fail("vpn.nat", remedy);
  for (const { line } of values.forwards) values.fail(FORWARD, remedy, line);
}

/** What only a router has. Services that are off are as they must be. */
function refuseRouting(values: KeyedValues, { lan, status }: Settings): void {
  const isOff = (key: string): boolean =>
    (key === "lan.dhcp" && lan.dhcp === undefined) ||
    (key === "lan.dns" && lan.dns === undefined) ||
    (key === "status.enabled" && !status.enabled);
  for (const key of ROUTING) if (values.has(key) && !isOff(key)) values.fail(key, BRIDGED);
  for (const { line } of values.forwards) values.fail(FORWARD, BRIDGED, line);
}

/** What two values mean together; each is looked at only where it is good by itself. */
function checkTogether(values: KeyedValues, { wan, lan }: Settings, isBridged: boolean): void {
  if (wan.address === "dhcp") {
    if (wan.gateway !== undefined)
      values.fail("wan.gateway", "belongs to a static address; with dhcp it comes from the server");
  } else if (wan.address !== "none") {
    checkGateway(values, wan.address, wan.gateway);
    if (!isBridged && wan.address.overlaps(lan.address) && !values.hasFailed("lan.address")) {
      const key = values.has("lan.address") ? "lan.address" : "wan.address";
      const remedy = "give the LAN another one, below [lan]: address";
      values.fail(key, `the networks of LAN (${lan.address}) and WAN (${wan.address}) overlap; ${remedy}`);
    }
  }
  checkTogether6(values, wan, lan);
  if (wan.mac && lan.mac && wan.mac.hi === lan.mac.hi && wan.mac.lo === lan.mac.lo) {
    values.fail("lan.mac", "is the same as wan.mac");
  }
}

function checkStatus(values: KeyedValues, { lan, status: { enabled, port, commands, users } }: Settings): void {
  if (enabled && port === DNS_PORT && lan.dns !== undefined)
    values.fail("status.port", `${port} is the port of the LAN's DNS; choose another`);
  if (commands && !enabled) values.fail("status.commands", "needs enabled = true: the page is where they are given");
  if (users !== undefined && !commands && !values.hasFailed("status.commands"))
    values.fail("status.users", "says who may give commands, and there are none; write commands = true beside it");
}

function checkTogether6(values: KeyedValues, wan: Settings["wan"], lan: Settings["lan"]): void {
  if (values.hasFailed("wan.address6") || values.hasFailed("wan.gateway6")) return;
  const wrong = gateway6Problem(wan.address6, wan.gateway6);
  if (wrong !== undefined)
    values.fail("wan.gateway6", wrong, values.line(values.has("wan.gateway6") ? "wan.gateway6" : "wan.address6"));
  if (typeof wan.address6 === "string" || typeof lan.address6 === "string") return;
  if (wan.address6.overlaps(lan.address6)) values.fail("lan.address6", "the networks of LAN and WAN overlap");
}

function checkGateway(values: KeyedValues, own: Cidr, gateway: IpAddress | undefined): void {
  // Without one only servers on the WAN's own subnet could be reached; such a server can be named as the gateway.
  if (gateway === undefined) {
    if (!values.has("wan.gateway"))
      values.fail("wan.gateway", "missing: a static address needs it", values.line("wan.address"));
  } else if (gateway.equals(own.address)) values.fail("wan.gateway", "is the appliance's own address");
  else if (own.isNetworkOrBroadcast(gateway)) values.fail("wan.gateway", "is the network's or the broadcast address");
  // With a /32 every gateway is outside, and reached on the link all the same: so some providers number their machines.
  else if (own.prefix < 32 && !own.contains(gateway))
    values.fail(
      "wan.gateway",
      `${gateway} is not in the subnet of wan.address; where the provider really gives such a one, the address is ${own.address}/32`,
    );
}
