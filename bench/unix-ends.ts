/** What the benchmarks of client and server on the kernel have in common: the two hosts, and the files of both ends. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
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
