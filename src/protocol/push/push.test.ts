import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatIpv4, parseIpv4 } from "../../lib/address.ts";
import { applyPullFilter, parseSessionOptions, parseTunnelOptions } from "../push.ts";

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
      ignored: [PUSHED[1]!, "route 10.2.0.0 255.255.0.0"],
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
      "tun-mtu 1400",
      "auth-token abc",
    ]);
    expect(options).toMatchObject({
      peerId: 7,
      cipher: "AES-128-GCM",
      keyDerivation: "ekm",
      ccExit: true,
      ping: 10,
      pingRestart: 60,
      tunMtu: 1400,
      authToken: "abc",
    });
  });

  test("an old server pushes none of it: DATA_V1, its own cipher, the PRF", () => {
    expect(parseSessionOptions([])).toMatchObject({
      peerId: undefined,
      cipher: undefined,
      keyDerivation: "prf",
      ccExit: false,
      problems: [],
    });
  });

  test("a cipher that was not offered is a problem", () => {
    expect(parseSessionOptions(["cipher CHACHA20-POLY1305"], ["AES-256-GCM"]).problems).toHaveLength(1);
    expect(parseSessionOptions(["cipher AES-256-CBC"]).problems).toHaveLength(1);
  });

  test.each([
    ["comp-lzo no", "stub"],
    ["compress", "stub-swap"],
    ["compress stub-v2", "none"],
    ["compress migrate", "none"],
    ["compress lz4-v2", "lz4-v2"],
    ["comp-lzo", "lzo"],
  ] as const)("%s", (option, framing) => {
    expect(parseSessionOptions([option]).compression.framing).toBe(framing);
  });
});

describe("options of the tunnel", () => {
  const lan = { network: parseIpv4("192.168.1.0")!, prefix: 24 };
  const read = (options: readonly string[]) => parseTunnelOptions(options, [], { lan });
  const routes = (options: readonly string[]): string[] => {
    const result = read(options);
    if (!result.ok) throw new Error(result.problem);
    return result.tunnel.routes.map((r) => `${formatIpv4(r.network)}/${r.prefix}`);
  };

  test("topology subnet: the subnet itself and the routes", () => {
    const options = ["topology subnet", "route-gateway 10.8.0.1", "ifconfig 10.8.0.2 255.255.255.0"];
    expect(routes([...options, "route 10.1.0.0 255.255.0.0"])).toEqual(["10.8.0.0/24", "10.1.0.0/16"]);
    expect(read(options)).toMatchObject({
      ok: true,
      tunnel: { topology: "subnet", prefix: 24, gateway: parseIpv4("10.8.0.1")! },
    });
  });

  test("topology net30: a peer", () => {
    const result = read(["topology net30", "ifconfig 10.8.0.6 10.8.0.5"]);
    expect(result).toMatchObject({ ok: true, tunnel: { topology: "net30", prefix: 32, peer: parseIpv4("10.8.0.5")! } });
  });

  test("without ifconfig there is no tunnel", () => {
    expect(read(["topology subnet"]).ok).toBe(false);
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
