import { describe, expect, test } from "bun:test";
import { namedCertificate } from "../../../test/support/named-certificate.ts";
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import type { ClientFile, PushEdit } from "../config/server-types.ts";
import type { Entrance } from "./entrance.ts";
import type { Judgement } from "./entry.ts";
import type { Guest, Identity } from "./guest.ts";
import { ALICE_HASH, entranceOf, file, identityOf, login, NOW, PUSH, setup } from "./testing/entrance-bed.ts";

const HOME = parseIp("192.0.2.1")!;
const ip = (text: string): IpAddress => parseIp(text)!;
const cidrs = (...texts: string[]): Cidr[] => texts.map((text) => parseCidr(text)!);

function identity(entrance: Entrance, name: string): Identity {
  const judged: Judgement = entrance.judge(NOW, login({ certificates: [namedCertificate(name)] }), undefined, HOME);
  if (judged.kind !== "accept") throw new Error("not let in");
  return judged.identity;
}

function guest(entrance: Entrance, name: string): Guest {
  const granted = entrance.grant(NOW, identity(entrance, name));
  if ("refused" in granted) throw new Error(granted.refused);
  return granted;
}

const cause = (entrance: Entrance, name: string): string => {
  const granted = entrance.grant(NOW, identity(entrance, name));
  return "refused" in granted ? granted.refused : "let in";
};

const one = (parts: Partial<ClientFile>, name = "c1") => new Map([file(name, parts)]);

const add = (option: string): PushEdit => ({ kind: "add", option });
const remove = (start: string): PushEdit => ({ kind: "remove", start });
const RESET: PushEdit = { kind: "reset" };

describe("what is pushed", () => {
  const six = { address6: parseCidr("fd00::1/64"), pool6: parseCidr("fd00::1000/64") };

  test("subnet: what everybody gets, then the addresses", () => {
    expect(guest(entranceOf(setup({})), "c1")).toMatchObject({
      name: "c1",
      since: NOW,
      address: ip("10.8.0.2"),
      address6: undefined,
      options: [...PUSH, "ifconfig 10.8.0.2 255.255.255.0"],
      warnings: [],
    });
  });

  test("net30 and p2p: the server's end, its own of four or the one that all have", () => {
    const range = { first: ip("10.8.0.4"), last: ip("10.8.0.251") };
    const last = (topology: "net30" | "p2p") =>
      guest(entranceOf(setup({ network: { topology, pool: range } })), "c1").options.at(-1);
    expect(last("net30")).toBe("ifconfig 10.8.0.6 10.8.0.5");
    expect(last("p2p")).toBe("ifconfig 10.8.0.4 10.8.0.1");
  });

  test("IPv6 with the tunnel's prefix and the server's address, in front of IPv4 (prepare_push_reply)", () => {
    const both = guest(entranceOf(setup({ network: six })), "c1");
    expect(both.options.slice(-2)).toEqual(["ifconfig-ipv6 fd00::1000/64 fd00::1", "ifconfig 10.8.0.2 255.255.255.0"]);
    expect(`${both.networks}`).toBe("10.8.0.2/32,fd00::1000/128");
    const alone = entranceOf(setup({ network: { ...six, address: undefined, pool: undefined } }));
    expect(guest(alone, "c1").options.slice(PUSH.length)).toEqual(["ifconfig-ipv6 fd00::1000/64 fd00::1"]);
  });

  test("a file's addresses in the place of the pool's, as they are written", () => {
    const address = { local: ip("10.8.0.77"), second: ip("255.255.255.0") };
    const address6 = { local: parseCidr("fd00::77/64")!, gateway: ip("fd00::2") };
    const found = guest(entranceOf(setup({ network: six, clients: one({ address, address6 }) })), "c1");
    expect(found.options.slice(-2)).toEqual(["ifconfig-ipv6 fd00::77/64 fd00::2", "ifconfig 10.8.0.77 255.255.255.0"]);
    expect(found.warnings).toEqual([]);
    const without = { ...address6, gateway: undefined };
    const mixed = guest(entranceOf(setup({ network: six, clients: one({ address6: without }) })), "c1");
    expect(mixed.options.slice(-2)).toEqual(["ifconfig-ipv6 fd00::77/64 fd00::1", "ifconfig 10.8.0.2 255.255.255.0"]);
  });

  test("who has an IPv4 address of its own has an IPv6 one that is nobody else's, as OpenVPN's is not", () => {
    const at = (local: string) => ({ address: { local: ip(local), second: ip("255.255.255.0") } });
    const inside = entranceOf(setup({ network: six, clients: one(at("10.8.0.3")) }));
    expect(["c1", "c2", "c3"].map((name) => `${guest(inside, name).networks}`)).toEqual([
      "10.8.0.3/32,fd00::1001/128",
      "10.8.0.2/32,fd00::1000/128",
      "10.8.0.4/32,fd00::1002/128",
    ]);
    const outside = entranceOf(setup({ network: six, clients: one(at("10.9.0.3")) }));
    const c1 = guest(outside, "c1");
    expect(`${c1.networks}`).toBe("10.9.0.3/32,fd00::1000/128");
    expect(`${guest(outside, "c2").networks}`).toBe("10.8.0.3/32,fd00::1001/128");
    outside.release(NOW, c1);
    expect(guest(outside, "c1").address6).toEqual(ip("fd00::1000"));
  });

  test("where no IPv6 address is left for it, or a file gives it to another, it has none, in words", () => {
    const address = { local: ip("10.8.0.3"), second: ip("255.255.255.0") };
    const address6 = { local: parseCidr("fd00::1001/64")!, gateway: undefined };
    const taken = entranceOf(
      setup({ network: six, clients: new Map([file("c1", { address }), file("c2", { address6 })]) }),
    );
    const lack = [expect.stringContaining("ifconfig-ipv6-push gives it one")];
    expect(guest(taken, "c1")).toMatchObject({ address: ip("10.8.0.3"), address6: undefined, warnings: lack });
    expect(guest(taken, "c2")).toMatchObject({ address: ip("10.8.0.2"), address6: ip("fd00::1001") });
    const two = { ...six, pool: { first: ip("10.8.0.4"), last: ip("10.8.0.5") } };
    const full = entranceOf(setup({ network: two, clients: one({ address }) }));
    for (const name of ["c2", "c3"]) guest(full, name);
    expect(guest(full, "c1")).toMatchObject({ address: ip("10.8.0.3"), address6: undefined, warnings: lack });
  });

  test("what the file adds stands behind what everybody gets", () => {
    const found = guest(entranceOf(setup({ clients: one({ push: [add("route 10.99.0.0 255.255.0.0")] }) })), "c1");
    expect(found.options).toEqual([...PUSH, "route 10.99.0.0 255.255.0.0", "ifconfig 10.8.0.2 255.255.255.0"]);
  });

  test("push-remove takes away what begins so; ifconfig and ifconfig-ipv6 are whole words", () => {
    const removed = (...starts: string[]) =>
      guest(entranceOf(setup({ network: six, clients: one({ push: [...starts.map(remove), add("ping 3")] }) })), "c1")
        .options;
    expect(removed("ping", "route")).toEqual([
      "topology subnet",
      "ping 3",
      "ifconfig-ipv6 fd00::1000/64 fd00::1",
      "ifconfig 10.8.0.2 255.255.255.0",
    ]);
    expect(removed("ping ")).toContain("ping-restart 60");
    expect(removed("ifconfig").at(-1)).toBe("ifconfig-ipv6 fd00::1000/64 fd00::1");
    expect(removed("ifconfig-ipv6").slice(-2)).toEqual(["ping 3", "ifconfig 10.8.0.2 255.255.255.0"]);
  });

  test("push-reset leaves what a client cannot do without", () => {
    const push = [...PUSH, "dhcp-option DNS 10.8.0.1", "redirect-gateway def1", "tun-ipv6"];
    const found = guest(entranceOf(setup({ push, clients: one({ push: [RESET, add("route 10.9.0.0")] }) })), "c1");
    expect(found.options).toEqual([...PUSH, "tun-ipv6", "route 10.9.0.0", "ifconfig 10.8.0.2 255.255.255.0"]);
  });

  test("push-reset takes away what the file has pushed by then, and nothing of what comes behind; what was removed stays so", () => {
    const edits = [
      add("route 10.91.0.0"),
      add("ping 5"),
      remove("ping-restart"),
      RESET,
      add("route 10.92.0.0"),
      remove("ifconfig"),
    ];
    const found = guest(entranceOf(setup({ push: [...PUSH, "route 10.90.0.0"], clients: one({ push: edits }) })), "c1");
    expect(found.options).toEqual(["route-gateway 10.8.0.1", "topology subnet", "ping 10", "route 10.92.0.0"]);
  });

  test("no route to what is behind the client itself (remove_iroutes_from_push_route_list)", () => {
    const networks = cidrs("192.168.77.0/24", "10.1.2.3/32", "fd77::/64");
    const push = [
      "route 192.168.77.0 255.255.255.0",
      "route 192.168.77.0 255.255.255.0 vpn_gateway",
      "route 192.168.76.0 255.255.255.0",
      "route 10.1.2.3",
      "route-ipv6 fd77::/64",
      "route-ipv6 fd78::/64",
    ];
    expect(guest(entranceOf(setup({ push, clients: one({ networks }) })), "c1").options.slice(0, -1)).toEqual([
      "route 192.168.77.0 255.255.255.0 vpn_gateway",
      "route 192.168.76.0 255.255.255.0",
      "route-ipv6 fd78::/64",
    ]);
  });

  test("what cannot be pushed is left out, in words", () => {
    const found = guest(entranceOf(setup({ push: ["dhcp-option DOMAIN a,b", "ping 10\nx"] })), "c1");
    expect(found.options).toEqual(["ifconfig 10.8.0.2 255.255.255.0"]);
    expect(found.warnings).toEqual([expect.stringContaining("a,b"), expect.stringContaining("ping 10?x")]);
  });
});

/**
 * Seen of the real openvpn 2.6.14 (`server 10.8.0.0 255.255.255.0`, `server-ipv6 fd00:8::/64` where there is IPv6, keepalive 10 60), without
 * what the data channel needs: its push reply for a file of client-config-dir.
 */
const ALL = ["route 10.66.0.0 255.255.0.0", "dhcp-option DNS 10.8.0.1", "route 192.168.77.0 255.255.255.0"];
const SEEN: readonly { what: string; has6: boolean; file: Partial<ClientFile>; reply: readonly string[] }[] = [
  { what: "nothing", has6: false, file: {}, reply: [...ALL, ...PUSH, "ifconfig 10.8.0.2 255.255.255.0"] },
  {
    what: "nothing, with IPv6",
    has6: true,
    file: {},
    reply: [...ALL, "tun-ipv6", ...PUSH, "ifconfig-ipv6 fd00:8::1000/64 fd00:8::1", "ifconfig 10.8.0.2 255.255.255.0"],
  },
  {
    what: "ifconfig-ipv6-push fd00:8::77/64",
    has6: true,
    file: { address6: { local: parseCidr("fd00:8::77/64")!, gateway: undefined } },
    reply: [...ALL, "tun-ipv6", ...PUSH, "ifconfig-ipv6 fd00:8::77/64 fd00:8::1", "ifconfig 10.8.0.2 255.255.255.0"],
  },
  {
    what: "push and iroute",
    has6: false,
    file: { push: [add("route 10.99.0.0 255.255.0.0")], networks: cidrs("192.168.77.0/24") },
    reply: [...[...ALL.slice(0, 2), ...PUSH], ...["route 10.99.0.0 255.255.0.0", "ifconfig 10.8.0.2 255.255.255.0"]],
  },
  {
    what: 'push-remove route, push "ping 3"',
    has6: false,
    file: { push: [remove("route"), add("ping 3")] },
    reply: [
      ...["dhcp-option DNS 10.8.0.1", "topology subnet", "ping 10", "ping-restart 60", "ping 3"],
      "ifconfig 10.8.0.2 255.255.255.0",
    ],
  },
  {
    what: "push and push-remove by turns: what comes behind a push-remove stays",
    has6: false,
    file: {
      push: [
        ...[add("route 10.91.0.0 255.255.0.0"), remove("route 10.9"), add("route 10.92.0.0 255.255.0.0")],
        ...[add("ping 5"), remove("ping 5"), add("ping 7")],
      ],
    },
    reply: [...ALL, ...PUSH, ...["route 10.92.0.0 255.255.0.0", "ping 7", "ifconfig 10.8.0.2 255.255.255.0"]],
  },
  {
    what: "push-remove ifconfig",
    has6: true,
    file: { push: [remove("ifconfig")] },
    reply: [...ALL, "tun-ipv6", ...PUSH, "ifconfig-ipv6 fd00:8::1000/64 fd00:8::1"],
  },
  {
    what: "ifconfig-push 10.9.0.77 255.255.255.0",
    has6: false,
    file: { address: { local: ip("10.9.0.77"), second: ip("255.255.255.0") } },
    reply: [...ALL, ...PUSH, "ifconfig 10.9.0.77 255.255.255.0"],
  },
];

test.each(SEEN)("as openvpn 2.6.14 pushes it: $what", ({ has6, file: parts, reply }) => {
  const network = has6 ? { address6: parseCidr("fd00:8::1/64"), pool6: parseCidr("fd00:8::1000/64") } : {};
  const push = [...ALL, ...(has6 ? ["tun-ipv6"] : []), ...PUSH];
  expect(guest(entranceOf(setup({ network, push, clients: one(parts) })), "c1").options).toEqual([...reply]);
});

describe("addresses", () => {
  const two = { first: ip("10.8.0.2"), last: ip("10.8.0.3") };

  test("a used-up pool is a refusal, and what was given back is given again", () => {
    const entrance = entranceOf(setup({ network: { pool: two } }));
    const c1 = guest(entrance, "c1");
    guest(entrance, "c2");
    expect(entrance.grant(NOW, identity(entrance, "c3"))).toEqual({
      refused: expect.stringContaining("the pool of 2 addresses is used up"),
      reason: "The server has no address for this client",
      temporary: { backoff: 30, advance: undefined },
    });
    entrance.release(NOW, c1);
    entrance.release(NOW, c1);
    expect(guest(entrance, "c3").address).toEqual(ip("10.8.0.2"));
    expect(cause(entrance, "c1")).toContain("used up");
  });

  test("a name has what it had; with duplicate-cn it is in twice", () => {
    const entrance = entranceOf(setup({}));
    const [c1, c2] = [guest(entrance, "c1"), guest(entrance, "c2")];
    entrance.release(NOW + 1, c1);
    entrance.release(NOW + 2, c2);
    expect(guest(entrance, "c2").address).toEqual(c2.address);
    const twice = entranceOf(setup({ entry: { duplicateNames: true } }));
    expect([guest(twice, "c1"), guest(twice, "c1")].map(({ address }) => `${address}`)).toEqual([
      "10.8.0.2",
      "10.8.0.3",
    ]);
  });

  test("a file's address is nobody else's, neither of the pool nor of another file", () => {
    const address = { local: ip("10.8.0.2"), second: ip("255.255.255.0") };
    const clients = new Map([file("c1", { address }), file("c2", { address })]);
    const entrance = entranceOf(setup({ clients, network: { pool: two } }));
    expect(guest(entrance, "c3").address).toEqual(ip("10.8.0.3"));
    const c1 = guest(entrance, "c1");
    expect(cause(entrance, "c2")).toBe(
      'ccd/c2: ifconfig-push: 10.8.0.2 is in use by "c1": give each of the two an address of its own',
    );
    entrance.release(NOW, c1);
    expect(cause(entrance, "c2")).toBe("let in");
  });

  test("a file may give away neither the server's address nor one of the LAN; one outside of the tunnel is a warning", () => {
    const at = (local: string) => one({ address: { local: ip(local), second: ip("255.255.255.0") } });
    const lan = cidrs("192.168.50.1/24");
    const entrance = (local: string) => entranceOf(setup({ clients: at(local), lan }));
    expect(cause(entrance("10.8.0.1"), "c1")).toContain("is the server's own address");
    expect(cause(entrance("192.168.50.7"), "c1")).toContain("lies within the LAN");
    expect(guest(entrance("10.9.0.7"), "c1").warnings).toEqual([
      expect.stringContaining("10.9.0.7 is not of the tunnel's network 10.8.0.0/24"),
    ]);
  });

  test("without a pool who has no file is refused, in words", () => {
    const clients = one({ address: { local: ip("10.8.0.7"), second: ip("255.255.255.0") } });
    const entrance = entranceOf(setup({ clients, network: { pool: undefined } }));
    expect(cause(entrance, "c1")).toBe("let in");
    expect(cause(entrance, "c2")).toContain("needs ifconfig-push");
  });

  test("leases go to the next server, and those of a file that is only read are kept for their names", () => {
    const entrance = entranceOf(setup({}));
    entrance.release(NOW, guest(entrance, "c1"));
    guest(entrance, "c2");
    const again = entranceOf(setup({}));
    expect(again.restore(NOW, entrance.leases())).toEqual([]);
    expect(["c3", "c2", "c1"].map((name) => `${guest(again, name).address}`)).toEqual([
      "10.8.0.4",
      "10.8.0.3",
      "10.8.0.2",
    ]);
    const fixed = entranceOf(setup({ network: { pool: two } }));
    fixed.restore(
      NOW,
      entrance.leases().map((lease) => ({ ...lease, isFixed: true })),
    );
    // Also behind a reload.
    fixed.reload(NOW, setup({ network: { pool: two } }));
    expect(cause(fixed, "c3")).toContain("used up");
    expect(cause(fixed, "c2")).toBe("let in");
  });
});

describe("networks behind a client", () => {
  const lan = cidrs("192.168.50.1/24");
  const behind = (entrance: Entrance, name: string) => {
    const { networks, warnings } = guest(entrance, name);
    return { networks: networks.slice(1).join(), warnings };
  };

  test("are its own, by their networks, each once", () => {
    const networks = cidrs("192.168.77.5/24", "192.168.77.0/24", "fd77::/64", "0.0.0.0/0");
    const found = behind(entranceOf(setup({ lan, clients: one({ networks }) })), "c1");
    expect(found).toEqual({ networks: "192.168.77.0/24,fd77::/64,0.0.0.0/0", warnings: [] });
  });

  test("what lies within the LAN or the tunnel is left out; what contains them is good", () => {
    const networks = cidrs(
      "192.168.50.0/24",
      "192.168.50.128/25",
      "10.8.0.0/24",
      "10.8.0.9/32",
      "10.0.0.0/8",
      "192.168.0.0/16",
    );
    const found = behind(entranceOf(setup({ lan, clients: one({ networks }) })), "c1");
    expect(found.networks).toBe("10.0.0.0/8,192.168.0.0/16");
    expect(found.warnings.map((text) => text.slice(0, 50))).toEqual([
      "ccd/c1: iroute: 192.168.50.0/24 lies within the LA",
      "ccd/c1: iroute: 192.168.50.128/25 lies within the ",
      "ccd/c1: iroute: 10.8.0.0/24 lies within the tunnel",
      "ccd/c1: iroute: 10.8.0.9/32 lies within the tunnel",
    ]);
  });

  test("of two clients the first one keeps a network until it leaves", () => {
    const networks = cidrs("192.168.77.0/24");
    const clients = new Map([file("c1", { networks }), file("c2", { networks })]);
    const entrance = entranceOf(setup({ clients }));
    const c1 = guest(entrance, "c1");
    const second = guest(entrance, "c2");
    expect([second.networks.length, second.warnings]).toEqual([1, [expect.stringContaining('is behind "c1" already')]]);
    entrance.release(NOW, second);
    entrance.release(NOW, c1);
    expect(behind(entrance, "c2")).toEqual({ networks: "192.168.77.0/24", warnings: [] });
  });

  test("not more than max-routes-per-client, its addresses among them", () => {
    const networks = cidrs("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16");
    const found = behind(entranceOf(setup({ clients: one({ networks }), maxRoutesPerClient: 3 })), "c1");
    expect(found).toEqual({
      networks: "10.1.0.0/16,10.2.0.0/16",
      warnings: [expect.stringContaining("max-routes-per-client (3)")],
    });
  });
});

describe("tokens", () => {
  const token = { lifetime: 3600, renewal: 120, secret: undefined };
  const users = new Map([
    ["alice", ALICE_HASH],
    ["bob", ALICE_HASH],
  ]);
  const ALICE = login({ user: "alice", password: "wonderland" });
  const of = (rules: typeof token | undefined) =>
    entranceOf(setup({ users, entry: { clientCert: "none", token: rules } }));

  function enter(entrance: Entrance): Guest {
    const accepted = entrance.verified(NOW, identityOf(entrance, ALICE, HOME), true);
    if (accepted.kind !== "accept") throw new Error(accepted.cause);
    return entrance.grant(NOW, accepted.identity) as Guest;
  }

  test("are given at the beginning, and anew when renewal is due", () => {
    const entrance = of(token);
    const alice = enter(entrance);
    const first = entrance.token(NOW, alice);
    expect(first).toStartWith("SESS_ID_AT_");
    expect(entrance.token(NOW + 119, alice)).toBeUndefined();
    expect([0, 119, 120, 500].map((s) => entrance.untilToken(NOW + s, alice))).toEqual([120, 1, 0, 0]);
    const second = entrance.token(NOW + 120, alice);
    expect(second).not.toBe(first);
    expect(second?.slice(0, 27)).toBe(first?.slice(0, 27));
    expect(entrance.token(NOW + 239, alice)).toBeUndefined();
    // A clock that was set back must not leave it without.
    expect(entrance.token(NOW - 1000, alice)).toBeDefined();
    entrance.release(NOW, alice);
    expect(entrance.token(NOW + 1000, alice)).toBeUndefined();
  });

  test("are not given where there are none, to nobody without a login, and not past their lifetime", () => {
    const without = of(undefined);
    expect(without.token(NOW, enter(without))).toBeUndefined();
    const byCertificate = entranceOf(setup({ entry: { token } }));
    expect(byCertificate.token(NOW, guest(byCertificate, "c1"))).toBeUndefined();
    expect(without.untilToken(NOW, enter(without))).toBe(Number.POSITIVE_INFINITY);
    const once = of({ ...token, renewal: 0 });
    const kept = enter(once);
    expect([once.token(NOW, kept), once.untilToken(NOW + 1e6, kept)]).toEqual([
      expect.any(String),
      Number.POSITIVE_INFINITY,
    ]);
    const entrance = of(token);
    const alice = enter(entrance);
    expect(entrance.token(NOW + 3600, alice)).toBeDefined();
    expect(entrance.token(NOW + 7200, alice)).toBeUndefined();
  });

  test("take the place of the password, here and after a restart with the same key", () => {
    const entrance = of(token);
    const alice = enter(entrance);
    const password = entrance.token(NOW, alice)!;
    const shown = { ...ALICE, password };
    expect(entrance.judge(NOW + 100, shown, alice, HOME)).toMatchObject({
      kind: "accept",
      identity: { token: alice.token },
    });
    expect(of(token).judge(NOW + 100, shown, undefined, HOME)).toMatchObject({
      kind: "accept",
      identity: { name: "alice" },
    });
    const secret = new Uint8Array(256).fill(9);
    expect(of({ ...token, secret: secret as never }).judge(NOW, shown, undefined, HOME)).toMatchObject({
      kind: "refuse",
      reason: "SESSION: token not valid",
    });
  });

  test("are no one else's, and of no other session", () => {
    const entrance = of(token);
    const [alice, other] = [enter(entrance), enter(entrance)];
    const password = entrance.token(NOW, alice)!;
    const refused = { kind: "refuse", reason: "SESSION: token not valid" };
    expect(entrance.judge(NOW, login({ user: "bob", password }), undefined, HOME)).toMatchObject(refused);
    expect(entrance.judge(NOW, { ...ALICE, password }, other, HOME)).toMatchObject(refused);
    expect(of(undefined).judge(NOW, { ...ALICE, password }, undefined, HOME)).toMatchObject(refused);
  });

  test("end: the client is told so in OpenVPN's words, and logs in with its password", () => {
    const entrance = of(token);
    const password = entrance.token(NOW, enter(entrance))!;
    expect(entrance.judge(NOW + 240, { ...ALICE, password }, undefined, HOME)).toMatchObject({
      kind: "refuse",
      reason: "SESSION: token expired",
    });
  });

  test("end with the user (OpenVPN lets it in until they are over)", () => {
    const entrance = of(token);
    const password = entrance.token(NOW, enter(entrance))!;
    entrance.reload(NOW, setup({ users: new Map([["bob", ALICE_HASH]]), entry: { clientCert: "none", token } }));
    expect(entrance.judge(NOW, { ...ALICE, password }, undefined, HOME)).toMatchObject({
      ...{ kind: "refuse", reason: "SESSION: token not valid" },
      cause: expect.stringContaining("there is no user"),
    });
  });

  test("end with the password that they were given for, and so does the session (OpenVPN lets it in until they are over)", () => {
    const entrance = of(token);
    const guest = enter(entrance);
    const password = entrance.token(NOW, guest)!;
    const to = (hash: string) => setup({ users: new Map([["alice", hash]]), entry: { clientCert: "none", token } });
    expect(entrance.reload(NOW, to(ALICE_HASH)).gone).toEqual([]);
    expect(entrance.reload(NOW, to(`${ALICE_HASH}2`)).gone).toEqual([
      { guest, cause: 'the password of user "alice" is another one now' },
    ]);
    expect(entrance.judge(NOW, { ...ALICE, password }, undefined, HOME)).toMatchObject({
      ...{ kind: "refuse", reason: "SESSION: token not valid" },
      cause: expect.stringContaining("for another password"),
    });
  });

  test("of the empty user are nobody's", () => {
    const entrance = of(token);
    const nobody = { ...enter(entrance), user: "", hash: "" };
    const kept = entrance.grant(NOW, nobody) as Guest;
    const password = entrance.token(NOW, kept)!;
    expect(entrance.judge(NOW, { ...ALICE, password }, undefined, HOME)).toMatchObject({ kind: "refuse" });
  });

  test("a wrong one is not counted as a wrong password: a client that was away shows an old one each time", () => {
    const entrance = of(token);
    const shown = { ...ALICE, password: `SESS_ID_AT_${"A".repeat(80)}` };
    for (let i = 0; i < 100; i++) entrance.judge(NOW, shown, undefined, HOME);
    expect(entrance.judge(NOW, ALICE, undefined, HOME)).toMatchObject({ kind: "password" });
  });
});

describe("a reload", () => {
  test("that changes nothing changes nobody", () => {
    const of = setup({ clients: one({ networks: cidrs("10.1.0.0/16") }) });
    const entrance = entranceOf(of);
    const [c1] = [guest(entrance, "c1"), guest(entrance, "c2")];
    expect(entrance.reload(NOW, of)).toEqual({ gone: [], changed: [], problems: [] });
    expect(guest(entrance, "c3").address).toEqual(ip("10.8.0.4"));
    entrance.release(NOW, c1!);
    expect(guest(entrance, "c1").address).toEqual(ip("10.8.0.2"));
  });

  test("gives other options and networks to those who stay", () => {
    const entrance = entranceOf(setup({}));
    const [c1, c2] = [guest(entrance, "c1"), guest(entrance, "c2")];
    const clients = one({ networks: cidrs("10.1.0.0/16"), push: [add("route 10.2.0.0 255.255.0.0")] });
    const { gone, changed } = entrance.reload(NOW, setup({ clients }));
    expect(gone).toEqual([]);
    expect(changed).toEqual([
      {
        guest: c1,
        now: {
          ...c1,
          networks: cidrs("10.8.0.2/32", "10.1.0.0/16"),
          options: [...PUSH, "route 10.2.0.0 255.255.0.0", "ifconfig 10.8.0.2 255.255.255.0"],
        },
      },
    ]);
    // The new one is the guest from now on.
    entrance.release(NOW, c1);
    expect(cause(entranceOf(setup({ clients })), "c1")).toBe("let in");
    entrance.release(NOW, changed[0]!.now);
    entrance.release(NOW, c2);
    expect(entrance.leases().map(({ releasedAt }) => releasedAt)).toEqual([NOW, NOW]);
  });

  test("ends who is disabled, is no user any more, or has no address any more", () => {
    const users = new Map([["alice", ALICE_HASH]]);
    const entrance = entranceOf(setup({ users, entry: { passwordOptional: true } }));
    const [c1, c2, c3] = ["c1", "c2", "c3"].map((name) => guest(entrance, name)) as [Guest, Guest, Guest];
    const asked = identityOf(
      entrance,
      login({ certificates: [namedCertificate("c4")], user: "alice", password: "x" }),
      HOME,
    );
    const alice = entrance.grant(NOW, asked.identity) as Guest;
    const clients = new Map([
      file("c2", { isDisabled: true }),
      file("c9", { address: { local: c3.address!, second: ip("255.255.255.0") } }),
    ]);
    const { gone } = entrance.reload(
      NOW,
      setup({ users: new Map([["bob", ALICE_HASH]]), clients, entry: { passwordOptional: true } }),
    );
    expect(gone.map(({ guest, cause }) => [guest, cause])).toEqual([
      [c2, 'ccd/c2: disable keeps "c2" out'],
      [c3, '"c3" has another address now'],
      [alice, 'there is no user "alice" in the file of users any more'],
    ]);
    for (const { guest } of gone) entrance.release(NOW, guest);
    // c1 stays; the address of c3 is c9's.
    expect(`${guest(entrance, "c9").address}`).toBe(`${c3.address}`);
    expect([c1.address, guest(entrance, "c5").address].map(String)).toEqual(["10.8.0.2", "10.8.0.6"]);
  });

  test("ends who came in without what is asked for now", () => {
    const users = new Map([["alice", ALICE_HASH]]);
    const [entrance, optional] = [entranceOf(setup({})), entranceOf(setup({}))];
    const c1 = guest(entrance, "c1");
    guest(optional, "c1");
    expect(entrance.reload(NOW, setup({ users })).gone).toEqual([
      { guest: c1, cause: "it came in without user and password, which are asked for now" },
    ]);
    expect(optional.reload(NOW, setup({ users, entry: { passwordOptional: true } })).gone).toEqual([]);

    const of = (clientCert: "none" | "require") => setup({ users, entry: { clientCert } });
    const byLogin = entranceOf(of("none"));
    const asked = identityOf(byLogin, login({ user: "alice", password: "x" }), HOME);
    const alice = byLogin.grant(NOW, { ...asked.identity, hash: ALICE_HASH }) as Guest;
    expect(byLogin.reload(NOW, of("none")).gone).toEqual([]);
    expect(byLogin.reload(NOW, of("require")).gone).toEqual([
      { guest: alice, cause: "it came in without a certificate, and verify-client-cert asks for one now" },
    ]);
  });

  test("to another network ends everybody, and says which leases are lost", () => {
    const entrance = entranceOf(setup({}));
    guest(entrance, "c1");
    const network = { address: parseCidr("10.9.0.1/24"), pool: { first: ip("10.9.0.2"), last: ip("10.9.0.9") } };
    const { gone, problems } = entrance.reload(NOW, setup({ network }));
    expect([gone.length, problems]).toEqual([1, [expect.stringContaining('10.8.0.2 of "c1" is not of the pool')]]);
    expect(guest(entrance, "c1").address).toEqual(ip("10.9.0.2"));
  });

  test("a client whose file now gives it an address comes anew", () => {
    const entrance = entranceOf(setup({}));
    const c1 = guest(entrance, "c1");
    const clients = one({ address: { local: ip("10.8.0.77"), second: ip("255.255.255.0") } });
    expect(entrance.reload(NOW, setup({ clients })).gone).toMatchObject([{ guest: c1 }]);
    expect(guest(entrance, "c1").address).toEqual(ip("10.8.0.77"));
    // And back.
    expect(entrance.reload(NOW, setup({})).gone.length).toBe(1);
    expect(guest(entrance, "c1").address).toEqual(ip("10.8.0.2"));
  });
});
