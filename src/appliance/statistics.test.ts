import { expect, test } from "bun:test";
import { Counters } from "../lib/counters.ts";
import { DhcpClientDrops } from "../netstack/dhcp4/client-drops.ts";
import { Dns, dnsCounters } from "../netstack/dns/forwarder-counters.ts";
import { Drop, dropCounters } from "../netstack/drop.ts";
import { collectStatistics, logStatistics } from "./statistics.ts";
import type { RouterPath } from "./wiring/router.ts";

test("each kind of drop has a record with its sentence, after the record of its part", () => {
  const lines: string[] = [];
  const face = (name: string) => ({
    name,
    counters: new Counters(["received"]),
    drops: dropCounters(),
    outDrops: dropCounters(),
  });
  const device = { statistics: () => ({ received: 3, dropped: 0 }), counters: new Counters([]) };
  const wanDevice = { statistics: () => ({ received: 3, dropped: 2 }), counters: new Counters(["rxVlan"]) };
  wanDevice.counters.bump(0);
  const [wan, lan, tunnel] = [face("wan"), face("lan"), face("tunnel")];
  const side = (face: { readonly name: string }) => ({ face, counters: new Counters([]), drops: dropCounters() });
  const sides = [side(lan), side(tunnel)];
  const router = { sides };
  wan.drops.bump(Drop.Ipv6);
  sides[0]?.drops.bump(Drop.TunnelClosed);
  sides[0]?.drops.bump(Drop.TunnelClosed);
  const path = { wanDevice, lanDevice: device, wan, lan, tunnel, router, translators: {}, unsent: 0 };
  const dns = dnsCounters();
  dns.bump(Dns.Cached);
  dns.bump(Dns.WrongId);
  const lease = new DhcpClientDrops();
  lease.count("other-address");
  logStatistics(
    {
      enabled: () => true,
      write: (_level, event, text, fields) => void lines.push(`${event} ${JSON.stringify(fields)} ${text}`),
    },
    collectStatistics({
      path: path as unknown as RouterPath,
      session: { sealed: 1, "drop.data-replay": 4 },
      dns: { counters: dns, cacheBytes: 9 },
      status: { statistics: { requests: 2, "httpDrop.slow": 1, "pageDrop.wrong-host": 3 } },
      ipv6: { wanAdverts: 2 },
      lease,
    }),
  );
  expect(lines.slice(0, -1)).toEqual([
    'statistics.wan {"kernelReceived":3,"kernelDropped":2,"rxVlan":1,"drop.Ipv6":1} ',
    expect.stringMatching(/^statistics\.drop {"part":"wan","kernelDropped":2} Frames came faster than/),
    expect.stringMatching(/^statistics\.drop {"part":"wan","rxVlan":1} Frames of a VLAN;/),
    expect.stringMatching(
      /^statistics\.drop {"part":"wan","drop\.Ipv6":1} IPv6 on an interface that has no IPv6 address/,
    ),
    'statistics.lan {"kernelReceived":3,"kernelDropped":0} ',
    "statistics.tunnel {} ",
    'statistics.router {"lanDrop.TunnelClosed":2} ',
    expect.stringMatching(/^statistics\.drop {"part":"router","lanDrop\.TunnelClosed":2} The tunnel is down;/),
    'statistics.lease {"leaseDrop.other-address":1} ',
    expect.stringMatching(/^statistics\.drop {"part":"lease","leaseDrop\.other-address":1} A DHCP answer that would/),
    'statistics.ipv6 {"wanAdverts":2} ',
    'statistics.session {"sealed":1,"drop.data-replay":4} ',
    expect.stringMatching(/^statistics\.drop {"part":"session","drop\.data-replay":4} the data packet's id was seen/),
    'statistics.dns {"cacheBytes":9,"cached":1,"dnsDrop.WrongId":1} ',
    expect.stringMatching(/^statistics\.drop {"part":"dns","dnsDrop\.WrongId":1} An answer with the wrong id/),
    'statistics.status {"requests":2,"httpDrop.slow":1,"pageDrop.wrong-host":3} ',
    expect.stringMatching(/^statistics\.drop {"part":"status","httpDrop\.slow":1} A request that was not whole/),
    expect.stringMatching(/^statistics\.drop {"part":"status","pageDrop\.wrong-host":3} A request to the status page/),
  ]);
});
