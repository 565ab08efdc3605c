/** The status page as a LAN host sees it with curl, in both roles; and that nobody else sees it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StatusReport } from "../../src/appliance/status/report.ts";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { LAN_GATEWAY, TUNNEL as SERVER_TUNNEL, ServedWorld, USER, WAN } from "../support/world/served-world.ts";
import { GATEWAY, SERVER, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

/** curl: the status first, then the body. */
const CURL = ["curl", "-s", "-m", "10", "-w", "\n%{http_code}"];

function parsed({ out }: { readonly out: string }): { readonly status: number; readonly body: string } {
  const at = out.lastIndexOf("\n");
  return { status: Number(out.slice(at + 1)), body: out.slice(0, at) };
}

/** Asks again while it is told that it has asked too often (429). */
async function patiently(ask: () => Promise<{ readonly out: string }>): Promise<ReturnType<typeof parsed>> {
  let answer = parsed(await ask());
  const isTaken = async (): Promise<boolean> => {
    if (answer.status === 429) answer = parsed(await ask());
    return answer.status !== 429;
  };
  await until(isTaken, PATIENCE, 300);
  return answer;
}

describe.skipIf(NO_WORLD || REFERENCE)("the status page of a client", () => {
  let world: World;
  let subject: Subject;
  const curl = (path: string, ...more: string[]) =>
    patiently(() => world.in("lan", [...CURL, ...more, path.includes("://") ? path : `http://${GATEWAY}${path}`]));
  const json = async (): Promise<StatusReport> => JSON.parse((await curl("/status.json")).body);

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
  });
  afterAll(async () => {
    await subject?.halt();
    await world?.close();
  });

  test("says what the tunnel is, for people, programs, monitoring; and why there is none", async () => {
    await subject.bootUp();
    const up = await json();
    expect(up).toMatchObject({ role: "client", state: "up", up: true, reason: null, clients: [], problems: [] });
    expect(up.tunnel).toMatchObject({ protocol: "udp", cipher: expect.stringMatching(/GCM|CHACHA/), peer: TUNNEL });
    expect(up.tunnel?.server).toStartWith(`${SERVER}:`);
    expect(up.lan.addresses).toContain(`${GATEWAY}/24`);
    expect(Date.parse(up.since!)).toBeGreaterThan(Date.now() - 180_000);
    expect(up.counters["session"]?.["openedBytes"] ?? 0).toBeGreaterThan(0);
    expect(await curl("/health")).toEqual({ status: 200, body: "ok: the tunnel is up\n" });
    const metrics = (await curl("/metrics")).body;
    expect(metrics).toMatch(/^# HELP morgana_up .+\n# TYPE morgana_up gauge\nmorgana_up 1$/m);
    expect(metrics).toMatch(/^morgana_lan_received_total [1-9]\d*$/m);
    const page = await curl("/");
    expect([page.status, page.body.includes(up.tunnel!.address!), /<script/.test(page.body)]).toEqual([
      200,
      true,
      false,
    ]);
    expect((await curl("/", "-I")).body).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*Content-Length: \d{3,}\r\n/);
    await world.stop("server", "SIGKILL");
    expect(await until(async () => (await curl("/health")).status === 503, 60)).toBeDefined();
    const down = await json();
    expect([down.up, down.tunnel, typeof down.reason]).toEqual([false, null, "string"]);
    expect((await curl("/health")).body).toContain(down.reason!);
    await world.server();
    await subject.up();
    expect(await until(async () => (await curl("/health")).status === 200, PATIENCE)).toBeDefined();
  });

  test("is for the LAN alone: nobody in the tunnel or on the WAN gets an answer, and no name of somebody else's", async () => {
    const { tunnel, wan } = await json();
    const at = (address: string) => `http://${address.split("/")[0]}/`;
    for (const url of [at(tunnel!.address!), at(wan.addresses[0]!), at(GATEWAY)])
      expect(parsed(await world.in("net", [...CURL, "-m", "2", url])).status).toBe(0);
    expect((await curl("/status.json", "-H", "Host: evil.example")).status).toBe(421);
    expect((await curl("/commands", "-H", "Morgana-Command: 1", "-d", "command=kill&client=a")).status).toBe(403);
  });

  test("with a configuration that has problems it lists them, and is unhealthy for the first", async () => {
    await subject.boot(world.config({ profile: world.profile({ lines: ["tun-mtu banana"] }) }));
    expect(await until(async () => (await curl("/health")).status === 503, PATIENCE)).toBeDefined();
    const { role, state, problems } = await json();
    expect([role, state]).toEqual([null, "unconfigured"]);
    expect(problems[0]).toMatch(/^lab\.ovpn:\d+: tun-mtu: /);
    expect((await curl("/")).body).toContain("tun-mtu");
  });

  test("[status] enabled = false: nobody listens; another port is another port", async () => {
    const toml = (lines: string) => `[wan]\naddress = "dhcp"\n[lan]\naddress = "${GATEWAY}/24"\n[status]\n${lines}\n`;
    await subject.bootUp(world.config({ toml: toml("enabled = false") }));
    expect((await curl("/")).status).toBe(0);
    await subject.bootUp(world.config({ toml: toml("port = 8080") }));
    expect([(await curl("/")).status, (await curl(`http://${GATEWAY}:8080/health`)).status]).toEqual([0, 200]);
  });
});

describe.skipIf(NO_WORLD)("the status page of a server", () => {
  let world: ServedWorld;
  const curl = async (path: string, ...more: string[]) =>
    patiently(() => world.in("lan", [...CURL, ...more, `http://${LAN_GATEWAY}${path}`]));
  const json = async (): Promise<StatusReport> => JSON.parse((await curl("/status.json")).body);
  const command = (form: string, ...more: string[]) =>
    curl("/commands", "-H", "Morgana-Command: 1", ...more, "-d", form);

  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  test("lists its clients, in JSON, HTML and metrics; commands are off; clients do not see it", async () => {
    await world.serve();
    await world.join("a");
    expect(await world.ping("a", SERVER_TUNNEL)).toBe(3);
    const status = await json();
    const tunnel = await world.address("a");
    expect(status).toMatchObject({ role: "server", state: "listening", up: true, clientCount: 1 });
    expect(status.clients).toEqual([
      expect.objectContaining({ name: "client-a", tunnel, protocol: "udp", version: expect.stringMatching(/^2\./) }),
    ]);
    expect(status.clients[0]!.receivedBytes).toBeGreaterThan(0);
    expect((await curl("/")).body).toContain("<td>client-a</td>");
    expect((await curl("/metrics")).body).toMatch(/^morgana_client_sent_bytes_total\{id="\d+",name="client-a"\} \d+$/m);
    expect((await curl("/health")).body).toBe("ok: the server listens\n");
    expect(parsed(await world.in("lan", [...CURL, "-g", "http://[fd00:50::1]/health"])).status).toBe(200);
    expect([(await curl("/commands")).status, (await command("command=kill&client=client-a")).status]).toEqual([
      403, 403,
    ]);
    for (const address of [LAN_GATEWAY, SERVER_TUNNEL, WAN])
      expect(parsed(await world.in("a", [...CURL, "-m", "2", `http://${address}/`])).status).toBe(0);
    expect(parsed(await world.in("web", [...CURL, "-m", "2", `http://${WAN}/`])).status).toBe(0);
    expect((await json()).clients.length).toBe(1);
  });

  test("commands: a client is told to go and comes again, or ends; with users only who has a password", async () => {
    await world.serve([], { server: "[status]\ncommands = true\n" });
    const [a, b] = await Promise.all([world.join("a"), world.join("b")]);
    expect(await command("command=kill&client=client-a")).toEqual({
      status: 200,
      body: "kill (client-a): 1 client told to go\n",
    });
    // It may be back before it has said that it heard.
    await world.says(/peer\.down.*name=client-a.*reason=(killed|replaced)/);
    await world.joined("a", 2);
    expect(b.log()).not.toMatch(/server-pushed-connection-reset/);
    expect((await command("command=kill&client=nobody")).status).toBe(404);
    const takesUpdates = openvpnIsAtLeast(2, 7);
    const updated = await command("command=push-update&options=route%2010.9.0.0%20255.255.0.0");
    expect(updated.status).toBe(takesUpdates ? 200 : 404);
    expect((await command("command=kill&client=client-b", "-H", "Origin: http://evil.example")).status).toBe(403);
    const token = /name="token" value="(\w+)"/.exec((await curl("/commands")).body)![1];
    const { id } = (await json()).clients.find(({ name }) => name === "client-b")!;
    const form = `token=${token}&command=kill&who=${id}+client-b&halt=yes`;
    expect((await curl("/commands", "-d", form)).status).toBe(303);
    expect(await b.ended(PATIENCE)).toBe(0);
    expect(b.log()).toMatch(/Halt command was pushed by server/);
    expect(a.alive).toBe(true);
  });

  test("with [status] users a command needs one of them and his password, by the file as it was read last", async () => {
    const toml = '[status]\ncommands = true\nusers = "operators.txt"\n';
    const users = readFileSync(join(world.dir, "users.txt"), "utf8");
    await world.serve([], { server: toml, files: { "operators.txt": users } });
    const a = await world.join("a");
    const kill = (user: string, password: string) =>
      command(
        "command=kill&client=client-a",
        "--data-urlencode",
        `user=${user}`,
        "--data-urlencode",
        `password=${password}`,
      );
    const [, password = ""] = readFileSync(join(world.dir, "right.txt"), "utf8").split("\n");
    expect((await command("command=kill&client=client-a")).status).toBe(403);
    expect((await kill(USER, "battery staple")).status).toBe(403);
    expect((await kill("nobody", password)).status).toBe(403);
    expect(a.log()).not.toMatch(/server-pushed-connection-reset/);
    expect((await kill(USER, password)).status).toBe(200);
    await world.joined("a", 2);
    world.configure([], { server: toml, files: { "operators.txt": users.replace(USER, "eve") } });
    world.daemon("server").signal("SIGUSR1");
    expect(await until(async () => (await kill("eve", password)).status === 200, PATIENCE)).toBeDefined();
    expect((await kill(USER, password)).status).toBe(403);
    expect(world.serverLog()).toMatch(/status\.command .*user=eve/);
    expect(world.serverLog()).not.toContain(password);
  });
});
