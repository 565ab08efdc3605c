/** What the WAN's routers can say, and the LAN's hosts: both machines of router discovery, by time, commands and messages. */
import { parseCidr } from "../../src/lib/cidr.ts";
import { IpAddress } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { RouterAdvertiser } from "../../src/netstack/ra/advertiser.ts";
import { RouterDiscovery } from "../../src/netstack/ra/host.ts";
import { Decisions, type Target } from "../target.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const OWN = new IpAddress(0xfe80_0000, 0, 0, 0xffff);

export const routerAdvert: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const random = seededRandom(5);
    const prf = (bytes: Uint8Array): Uint8Array => Uint8Array.of(2, 0, 0, 0, bytes[7] ?? 0, bytes[15] ?? 0, 0, 1);
    const host = new RouterDiscovery({ mac: MAC, prf, random, mtu: 1500 });
    const router = new RouterAdvertiser({ mac: MAC, random });
    let now = 5000;
    const link = (isDefaultRouter: boolean) => ({
      prefix: parseCidr("fd00::/64"),
      isDefaultRouter,
      dns: [OWN],
      domains: [],
      mtu: undefined,
    });
    const drain = (): void => {
      while (host.pollTransmit() !== undefined) seen("solicit");
      while (router.pollTransmit() !== undefined) seen("advert");
      for (let e = host.pollEvent(); e !== undefined; e = host.pollEvent()) seen(e.kind === "dhcp" ? e.mode : e.kind);
      const { addresses, onLink, routes, dns, mtu } = host.config;
      if (addresses.length > 16 || onLink.length > 16 || routes.length > 32 || dns.length > 8)
        throw new Error(
          `${addresses.length} addresses, ${onLink.length} prefixes, ${routes.length} routes, ${dns.length} servers`,
        );
      if (mtu !== undefined && (mtu < 1280 || mtu > 1500)) throw new Error(`MTU ${mtu}`);
      for (const { address } of addresses) if (!address.address.isHost) throw new Error(`our address ${address}`);
      for (const server of dns) if (!server.isHost) throw new Error(`DNS server ${server}`);
      seen(`${addresses.length} ${onLink.length} ${routes.length} ${dns.length}`);
    };
    for (let steps = 0; decisions.left > 0 && steps < 64; steps++) {
      const which = decisions.below(12);
      const source = new IpAddress(decisions.below(8) === 0 ? 0 : 0xfe80_0000, 0, 0, decisions.below(12));
      switch (which) {
        case 0:
          host.start(now);
          router.start(now, OWN, link(true));
          break;
        case 1:
          host.stop(now);
          router.stop();
          break;
        case 2:
          for (const { address } of host.config.addresses) host.usable(now, address.address);
          break;
        case 3: {
          const { addresses } = host.config;
          const one = addresses[decisions.below(Math.max(1, addresses.length))];
          if (one !== undefined) host.taken(now, one.address.address);
          break;
        }
        case 4:
          host.unreachable(now, source);
          break;
        case 5:
          router.update(now, link(decisions.below(2) === 0));
          break;
        case 6:
          now += decisions.uint16() * 16;
          host.handleTimeout(now);
          router.handleTimeout(now);
          break;
        case 7: {
          const at = Math.min(host.pollAt(), router.pollAt());
          if (at !== Number.POSITIVE_INFINITY) now = Math.max(now, at);
          host.handleTimeout(now);
          router.handleTimeout(now);
          const next = Math.min(host.pollAt(), router.pollAt());
          if (next <= now) throw new Error(`asks again for ${next} at ${now}`);
          break;
        }
        default: {
          const message = decisions.take(decisions.byte());
          if (which < 11 && message.length > 1) message.set([which === 8 ? 133 : 134, 0]);
          seen(`${host.handleAdvertisement(now, source, message)} ${router.handleSolicitation(now, message)}`);
        }
      }
      drain();
    }
  },
};
