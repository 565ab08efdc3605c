/** IPv6 of the appliance: what is used of the WAN's, what is told on the LAN, and what of it may come how often. */
import { mutationsOf } from "../mutation.ts";

export const IPV6_APPLIANCE = [
  ...mutationsOf(
    "appliance/uplink6.ts",
    ["if (isOther && !this.#changes.take(now)) return this.#rest(now);", "", "the limit of changes"],
    ["    this.#resumeAt = now + REST_MS;\n", "", "that it is looked at again after a rest"],
    [
      "address === undefined || addressing.gateway === undefined || address.isLinkLocal",
      "address === undefined || address.isLinkLocal",
      "that an address needs a way out",
    ],
    [
      "addressing.gateway === undefined || address.isLinkLocal",
      "addressing.gateway === undefined",
      "that a link-local address is none",
    ],
    ["this.#used.mtu !== mtu", "false", "that another MTU is news"],
    ["    this.#wan.unconfigure6();\n", "", "that without a link there are no addresses"],
  ),
  ...mutationsOf(
    "appliance/source6.ts",
    ["      this.#dhcp.decline(now);\n", "", "that a leased address which another host has is declined"],
    ["    this.#dhcp.release();\n", "", "that a leased address is given back"],
    ["    this.#taken++;\n", "", "the next link-local address"],
  ),
  ...mutationsOf(
    "appliance/lan6.ts",
    ["    this.#advertiser.stop();\n", "", "the goodbye"],
    ["this.#taken >= RETRIES", "false", "the end of attempts"],
    ["advert.lifetime === 0 && advert.routes.length === 0", "false", "that only a router with a way out is named"],
    [
      "isDefaultRouter: false, dns: []",
      "isDefaultRouter: true, dns: []",
      "that there is no way out before the tunnel has IPv6",
    ],
  ),
  ...mutationsOf(
    "appliance/families.ts",
    ["if (!this.#isUp4 || usesIpv6()) events.up(now);", "events.up(now);", "that a tunnel by IPv4 is left alone"],
    ["if (!this.#isUp6 || !usesIpv6()) events.up(now);", "events.up(now);", "that a tunnel by IPv6 is left alone"],
    ["        if (!this.#isUp6) events.down(now, reason);\n        else if", "        if", "the end of the network"],
    ["fixed.length > 0 ? fixed : [...dns4, ...dns6]", "[...dns4, ...dns6]", "that the file's DNS servers count alone"],
  ),
  ...mutationsOf(
    "appliance/settings/address6.ts",
    ["if (cidr.prefix !== LAN_PREFIX)", "if (false as boolean)", "the length of the LAN's prefix"],
    ["if (!address.isHost || address.isLinkLocal)", "if (!address.isHost)", "that a static address is not link-local"],
    [
      "if (gateway.isLinkLocal || address.prefix === 128 || address.contains(gateway)) return undefined;",
      "if (true as boolean) return undefined;",
      "that the gateway can be reached",
    ],
    [
      'if (gateway === undefined) return "missing: a static address6 needs it";',
      "if (gateway === undefined) return undefined;",
      "that a static address has a gateway",
    ],
  ),
];
