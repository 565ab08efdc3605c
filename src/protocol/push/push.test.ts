import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseCidr } from "../../lib/cidr.ts";
import { formatEndpoint } from "../../lib/endpoint.ts";
import { parseIpv4 } from "../../lib/ip.ts";
import type { LocalOption } from "../config/types.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import { applyPullFilter } from "./pull-filter.ts";
import { parseSessionOptions } from "./session-options.ts";
import { parseTunnelOptions, type Tunnel, withoutIpv6 } from "./tunnel-options.ts";

const PUSHED = ["route 10.1.0.0 255.255.0.0", "dhcp-option DNS 10.8.0.1", "ping 10", "ifconfig 10.8.0.2 255.255.255.0"];

describe("pull-filter (man openvpn)", () => {
  test("the first filter that matches decides, by prefix", () => {
    const filters = [
      { action: "accept", prefix: "route 10.1" },
      { action: "ignore", prefix: "route" },
      { action: "ignore", prefix: "dhcp-option DNS" },
    ] as const;
    expect(applyPullFilter([...PUSHED, "route 10.2.0.0 255.255.0.0"], filters, false)).toEqual({
      ok: true,
      options: [PUSHED[0]!, PUSHED[2]!, PUSHED[3]!],
    });
  });

  test("reject names the option, not its value", () => {
    const result = applyPullFilter(["auth-token S3CRET"], [{ action: "reject", prefix: "auth" }], false);
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result)).toContain("auth-token");
    expect(JSON.stringify(result)).not.toContain("S3CRET");
  });

  test("route-nopull bars routes and DNS only", () => {
    expect(applyPullFilter(PUSHED, [], true)).toMatchObject({ options: [PUSHED[2], PUSHED[3]] });
  });
});

describe("options of the session", () => {
  test("what a 2.6 server pushes", () => {
    const options = parseSessionOptions([
      "peer-id 7",
      "cipher AES-128-GCM",
      "protocol-flags cc-exit tls-ekm dyn-tls-crypt",
      "ping 10",
      "ping-restart 60",
      "auth-token abc",
    ]);
    expect(options).toMatchObject({
      peerId: 7,
      cipher: "AES-128-GCM",
      keyDerivation: "ekm",
      ccExit: true,
      ping: 10,
      pingRestart: 60,
      authToken: "abc",
    });
  });

  test("an old server pushes none of it: DATA_V1, its own cipher, the PRF", () => {
    expect(parseSessionOptions([])).toMatchObject({
      peerId: PEER_ID_NONE,
      cipher: undefined,
      keyDerivation: "prf",
      ccExit: false,
      problems: [],
      ignored: [],
    });
  });

  test("a timer that is no number is left out and told, and the session goes on as with openvpn", () => {
    const options = ["ping ten", "ping-restart 60", "inactive", "tun-mtu 50", "session-timeout -1", "ping 100000"];
    const { ping, pingRestart, inactive, problems, ignored } = parseSessionOptions(options);
    expect({ ping, pingRestart, inactive, problems }).toEqual({
      ping: 100_000,
      pingRestart: 60,
      inactive: undefined,
      problems: [],
    });
    expect(ignored.map((text) => text.split(":")[0])).toEqual(["ping ten", "inactive", "session-timeout -1"]);
  });

  test("a cipher that was not offered is a problem", () => {
    expect(parseSessionOptions(["cipher CHACHA20-POLY1305"], ["AES-256-GCM"]).problems).toHaveLength(1);
    expect(parseSessionOptions(["cipher AES-256-CBC"]).problems).toHaveLength(1);
  });

  test.each([
    ["comp-lzo no", "comp-lzo no"],
    ["comp-lzo", "comp-lzo"],
    ["comp-lzo yes", "comp-lzo"],
    ["comp-lzo adaptive", "comp-lzo"],
    ["compress", "compress stub"],
    ["compress lzo", "comp-lzo"],
    ["compress lz4", "compress lz4"],
    ["compress lz4-v2", "compress lz4-v2"],
    ["compress stub-v2", "compress stub-v2"],
    ["compress migrate", "none"],
  ] as const)("%s", (option, form) => {
    expect(parseSessionOptions([option]).compression).toBe(form);
  });

  test("a value without a meaning is passed over, as openvpn does; only a wrong peer id is a problem", () => {
    const options = ["ping 100000", "ping-restart 2m", "inactive x", "explicit-exit-notify -1", "peer-id none"];
    const { ping, pingRestart, ignored, problems } = parseSessionOptions(options);
    expect([ping, pingRestart, ignored.length]).toEqual([100_000, undefined, 3]);
    expect(problems).toEqual(["peer-id none: not a number from 0 to 16777215"]);
  });

  test.each(["compress snappy", "comp-lzo maybe", "compress zstd"])("%s is a problem", (option) => {
    const { compression, problems } = parseSessionOptions([option]);
    expect([compression, problems.length]).toEqual([undefined, 1]);
  });
});

describe("options of the tunnel", () => {
  const lan = parseCidr("192.168.1.1/24")!;
  const read = (options: readonly string[]) => parseTunnelOptions(options, [], { lan: [lan] });
  const routes = (options: readonly string[]): string[] => {
    const result = read(options);
    if (!result.ok) throw new Error(result.problem);
    return result.tunnel.routes.map((r) => `${r.network}`);
  };

  test("topology subnet: the subnet itself and the routes", () => {
    const options = ["topology subnet", "route-gateway 10.8.0.1", "ifconfig 10.8.0.2 255.255.255.0"];
    expect(routes([...options, "route 10.1.0.0 255.255.0.0"])).toEqual(["10.8.0.0/24", "10.1.0.0/16"]);
    expect(read(options)).toMatchObject({
      ok: true,
      tunnel: { address: parseCidr("10.8.0.2/24")!, gateway: parseIpv4("10.8.0.1")! },
    });
  });

  test("topology net30: a peer", () => {
    const result = read(["topology net30", "ifconfig 10.8.0.6 10.8.0.5"]);
    expect(result).toMatchObject({
      ok: true,
      tunnel: { address: parseCidr("10.8.0.6/32")!, peer: parseIpv4("10.8.0.5")! },
    });
  });

  test("thousands of options that are not known fill no log", () => {
    const strange = Array.from({ length: 4000 }, (_, i) => `strange-${i}`);
    const result = read(["topology subnet", "ifconfig 10.8.0.2 255.255.255.0", ...strange]);
    const { notes } = (result as { tunnel: Tunnel }).tunnel;
    expect([notes.length, notes.at(-1)?.text]).toEqual([65, "3936 more notes on options are left out"]);
  });

  test("without ifconfig there is no tunnel", () => {
    expect(read(["topology subnet"]).ok).toBe(false);
  });

  const OWN = ["topology subnet", "route-gateway 10.8.0.1", "ifconfig 10.8.0.2 255.255.255.0"];
  const warnings = (options: readonly string[]): string[] => {
    const result = read(options);
    if (!result.ok) throw new Error(result.problem);
    return result.tunnel.notes.filter((n) => n.level === "warn").map((n) => n.text);
  };

  test.each([
    ["route 10.9.0.0 255.255.0.0 net_gateway", /net_gateway/],
    ["route 10.9.0.0 255.255.0.0 remote_host", /remote_host/],
    ["route net_gateway", /net_gateway/],
    ["route remote_host", /not known/],
    ["route 10.9.0.0 255.0.255.0", /netmask/],
    ["route example.org", /not an IPv4 network/],
    ["route 10.9.0.0 255.255.0.0 10.8.0.1 -3", /metric/],
    ["route 10.9.0.0 255.255.0.0 192.168.1.7", /LAN/],
    ["route 224.0.0.0 240.0.0.0", /routed/],
    ["route-gateway dhcp", /IPv4/],
    ["tun-mtu 99", /size/],
  ] as const)("%s is refused by name and nothing is routed", (option, why) => {
    expect(routes([...OWN, option])).toEqual(["10.8.0.0/24"]);
    const said = warnings([...OWN, option]);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(why);
    expect(said[0]).toContain(option);
  });

  test.each([
    ["route 10.9.1.2 255.255.0.0", "10.9.0.0/16"],
    ["route 10.9.1.2", "10.9.1.2/32"],
    ["route 10.9.1.2 default vpn_gateway", "10.9.1.2/32"],
    ["route vpn_gateway", "10.8.0.1/32"],
    ["redirect-gateway def1 bypass-dhcp", "0.0.0.0/0"],
    ["redirect-gateway", "0.0.0.0/0"],
  ] as const)("%s routes %s", (option, network) => {
    expect(routes([...OWN, option])).toEqual(["10.8.0.0/24", network]);
    expect(warnings([...OWN, option])).toEqual([]);
  });

  test("redirect-private and !ipv4 route nothing", () => {
    expect(routes([...OWN, "redirect-private def1"])).toEqual(["10.8.0.0/24"]);
    expect(routes([...OWN, "redirect-gateway ipv6 !ipv4"])).toEqual(["10.8.0.0/24"]);
  });

  test("the server's own address is routed into the tunnel like any other", () => {
    const result = parseTunnelOptions([...OWN, "route remote_host"], [], {
      lan: [lan],
      serverAddress: parseIpv4("203.0.113.9")!,
    });
    expect(result.ok && result.tunnel.routes.at(-1)).toEqual({
      network: parseCidr("203.0.113.9/32")!,
      metric: 0,
    });
  });

  test.each(["192.168.0.0 255.255.0.0", "192.168.1.128 255.255.255.128", "192.168.1.5"])(
    "a route over the LAN (%s) is named, the LAN wins",
    (network) => {
      const said = warnings([...OWN, `route ${network}`]);
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(/overlaps the LAN 192\.168\.1\.0\/24; the LAN wins/);
    },
  );

  test("a tunnel address that is the network's or the broadcast address is taken, as openvpn takes it, with a warning", () => {
    for (const last of [0, 255])
      expect(warnings(["topology subnet", `ifconfig 10.8.0.${last} 255.255.255.0`])).toEqual([
        expect.stringMatching(/is the network's or the broadcast address of \/24/),
      ]);
    expect(warnings(["topology subnet", "ifconfig 10.8.0.0 255.255.255.254"])).toEqual([]);
  });

  test("a tunnel address of the LAN is named, the LAN wins; addresses that no host can have are not taken", () => {
    const said = (...options: string[]): string[] => warnings(options);
    expect(said("ifconfig 192.168.1.77 10.8.0.5", "topology net30")).toEqual([
      expect.stringContaining("192.168.1.77 is of the LAN 192.168.1.0/24"),
    ]);
    const odd = ["dhcp-option DNS 0.0.0.0", "dhcp-option DNS 127.0.0.1", "dhcp-option DNS 255.255.255.255"];
    const gateways = ["route-gateway 0.0.0.0", "route-gateway 224.0.0.1"];
    expect(said(...OWN, ...odd, ...gateways)).toHaveLength(5);
    expect(read([...OWN, ...odd, ...gateways])).toMatchObject({
      tunnel: { gateway: parseIpv4("10.8.0.1"), dns: { servers: [] } },
    });
    expect(said(...OWN, "route 10.1.0.0 255.255.0.0 127.0.0.1")).toEqual([expect.stringContaining("not a gateway")]);
  });

  const OWN6 = [...OWN, "ifconfig-ipv6 fd00:8::1000/64 fd00:8::1"];

  test("ifconfig-ipv6: the address, its subnet and IPv6's routes beside those of IPv4", () => {
    const options = [
      ...OWN6,
      "route-ipv6 2001:db8:5::/48",
      "route-ipv6 2001:db8:6::7 fd00:8::1 30",
      "redirect-gateway ipv6",
    ];
    expect(read(options)).toMatchObject({ tunnel: { address6: parseCidr("fd00:8::1000/64")! } });
    const networks = ["10.8.0.0/24", "fd00:8::/64", "2001:db8:5::/48", "2001:db8:6::7/128", "0.0.0.0/0", "::/0"];
    expect(routes(options)).toEqual(networks);
    expect(warnings(options)).toEqual([]);
    expect(routes([...OWN6, "redirect-private ipv6"])).toEqual(["10.8.0.0/24", "fd00:8::/64", "::/0"]);
  });

  test("an address without bits has a /64; a tunnel may have IPv6 alone, and then none of IPv4's routes", () => {
    const alone = ["ifconfig-ipv6 fd00:8::1000 fd00:8::1", "redirect-gateway ipv6", "route 10.1.0.0 255.255.0.0"];
    expect(read(alone)).toMatchObject({ tunnel: { address: undefined, address6: parseCidr("fd00:8::1000/64")! } });
    expect(routes(alone)).toEqual(["fd00:8::/64", "::/0"]);
    expect(warnings(alone)).toEqual([expect.stringMatching(/route 10\.1\.0\.0.*no IPv4 address/)]);
  });

  test("block-ipv6 leaves a tunnel of IPv4 alone, whatever else is pushed", () => {
    const options = [...OWN6, "block-ipv6", "route-ipv6 2001:db8:5::/48", "redirect-gateway ipv6"];
    expect(routes(options)).toEqual(["10.8.0.0/24", "0.0.0.0/0"]);
    expect(read(options)).toMatchObject({ tunnel: { address6: undefined } });
    expect(warnings(options)).toEqual([]);
  });

  test("IPv6 that is routed into a tunnel without an address of it is told once", () => {
    const options = [...OWN, "route-ipv6 2001:db8:5::/48", "route-ipv6 2001:db8:6::/48", "redirect-gateway ipv6"];
    expect(routes(options)).toEqual(["10.8.0.0/24", "0.0.0.0/0"]);
    const result = read(options);
    expect(result.ok && result.tunnel.notes.filter(({ text }) => text.includes("(ifconfig-ipv6)"))).toHaveLength(1);
  });

  test.each([
    ["ifconfig-ipv6 fd00:8::1000/48 fd00:8::1", /64 to 124 bits/],
    ["ifconfig-ipv6 fd00:8::1000/125 fd00:8::1", /64 to 124 bits/],
    ["ifconfig-ipv6 fd00:8::1000/64 10.8.0.1", /far end/],
    ["ifconfig-ipv6 fe80::1/64 fe80::2", /host's address/],
    ["ifconfig-ipv6 ff02::1/64 fd00:8::1", /host's address/],
    ["ifconfig-ipv6 10.8.0.2/24 fd00:8::1", /not an IPv6 address/],
  ] as const)("%s is told, and leaves a tunnel of IPv4 alone", (option, why) => {
    expect(routes([...OWN, option])).toEqual(["10.8.0.0/24"]);
    const said = warnings([...OWN, option]);
    expect(said).toEqual([expect.stringMatching(why)]);
    expect(said[0]).toContain(option);
  });

  test.each([
    ["route-ipv6 2001:db8:5::/48 net_gateway", /not an IPv6 gateway/],
    ["route-ipv6 example.org", /not an IPv6 network/],
    ["route-ipv6 10.1.0.0/16", /not an IPv6 network/],
    ["route-ipv6 2001:db8:5::/48 default -3", /metric/],
    ["route-ipv6 ff00::/8", /routed/],
    ["route-ipv6 fe80::/64", /stay on their link/],
  ] as const)("%s is refused by name and nothing is routed", (option, why) => {
    expect(routes([...OWN6, option])).toEqual(["10.8.0.0/24", "fd00:8::/64"]);
    expect(warnings([...OWN6, option])).toEqual([expect.stringMatching(why)]);
  });

  test("withoutIpv6 leaves what is IPv4's", () => {
    const result = read([...OWN6, "redirect-gateway ipv6"]);
    if (!result.ok) throw new Error(result.problem);
    const { address6, routes } = withoutIpv6(result.tunnel);
    expect([address6, routes.map(({ network }) => `${network}`)]).toEqual([undefined, ["10.8.0.0/24", "0.0.0.0/0"]]);
  });

  test("metrics: the route's own, else route-metric wherever it stands; the lower of two equal networks", () => {
    const result = read([
      ...OWN,
      "route 10.1.0.0 255.255.0.0",
      "route 10.2.0.0 255.255.0.0 default 7",
      "route-metric 20",
    ]);
    expect(result.ok && result.tunnel.routes.map((r) => r.metric)).toEqual([0, 20, 7]);
    const twice = read([
      ...OWN,
      "route 10.1.0.0 255.255.0.0 vpn_gateway 9",
      "route 10.1.0.0 255.255.0.0 vpn_gateway 4",
    ]);
    expect(twice.ok && twice.tunnel.routes.map((r) => r.metric)).toEqual([0, 4]);
  });

  test("the profile's own lines count too; a pushed address replaces the local one, and a bad line names where it stands", () => {
    const origin = { file: "a.ovpn", line: 3 };
    const result = parseTunnelOptions(
      ["topology subnet", "ifconfig 10.8.0.2 255.255.255.0"],
      [
        { words: ["ifconfig", "10.7.0.2", "10.7.0.1"], origin },
        { words: ["route", "10.1.0.0", "255.255.0.0"], origin },
        { words: ["route", "10.2.0.0", "255.255.0.0", "net_gateway"], origin },
      ],
      { lan: [lan] },
    );
    if (!result.ok) throw new Error(result.problem);
    expect(result.tunnel.routes.map((r) => `${r.network}`)).toEqual(["10.8.0.0/24", "10.1.0.0/16"]);
    expect(result.tunnel.notes[0]?.text).toStartWith("a.ovpn:3: route 10.2.0.0");
  });

  test.each([
    ["ifconfig 10.8.0.2 255.0.255.0", "topology subnet"],
    ["ifconfig 10.8.0.2 0.0.0.0", "topology subnet"],
    ["ifconfig 224.0.0.1 255.255.255.0", "topology subnet"],
    ["ifconfig 127.0.0.1 255.0.0.0", "topology subnet"],
    ["ifconfig 10.8.0.2 255.255.255.0", "topology net30"],
    ["ifconfig 10.8.0.2", "topology p2p"],
  ] as const)("%s with %s makes no tunnel", (ifconfig, topology) => {
    expect(read([topology, ifconfig]).ok).toBe(false);
  });

  test("without topology a netmask means subnet (OpenVPN 2.7), a peer net30 (2.6)", () => {
    expect(read(["ifconfig 10.8.0.2 255.255.255.0"])).toMatchObject({
      ok: true,
      tunnel: { address: parseCidr("10.8.0.2/24")! },
    });
    expect(read(["ifconfig 10.8.0.6 10.8.0.5"])).toMatchObject({ ok: true, tunnel: { peer: parseIpv4("10.8.0.5")! } });
  });

  test("what NordVPN pushes (its log in a public issue): nothing to warn of, resolvers kept", () => {
    const pushed =
      "redirect-gateway def1,dhcp-option DNS 103.86.96.100,dhcp-option DNS 103.86.99.100,sndbuf 524288,rcvbuf 524288,explicit-exit-notify,comp-lzo no,route-gateway 10.7.3.1,topology subnet,ping 60,ping-restart 180,ifconfig 10.7.3.3 255.255.255.0,peer-id 0,cipher AES-256-GCM".split(
        ",",
      );
    const result = read(pushed);
    if (!result.ok) throw new Error(result.problem);
    expect(result.tunnel.notes).toEqual([]);
    expect(result.tunnel.dns.servers.map(({ addresses }) => addresses.map(({ address }) => `${address}`))).toEqual([
      ["103.86.96.100", "103.86.99.100"],
    ]);
    expect(routes(pushed)).toEqual(["10.7.3.0/24", "0.0.0.0/0"]);
  });

  test("DNS over HTTPS is not available, which is said once, and not where the profile asks for it", () => {
    const DOH = "pushed dns: DNS over HTTPS is not available; the server is not asked";
    const more = ["dns server 0 address 10.8.0.1", "dns server 0 transport DoH", "dns server 1 transport DoT"];
    const texts = (own: readonly LocalOption[]): string[] => {
      const result = parseTunnelOptions([...OWN, ...more], own, { lan: [] });
      return result.ok ? result.tunnel.notes.map(({ level, text }) => `${level} ${text}`) : [result.problem];
    };
    expect(texts([])).toEqual([`warn ${DOH}`]);
    const origin = { file: "f", line: 1 };
    expect(texts([{ words: ["dns", "server", "3", "transport", "DoH"], origin }])).toEqual([]);
  });

  describe("resolvers", () => {
    const dns = (pushed: readonly string[], own: readonly string[] = []) => {
      const origin = { file: "f", line: 1 };
      const local = own.map((line) => ({ words: line.split(" "), origin }));
      const result = parseTunnelOptions([...OWN, ...pushed], local, { lan: [] });
      if (!result.ok) throw new Error(result.problem);
      const { servers, searchDomains } = result.tunnel.dns;
      const lines = servers.map(({ addresses, domains, transport, serverName }) =>
        [addresses.map(formatEndpoint).join(" "), domains.join(" "), transport, serverName].join("; "),
      );
      return { lines, searchDomains, bad: result.tunnel.notes.filter(({ text }) => text.endsWith("ignored")).length };
    };

    test("of dhcp-option are one server for all names, in order, none twice", () => {
      const pushed = ["dhcp-option DNS 10.8.0.1", "dhcp-option dns 10.8.0.2", "dhcp-option DNS6 fd00::1"];
      expect(dns([...pushed, "dhcp-option DNS 10.8.0.1"]).lines).toEqual([
        "10.8.0.1:53 10.8.0.2:53 [fd00::1]:53; ; plain; ",
      ]);
    });

    test("domains come from dhcp-option and dns search-domains", () => {
      const pushed = [
        "dhcp-option DOMAIN A.example",
        "dhcp-option DOMAIN-SEARCH .b.example",
        "dhcp-option ADAPTER_DOMAIN_SUFFIX c.example.",
      ];
      expect(
        dns([...pushed, "dns search-domains d.example a.example"], ["dns search-domains e.example"]).searchDomains,
      ).toEqual([..."e.example a.example b.example c.example d.example".split(" ")]);
    });

    test("of dns server come by number, the lowest first, each with its domains, transport and name", () => {
      const pushed = [
        "dns server 7 address 10.8.0.7:5353 [fd00::7]:54 fd00::8",
        "dns server -1 address 10.8.0.3",
        "dns server -1 resolve-domains corp.example lab.example",
        "dns server 7 transport DoT",
        "dns server 7 sni dns.example",
        "dns server 7 dnssec yes",
        "dns server 9 resolve-domains nobody.example",
      ];
      expect(dns(pushed)).toEqual({
        lines: [
          "10.8.0.3:53; corp.example lab.example; plain; ",
          "10.8.0.7:5353 [fd00::7]:54 [fd00::8]:853; ; DoT; dns.example",
        ],
        searchDomains: [],
        bad: 0,
      });
    });

    test("a pushed server takes the place of the profile's of that number", () => {
      const own = [
        "dns server 1 address 10.1.0.1",
        "dns server 1 resolve-domains a.example",
        "dns server 2 address 10.1.0.2",
      ];
      const pushed = ["dns server 1 address 10.2.0.1", "dns server 1 address 10.2.0.2"];
      expect(dns(pushed, own).lines).toEqual(["10.2.0.1:53 10.2.0.2:53; ; plain; ", "10.1.0.2:53; ; plain; "]);
    });

    test("dns server replaces dhcp-option DNS, but for what only split domains are asked", () => {
      const old = "dhcp-option DNS 10.8.0.1";
      const split = ["dns server 1 address 10.8.0.2", "dns server 1 resolve-domains corp.example"];
      expect(dns([old, ...split]).lines).toEqual(["10.8.0.2:53; corp.example; plain; ", "10.8.0.1:53; ; plain; "]);
      expect(dns([old, "dns server 1 address 10.8.0.2"]).lines).toEqual(["10.8.0.2:53; ; plain; "]);
    });

    test.each([
      "dns",
      "dns frobnicate",
      "dns server",
      "dns server 128 address 10.8.0.1",
      "dns server x address 10.8.0.1",
      "dns server 1",
      "dns server 1 address",
      "dns server 1 address banana",
      "dns server 1 address 10.8.0.1:0",
      "dns server 1 address 10.8.0.1:65536",
      "dns server 1 address 127.0.0.1",
      "dns server 1 address 224.0.0.1",
      "dns server 1 transport carrier-pigeon",
      "dns server 1 colour blue",
      "dns server 1 resolve-domains a..b",
      "dns search-domains",
      "dns search-domains a_b-.example",
      "dhcp-option DNS ::1",
      "dhcp-option DOMAIN",
    ])("%s is named, and ignored", (line) => {
      expect(dns([line])).toEqual({ lines: [], searchDomains: [], bad: 1 });
    });

    test("what a server can push has bounds: 16 servers of 8 addresses and 64 domains each", () => {
      const many = (n: number, text: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => text(i));
      expect(dns(many(20, (i) => `dns server ${i} address 10.8.0.${i + 1}`)).lines).toHaveLength(16);
      const [line] = dns(many(12, (i) => `dns server 1 address 10.8.0.${i + 1}`)).lines;
      expect(line?.split(" ").filter((word) => word.includes(":53"))).toHaveLength(8);
      expect(dns(many(80, (i) => `dns search-domains d${i}.example`)).searchDomains).toHaveLength(64);
      expect(
        dns(many(12, (i) => `dhcp-option DNS 10.8.0.${i + 1}`))
          .lines[0]?.split(" ")
          .filter((w) => w.includes(":53")),
      ).toHaveLength(8);
    });
  });

  test("an unknown option is told of, its value is not", () => {
    const result = read([...OWN, "frobnicate secret"]);
    expect(result.ok && result.tunnel.notes).toEqual([{ level: "info", text: "pushed frobnicate: unknown; ignored" }]);
  });

  test("any options are read without a throw", () => {
    const words = fc.constantFrom(
      ..."ifconfig route dns dhcp-option topology net30 subnet 10.8.0.2 255.255.255.0 -1 \" ' \\ redirect-gateway def1 DNS".split(
        " ",
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.array(words, { maxLength: 6 }).map((w) => w.join(" "))), (options) => {
        read(options);
        parseSessionOptions(options);
        applyPullFilter(options, [], true);
      }),
    );
  });
});

test("a flag that changes the wire format and was not announced is a problem, never passed over", () => {
  expect(parseSessionOptions(["protocol-flags cc-exit aead-epochs"]).problems).toEqual([
    "protocol-flags aead-epochs: not announced by this client",
  ]);
  expect(parseSessionOptions(["protocol-flags cc-exit aead-epoch"])).toMatchObject({ epoch: true, problems: [] });
});

describe("on a host with networks of its own", () => {
  const tunnelOf = (...options: string[]): Tunnel => {
    const pushed = ["ifconfig 10.8.0.2 255.255.255.0", "route-gateway 10.8.0.1", ...options];
    const result = parseTunnelOptions(pushed, [], { lan: [], isHost: true });
    if (!result.ok) throw new Error(result.problem);
    return result.tunnel;
  };
  const lines = ({ around }: Tunnel): string[] => around.routes.map((r) => `${r.network} by ${r.around} ${r.metric}`);

  test("routes by net_gateway, or by a gateway that is not the tunnel's, go around it", () => {
    const tunnel = tunnelOf(
      "route 10.1.0.0 255.255.0.0 net_gateway 5",
      "route 10.2.0.0 255.255.0.0 192.168.1.1",
      "route 10.3.0.0 255.255.0.0 10.8.0.1",
      "route 10.4.0.0 255.255.0.0 vpn_gateway",
      "route 10.5.0.0 255.255.0.0 10.8.0.77",
    );
    expect(lines(tunnel)).toEqual(["10.1.0.0/16 by undefined 5", "10.2.0.0/16 by 192.168.1.1 0"]);
    expect(tunnel.routes.map(({ network }) => `${network}`).slice(1)).toEqual([
      "10.3.0.0/16",
      "10.4.0.0/16",
      "10.5.0.0/16",
    ]);
    expect(tunnel.notes).toEqual([]);
  });

  test("the flags of redirect-gateway, block-ipv6 and route-table are told, and no note says that they are ignored", () => {
    const tunnel = tunnelOf("redirect-gateway def1 block-local bypass-dns local", "block-ipv6", "route-table 77");
    expect(tunnel.around).toEqual({ routes: [], blockIpv6: true, blockLocal: true, bypassDns: true, table: 77 });
    expect(tunnel.notes.filter(({ text }) => text.includes("ignored"))).toEqual([]);
  });

  test("on a router there is no way around", () => {
    const pushed = ["ifconfig 10.8.0.2 255.255.255.0", "route 10.1.0.0 255.255.0.0 net_gateway"];
    const result = parseTunnelOptions(pushed, [], { lan: [] });
    expect(result).toMatchObject({ ok: true, tunnel: { around: { routes: [] } } });
    expect(JSON.stringify(result)).toContain("net_gateway is outside the tunnel");
  });
});
