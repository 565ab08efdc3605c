/** What the benchmarks of client and server on the kernel have in common: the two hosts, and the files of both ends. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../test/support/world/openvpn-binary.ts";
import { type Daemon, PATIENCE } from "../test/support/world/process.ts";
import { morgana } from "../test/support/world/router.ts";
import { asHost } from "../test/support/world/unix-client.ts";
import { SERVER, World } from "../test/support/world/world.ts";

/** The client's host is in the router's place (`rt`), the server's is the internet's (`net`). */
export async function twoHosts(): Promise<World> {
  const world = await World.create({ wan: "cable" });
  await asHost(world);
  return world;
}

/** Files that both openvpn and Morgana take, on tun devices `tun-c` and `tun-s`. @returns their paths */
export function writeEnds(world: World, proto: "udp" | "tcp"): { readonly client: string; readonly server: string } {
  const isTcp = proto === "tcp";
  const server = join(world.dir, "server.conf");
  const lines = [
    ...["dev tun-s", "dev-type tun", `proto ${isTcp ? "tcp-server" : "udp"}`, "port 1194", `local ${SERVER}`],
    ...[
      "server 10.8.0.0 255.255.255.0",
      "topology subnet",
      "ca ca.crt",
      "cert server.crt",
      "key server.key",
      "dh none",
    ],
    ...["tls-crypt static.key", "keepalive 10 60", "data-ciphers AES-256-GCM"],
  ];
  writeFileSync(server, `${lines.join("\n")}\n`);
  const client = join(world.dir, "client.conf");
  const own = { remotes: [SERVER], password: false, lines: [`proto ${isTcp ? "tcp-client" : "udp"}`] };
  writeFileSync(client, world.profile(own).replace("dev tun\r", "dev tun-c\r\ndev-type tun\r"));
  return { client, server };
}

/** What may be at either end. */
export const PROGRAMS = ["openvpn", "morgana"] as const;
export type Program = (typeof PROGRAMS)[number];

/** A server on the internet's host, which listens. @param file its configuration @throws Error with the end of its log */
export async function startServer(world: World, program: Program, file: string): Promise<Daemon> {
  const argv =
    program === "openvpn"
      ? [OPENVPN, "--cd", world.dir, "--config", file]
      : ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-server")}`, ...morgana(), "server", file];
  return await ready(world.start("server", "net", argv), /Initialization Sequence Completed| server\.listening /);
}

/** A program that has said so. @throws Error with the end of its log */
export async function ready(daemon: Daemon, says: RegExp): Promise<Daemon> {
  if ((await daemon.says(says, PATIENCE)) === undefined)
    throw new Error(`${daemon.name} did not start:\n${daemon.log().slice(-1500)}`);
  return daemon;
}
