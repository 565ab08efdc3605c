import { beforeEach, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import { clientConfig, NO_WRAP } from "../../test/support/client-config.ts";
import { parseCidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import { parseIpv4 } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { parseMac } from "../lib/mac.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import { RecordQueue } from "../platform/log/record-queue.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ClientConfig } from "../protocol/config/types.ts";
import { Dialer } from "../tunnel/dialer.ts";
import { Appliance } from "./appliance.ts";
import { folderReader, openConfigSource } from "./config-source.ts";
import { type LoadResult, loadProfile } from "./profile.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings/settings.ts";
import { ROUTER_PATH_BYTES } from "./wiring/router.ts";

/** The only clock here: a machine that stands still must not decide what a test sees. */
let now = 0;
beforeEach(() => {
  now = 1000;
});

function appliance(first: LoadResult, hasLan = true) {
  const logged: string[] = [];
  const records = new RecordQueue();
  const levels: string[] = [];
  const write: Log["write"] = (level, event, message, fields = {}) => {
    logged.push(`${level} ${event} ${message}`);
    records.push({ unixMs: 0, level, event, message, fields });
  };
  const device = (name: string, mac: string): FrameDevice => ({
    name,
    mac: parseMac(mac)!,
    mtu: 1500,
    udpGso: false,
    drained: true,
    linkUp: () => true,
    mtuNow: () => 1500,
    receive: () => 0,
    send: () => {},
    statistics: () => ({ received: 0, dropped: 0 }),
    counters: new Counters(["rxUnknownGso"]),
  });
  const [wan, lan] = [device("w0", "52:54:00:00:00:01"), device("l1", "52:54:00:00:00:02")];
  const state = { loaded: first, load: (): LoadResult => state.loaded, logged, levels };
  const subject = new Appliance({
    memory: new NativeMemory(ROUTER_PATH_BYTES),
    wan,
    lan: hasLan ? lan : undefined,
    log: { enabled: () => true, write },
    records,
    now,
    loaded: first,
    load: () => state.load(),
    setLogLevel: (level) => void levels.push(level),
    mending: "",
    state: undefined,
  });
  return { subject, ...state, state, wan, lan, records, write };
}

const ok = (settings: Settings): LoadResult => ({
  ok: true,
  settings,
  notices: [],
  warnings: [],
  config: clientConfig([], NO_WRAP),
  clients: new Map(),
  users: undefined,
  operators: undefined,
  leases: [],
});

test("a reload takes the log level, and says which settings need a restart", () => {
  const { subject, state, logged, levels } = appliance(ok(DEFAULT_SETTINGS));
  state.loaded = ok({ ...DEFAULT_SETTINGS, log: { level: "debug", syslog: undefined } });
  subject.reconnect();
  subject.control(now);
  expect(levels).toEqual(["info", "debug"]);
  expect(logged.filter((line) => /restart/.test(line))).toEqual([]);
  const lan = { ...DEFAULT_SETTINGS.lan, address: parseCidr("192.168.60.1/24")! };
  state.loaded = ok({ ...DEFAULT_SETTINGS, lan, vpn: { ...DEFAULT_SETTINGS.vpn, nat: false } });
  subject.reconnect();
  subject.control(now);
  expect(logged.filter((line) => /restart/.test(line))).toEqual([
    "warn config.warning appliance.toml: lan, vpn.nat have changed and need a restart of the appliance; what it started with goes on",
  ]);
});

test("so does the one that follows on a broken appliance.toml, which the defaults stood in for", () => {
  const broken: LoadResult = { ok: false, settings: DEFAULT_SETTINGS, notices: [], warnings: [], problems: [] };
  const { subject, state, logged } = appliance(broken);
  state.loaded = ok({ ...DEFAULT_SETTINGS, wan: { ...DEFAULT_SETTINGS.wan, mtu: 1400 } });
  subject.reconnect();
  subject.control(now);
  expect(logged.filter((line) => /restart/.test(line))).toHaveLength(1);
});

test("a reload with problems names them, and the session that runs goes on; the next good one is taken", () => {
  const { subject, state, logged, turn, connections } = connecting();
  const stopped = spyOn(Dialer.prototype, "stop");
  try {
    expect(connections()).toBe(1);
    const mark = logged.length;
    const origin = { file: "a.ovpn", line: 7 };
    const settings = { ...DEFAULT_SETTINGS, log: { level: "debug" as const, syslog: undefined } };
    const bad = { ok: false as const, settings, notices: [], warnings: [] };
    for (const problems of [[{ origin, directive: "cipher", problem: "is wrong" }], []]) {
      state.loaded = { ...bad, problems };
      subject.reconnect();
      turn();
    }
    expect(logged.slice(mark).map((line) => line.replace(/;.*/, ""))).toEqual([
      "info reconnect reading the configuration again, and connecting anew when it is good",
      "error config.invalid a.ovpn:7: cipher: is wrong",
      "error config.invalid nothing is taken of it, and the tunnel goes on with the configuration before",
      "info reconnect reading the configuration again, and connecting anew when it is good",
      "error config.invalid nothing is taken of it, and the tunnel goes on with the configuration before",
    ]);
    expect(stopped).not.toHaveBeenCalled();
    expect(state.levels).toEqual(["info"]);
    state.loaded = ok(settings);
    subject.reconnect();
    turn();
    expect(stopped).toHaveBeenCalledTimes(1);
    expect([connections(), state.levels]).toEqual([2, ["info", "debug"]]);
  } finally {
    stopped.mockRestore();
  }
});

test("a static WAN that was wrong is taken when it is mended, without a restart", () => {
  const none = { ...DEFAULT_SETTINGS, wan: { ...DEFAULT_SETTINGS.wan, address: "none" as const } };
  const { subject, state, logged } = appliance({ ok: false, settings: none, notices: [], warnings: [], problems: [] });
  subject.control(now);
  now += 20_000;
  subject.control(now);
  expect(logged.filter((line) => /wan\./.test(line))).toEqual([]);
  const wan = {
    ...DEFAULT_SETTINGS.wan,
    address: parseCidr("203.0.113.5/24")!,
    gateway: parseIpv4("203.0.113.1"),
    dns: [parseIpv4("203.0.113.1")!],
  };
  state.loaded = ok({ ...DEFAULT_SETTINGS, wan });
  subject.reconnect();
  subject.control(now);
  expect(logged.filter((line) => /wan\.|link\.|restart/.test(line)).map((line) => line.split(" ")[1])).toEqual([
    "wan.configured",
    "link.resolving",
  ]);
});

test("when the LAN's link comes back, another DHCP server is looked for before leases are given again", () => {
  const { subject, logged, lan } = appliance(ok(DEFAULT_SETTINGS));
  const run = (ms: number): void => {
    for (const end = now + ms; now < end; now += 100) subject.control(now);
  };
  const serving = (): number => logged.filter((line) => line.startsWith("info lan.dhcp ")).length;
  run(5000);
  expect(serving()).toBe(1);
  lan.linkUp = () => false;
  run(2000);
  lan.linkUp = () => true;
  run(2000);
  expect([serving(), logged.filter((line) => /lan\.link-up/.test(line)).length]).toEqual([1, 1]);
  run(4000);
  expect(serving()).toBe(2);
});

test("while it leaves, nobody makes it connect anew", () => {
  const { subject, state } = appliance(ok(DEFAULT_SETTINGS));
  subject.leave("SIGTERM");
  state.loaded = ok({ ...DEFAULT_SETTINGS, log: { level: "debug", syslog: undefined } });
  subject.reconnect();
  subject.control(now);
  expect(state.levels).toEqual(["info"]);
  expect(subject.done()).toBe(true);
});

const withCollector = (proto: "udp" | "tcp" = "udp"): Settings => {
  const to = { address: parseIpv4("192.168.50.10")!, port: 514 };
  return { ...DEFAULT_SETTINGS, log: { level: "info", syslog: { proto, to, through: "lan", line: 2 } } };
};

test("a collector of the log is taken at a reload, and let go of; without one nothing is kept for it", () => {
  const { subject, state, logged, records, write } = appliance(ok(DEFAULT_SETTINGS));
  const reload = (settings: Settings): string[] => {
    const before = logged.length;
    state.loaded = ok(settings);
    subject.reconnect();
    subject.control(now);
    return logged.slice(before).filter((line) => /syslog|restart/.test(line));
  };
  expect(records.length).toBe(0);
  expect(reload(withCollector())).toEqual(["info syslog.started "]);
  write("info", "x.y", "");
  expect(records.length).toBe(1);
  expect(reload(withCollector())).toEqual([]);
  expect(reload(withCollector("tcp"))).toEqual(["info syslog.started "]);
  expect(records.length).toBeGreaterThan(0);
  expect(reload(DEFAULT_SETTINGS)).toEqual([]);
  expect(records.length).toBe(0);
});

test("what is logged before the LAN is there waits for the collector", () => {
  const { records } = appliance(ok(withCollector()));
  const events: (string | undefined)[] = [];
  for (let r = records.take(); r !== undefined; r = records.take()) events.push(r.event);
  expect(events).toContain("lan.configured");
});

test("the end waits for a collector as long as it may be there, and no longer", () => {
  const { subject } = appliance(ok(withCollector()));
  subject.leave("SIGTERM");
  subject.control(now);
  expect(subject.done()).toBe(false);
  const start = now;
  for (; !subject.done() && now < start + 5000; now += 10) subject.control(now);
  expect(now - start).toBeLessThan(500);
});

test("without a LAN there can be no collector, which is said at its line, and nothing is kept for it", () => {
  const { logged, records } = appliance(ok(withCollector()), false);
  expect(logged.filter((line) => /syslog/.test(line))).toEqual([
    "warn config.warning appliance.toml:2: log.syslog: nothing is sent: a collector is a host of the LAN, and there is none (--lan)",
  ]);
  expect(records.length).toBe(0);
});

test("a failure is said once; one of a timer brings a new client after a while, one of a packet does not", () => {
  const address = parseCidr("203.0.113.5/24")!;
  const wan = { ...DEFAULT_SETTINGS.wan, address, gateway: parseIpv4("203.0.113.1"), dns: [parseIpv4("203.0.113.1")!] };
  const { subject, logged } = appliance(ok({ ...DEFAULT_SETTINGS, wan }));
  const connections = (): number => logged.filter((line) => /link\.resolving/.test(line)).length;
  subject.control(now);
  expect(connections()).toBe(1);
  subject.failed(now, new Error("of a packet"), "receive");
  now += 6000;
  subject.control(now);
  expect(connections()).toBe(1);
  const failure = new Error("of a timer");
  for (let i = 0; i < 5; i++) subject.failed(now, failure, "control");
  subject.control(now);
  expect(connections()).toBe(1);
  now += 6000;
  subject.control(now);
  expect(connections()).toBe(2);
  expect(logged.filter((line) => /internal\.error/.test(line))).toHaveLength(2);
});

test("a failure that comes at each turn does not keep it from leaving", () => {
  const { subject, wan } = appliance(ok(DEFAULT_SETTINGS));
  subject.leave("SIGTERM");
  const failing = (): never => {
    throw new Error("x");
  };
  wan.linkUp = failing;
  expect(() => subject.control(now)).toThrow("x");
  subject.failed(now, new Error("x"), "control");
  expect(subject.done()).toBe(false);
  now += 10_000;
  subject.failed(now, new Error("x"), "control");
  expect(subject.done()).toBe(true);
});

test("super-frames that the kernel cannot hand over are said when they are seen, once, with the remedy", () => {
  const { subject, logged, wan } = appliance(ok(DEFAULT_SETTINGS));
  const said = (): string[] => logged.filter((line) => /super-frames/.test(line));
  subject.control(now);
  expect(said()).toEqual([]);
  wan.counters.bump(0);
  for (let i = 0; i < 3; i++) {
    now += 1000;
    subject.control(now);
  }
  expect(said()).toEqual([expect.stringMatching(/^warn device\.super-frames .*ethtool -K IF tx-udp-segmentation off/)]);
});

test("after the machine was suspended the first turn sees what has run out meanwhile", () => {
  const { subject } = appliance(ok(DEFAULT_SETTINGS));
  subject.control(now);
  const due = subject.pollAt();
  expect(due).toBeGreaterThan(now);
  now += 3_600_000; // as CLOCK_BOOTTIME shows it
  subject.control(now);
  expect(subject.pollAt()).toBeGreaterThan(now);
});

/** With a static WAN address: it connects at once. */
function connecting(config: (good: ClientConfig) => ClientConfig = (good) => good) {
  const address = parseCidr("203.0.113.5/24")!;
  const wan = { ...DEFAULT_SETTINGS.wan, address, gateway: parseIpv4("203.0.113.1"), dns: [parseIpv4("203.0.113.1")!] };
  const good = ok({ ...DEFAULT_SETTINGS, wan }) as LoadResult & { ok: true };
  const it = appliance({ ...good, config: config(good.config as ClientConfig) });
  it.subject.control(now);
  /** A turn of the loop. */
  const turn = (): void => {
    try {
      it.subject.control(now);
    } catch (error) {
      it.subject.failed(now, error, "control");
    }
  };
  return { ...it, turn, connections: () => it.logged.filter((line) => /link\.resolving/.test(line)).length };
}

test("a configuration that cannot be read again ends nothing: it connects anew with the one before", () => {
  const { subject, state, logged, turn, connections } = connecting();
  state.load = () => {
    throw new Error("EIO");
  };
  subject.reconnect(); // in a signal handler, where nobody would catch it
  expect(subject.pollAt()).toBeLessThan(now);
  turn();
  expect(logged.filter((line) => /internal\.error.*EIO/.test(line))).toHaveLength(1);
  expect(connections()).toBe(1);
  now += 6000;
  turn();
  expect(connections()).toBe(2);
});

test("a client that cannot be made is made again later, as often as that fails", () => {
  let broken = false;
  const { subject, turn, connections } = connecting((good) => ({
    ...good,
    get retry() {
      if (broken) throw new Error("no client");
      return good.retry;
    },
  }));
  broken = true;
  subject.failed(now, new Error("of a timer"), "control");
  for (let i = 0; i < 3; i++) {
    now += 6000;
    turn();
  }
  expect(connections()).toBe(1);
  broken = false;
  now += 6000;
  turn();
  expect(connections()).toBe(2);
});

test("a goodbye that fails does not keep it from leaving, and is no error where it is asked for", () => {
  const { subject, turn } = connecting();
  const dialer = spyOn(Dialer.prototype, "leave").mockImplementation(() => {
    throw new Error("no goodbye");
  });
  try {
    subject.leave("power button");
    turn();
    turn();
  } finally {
    dialer.mockRestore();
  }
  expect(subject.done()).toBe(true);
});

test("statistics that are asked for come with the next turn, once", () => {
  const { subject, logged, turn } = connecting();
  const said = (): number => logged.filter((line) => /statistics\.memory/.test(line)).length;
  turn();
  expect(said()).toBe(0);
  subject.askForStatistics();
  expect(subject.pollAt()).toBeLessThan(now);
  turn();
  turn();
  expect(said()).toBe(1);
});

test("a profile of the other role ends it, so that whoever made it makes one anew", () => {
  const { subject, state, logged } = appliance(ok(DEFAULT_SETTINGS));
  subject.control(now);
  state.loaded = {
    ...ok(DEFAULT_SETTINGS),
    config: { role: "server", deviceType: "tun", push: [] },
  } as unknown as LoadResult;
  subject.reconnect();
  subject.control(now);
  expect(subject.done()).toBe(true);
  expect(logged.filter((line) => /role\.changed/.test(line))).toEqual([
    "warn role.changed the profile is a server's with dev tun now: starting anew with it",
  ]);
});

test("at a reload a server says that its sessions go on", () => {
  const file = join(import.meta.dir, "../../test/configs/server/install-script.conf");
  const { reader, options } = openConfigSource(file);
  const server = loadProfile(reader, options);
  expect(server.ok).toBe(true);
  const { subject, state, logged } = appliance(server);
  state.loaded = { ok: false, settings: DEFAULT_SETTINGS, notices: [], warnings: [], problems: [] };
  subject.reconnect();
  subject.control(now);
  expect(logged).toContain("info reload reading the configuration again; sessions go on");
  expect(logged.join()).not.toContain("connecting anew");
});

test("without a LAN only a server can be: a client's profile is named, and nothing is tried", () => {
  const { subject, logged } = appliance(ok(DEFAULT_SETTINGS), false);
  for (const end = now + 5000; now < end; now += 500) subject.control(now);
  expect(logged.filter((line) => /invalid|lan\.|link\./.test(line))).toEqual([
    expect.stringMatching(/^error config\.invalid .*only a server can do without a LAN; name its interface \(--lan\)$/),
  ]);
});

test.each([
  ["local 203.0.113.2", 0],
  ["", 0],
  ["local 203.0.113.99", 1],
  ["local 203.0.113.2 1194 udp4\nlocal 203.0.113.99 443 tcp4-server", 1],
  // The WAN has no address of that family yet, and may get one.
  ["local 2001:db8::5", 0],
])("a server told to listen at an address that the WAN does not have says so at its line: %p", (lines, warnings) => {
  const folder = join(import.meta.dir, "../../test/configs/server");
  const { reader, options } = openConfigSource(join(folder, "install-script.conf"));
  const server = loadProfile(reader, options);
  if (!server.ok) throw new Error("not loaded");
  const own = "ca ca.crt\ncert server.crt\nkey server.key\ndh none";
  const text = `server 10.8.0.0 255.255.255.0\ntopology subnet\n${own}\n${lines}\n`;
  const parsed = parseConfig({ file: "s.conf", text }, folderReader(folder).read, { roles: ["server"] });
  if (!parsed.ok || server.config.role !== "server") throw new Error(JSON.stringify(parsed));
  const wan = { ...DEFAULT_SETTINGS.wan, address: parseCidr("203.0.113.2/24")!, gateway: parseIpv4("203.0.113.1")! };
  const config = { ...server.config, listen: parsed.config.listen };
  const { subject, logged } = appliance({ ...server, config, settings: { ...DEFAULT_SETTINGS, wan } });
  subject.control(now);
  const told = logged.filter((line) => /local: the WAN does not have the address/.test(line));
  expect(told).toHaveLength(warnings);
  expect(told.every((line) => /^warn config.warning s.conf:[78]: /.test(line) && line.includes("203.0.113.99"))).toBe(
    true,
  );
});
