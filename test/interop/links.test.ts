/** OpenVPN over TCP, alone and through proxies that are real programs: tinyproxy and microsocks. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { until } from "../support/world/process.ts";
import { SERVER, SITE, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

const MIB = 1 << 20;
const HTTP_PORT = 3128;
const SOCKS_PORT = 1080;
const LOGIN = "<http-proxy-user-pass>\nann\ns3cret\n</http-proxy-user-pass>";

setDefaultTimeout(60_000);

describe.skipIf(NO_WORLD)("over TCP", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server({ protocol: "tcp" });
    const conf = join(world.dir, "tinyproxy.conf");
    const lines = [
      `Port ${HTTP_PORT}`,
      `Listen ${WAN_GATEWAY}`,
      "Timeout 600",
      "BasicAuth ann s3cret",
      "ConnectPort 1194",
    ];
    writeFileSync(conf, `${lines.join("\n")}\n`);
    world.start("http-proxy", "net", ["tinyproxy", "-d", "-c", conf]);
    const socks = ["microsocks", "-i", WAN_GATEWAY, "-p", `${SOCKS_PORT}`, "-u", "ann", "-P", "s3cret"];
    world.start("socks-proxy", "net", socks);
  });
  afterAll(() => world?.close());

  /** The proxies know no name server of this world: the server is named by its address. */
  const config = (...lines: string[]): string => {
    const folder = world.config({ profile: world.profile({ protocol: "tcp", remotes: [SERVER], lines }) });
    writeFileSync(join(folder, "proxy.txt"), "ann\ns3cret\n");
    writeFileSync(join(folder, "wrong.txt"), "ann\nwrong\n");
    return folder;
  };
  const carries = async (): Promise<void> =>
    expect(await world.lanHost<{ ok: number }>("download", [SITE, 5 * MIB, 2], 60)).toMatchObject({
      ok: 2,
      failed: [],
    });

  test("downloads arrive unchanged; a server that is killed and started anew is found again", async () => {
    await subject.bootUp(config());
    await carries();
    await world.stop("server", "SIGKILL");
    await world.server({ protocol: "tcp" });
    await subject.up();
  });

  test.skipIf(REFERENCE)("it begins at the port of lport, also anew; push-peer-info tells of the machine", async () => {
    const server = await world.server({ protocol: "tcp" });
    const folder = config("lport 5194", "push-peer-info");
    const profile = join(folder, "lab.ovpn");
    writeFileSync(profile, readFileSync(profile, "utf8").replace("nobind\r\n", ""));
    await subject.bootUp(folder);
    expect(server.log()).toContain(`Peer Connection Initiated with [AF_INET]${world.wanAddress()}:5194`);
    expect(server.log()).toContain(`peer info: IV_HWADDR=${await world.mac("rt", "w0")}`);
    expect(server.log()).toMatch(/peer info: IV_SSL=OpenSSL.3\.\d+\.\d+/);
    expect(server.log()).toContain(`peer info: IV_PLAT_VER=${release()}`);
    subject.running.signal("SIGUSR1");
    expect(await until(() => server.log().split("Peer Connection Initiated").length > 2, 20)).toBeDefined();
    await subject.up();
    expect(server.log().match(/Peer Connection Initiated with \S+:5194/g)?.length).toBeGreaterThan(1);
  });

  test("through an HTTP proxy that asks for a login", async () => {
    await subject.bootUp(config(`http-proxy ${WAN_GATEWAY} ${HTTP_PORT} auto`, LOGIN));
    await carries();
  });

  test("through a SOCKS proxy with a login", async () => {
    await subject.bootUp(config(`socks-proxy ${WAN_GATEWAY} ${SOCKS_PORT} proxy.txt`));
    await carries();
  });

  test.skipIf(REFERENCE).each([
    [`http-proxy ${WAN_GATEWAY} ${HTTP_PORT}`, "asks for a login (407); put user and password into a file"],
    [`socks-proxy ${WAN_GATEWAY} ${SOCKS_PORT} wrong.txt`, "refuses user and password; correct them in wrong.txt"],
  ])("%s: the log says what is wrong", async (line, said) => {
    const router = await subject.boot(config(line));
    expect(await until(() => router.log().includes(said), 10)).toBeDefined();
  });

  test.skipIf(REFERENCE)("a server with another key hangs up, and the key is named", async () => {
    const folder = config();
    writeFileSync(
      join(folder, "lab.ovpn"),
      world.profile({ protocol: "tcp", remotes: [SERVER], staticKey: "static-other" }),
    );
    const router = await subject.boot(folder);
    expect(
      await until(() => router.log().includes("the tls-crypt key (<tls-crypt> block) is not the server's"), 10),
    ).toBeDefined();
  });
});
