import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ConfigReader, type LoadResult, loadProfile } from "./profile.ts";

const CONFIGS = join(import.meta.dir, "../../test/configs/server");
const material = (name: string): string => readFileSync(join(CONFIGS, name), "utf8");
const KEYS = Object.fromEntries(["ca.crt", "server.crt", "server.key"].map((name) => [name, material(name)]));
const BASE =
  "server 10.8.0.0 255.255.255.0\ntopology subnet\ndev tun\nca ca.crt\ncert server.crt\nkey server.key\ndh none\n";
const HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g";
const USERS = { "appliance.toml": '[server]\nusers = "users.txt"\n', "users.txt": `# staff\nann:${HASH}\n` };

const load = (lines: string, files: Record<string, string> = {}): LoadResult => {
  const all: Record<string, string> = { "server.conf": BASE + lines, ...KEYS, ...files };
  const reader: ConfigReader = {
    list(folder = "") {
      const inside = Object.keys(all).filter((name) => folder === "" || name.startsWith(`${folder}/`));
      return inside
        .map((name) => (folder === "" ? name : name.slice(folder.length + 1)))
        .filter((n) => !n.includes("/"));
    },
    read: (name) => (Object.hasOwn(all, name) ? new TextEncoder().encode(all[name]) : undefined),
  };
  return loadProfile(reader, { unixSeconds: 1_800_000_000 });
};
const text = (
  list: readonly { origin: { file: string; line: number }; directive: string; problem: string }[],
): string[] => list.map(({ origin, directive, problem }) => `${origin.file}:${origin.line}: ${directive}: ${problem}`);
const problems = (result: LoadResult): string[] => (result.ok ? [] : text(result.problems));
const warnings = (result: LoadResult): string[] => text(result.warnings);

function good(lines: string, files?: Record<string, string>): LoadResult & { ok: true } {
  const result = load(lines, files);
  expect(problems(result)).toEqual([]);
  return result as LoadResult & { ok: true };
}

test("a server's profile is loaded with its users, its clients' files and the addresses that they had", () => {
  const loaded = good("client-config-dir ccd\nifconfig-pool-persist ipp.txt\n", {
    ...USERS,
    "ccd/c1": "ifconfig-push 10.8.0.77 255.255.255.0\n",
    "ccd/DEFAULT": "disable\n",
    "ccd/.gitkeep": "x",
    "ipp.txt": "c2,10.8.0.9,\n",
  });
  expect(loaded.config.role).toBe("server");
  expect([...loaded.clients.keys()]).toEqual(["DEFAULT", "c1"]);
  expect(`${loaded.clients.get("c1")?.address?.local}`).toBe("10.8.0.77");
  expect(loaded.clients.get("c1")?.file).toBe("ccd/c1");
  expect(loaded.users).toEqual(new Map([["ann", HASH]]));
  expect(loaded.leases.map(({ name, address }) => `${name} ${address}`)).toEqual(["c2 10.8.0.9"]);
  expect([warnings(loaded), loaded.notices]).toEqual([[], []]);
  const [fixed] = good("ifconfig-pool-persist /etc/ipp.txt 0\n", { "ipp.txt": "c2,10.8.0.9,\n" }).leases;
  expect(fixed).toMatchObject({ name: "c2", isFixed: true });
  expect(warnings(good("ifconfig-pool-persist ipp.txt\n", { "ipp.txt": "c2\n" }))).toEqual([
    expect.stringMatching(/^ipp\.txt:1: ifconfig-pool-persist: ignored: /),
  ]);
});

test("the LAN of a server has DHCP and DNS only where appliance.toml says so; a client's has them unless it says otherwise", () => {
  const { lan } = good("").settings;
  expect([lan.dhcp, lan.dns]).toEqual([undefined, undefined]);
  const asked = good("", { "appliance.toml": "[lan]\ndhcp = true\ndns = true\n" }).settings.lan;
  expect([asked.dhcp !== undefined, asked.dns !== undefined]).toEqual([true, true]);
  // Also where something is wrong with the profile, so that no lease is given that nobody meant.
  const broken = load("topology star\n");
  expect([broken.ok, broken.settings.lan.dhcp]).toEqual([false, undefined]);
});

test("a file of users is not said to be unused where problems keep it from being read", () => {
  const result = load("kepalive 10 60\n", { ...USERS, "other.txt": "" });
  expect(problems(result)).toEqual([expect.stringContaining("kepalive: unknown directive")]);
  expect(result.notices).toEqual([expect.stringMatching(/^not used: "other\.txt"; /)]);
});

test("keys of the other role are problems at their lines", () => {
  const toml = '[vpn]\nnat = true\n[[vpn.forward]]\nproto = "tcp"\nport = 80\nto = "192.168.50.20:80"\n';
  expect(problems(load("", { "appliance.toml": toml })).map((p) => p.split("; ")[0])).toEqual([
    "appliance.toml:2: vpn.nat: belongs to a client's profile",
    "appliance.toml:3: vpn.forward: belongs to a client's profile",
  ]);
});

describe("a folder of clients' files", () => {
  const files = { "etc/ccd/c1": "disable\n" };

  test("of an absolute path the longest tail beside the profile is taken, with a warning", () => {
    const loaded = good("client-config-dir /var/etc/ccd\n", files);
    expect([...loaded.clients.keys()]).toEqual(["c1"]);
    expect(loaded.clients.get("c1")?.file).toBe("etc/ccd/c1");
    expect(warnings(loaded)).toEqual([
      'server.conf:8: client-config-dir: "etc/ccd" beside the profile is taken for "/var/etc/ccd"',
    ]);
  });

  test("that is not there says nothing of anybody, which is told; with ccd-exclusive, that it then lets nobody in", () => {
    const loaded = good("client-config-dir /etc/openvpn/ccd\n");
    expect([loaded.clients.size, warnings(loaded)]).toEqual([
      0,
      [
        expect.stringMatching(
          /^server\.conf:8: client-config-dir: there is no folder "\/etc\/openvpn\/ccd", or it is /,
        ),
      ],
    ]);
    expect(warnings(good("client-config-dir ccd\nccd-exclusive\n"))).toEqual([
      expect.stringMatching(/^server\.conf:8: client-config-dir: .*nobody is let in/),
    ]);
  });

  test("addresses that cannot be right are told", () => {
    const loaded = good("client-config-dir ccd\n", { "ccd/c1": "ifconfig-push 10.8.0.6 10.8.0.5\n" });
    expect(warnings(loaded)).toEqual([expect.stringMatching(/^ccd\/c1:1: ifconfig-push: .*topology subnet/)]);
  });

  test("outside of the configuration is not read", () => {
    expect(good("client-config-dir ../ccd\n", { "../ccd/c1": "disable\n" }).clients.size).toBe(0);
  });

  test("a problem in one of them is told with its file and line, and keeps the server from serving", () => {
    const result = load("client-config-dir ccd\n", { "ccd/c1": "disable\niroute x\n", "ccd/c2": "client\n" });
    expect(problems(result).map((p) => p.split(": ").slice(0, 2).join(" "))).toEqual([
      "ccd/c1:2 iroute",
      "ccd/c2:1 client",
    ]);
  });
});

describe("users", () => {
  test("a file that is not there is a problem where appliance.toml names it", () => {
    const { "appliance.toml": toml } = USERS;
    expect(problems(load("", { "appliance.toml": toml }))).toEqual([
      expect.stringMatching(/^appliance\.toml:2: server\.users: the file "users\.txt" is not there; .*morgana passwd/),
    ]);
  });

  test("a bad line is a problem of that file, which never repeats what may be a password", () => {
    const found = problems(load("", { ...USERS, "users.txt": "ann:hunter2\n" }));
    expect(found).toEqual([expect.stringMatching(/^users\.txt:1: /)]);
    expect(found.join()).not.toContain("hunter2");
  });
});

test("who may give commands on the status page stands in a file of its own; one that is missing or wrong is a problem", () => {
  const toml = '[status]\ncommands = true\nusers = "operators.txt"\n';
  const loaded = good("", { "appliance.toml": toml, "operators.txt": `eve:${HASH}\n` });
  expect([loaded.operators, loaded.users, loaded.notices]).toEqual([new Map([["eve", HASH]]), undefined, []]);
  expect(good("", { "appliance.toml": "[status]\ncommands = true\n" }).operators).toBeUndefined();
  expect(problems(load("", { "appliance.toml": toml }))).toEqual([
    expect.stringMatching(/^appliance\.toml:3: status\.users: the file "operators\.txt" is not there; `morgana passwd/),
  ]);
  expect(problems(load("", { "appliance.toml": toml, "operators.txt": "eve:secret\n" }))).toEqual([
    expect.stringMatching(/^operators\.txt:1: users: what stands behind "eve:"/),
  ]);
});

describe("nobody comes in unasked", () => {
  test.each(["verify-client-cert none", "verify-client-cert optional", "client-cert-not-required"])(
    "%s without users is a problem at its line, which names users.txt",
    (line) => {
      expect(problems(load(`${line}\n`))).toEqual([
        expect.stringMatching(/^server\.conf:8: \S+: .*no user and password is asked for.*users\.txt.*morgana passwd/),
      ]);
      good(`${line}\n`, USERS);
    },
  );

  test("nor with users, where neither a certificate nor a password is needed", () => {
    expect(problems(load("verify-client-cert none\nauth-user-pass-optional\n", USERS))).toEqual([
      expect.stringMatching(/^server\.conf:9: auth-user-pass-optional: lets in whoever has no password/),
    ]);
    good("verify-client-cert optional\nauth-user-pass-optional\n", USERS);
  });

  test("a name that nobody is asked for is a problem; a token that nobody gets is told", () => {
    expect(problems(load("username-as-common-name\n"))).toEqual([
      expect.stringMatching(/^server\.conf:8: username-as-common-name: .*users\.txt/),
    ]);
    good("username-as-common-name\n", USERS);
    expect(warnings(good("auth-gen-token\n"))).toEqual([
      expect.stringMatching(/^server\.conf:8: auth-gen-token: ignored/),
    ]);
  });
});
