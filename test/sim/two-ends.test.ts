/** Tunnels of two: the end that waits, and the one that goes there; TLS and a static key. */
import { describe, expect, test } from "bun:test";
import { HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2, opcodeOf } from "../../src/protocol/control/opcode.ts";
import { End, endpoint, Net, SECRET_LINES, TLS_CRYPT_LINES, TLS_LINES, withOtherKey } from "../support/two-ends.ts";

const [OFFICE, HOME, STRANGER] = ["192.0.2.1", "192.0.2.2", "192.0.2.9"];
const TLS_OFFICE = `tls-server\nifconfig 10.9.0.1 10.9.0.2\n${TLS_LINES}`;
const TLS_HOME = `tls-client\nifconfig 10.9.0.2 10.9.0.1\nremote ${OFFICE}\nnobind\n${TLS_LINES}`;
const KEY_OFFICE = `ifconfig 10.9.0.1 10.9.0.2\nkey-direction 0\n${SECRET_LINES}`;
const KEY_HOME = `ifconfig 10.9.0.2 10.9.0.1\nkey-direction 1\nremote ${OFFICE}\nnobind\nping 5\n${SECRET_LINES}`;

function pair(office: string, home: string): { net: Net; one: End; other: End } {
  const net = new Net();
  return { net, one: new End(net, OFFICE, office), other: new End(net, HOME, home) };
}

/** Packets go both ways. */
function expectFlow(net: Net, one: End, other: End): void {
  const [a, b] = [one.delivered.length, other.delivered.length];
  one.say(100);
  other.say(200);
  expect(net.until(() => one.delivered.length > a && other.delivered.length > b, 1000)).toBe(true);
  expect([one.delivered.at(-1), other.delivered.at(-1)]).toEqual([200, 100]);
}

const said = (end: End, text: string): string | undefined => end.lines.find((line) => line.includes(text));

describe("the TLS server's end", () => {
  const CASES = [
    ["over UDP", "", ""],
    ["with tls-crypt", TLS_CRYPT_LINES, TLS_CRYPT_LINES],
    [
      "with tls-auth",
      `key-direction 0\n${TLS_CRYPT_LINES.replaceAll("tls-crypt", "tls-auth")}`,
      `key-direction 1\n${TLS_CRYPT_LINES.replaceAll("tls-crypt", "tls-auth")}`,
    ],
    ["over TCP", "proto tcp-server\n", "proto tcp-client\n"],
  ] as const;
  test.each(CASES)("waits for its client: %s", (_name, office, home) => {
    const { net, one, other } = pair(TLS_OFFICE + office, TLS_HOME + home);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    expect(said(one, "tunnel.up")).toContain('"address":"10.9.0.1","peer":"10.9.0.2"');
    expectFlow(net, one, other);
    expect(said(one, "link.listening")).toContain('"port":1194');
  });

  test("goes by its own order of ciphers, and falls back to what a client without negotiation has", () => {
    const first = pair(
      `${TLS_OFFICE}data-ciphers CHACHA20-POLY1305:AES-128-GCM`,
      `${TLS_HOME}data-ciphers AES-128-GCM:CHACHA20-POLY1305`,
    );
    expect(first.net.until(() => first.one.isUp && first.other.isUp)).toBe(true);
    expect([said(first.one, "tunnel.up"), said(first.other, "tunnel.up")]).toEqual([
      expect.stringContaining("CHACHA20-POLY1305"),
      expect.stringContaining("CHACHA20-POLY1305"),
    ]);
    expectFlow(first.net, first.one, first.other);
    const { net, one } = pair(`${TLS_OFFICE}data-ciphers AES-256-GCM`, `${TLS_HOME}data-ciphers AES-128-GCM`);
    expect(net.until(() => said(one, "link.failed") !== undefined)).toBe(true);
    expect(said(one, "link.failed")).toContain("the other end did not negotiate a data cipher");
  });

  test.each(["reneg-sec 60", ""])("renegotiates, whoever begins: %s at this end", (line) => {
    const { net, one, other } = pair(`${TLS_OFFICE}${line}`, line === "" ? `${TLS_HOME}reneg-sec 60` : TLS_HOME);
    expect(
      net.until(() => said(one, "tunnel.rekeyed") !== undefined && said(other, "tunnel.rekeyed") !== undefined),
    ).toBe(true);
    net.until(() => false, 15_000);
    expectFlow(net, one, other);
    expect([one.downs, other.downs]).toEqual([0, 0]);
  });

  test("hears a goodbye, and says one", () => {
    const lines = "explicit-exit-notify 1\n";
    const { net, one, other } = pair(TLS_OFFICE + lines, TLS_HOME + lines);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    other.dialer.leave(net.now);
    expect(net.until(() => !one.isUp && other.dialer.left, 5000)).toBe(true);
    expect(said(one, "tunnel.down")).toContain("the other end is going down");
    const again = pair(TLS_OFFICE + lines, TLS_HOME + lines);
    expect(again.net.until(() => again.one.isUp && again.other.isUp)).toBe(true);
    again.one.dialer.leave(again.net.now);
    expect(again.net.until(() => !again.other.isUp && again.one.dialer.left, 5000)).toBe(true);
    expect(said(again.other, "tunnel.down")).toContain("the server is going down");
  });

  test("a peer that is started anew, at another port, takes the place of its old session, and nothing is in between", () => {
    const { net, one, other } = pair(TLS_OFFICE, TLS_HOME);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    other.vanish();
    const anew = new End(net, HOME, TLS_HOME, 50_000);
    expect(net.until(() => anew.isUp && one.ups === 2)).toBe(true);
    expectFlow(net, one, anew);
    expect([one.downs, said(one, "replaced")]).toEqual([0, expect.stringContaining("tunnel.down")]);
  });

  test("without ping-restart a peer at the same port is heard as well when it is started anew", () => {
    const { net, one, other } = pair(TLS_OFFICE, TLS_HOME);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    other.vanish();
    const anew = new End(net, HOME, TLS_HOME);
    expect(net.until(() => anew.isUp && one.ups === 2)).toBe(true);
    expectFlow(net, one, anew);
  });

  test("ends when nothing comes for ping-restart, and waits again", () => {
    const { net, one, other } = pair(`${TLS_OFFICE}keepalive 5 20`, `${TLS_HOME}keepalive 5 20`);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    net.until(() => false, 60_000);
    expect([one.downs, other.downs]).toEqual([0, 0]);
    other.vanish();
    expect(net.until(() => !one.isUp)).toBe(true);
    expect(said(one, "tunnel.down")).toContain(
      "nothing came from the other end for 20 s (ping-restart); waiting for it again",
    );
    const anew = new End(net, HOME, `${TLS_HOME}keepalive 5 20`);
    expect(net.until(() => one.isUp && anew.isUp)).toBe(true);
    expectFlow(net, one, anew);
  });

  test("moves with its peer where it has float, and only then", () => {
    for (const float of [true, false]) {
      const { net, one, other } = pair(`${TLS_OFFICE}${float ? "float" : ""}`, TLS_HOME);
      expect(net.until(() => one.isUp && other.isUp)).toBe(true);
      net.from = endpoint(`${HOME}:777`);
      other.say(70);
      net.until(() => false, 50);
      one.say(80);
      net.until(() => false, 50);
      expect(net.sent.at(-1)?.to.endsWith(":777")).toBe(float);
    }
  });

  test("answers nobody without its key, and keeps nothing of who does not answer", () => {
    const net = new Net();
    const one = new End(net, OFFICE, TLS_OFFICE + TLS_CRYPT_LINES);
    const other = new End(net, STRANGER, TLS_HOME + withOtherKey(TLS_CRYPT_LINES));
    net.until(() => false, 20_000);
    expect(net.between(STRANGER, OFFICE)).toBeGreaterThan(3);
    expect(net.between(OFFICE, STRANGER)).toBe(0);
    expect([one.isUp, other.isUp]).toEqual([false, false]);
    expect(one.dialer.counters()).toMatchObject({ "drop.control-authentication": expect.any(Number) });
  });

  test("goes to its remote by itself, hears only that, and goes on with a peer that is started anew", () => {
    const { net, one, other } = pair(`${TLS_OFFICE}remote ${HOME}`, TLS_HOME.replace("nobind", "lport 1194"));
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    const [first] = net.sent.filter(({ from }) => from.startsWith(OFFICE));
    expect(opcodeOf(first!.packet[0]!)).toBe(HARD_RESET_SERVER_V2);
    expectFlow(net, one, other);
    const reset = net.sent.find(({ packet }) => opcodeOf(packet[0]!) === HARD_RESET_CLIENT_V2);
    net.send(endpoint(`${STRANGER}:1194`), endpoint(`${OFFICE}:1194`), reset!.packet);
    net.until(() => false, 1000);
    expect(net.between(OFFICE, STRANGER)).toBe(0);
    other.vanish();
    const anew = new End(net, HOME, TLS_HOME.replace("nobind", "lport 1194"));
    expect(net.until(() => anew.isUp && one.ups === 2)).toBe(true);
    expectFlow(net, one, anew);
  });

  test("whoever connects and says nothing goes after a while, and keeps nobody else out", () => {
    const net = new Net();
    const one = new End(net, OFFICE, `${TLS_OFFICE}proto tcp-server`);
    const silent = { at: endpoint(`${STRANGER}:5`), take: () => {}, end: () => void ended++ };
    let ended = 0;
    for (let i = 0; i < 20; i++) net.listeners.get(`${OFFICE}:1194`)?.(net.now, silent);
    expect(ended).toBe(12);
    const other = new End(net, HOME, `${TLS_HOME}proto tcp-client`);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    net.until(() => false, 11_000);
    expect(ended).toBe(20);
    expectFlow(net, one, other);
  });

  test("over TCP beside a remote only that one connects", () => {
    const net = new Net();
    const one = new End(net, OFFICE, `${TLS_OFFICE}proto tcp-server\nremote ${HOME}`);
    const other = new End(net, STRANGER, `${TLS_HOME}proto tcp-client`);
    net.until(() => false, 5000);
    expect([one.isUp, other.isUp]).toEqual([false, false]);
    const right = new End(net, HOME, `${TLS_HOME}proto tcp-client`);
    expect(net.until(() => one.isUp && right.isUp)).toBe(true);
  });

  test("a client that wants to be pushed to is told why it waits", () => {
    const { net, one } = pair(TLS_OFFICE, TLS_HOME.replace("tls-client\nifconfig 10.9.0.2 10.9.0.1", "client"));
    expect(net.until(() => said(one, "session.warning") !== undefined)).toBe(true);
    expect(said(one, "session.warning")).toContain("write tls-client and ifconfig there");
  });
});

describe("an end with a static key that waits", () => {
  test.each([
    ["udp", "udp"],
    ["tcp-server", "tcp-client"],
  ])("takes who has the key for its peer: %s", (office, home) => {
    const { net, one, other } = pair(`${KEY_OFFICE}proto ${office}`, `${KEY_HOME}proto ${home}`);
    expect(one.isUp).toBe(false);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    expectFlow(net, one, other);
  });

  test("answers nobody without the key, who does not keep the peer out either", () => {
    const { net, one, other } = pair(`${KEY_OFFICE}keepalive 5 20`, withOtherKey(KEY_HOME));
    net.until(() => false, 30_000);
    expect([net.between(HOME, OFFICE) > 3, net.between(OFFICE, HOME), one.isUp]).toEqual([true, 0, false]);
    const right = new End(net, STRANGER, KEY_HOME);
    expect(net.until(() => one.isUp)).toBe(true);
    expectFlow(net, one, right);
    expect([net.between(OFFICE, HOME), other.isUp]).toEqual([0, true]);
  });

  test("a packet that was seen on the way moves nobody when it comes again from elsewhere", () => {
    const { net, one, other } = pair(KEY_OFFICE, KEY_HOME);
    expect(net.until(() => one.isUp)).toBe(true);
    for (const { packet } of net.sent.filter(({ from }) => from.startsWith(HOME)))
      net.send(endpoint(`${STRANGER}:9`), endpoint(`${OFFICE}:1194`), packet);
    net.until(() => false, 100);
    expectFlow(net, one, other);
    expect(net.between(OFFICE, STRANGER)).toBe(0);
  });

  test("what its peer sent before opens no tunnel after that one is over", () => {
    const { net, one, other } = pair(`${KEY_OFFICE}keepalive 5 20`, KEY_HOME);
    expect(net.until(() => one.isUp)).toBe(true);
    const heard = net.sent.filter(({ from }) => from.startsWith(HOME));
    other.vanish();
    expect(net.until(() => !one.isUp)).toBe(true);
    for (const { packet } of heard) net.send(endpoint(`${STRANGER}:9`), endpoint(`${OFFICE}:1194`), packet);
    net.until(() => false, 1000);
    expect([one.isUp, one.ups, net.between(OFFICE, STRANGER)]).toEqual([false, 1, 0]);
  });

  test("a peer whose address has changed is followed", () => {
    const { net, one, other } = pair(KEY_OFFICE, KEY_HOME);
    expect(net.until(() => one.isUp)).toBe(true);
    other.vanish();
    net.now += 5000;
    const anew = new End(net, STRANGER, KEY_HOME);
    net.until(() => said(one, "link.floated") !== undefined);
    expectFlow(net, one, anew);
    expect(one.downs).toBe(0);
  });
});

test("a port that is in use is asked for again", () => {
  const net = new Net();
  net.places.set(`${OFFICE}:1194`, () => {});
  const one = new End(net, OFFICE, TLS_OFFICE);
  expect(said(one, "link.failed")).toContain("the local port 1194 is in use");
  net.places.delete(`${OFFICE}:1194`);
  expect(net.until(() => said(one, "link.listening") !== undefined)).toBe(true);
});

describe("a narrow way from the end that is found by its peer", () => {
  const TEN_MINUTES = 600_000;
  const mtus = ({ tunnel }: End): (number | undefined)[] => [tunnel?.mtu, tunnel?.mssClamp];

  test.each([
    ["TLS", TLS_OFFICE, TLS_HOME, 24],
    ["a static key", KEY_OFFICE, KEY_HOME, 0],
  ])(
    "%s: the tunnel takes what fits, of the peer's way alone, and ten minutes later the whole again (RFC 1191 6.3)",
    (_name, office, home) => {
      const { net, one, other } = pair(office, home);
      expect(net.until(() => one.isUp && other.isUp)).toBe(true);
      expectFlow(net, one, other);
      const whole = mtus(one);
      expect(whole[0]).toBe(1500);
      const from = endpoint(net.sent.findLast(({ to }) => to.startsWith(OFFICE))!.from);
      one.narrow({ ...from, port: from.port + 1 }, 1300);
      one.narrow(endpoint(`${STRANGER}:${from.port}`), 1300);
      expect(mtus(one)).toEqual(whole);
      const before = net.now;
      one.narrow(from, 1400);
      const narrow = mtus(one);
      expect([narrow[0]! < 1400 - 28, narrow[0]! > 1400 - 28 - 80, narrow[1]! < whole[1]!]).toEqual([true, true, true]);
      expect(said(one, "tunnel.changed")).toContain("the way to the server takes only smaller packets (1400 bytes)");
      one.narrow(from, 1450);
      expect(mtus(one)).toEqual(narrow);
      expect(net.until(() => one.tunnel?.mtu === 1500, TEN_MINUTES + 1000)).toBe(true);
      expect([net.now - before >= TEN_MINUTES, mtus(one)]).toEqual([true, whole]);
      expect(said(one, "tried anew")).toContain("tunnel.changed");
      expect(one.isUp && other.isUp).toBe(true);
      expectFlow(net, one, other);
    },
  );

  test("what the host below knows of the way counts from the beginning", () => {
    const net = new Net();
    const one = new End(net, OFFICE, KEY_OFFICE);
    one.known.set(`${HOME}:40000`, 1400);
    const other = new End(net, HOME, KEY_HOME);
    expect(net.until(() => one.isUp && other.isUp)).toBe(true);
    expect(one.tunnel!.mtu).toBeLessThan(1400 - 28);
  });
});
