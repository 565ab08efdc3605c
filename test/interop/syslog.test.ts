/** The log of the appliance on a collector, which is rsyslogd: every line of the console, as its own parser reads it. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { PATIENCE } from "../support/world/process.ts";
import { LAN_HOST as SERVED_LAN_HOST, ServedWorld } from "../support/world/served-world.ts";
import { asTold, noCollector, SyslogCollector, told } from "../support/world/syslog-collector.ts";
import { LAN_HOST, TOML, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(240_000);

const SKIPPED = NO_WORLD || REFERENCE || noCollector() !== undefined;
const LAN_HOST6 = "fd00:50::2";

describe.skipIf(SKIPPED)("the log of a client on a collector", () => {
  let world: World;
  let subject: Subject;
  let collector: SyslogCollector;
  /** @param syslog an address, or a table */
  const config = (syslog: string, level = "info"): string => {
    const value = syslog.startsWith("{") ? syslog : `"${syslog}"`;
    const lan6 = TOML.replace("[vpn]", 'address6 = "fd00:50::1/64"\n[vpn]');
    return world.config({ toml: `${lan6}[log]\nlevel = "${level}"\nsyslog = ${value}\n` });
  };

  beforeAll(async () => {
    world = await World.create();
    await world.sh("lan", `sysctl -qw net.ipv6.conf.l0.disable_ipv6=0; ip addr add ${LAN_HOST6}/64 dev l0 nodad`);
    subject = new Subject(world);
    await world.server();
    collector = await SyslogCollector.unpack(world);
  });
  afterEach(async () => {
    await subject.halt();
    await collector.stop();
  });
  afterAll(async () => {
    await subject?.halt();
    await world?.close();
  });

  test.each([
    ["UDP", LAN_HOST],
    ["UDP and IPv6", `udp://[${LAN_HOST6}]:514`],
    ["TCP", `tcp://${LAN_HOST}`],
    ["TCP and IPv6", `tcp://[${LAN_HOST6}]:601`],
  ])("over %s it is the console's, from the first line to the last, in order", async (_name, to) => {
    await collector.start({ udp: 514, tcp: 601 });
    const before = collector.lines().length;
    const capture = await world.capture();
    const daemon = await subject.bootUp(config(to, "debug"));
    daemon.signal("SIGUSR2");
    await subject.says(/statistics\.memory/);
    // An address of IPv6 is asked for before it is ours.
    expect(await collector.missing(daemon)).toEqual([]);
    expect(await subject.halt()).toBe(0);
    expect(await collector.missing(daemon)).toEqual([]);
    const lines = collector.lines().slice(before);
    expect(lines.map(asTold)).toEqual(told(daemon.log()));
    const events = lines.map(({ msgId }) => msgId);
    for (const event of ["start", "lan.configured", "tunnel.up", "statistics.lan", "shutdown"])
      expect(events).toContain(event);
    const up = lines.find(({ msgId }) => msgId === "tunnel.up")!;
    expect(up).toMatchObject({ facility: "daemon", severity: "info", hostname: "morgana", appName: "morgana" });
    expect(up.structured).toMatch(/^\[morgana@32473 address="10\.8\.0\.\d+\/24" .*cipher="[A-Z0-9-]+".*\]$/);
    // Nothing of it is anywhere else.
    const tally = await world.tally(capture);
    expect([tally.odd, tally.sent.other]).toEqual([[], 0]);
    await capture.stop();
  });

  test("over TCP the collector may be restarted, or come late: what was said meanwhile follows", async () => {
    const daemon = await subject.bootUp(config(`tcp://${LAN_HOST}`));
    await subject.says(/syslog\.failed .*nobody listens/);
    await collector.start({ tcp: 601 });
    expect(await collector.missing(daemon)).toEqual([]);
    await subject.says(/syslog\.reached/);
    await collector.stop();
    await subject.says(/syslog\.failed .*has ended the connection/);
    daemon.signal("SIGUSR2");
    await subject.says(/statistics\.memory/);
    await collector.start({ tcp: 601 });
    expect(await collector.missing(daemon)).toEqual([]);
    expect(daemon.log()).not.toContain("syslog.lost");
  });

  test.each(["udp", "tcp"])(
    "over %s and beyond the tunnel it follows as soon as there is one, and again",
    async (proto) => {
      await collector.start({ [proto]: 514 }, "net");
      const capture = await world.capture();
      const daemon = await subject.bootUp(config(`{ to = "${proto}://${TUNNEL}:514", through = "tunnel" }`));
      expect(await collector.missing(daemon)).toEqual([]);
      await world.stop("server", "SIGKILL");
      await world.server();
      daemon.signal("SIGUSR1");
      expect(await daemon.says(/tunnel\.up[\s\S]*tunnel\.up/, PATIENCE)).toBeDefined();
      expect(await collector.missing(daemon)).toEqual([]);
      const events = collector.lines().map(({ msgId }) => msgId);
      expect(events).toEqual(expect.arrayContaining(["start", "tunnel.up", "tunnel.down", "reconnect"]));
      const tally = await world.tally(capture);
      expect([tally.odd, tally.sent.other]).toEqual([[], 0]);
      await capture.stop();
    },
  );

  test("over UDP a collector's host that comes late gets everything, and a port where nobody listens is named", async () => {
    await collector.start({ udp: 514 });
    await world.sh("lan", "ip link set l0 down");
    const daemon = await subject.boot(config(LAN_HOST));
    await subject.says(/tunnel\.up/);
    await world.sh("lan", "ip link set l0 up");
    expect(await collector.missing(daemon)).toEqual([]);
    await collector.stop();
    daemon.signal("SIGUSR2");
    await subject.says(/syslog\.failed .*nobody listens/);
  });
});

describe.skipIf(SKIPPED)("the log of a server on a collector", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  test("names who came and went; another collector is taken at a reload", async () => {
    const collector = await SyslogCollector.unpack(world);
    await collector.start({ udp: 514, tcp: 6514 });
    const options = (to: string) => ({ server: `lan = "routed"\n[log]\nsyslog = "${to}"` });
    const daemon = await world.serve([], options(`tcp://${SERVED_LAN_HOST}:6514`));
    await world.join("a");
    expect(await collector.missing(daemon)).toEqual([]);
    world.configure([], options(SERVED_LAN_HOST));
    daemon.signal("SIGHUP");
    expect(await daemon.says(/syslog\.started to=udp/, PATIENCE)).toBeDefined();
    await world.leave("a", "SIGTERM");
    expect(await daemon.says(/peer\.down/, PATIENCE)).toBeDefined();
    expect(await collector.missing(daemon)).toEqual([]);
    expect(collector.lines().map(({ msgId }) => msgId)).toEqual(
      expect.arrayContaining(["server.listening", "peer.up", "peer.down"]),
    );
  });
});
